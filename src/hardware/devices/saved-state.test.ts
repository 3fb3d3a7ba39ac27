import { describe, expect, it } from "vitest";
import { EngineRig } from "../../../test/engine-rig.ts";
import { RestoreError, SaveRefusedError } from "../../struct/index.ts";
import { PAGE_REQUEST_CAPABILITY } from "../pci/index.ts";
import { DEVICE_TLB_DESCRIPTOR } from "../vtd/spec/descriptors.ts";
import * as registers from "../vtd/spec/registers.ts";

const PAGE = 0x7000n;
const TARGET = 0x20_0000n;

/** Page 7 goes to 2 MiB; page 9 goes nowhere. */
const machine = (options: ConstructorParameters<typeof EngineRig>[0] = {}): EngineRig => {
  const rig = new EngineRig(options);
  const second = rig.page();
  const first = rig.page();
  rig.map(second, 4, PAGE, TARGET | 3n);
  rig.mapFirst(first, PAGE, (TARGET + 0x1000n) | 0x67n);
  rig.context({ PASIDE: 1, DTE: 1, PRE: 1 });
  rig.pasidEntry({ PGTT: 2, SSPTPTR: second }, 0);
  rig.pasidEntry({ PGTT: 1, FSPTPTR: first, DID: 2, PWSNP: 1 }, 5);
  return rig;
};

/** What a snapshot keeps of a rig, as text between. */
const save = (rig: EngineRig): string =>
  JSON.stringify({
    unit: rig.unit.save(),
    engine: rig.engine.save(),
    functions: rig.topology.functions().map((fn) => fn.save()),
  });

const restore = (rig: EngineRig, saved: string): void => {
  const { unit, engine, functions } = JSON.parse(saved);
  for (const [i, fn] of rig.topology.functions().entries()) fn.restore(functions[i]);
  rig.unit.restore(unit);
  rig.engine.restore(engine);
};

/** Saves, resets everything and restores. */
const goThroughReset = (rig: EngineRig): void => {
  const saved = save(rig);
  rig.unit.reset();
  rig.engine.function.reset();
  expect(rig.unit.translation.enabled).toBe(false);
  restore(rig, saved);
  expect(save(rig)).toBe(saved);
};

describe("saved units and devices", () => {
  it("PC-SAVE-07: translation, queue and base address registers go on", () => {
    const rig = machine();
    rig.memory.write8(TARGET, 0xab);
    rig.flush();
    goThroughReset(rig);
    expect(rig.load(PAGE)).toBe("ab");
    expect(rig.load(0x9000n)).toBe("fault 79");
    // The queue goes on where its head was, not at its beginning.
    expect(rig.wait()()).toBe(true);
    rig.invalidateDomain(1);
    expect(rig.wait()()).toBe(true);
  });

  it("PC-SAVE-07: a fault that is latched stays, its event waits for unmasking, its record is skipped", () => {
    const rig = machine();
    expect(rig.load(0x9000n)).toBe("fault 79");
    const faults = rig.faults();
    expect([faults.length, rig.interrupts.length]).toEqual([1, 0]);
    goThroughReset(rig);
    expect(rig.faults()).toEqual(faults);
    rig.unmask(registers.FECTL, registers.FEDATA, registers.FEADDR, 0x44);
    expect(rig.interrupts.map(({ vector }) => vector)).toEqual([0x44]);
    rig.clearFaults();
    expect(rig.load(0x9000n)).toBe("fault 79");
    expect(rig.faults()).toHaveLength(1);
  });

  it("PC-SAVE-07: a page request that waits gets its answer afterwards", () => {
    const rig = machine();
    const flags = { group: 9, last: 1 };
    expect(rig.run("requestPage", { address: PAGE, pasid: 5, flags })).toBe("busy");
    goThroughReset(rig);
    expect(rig.status()).toBe("busy");
    const answer = { destination: rig.source, pasid: 5, group: 9, code: 0 };
    expect(rig.fabric.respondToDevice(0, answer)).toBe(true);
    expect(rig.status()).toBe("ok");
    const { config } = rig.engine.function;
    expect(config.has(PAGE_REQUEST_CAPABILITY.layout, "unexpectedGroupIndex")).toBe(false);
  });

  it("PC-SAVE-07: a command that waits for a step is carried out at the next one", () => {
    const rig = machine({ stepped: true });
    rig.start("fill", { address: PAGE, pattern: 0x77 });
    goThroughReset(rig);
    expect([rig.status(), rig.memory.read8(TARGET)]).toEqual(["busy", 0]);
    expect(rig.engine.step()).toBe(true);
    expect([rig.status(), rig.memory.read8(TARGET)]).toEqual(["ok", 0x77]);
  });

  it("PC-SAVE-07: what was cached may be gone: the tables are read again", () => {
    const rig = machine();
    rig.memory.write8(TARGET, 1);
    rig.memory.write8(TARGET + 0x3000n, 2);
    expect(rig.load(PAGE)).toBe("01");
    goThroughReset(rig);
    const second = rig.unit.translation.counters.walks;
    expect(rig.load(PAGE)).toBe("01");
    expect(rig.unit.translation.counters.walks).toBe(second + 1);
  });

  it("PC-SAVE-04: an invalidation that is not over, and the answer that a device owes, are named", () => {
    const rig = machine({ answers: "late" });
    rig.run("translate", { address: PAGE });
    rig.submit(3, DEVICE_TLB_DESCRIPTOR, { SID: rig.source, ADDR: PAGE });
    expect(() => rig.unit.save()).toThrow(SaveRefusedError);
    expect(() => rig.unit.save()).toThrow("an invalidation of the unit is not over");
    expect(() => rig.engine.save()).toThrow("0000:00:02.0 owes answers to invalidations");
    rig.engine.tlb.answer();
    expect(() => save(rig)).not.toThrow();
  });

  it("PC-SAVE-04: a transfer between translation and memory is named", () => {
    const rig = machine();
    rig.run("fill", { address: PAGE, flags: { hold: 1 } });
    expect(() => rig.engine.save()).toThrow("0000:00:02.0 holds a transfer");
    // The unit waits for it before it says that translation is off.
    rig.command(31, false);
    expect(() => rig.unit.save()).toThrow("before it switches translation");
    rig.run("release");
    expect(() => save(rig)).not.toThrow();
  });

  it("PC-SAVE-06: a state of something else is refused", () => {
    const rig = machine();
    const legacy = new EngineRig({ mode: "legacy", capabilities: rig.unit.capabilities });
    const [fn] = rig.topology.functions();
    const state = rig.unit.save();
    const other = { ...state, registers: state.registers.filter(([at]) => at !== 0x08) };
    expect(() => legacy.unit.restore(other)).toThrow(RestoreError);
    expect(() => legacy.unit.restore({ ...state, schema: "x" as never })).toThrow(RestoreError);
    expect(() => rig.engine.restore({ ...rig.engine.save(), schema: "x" as never })).toThrow("x");
    expect(() => fn!.restore({ ...fn!.save(), device: 7 })).toThrow(RestoreError);
    const far = [[0x10_0000, 1]] as const;
    expect(() => rig.unit.restore({ ...state, registers: [...state.registers, ...far] })).toThrow(
      RestoreError,
    );
  });
});
