import type { Capabilities } from "../../src/hardware/vtd/capabilities.ts";
import { disagreementOf } from "./compare.ts";
import { exclusionOf } from "./exclusions.ts";
import { generateCase } from "./generate.ts";
import type { QemuProgram } from "./provision.ts";
import type { Mode } from "./qemu-process.ts";
import { QemuSubject } from "./qemu-subject.ts";
import { capabilitiesOf, onlyTopic } from "./rig.ts";
import { runCase } from "./run-case.ts";
import type { Case, Range, Topic, Trace } from "./step.ts";
import { UnitSubject } from "./unit-subject.ts";

/** What a real QEMU has made of cases, kept so that it can be held against other units than ours. */
export interface Recording {
  readonly mode: Mode;
  readonly capabilities: Capabilities;
  readonly cases: readonly {
    readonly test: Case;
    /** By step, what memory was looked at. */
    readonly ranges: readonly (readonly Range[])[];
    readonly theirs: Trace;
  }[];
}

/**
 * Has a QEMU do the cases from `seed` on.
 *
 * @throws Error when our own unit does not agree
 */
export const record = async (
  qemu: QemuProgram,
  mode: Mode,
  seed: number,
  count: number,
  topic: Topic | undefined = onlyTopic(qemu),
): Promise<Recording> => {
  const theirs = await QemuSubject.start(qemu, mode);
  try {
    const capabilities = capabilitiesOf(qemu, mode, await theirs.capabilities());
    const pair = { ours: new UnitSubject(capabilities), theirs, capabilities };
    pair.ours.ram.set(theirs.ram());
    const cases: Recording["cases"][number][] = [];
    for (let n = 0; n < count; n++) {
      const test = generateCase(seed + n, mode, capabilities, topic);
      if (exclusionOf(test, qemu.version) !== undefined) continue;
      const outcome = await runCase(pair, test);
      if (outcome.theirs === undefined || outcome.disagreement !== undefined)
        throw new Error(`${theirs.name} and the unit do not agree on case ${seed + n}`);
      cases.push({ test, ranges: outcome.ours.ranges, theirs: outcome.theirs });
    }
    return { mode, capabilities, cases };
  } finally {
    await theirs.end();
  }
};

/** How many cases a unit gets right before the first that it does not; `undefined` when it gets all of them right. */
export const casesUntilFound = (
  recording: Recording,
  Subject: typeof UnitSubject = UnitSubject,
): number | undefined => {
  const unit = new Subject(recording.capabilities);
  const at = recording.cases.findIndex(({ test, ranges, theirs }) => {
    const ours = unit.run(test, ranges);
    return disagreementOf(recording.capabilities, ours, theirs) !== undefined;
  });
  return at < 0 ? undefined : at;
};
