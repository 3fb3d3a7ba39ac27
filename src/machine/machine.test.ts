import { describe, expect, test } from "vitest";
import { memoryFiles, readCapture, type VtdCapture, writeCapture } from "../capture/index.ts";
import { READ, WRITE } from "../hardware/pci/index.ts";
import { adviseOn } from "./fault-advice.ts";
import { type Machine, machineFromCapture } from "./machine.ts";
import { type RecordedWalk, recordWalk } from "./recorded-walk.ts";
import { DEVICE, IOVA, legacyMachine, nestedMachine } from "./sample-machines.ts";

const changesOf = (machine: Machine, walk: RecordedWalk) =>
  adviseOn(walk, machine.unit.capabilities)?.changes;

describe("machines", () => {
  test("MACH-CAP-01: a machine saved as a capture is the same machine when it is read", () => {
    const machine = legacyMachine();
    const files = memoryFiles("saved", new Map(), () => ({ failed: "corrupt" }));
    writeCapture(machine.capture(), files);
    const again = machineFromCapture(readCapture(files) as VtdCapture, { caches: "off" });
    expect(again.registers).toEqual(machine.registers);
    expect(again.unit.enabled).toBe(true);
    const walk = recordWalk(again.unit, { source: DEVICE, iova: IOVA, access: READ });
    expect(walk.outcome).toMatchObject({ ok: true, address: 0x5678n });
  });

  test("MACH-CAP-02: the pages that the unit's tables lie in are kept, and no other", () => {
    const machine = legacyMachine();
    machine.memory.write8(0x3f_ffffn, 1);
    const { storedPages } = machine.capture();
    expect(storedPages).toEqual([
      { pa: 0x1000n, kind: "root" },
      ...[0x2000n, 0x10000n, 0x11000n, 0x12000n, 0x13000n].map((pa) => ({ pa, kind: "table" })),
    ]);
    expect(nestedMachine().capture().storedPages).toHaveLength(4 + 4 + 4);
  });

  test("MACH-CAP-03: what a machine writes into a capture's memory is in its next capture only", () => {
    const files = memoryFiles("saved", new Map(), () => ({ failed: "corrupt" }));
    writeCapture(legacyMachine().capture(), files);
    const machine = machineFromCapture(readCapture(files) as VtdCapture);
    machine.memory.write64(0x13000n, 0x9003n);
    const later = memoryFiles("later", new Map(), () => ({ failed: "corrupt" }));
    writeCapture(machine.capture(), later);
    expect(readCapture(later).memory.read64(0x13000n)).toBe(0x9003n);
    expect(readCapture(files).memory.read64(0x13000n)).toBe(0n);
  });
});

describe("recorded walks", () => {
  test("MACH-WALK-01: every read of a walk is a step, structures first and the leaf last", () => {
    const machine = legacyMachine();
    const walk = recordWalk(machine.unit, { source: DEVICE, iova: IOVA, access: WRITE });
    expect(walk.steps.map(({ layout, address }) => [layout.name, address])).toEqual([
      ["root entry", 0x1000n],
      ["context entry", 0x2180n],
      ["second-stage table entry", 0x10000n],
      ["second-stage table entry", 0x11000n],
      ["second-stage table entry", 0x12488n],
      ["second-stage 4K leaf", 0x13a28n],
    ]);
    expect(walk.reads).toEqual({ structures: 2, entries: 4 });
    expect(machine.unit.counters).toMatchObject({ structureReads: 2, tableReads: 4 });
    expect(machine.trace.enabled).toBe(false);
  });

  test("MACH-WALK-02: a nested walk of 4 over 4 levels has the 24 reads of the unit", () => {
    const machine = nestedMachine();
    const walk = recordWalk(machine.unit, { source: DEVICE, iova: IOVA, access: WRITE });
    expect(walk.outcome).toMatchObject({ ok: true, address: 0x128678n, pageLg2: 12, prot: 7 });
    const stages = walk.steps.flatMap((step) => (step.kind === "entry" ? [step] : []));
    expect(machine.unit.counters.tableReads).toBe(stages.length);
    const seen = new Set(stages.map(({ stage, level, input }) => `${stage} ${level} ${input}`));
    expect(seen.size).toBe(24);
    expect(stages.filter(({ stage }) => stage === 2).every(({ nested }) => nested)).toBe(true);
    const marked = stages.filter(({ flagsSet }) => flagsSet !== 0n);
    expect(marked.map(({ stage, level, flagsSet }) => [stage, level, flagsSet])).toEqual([
      [1, 3, 0x20n],
      [1, 2, 0x20n],
      [1, 1, 0x20n],
      [1, 0, 0x60n],
    ]);
  });

  test("MACH-WALK-03: permissions are those of all levels of both stages", () => {
    const machine = nestedMachine();
    const leaf = 0x13000n + 0x28n * 8n;
    machine.memory.write64(leaf, machine.memory.read64(leaf)! & ~2n);
    const walk = recordWalk(machine.unit, { source: DEVICE, iova: IOVA, access: READ });
    expect(walk.outcome).toMatchObject({ ok: true, prot: 1 | 4 });
  });
});

