/** What is said about refusals, on the random and hostile machines of `test/reference`. */
import { describe, expect, test } from "vitest";
import { Random } from "../../test/reference/random.ts";
import { TestMemory } from "../../test/reference/vtd-memory.ts";
import { PROFILES } from "../../test/reference/vtd-profiles.ts";
import { buildMachine, randomRequest } from "../../test/reference/vtd-tables.ts";
import { scale } from "../../test/scale.ts";
import { EXECUTE, PRIVILEGED, READ, WRITE } from "../hardware/pci/index.ts";
import { createCapabilities, TranslationUnit } from "../hardware/vtd/index.ts";
import { adviseOn, type FaultAdvice, type RecordedWalk, recordWalk } from "../machine/index.ts";
import { createPaint } from "./paint.ts";
import { walkDocument } from "./walk-document.ts";
import { outcomeLines, stepLines } from "./walk-text.ts";

const FIRST_SEED = 4_000;
const MACHINES = scale(250, 20_000);
const REQUESTS = 8;
/** Codes that have to be seen. */
const FLOOR = 35;

/** Where it stopped: after a change there may be another gap one entry further on. */
const refusal = ({ outcome, steps }: RecordedWalk): string => {
  if (outcome.ok) return "passed";
  const { code, stage, level, entry } = outcome.fault;
  return `${code.toString(16)} in stage ${stage} at level ${level}, entry ${entry?.address}, after ${steps.length} reads`;
};

/**
 * Applies `advice` in memory, asks again, and puts memory back.
 *
 * @returns how it ended then; `undefined` when an entry is in memory that cannot be written
 */
const afterChanges = (
  memory: TestMemory,
  advice: FaultAdvice,
  ask: () => RecordedWalk,
): string | undefined => {
  const before = memory.bytes.slice();
  const written = advice.changes.every(({ address, to }) => memory.memory.write64(address, to!));
  const then = written ? refusal(ask()) : undefined;
  memory.bytes.set(before);
  return then;
};

describe("what is said about refusals", () => {
  test("MACH-ADVICE-06: it is about entries as they are, and a change ends the refusal that it is for", () => {
    const memory = new TestMemory();
    const codes = new Map<number, number>();
    const problems: string[] = [];
    let applied = 0;
    for (let seed = FIRST_SEED; seed < FIRST_SEED + MACHINES; seed++) {
      const random = new Random(seed);
      const profile = random.weighted(PROFILES);
      memory.clear();
      const machine = buildMachine(random, profile, memory);
      const capabilities = createCapabilities(profile);
      const unit = new TranslationUnit({ capabilities, memory: memory.memory, caches: "off" });
      unit.setRootTable(machine.rtaddr);
      unit.setTranslation(machine.enabled);
      for (let i = 0; i < REQUESTS; i++) {
        const { source, pasid, address, access } = randomRequest(random, machine);
        const bits =
          (access.read ? READ : 0) |
          (access.write ? WRITE : 0) |
          (access.execute ? EXECUTE : 0) |
          (access.privileged ? PRIVILEGED : 0);
        const ask = () => recordWalk(unit, { source, pasid, iova: address, access: bits });
        const walk = ask();
        const paint = createPaint(false);
        const lines = [
          ...stepLines(walk, capabilities, paint),
          ...outcomeLines(walk, capabilities, paint),
        ];
        JSON.stringify(walkDocument("random", walk, capabilities));
        const advice = adviseOn(walk, capabilities);
        if (walk.outcome.ok || advice === undefined) continue;
        const { code } = walk.outcome.fault;
        codes.set(code, (codes.get(code) ?? 0) + 1);
        const where = `seed ${seed}, request ${i}: ${refusal(walk)}`;
        if (advice.why === "" || lines.some((line) => line.includes("undefined"))) {
          problems.push(`${where}: ${advice.why}\n${lines.join("\n")}`);
        }
        for (const { address: at, from } of advice.changes) {
          // An entry may have got its accessed flag since it was read.
          const now = memory.memory.read64(at);
          if (from !== undefined && now !== undefined && (now & ~0x560n) !== (from & ~0x560n)) {
            problems.push(`${where}: ${at} is ${now}, not ${from}`);
          }
        }
        if (advice.changes.length === 0 || advice.changes.some(({ to }) => to === undefined))
          continue;
        const then = afterChanges(memory, advice, ask);
        if (then !== undefined) applied++;
        if (then === refusal(walk)) problems.push(`${where}: refused again\n${lines.join("\n")}`);
      }
    }
    expect(problems.slice(0, 3).join("\n")).toBe("");
    expect(
      codes.size,
      [...codes.keys()].map((code) => code.toString(16)).join(" "),
    ).toBeGreaterThan(FLOOR);
    expect(applied).toBeGreaterThan(MACHINES / 2);
  });
});
