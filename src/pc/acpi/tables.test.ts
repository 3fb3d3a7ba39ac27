import { describe, expect, it } from "vitest";
import { dmarTable, firmwareTables, type UnitDescription } from "./tables.ts";

const BASE = 0xe_0000;

const UNIT: UnitDescription = {
  base: 0xfed9_0000n,
  length: 4096,
  hostAddressWidth: 48,
  remapsInterrupts: false,
  serves: "all",
};

/** A table as software that knows nothing of ours finds it. */
class Found {
  readonly signature: string;
  readonly bytes: Uint8Array;
  readonly view: DataView;

  constructor(memory: Uint8Array, address: number, length?: number) {
    const at = address - BASE;
    const size = length ?? new DataView(memory.buffer, memory.byteOffset + at).getUint32(4, true);
    this.bytes = memory.subarray(at, at + size);
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
    this.signature = this.text(0, 4);
  }

  text(from: number, length: number): string {
    return String.fromCharCode(...this.bytes.subarray(from, from + length));
  }

  u8(at: number): number {
    return this.view.getUint8(at);
  }

  u16(at: number): number {
    return this.view.getUint16(at, true);
  }

  u32(at: number): number {
    return this.view.getUint32(at, true);
  }

  u64(at: number): bigint {
    return this.view.getBigUint64(at, true);
  }

  get sum(): number {
    return this.bytes.reduce((sum, byte) => (sum + byte) & 0xff, 0);
  }
}

/** Walks from the RSDP to every table, as the ACPI specification says. */
const findTables = (units: readonly UnitDescription[], lastBus = 0): Map<string, Found> => {
  const { rsdp, bytes } = firmwareTables({ units, lastBus }, BASE);
  const root = new Found(bytes, rsdp, 20);
  const rsdt = new Found(bytes, root.u32(16));
  const found = new Map<string, Found>([
    ["RSD ", root],
    ["RSDT", rsdt],
  ]);
  for (let at = 36; at < rsdt.bytes.length; at += 4) {
    const table = new Found(bytes, rsdt.u32(at));
    found.set(table.signature, table);
  }
  const fadt = found.get("FACP")!;
  for (const at of [36, 40]) {
    const table = new Found(bytes, fadt.u32(at));
    found.set(table.signature, table);
  }
  return found;
};

/** The remapping structures of a DMAR, as they follow each other. */
const structures = (table: Uint8Array) => {
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  const list = [];
  for (let at = 48; at < table.length; at += view.getUint16(at + 2, true)) {
    const length = view.getUint16(at + 2, true);
    const scopes = [];
    for (let scope = at + 16; scope < at + length; scope += table[scope + 1]!) {
      scopes.push([...table.subarray(scope, scope + table[scope + 1]!)]);
    }
    const type = view.getUint16(at, true);
    const flags = table[at + 4]!;
    const size = table[at + 5]!;
    list.push({ type, flags, size, base: view.getBigUint64(at + 8, true), scopes });
  }
  return list;
};

