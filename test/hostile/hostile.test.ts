import { describe, expect, it } from "vitest";
import { registerRows } from "../../src/hardware/vtd/spec/registers.ts";
import { SOAK, scale } from "../scale.ts";
import { Campaign, type Progress } from "./campaign.ts";
import { Coverage } from "./coverage.ts";
import { HOSTILE_PROFILES } from "./profiles.ts";

/** Steps of one guest on one machine. */
const STEPS = 500;
const FIRST_SEED = 1;
/** Register writes, and descriptors fetched, that a campaign does not end before. */
const FLOOR = scale(9_000, 1_000_000);

const { cap, ecap } = HOSTILE_PROFILES["server"]!;
const REGISTERS = [...new Set(registerRows(cap, ecap).map(({ layout }) => layout.name))].sort();

const TYPES = [1, 2, 3, 4, 5, 6, 7, 8, 9];
/** Descriptors of every type, taken and refused: for their contents, and in legacy mode. */
const TAKEN = TYPES.map((type) => `${type} taken`);
const REFUSED = TYPES.flatMap((type) => [
  `${type} IQEI 4`,
  ...(type > 5 ? [`${type} IQEI 5`, `${type} IQEI 7`] : []),
]);

const EVENTS = ["fault", "completion", "page request"].flatMap((event) => [
  `${event} masked`,
  `${event} sent`,
]);

interface Sum {
  registerWrites: number;
  descriptors: number;
  readonly memory: Map<string, number>;
}

const add = (sum: Sum, { registerWrites, descriptors, memoryWrites }: Progress): void => {
  sum.registerWrites += registerWrites;
  sum.descriptors += descriptors;
  for (const [what, count] of Object.entries(memoryWrites))
    sum.memory.set(what, (sum.memory.get(what) ?? 0) + count);
};

/** Lets guest after guest loose on every profile, with caches and without, until the floor is reached. */
const runAll = (): { coverage: Coverage; sum: Sum; failures: string[]; guests: number } => {
  const coverage = new Coverage();
  const sum: Sum = { registerWrites: 0, descriptors: 0, memory: new Map() };
  const failures: string[] = [];
  let guests = 0;
  for (let seed = FIRST_SEED; Math.min(sum.registerWrites, sum.descriptors) < FLOOR; seed++) {
    for (const [name, capabilities] of Object.entries(HOSTILE_PROFILES)) {
      for (const caches of [true, false]) {
        const campaign = new Campaign(seed, capabilities, caches, coverage);
        const wrong = campaign.run(STEPS);
        guests++;
        add(sum, campaign.progress);
        if (wrong === undefined) continue;
        failures.push(`${name}, caches ${caches ? "on" : "off"}, seed ${seed}, ${wrong}`);
      }
    }
    if (failures.length > 20) break;
  }
  return { coverage, sum, failures, guests };
};

describe("a hostile guest", () => {
  it("VTD-HOST-01, VTD-HOST-02, VTD-HOST-03, VTD-HOST-04: whatever it writes", () => {
    const { coverage, sum, failures, guests } = runAll();
    const reasons = coverage.kinds("reason ");
    const kinds = coverage.kinds("descriptor ");
    const queueErrors = coverage.kinds("queue error ");
    const memory = [...sum.memory].map(([what, count]) => `${count} ${what}`).join(", ");
    console.log(
      `vtd hostile guests: ${guests} guests of ${STEPS} steps, ${sum.registerWrites} register writes, ${sum.descriptors} descriptors (${kinds.length} types x outcomes), memory writes: ${memory}; ${reasons.length} reasons recorded, queue errors ${queueErrors.join(" ")}`,
    );
    expect(failures.join("\n")).toBe("");
    expect(coverage.kinds("register ")).toEqual(REGISTERS);
    // A part of the campaign meets each type, and not every way to refuse it.
    expect(kinds).toEqual(expect.arrayContaining(SOAK ? [...TAKEN, ...REFUSED] : TAKEN));
    expect(kinds.length, "types x outcomes").toBeGreaterThanOrEqual(scale(20, 27));
    expect(queueErrors.length, "queue errors").toBeGreaterThanOrEqual(scale(5, 7));
    expect(coverage.kinds("event ")).toEqual(expect.arrayContaining(EVENTS));
    expect(coverage.kinds("status ")).toEqual(["ICE", "ITE", "PFO", "PRO"]);
    expect(coverage.kinds("told of ").length, "kinds that subscribers heard of").toBe(6);
    expect(reasons.length, "reasons recorded").toBeGreaterThanOrEqual(scale(20, 50));
    expect([...sum.memory.values()].every((count) => count > 0)).toBe(true);
    if (SOAK) expect(sum.registerWrites).toBeGreaterThanOrEqual(1_000_000);
  });
});
