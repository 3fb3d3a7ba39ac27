import type { Capabilities } from "../../src/hardware/vtd/capabilities.ts";
import { type Difference, memoryDifferences } from "./compare.ts";
import { addCoverage, type Counts } from "./coverage.ts";
import { exclusionOf } from "./exclusions.ts";
import { generateCase } from "./generate.ts";
import { ARENA_END } from "./machine-map.ts";
import type { QemuProgram } from "./provision.ts";
import type { Mode } from "./qemu-process.ts";
import { QemuSubject } from "./qemu-subject.ts";
import { capabilitiesOf, onlyTopic } from "./rig.ts";
import { compareCase, type Pair } from "./run-case.ts";
import { type Shrunk, shrink } from "./shrink.ts";
import type { Case, Topic } from "./step.ts";
import { UnitSubject, type UnitTrace } from "./unit-subject.ts";

/** What to do, and how much of it. */
export interface CampaignOptions {
  readonly qemu: QemuProgram;
  readonly mode: Mode;
  readonly cases: number;
  /** Number of the first case. */
  readonly seed: number;
  /** All cases about this. */
  readonly topic?: Topic | undefined;
  /** Disagreements after which nobody wants to see more. */
  readonly stop: number;
}

/** A case on which the two did not agree, made small. */
export interface Found extends Shrunk {
  readonly seed: number;
  readonly topic: Topic;
}

/** What came of it. */
export interface CampaignResult {
  /** Which QEMU, in which mode. */
  readonly name: string;
  /** Cases compared. */
  readonly cases: number;
  readonly steps: number;
  /** Cases left out, by the name of the exclusion. */
  readonly excluded: Counts;
  readonly counts: Counts;
  readonly found: readonly Found[];
  /** What differs in the rest of RAM, where nothing should have been written. */
  readonly elsewhere: readonly Difference[];
  readonly seconds: number;
}

/** A case and what our unit makes of it. */
interface Prepared {
  readonly test: Case;
  readonly ours: UnitTrace;
  readonly plain: UnitTrace | undefined;
}

/** Runs generated cases on a real QEMU and on our unit, the next one being prepared while QEMU works. */
class Campaign {
  readonly #options: CampaignOptions;
  readonly #pair: Pair;
  readonly #plain: UnitSubject;
  readonly #excluded: Counts = new Map();
  readonly #counts: Counts = new Map();
  readonly #found: Found[] = [];
  #next: number;
  #cases = 0;
  #steps = 0;

  constructor(options: CampaignOptions, theirs: QemuSubject, capabilities: Capabilities) {
    this.#options = options;
    this.#pair = { ours: new UnitSubject(capabilities), theirs, capabilities };
    this.#pair.ours.ram.set(theirs.ram());
    this.#plain = new UnitSubject(capabilities, "off");
    this.#next = options.seed;
  }

  async run(): Promise<CampaignResult> {
    const began = performance.now();
    let current = this.#prepare();
    while (current !== undefined && this.#found.length < this.#options.stop) {
      const { test, ours, plain } = current;
      let next: Prepared | undefined;
      const outcome = await compareCase(this.#pair, test, ours, () => {
        next = this.#prepare();
      });
      this.#cases++;
      this.#steps += test.steps.length;
      if (outcome.disagreement !== undefined) {
        const small = await shrink(this.#pair, test, outcome.disagreement);
        this.#found.push({ ...small, seed: test.seed, topic: test.topic });
        this.#pair.ours.ram.set(this.#pair.theirs.ram());
        next = next === undefined ? this.#prepare() : this.#again(next.test);
      } else {
        addCoverage(this.#counts, test, ours, outcome.theirs!, plain);
      }
      current = next;
    }
    return {
      name: this.#pair.theirs.name,
      cases: this.#cases,
      steps: this.#steps,
      excluded: this.#excluded,
      counts: this.#counts,
      found: this.#found,
      elsewhere: this.#found.length === 0 ? this.#elsewhere() : [],
      seconds: (performance.now() - began) / 1000,
    };
  }

  /** The next case that is not left out, done by our unit; `undefined` when there is none. */
  #prepare(): Prepared | undefined {
    const { mode, qemu, seed, cases } = this.#options;
    const topic = this.#options.topic ?? onlyTopic(qemu);
    while (this.#next < seed + cases) {
      const test = generateCase(this.#next++, mode, this.#pair.capabilities, topic);
      const exclusion = exclusionOf(test, qemu.version);
      if (exclusion === undefined) return this.#again(test);
      this.#excluded.set(exclusion.name, (this.#excluded.get(exclusion.name) ?? 0) + 1);
    }
    return undefined;
  }

  #again(test: Case): Prepared {
    const ours = this.#pair.ours.run(test);
    return { test, ours, plain: test.topic === "stale" ? this.#plain.run(test) : undefined };
  }

  /** RAM outside the arena and the exchange: whatever is there, both have it. */
  #elsewhere(): Difference[] {
    const [ours, theirs] = [this.#pair.ours.ram, this.#pair.theirs.ram()];
    const behind = ARENA_END + 4096;
    return [
      // Below 640 KiB; above it a PC has no plain memory up to the arena.
      ...memoryDifferences(ours.subarray(0, 0xa_0000), theirs.subarray(0, 0xa_0000), 0, "RAM"),
      ...memoryDifferences(ours.subarray(behind), theirs.subarray(behind), behind, "RAM"),
    ];
  }
}

/** Runs a campaign in a QEMU of its own. */
export const runCampaign = async (options: CampaignOptions): Promise<CampaignResult> => {
  const theirs = await QemuSubject.start(options.qemu, options.mode);
  try {
    const capabilities = capabilitiesOf(options.qemu, options.mode, await theirs.capabilities());
    return await new Campaign(options, theirs, capabilities).run();
  } finally {
    await theirs.end();
  }
};