describe("firmware tables", () => {
  it("PC-ACPI-01: every table is found from the RSDP, whole and with a sum of 0", () => {
    const tables = findTables([UNIT]);
    expect([...tables.keys()].sort()).toEqual(
      ["APIC", "DMAR", "DSDT", "FACP", "FACS", "MCFG", "RSD ", "RSDT"].sort(),
    );
    expect(tables.get("RSD ")!.text(0, 8)).toBe("RSD PTR ");
    for (const [name, table] of tables)
      if (name !== "FACS") expect([name, table.sum]).toEqual([name, 0]);
    expect(tables.get("FACS")!.u32(4)).toBe(64);
  });

  it("PC-ACPI-02: the fixed description names v86's power management block", () => {
    const fadt = findTables([UNIT]).get("FACP")!;
    expect(fadt.bytes).toHaveLength(116);
    expect(fadt.u16(46)).toBe(9);
    expect([fadt.u32(56), fadt.u32(64), fadt.u32(76), fadt.u32(80)]).toEqual([
      0xb000, 0xb004, 0xb008, 0xafe0,
    ]);
    expect([fadt.u8(88), fadt.u8(89), fadt.u8(91), fadt.u8(92)]).toEqual([4, 2, 4, 4]);
    // No SMI command: ACPI is on from the beginning.
    expect(fadt.u32(48)).toBe(0);
  });

  it("PC-ACPI-03: one processor, one I/O APIC, and level-triggered PCI interrupts", () => {
    const madt = findTables([UNIT]).get("APIC")!;
    expect([madt.u32(36), madt.u32(40)]).toEqual([0xfee0_0000, 1]);
    const entries = [];
    for (let at = 44; at < madt.bytes.length; at += madt.u8(at + 1)) {
      entries.push([...madt.bytes.subarray(at, at + madt.u8(at + 1))]);
    }
    expect(entries).toEqual([
      [0, 8, 0, 0, 1, 0, 0, 0],
      [1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0],
      ...[9, 10, 11].map((irq) => [2, 10, 0, irq, irq, 0, 0, 0, 0xd, 0]),
    ]);
  });

  it("PC-ACPI-04: ECAM is where its window is, for all buses there are", () => {
    const mcfg = findTables([UNIT], 3).get("MCFG")!;
    expect(mcfg.bytes).toHaveLength(60);
    expect([mcfg.u64(44), mcfg.u16(52), mcfg.u8(54), mcfg.u8(55)]).toEqual([0xb000_0000n, 0, 0, 3]);
  });

  it("PC-ACPI-05: DMAR tells each unit's registers, width and scope", () => {
    const dmar = findTables([UNIT]).get("DMAR")!;
    expect([dmar.u8(36), dmar.u8(37)]).toEqual([47, 0]);
    expect(structures(dmar.bytes)).toEqual([
      { type: 0, flags: 1, size: 0, base: 0xfed9_0000n, scopes: [] },
    ]);
  });

  it("PC-ACPI-05: a unit for some functions comes before the one for the rest", () => {
    const some: UnitDescription = {
      base: 0xfed9_2000n,
      length: 8192,
      hostAddressWidth: 39,
      remapsInterrupts: true,
      serves: [
        { requesterId: 0x0020, isBridge: false },
        { requesterId: 0x0031, isBridge: true },
      ],
    };
    const table = dmarTable([UNIT, some]);
    expect([table[36], table[37]]).toEqual([47, 0]);
    expect(structures(table)).toEqual([
      {
        type: 0,
        flags: 0,
        size: 1,
        base: 0xfed9_2000n,
        scopes: [
          [1, 8, 0, 0, 0, 0, 4, 0],
          [2, 8, 0, 0, 0, 0, 6, 1],
        ],
      },
      { type: 0, flags: 1, size: 0, base: 0xfed9_0000n, scopes: [] },
    ]);
    expect(dmarTable([some])[37]).toBe(1);
  });

  it("PC-ACPI-06: a PC without a unit has no DMAR", () => {
    expect(findTables([]).has("DMAR")).toBe(false);
  });

  it("PC-ACPI-08: the DSDT is one sequence of terms whose lengths fit", () => {
    const dsdt = findTables([UNIT]).get("DSDT")!;
    const body = dsdt.bytes.subarray(36);
    expect(body[0]).toBe(0x10);
    const extra = body[1]! >>> 6;
    let length = body[1]! & 0xf;
    for (let i = 0; i < extra; i++) length |= body[2 + i]! << (4 + 8 * i);
    // After the scope comes \_S5, of the last 12 bytes: a name and a package of four zeros.
    expect(body.length - (1 + length)).toBe(13);
    expect(String.fromCharCode(...body.subarray(1 + length + 1, 1 + length + 6))).toBe("\\_S5_");
  });
});