describe("advice on faults", () => {
  test("MACH-ADVICE-01: a missing right names each entry that lacks it, and its value with the bit", () => {
    const machine = legacyMachine(0x5000n | 1n);
    machine.memory.write64(0x11000n, 0x12001n);
    const request = { source: DEVICE, iova: IOVA, access: WRITE };
    const changes = changesOf(machine, recordWalk(machine.unit, request))!;
    expect(changes).toEqual([
      {
        entry: "stage 2 level 2 entry",
        address: 0x11000n,
        change: "set write (bit 1)",
        from: 0x12001n,
        to: 0x12003n,
      },
      {
        entry: "stage 2 level 0 entry",
        address: 0x13a28n,
        change: "set write (bit 1)",
        from: 0x5001n,
        to: 0x5003n,
      },
    ]);
  });

  test("MACH-ADVICE-02: after the changes the request passes", () => {
    const breaks: readonly ((machine: Machine) => void)[] = [
      (machine) => machine.memory.write64(0x13a28n, 0x5001n),
      (machine) => machine.memory.write64(0x13a28n, 0x5003n | (1n << 62n)),
      (machine) => machine.memory.write64(0x1000n, 0x2801n),
      (machine) => machine.memory.write64(0x2188n, 0x8_0000_0702n),
      (machine) => machine.memory.write64(0x1000n, 0x2000n),
      (machine) => machine.memory.write64(0x2180n, 0x10000n),
      (machine) => machine.memory.write64(0x12488n, 0x13000n),
    ];
    for (const damage of breaks) {
      const machine = legacyMachine();
      damage(machine);
      const request = { source: DEVICE, iova: IOVA, access: WRITE };
      const refused = recordWalk(machine.unit, request);
      expect(refused.outcome.ok).toBe(false);
      const changes = changesOf(machine, refused)!;
      expect(changes.length).toBeGreaterThan(0);
      for (const { address, from, to } of changes) {
        expect(machine.memory.read64(address)).toBe(from);
        machine.memory.write64(address, to!);
      }
      // An entry without W had neither right: a read may be missing still, a write is not.
      expect(recordWalk(machine.unit, request).outcome).toMatchObject({ ok: true });
    }
  });

  test("MACH-ADVICE-03: where an address is missing, nobody makes one up", () => {
    const machine = legacyMachine(0n);
    const walk = recordWalk(machine.unit, { source: DEVICE, iova: IOVA, access: READ });
    expect(walk.outcome).toMatchObject({ ok: false, fault: { code: 6, level: 0 } });
    expect(changesOf(machine, walk)).toEqual([
      {
        entry: "stage 2 level 0 entry",
        address: 0x13a28n,
        change: "set read (bit 0) and point address (bits 51:12) to a page",
        from: 0n,
        to: undefined,
      },
    ]);
  });

  test("MACH-ADVICE-04: a table outside memory is blamed on the entry that points there", () => {
    const machine = legacyMachine();
    machine.memory.write64(0x12488n, 0x7fff_f000n | 3n);
    const walk = recordWalk(machine.unit, { source: DEVICE, iova: IOVA, access: READ });
    expect(walk.outcome).toMatchObject({ ok: false, fault: { code: 7 } });
    expect(changesOf(machine, walk)).toMatchObject([
      { entry: "stage 2 level 1 entry", address: 0x12488n, to: undefined },
    ]);
  });

  test("MACH-ADVICE-05: a nested first-stage table that may not be written is the second stage's to allow", () => {
    const machine = nestedMachine();
    const leaf = 0x13000n + 0x20n * 8n;
    machine.memory.write64(leaf, machine.memory.read64(leaf)! & ~2n);
    const walk = recordWalk(machine.unit, { source: DEVICE, iova: IOVA, access: READ });
    expect(walk.outcome).toMatchObject({ ok: false, fault: { code: 0x77 } });
    expect(changesOf(machine, walk)).toMatchObject([
      { entry: "stage 2 level 0 entry", address: leaf, change: "set write (bit 1)" },
    ]);
  });
});
