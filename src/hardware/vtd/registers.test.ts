import { describe, expect, test } from "vitest";
import { EngineRig } from "../../../test/engine-rig.ts";
import { ROOT, SOURCE, UnitRig } from "../../../test/unit-rig.ts";
import { WRITE } from "../pci/dma-request.ts";
import { createCapabilities } from "./capabilities.ts";
import type { Invalidation } from "./invalidation.ts";
import { QEMU_7_2, QEMU_11_1_FIRST_STAGE, SERVER } from "./profiles.ts";
import { REGISTER_WINDOW } from "./register-file.ts";
import { CAP, ECAP } from "./spec/capability-registers.ts";
import { GSTS } from "./spec/registers.ts";

const PAGE = 0x7000n;
const A = 0x20_0000n;
const B = 0x40_0000n;

/** What is thrown; it must be a RangeError. */
const messageOf = (make: () => unknown): string => {
  try {
    make();
    return "made";
  } catch (error) {
    return error instanceof RangeError ? error.message : `${error}`;
  }
};

const filled = (mode: "legacy" | "scalable" = "scalable"): UnitRig => {
  const rig = new UnitRig(SERVER, mode).enable();
  rig.memory.write8(A, 0xaa);
  rig.memory.write8(B, 0xbb);
  return rig;
};

describe("registers", () => {
  test("VTD-REG-01: places and reset values", () => {
    const rig = new UnitRig(QEMU_7_2, "legacy");
    const found = new Map<number, number>();
    for (let offset = 0; offset < REGISTER_WINDOW; offset += 4) {
      if (rig.read32(offset) !== 0) found.set(offset, rig.read32(offset));
    }
    // The values that QEMU 7.2 shows after reset.
    expect(Object.fromEntries(found)).toEqual({
      0: 0x10,
      8: 0x2226_0206,
      12: 0x00d2_008c,
      16: 0x00f0_0f4a,
      56: 0x8000_0000,
      160: 0x8000_0000,
    });
    expect(rig.unit.readRegister(4095, 8)).toBe(0n);
    rig.unit.writeRegister(4090, 8, ~0n);
    rig.unit.writeRegister(0x300, 4, ~0n);
    expect([rig.read64(4088), rig.read32(0x300)]).toEqual([0n, 0]);
  });

  test("VTD-REG-02: any width at any place", () => {
    const rig = new UnitRig(SERVER);
    rig.write64(0x38, 0x1234_5678_8000_0000n);
    expect([rig.read32(0x38), rig.read32(0x3c)]).toEqual([0x8000_0000, 0x1234_5678]);
    rig.unit.writeRegister(0x3d, 1, 0xabn);
    expect(rig.read32(0x3c)).toBe(0x1234_ab78);
    rig.unit.writeRegister(0x3f, 2, 0x9977n);
    expect([rig.read32(0x3c), rig.unit.readRegister(0x40, 1)]).toEqual([0x7734_ab78, 0x98n]);
    expect(rig.unit.readRegister(0x3e, 4)).toBe(0x0098_7734n);
    rig.write32(0x24, 0xcafe);
    rig.write32(0x20, 0x0dad_e400);
    expect(rig.read64(0x20)).toBe(0xcafe_0dad_e400n);
  });

  test("VTD-REG-03: read-only, write-1-to-clear, write-only", () => {
    const rig = new UnitRig(SERVER);
    const before = [rig.read64(0x00), rig.read64(0x08), rig.read64(0x10)];
    for (const offset of [0x00, 0x08, 0x10, 0x80]) rig.write64(offset, ~0n);
    expect([rig.read64(0x00), rig.read64(0x08), rig.read64(0x10), rig.read64(0x80)]).toEqual([
      ...before,
      0n,
    ]);
    rig.write64(0xf0, ~0n);
    rig.write64(0x28, 0x1234_ffffn);
    expect([rig.read64(0xf0), rig.read64(0x28), rig.read32(0x18)]).toEqual([0n, 0xffffn, 0]);
    rig.enable();
    expect(rig.read(0x9000n)).toBeUndefined();
    expect([rig.read32(0x34), rig.record().pending]).toEqual([2, true]);
    rig.write64(0x228, 0x7fff_ffff_ffff_ffffn);
    expect(rig.record().pending).toBe(true);
    rig.write64(0x228, 1n << 63n);
    expect([rig.read32(0x34), rig.record().pending, rig.record().code]).toEqual([0, false, 0x79]);
  });

  test("VTD-REG-04: registers of what the unit lacks are not there", () => {
    const rig = new UnitRig(
      createCapabilities({ cap: SERVER.cap, ecap: SERVER.ecap & ~0x2000_000en }),
    );
    for (const offset of [0x80, 0x88, 0x90, 0xa0, 0xb8, 0xc0, 0xd0, 0xe0]) {
      rig.write64(offset, ~0n);
      expect([offset, rig.read64(offset)]).toEqual([offset, 0n]);
    }
    const plain = new UnitRig(SERVER);
    for (const offset of [0x64, 0x68, 0x6c, 0x70, 0x78]) {
      plain.write64(offset, ~0n);
      expect(plain.read32(offset)).toBe(0);
    }
  });

  /** The server's unit with other fields. */
  const other = (
    capChanges: Parameters<typeof CAP.encode>[0],
    ecapChanges: Parameters<typeof ECAP.encode>[0] = {},
  ) =>
    createCapabilities({
      cap: CAP.encode({ ...CAP.decode([SERVER.cap]), ...capChanges })[0]!,
      ecap: ECAP.encode({ ...ECAP.decode([SERVER.ecap]), ...ecapChanges })[0]!,
      hostAddressWidth: 52,
    });

  test("VTD-REG-06: registers beyond the first page", () => {
    const rig = new UnitRig(other({ FRO: 0x3ff, NFR: 255 }, { IRO: 0x200 })).enable();
    expect([rig.unit.registerWindow, new UnitRig(SERVER).unit.registerWindow]).toEqual([
      0x8000, 0x1000,
    ]);
    rig.memory.write8(A, 0xaa);
    expect([rig.read(PAGE), rig.read(0x9000n)]).toEqual([0xaa, undefined]);
    expect([rig.read64(0x3ff0), rig.read64(0x3ff8) >> 63n]).toEqual([0x9000n, 1n]);
    rig.unit.writeRegister(0x3fff, 1, 0x80n);
    expect([rig.read32(0x34), rig.read64(0x3ff8) >> 63n]).toEqual([0, 0n]);
    rig.mapSecond(B);
    rig.memory.write8(B, 0xbb);
    rig.write64(0x2008, (1n << 63n) | (1n << 60n));
    expect([rig.read64(0x2008) >> 57n, rig.read(PAGE)]).toEqual([9n, 0xbb]);
    expect([rig.read64(0x4ff8), rig.read64(0x7ff8), rig.read64(0x8000)]).toEqual([0n, 0n, 0n]);
    expect(new UnitRig(other({ FRO: 0xff, NFR: 0 })).unit.registerWindow).toBe(0x1000);
    expect(new UnitRig(other({ FRO: 0xff, NFR: 1 })).unit.registerWindow).toBe(0x2000);
  });

  test("VTD-REG-07: units that cannot be, and the field that says so", () => {
    const refusals: readonly (readonly [ReturnType<typeof other>, string])[] = [
      [other({ FRO: 0 }), "CAP.FRO and CAP.NFR put VER at 0x0 and FRCD at 0x0"],
      [other({ FRO: 0xe }), "CAP.FRO and CAP.NFR put PECTL at 0xe0"],
      [other({ FRO: 0xa, NFR: 4 }), "CAP.FRO and CAP.NFR put IECTL at 0xa0"],
      [other({ NFR: 3 }, { IRO: 0x24 }), "ECAP.IRO and CAP.FRO and CAP.NFR put IVA at 0x240"],
      [other({}, { IRO: 0 }), "ECAP.IRO put VER at 0x0 and IVA at 0x0"],
      [other({}, { PSS: 20 }), "ECAP.PSS of 20 makes PASIDs of 21 bits"],
      [other({}, { QI: 0 }), "ECAP.IR needs ECAP.QI"],
      [other({}, { QI: 0, IR: 0 }), "ECAP.DT needs ECAP.QI"],
    ];
    for (const [capabilities, found] of refusals) {
      const message = messageOf(() => new UnitRig(capabilities));
      expect(message).toContain(`a unit cannot be made: ${found}`);
    }
    expect(messageOf(() => new UnitRig(other({}, { PSS: 31, PASID: 0 })))).toBe("made");
  });

  test("VTD-REG-05: reset", () => {
    const rig = filled().enableQueue();
    const fresh = new UnitRig(SERVER);
    expect(rig.read(PAGE)).toBe(0xaa);
    expect(rig.read(0x9000n)).toBeUndefined();
    rig.submit([0n]);
    expect(rig.read32(0x34) & 0x10).toBe(0x10);
    rig.unit.reset();
    for (let offset = 0; offset < REGISTER_WINDOW; offset += 8) {
      expect([offset, rig.read64(offset)]).toEqual([offset, fresh.read64(offset)]);
    }
    rig.memory.write8(PAGE, 0x11);
    expect(rig.read(PAGE)).toBe(0x11);
    rig.mapSecond(B);
    rig.enable();
    expect(rig.read(PAGE)).toBe(0xbb);
  });
});

describe("commands", () => {
  test("VTD-GCMD-01: levels are what each write says", () => {
    const rig = filled();
    expect(rig.read32(0x1c)).toBe(0xc000_0000);
    rig.write32(0x18, 0x4000_0000);
    expect(rig.read32(0x1c)).toBe(0x4000_0000);
    rig.memory.write8(PAGE, 0x11);
    expect(rig.read(PAGE)).toBe(0x11);
    rig.write32(0x18, 0x8680_0000);
    expect(rig.read32(0x1c)).toBe(0xc680_0000);
    expect(rig.read(PAGE)).toBe(0xaa);
    rig.unit.writeRegister(0x1b, 1, 0x02n);
    expect(rig.read32(0x1c)).toBe(0x4200_0000);
  });

  test("VTD-GCMD-02: the root table is the one that stood there when SRTP came", () => {
    const rig = filled();
    expect(rig.read(PAGE)).toBe(0xaa);
    rig.write64(0x20, 0xdead_0000n);
    expect([rig.read(PAGE), rig.read64(0x20)]).toEqual([0xaa, 0xdead_0000n]);
    rig.command(30);
    expect(rig.read(PAGE)).toBeUndefined();
    expect(rig.record()).toMatchObject({ code: 8, source: SOURCE });
    rig.write64(0x20, ROOT | 0x400n);
    rig.command(30);
    expect([rig.read(PAGE), rig.read32(0x1c) >>> 30]).toEqual([0xaa, 3]);
  });

  test("VTD-GCMD-04: commands for what is not there change nothing", () => {
    const rig = new UnitRig(
      createCapabilities({
        cap: QEMU_11_1_FIRST_STAGE.cap,
        ecap: QEMU_11_1_FIRST_STAGE.ecap & ~10n,
      }),
    );
    rig.write32(0x18, 0x3f80_0000);
    expect(rig.read32(0x1c)).toBe(0);
  });

  test("VTD-GCMD-05: TES follows when what went through before has touched memory", () => {
    const rig = new EngineRig();
    const tes = () => Number(rig.read(GSTS).TES);
    const second = rig.page();
    rig.context();
    rig.pasidEntry({ PGTT: 2, SSPTPTR: second });
    rig.map(second, 4, PAGE, A | 3n);
    const held = rig.engine.port.begin(PAGE, 1, WRITE);
    rig.command(31, false);
    // GSTS still says on; requests pass untranslated already, and do not hold it up.
    const later = rig.engine.port.begin(B, 1, WRITE);
    expect([tes(), rig.load(B)]).toEqual([1, "00"]);
    held.finish(Uint8Array.of(7));
    expect([tes(), rig.memory.read8(A)]).toEqual([0, 7]);
    // Switched on, off and on again while one is held: one answer, at the end, and the right one.
    rig.command(31);
    rig.command(31, false);
    rig.command(31);
    expect([tes(), rig.load(PAGE)]).toEqual([0, "07"]);
    later.finish(Uint8Array.of(8));
    expect([tes(), rig.load(PAGE)]).toEqual([1, "07"]);
    const last = rig.engine.port.begin(PAGE, 1, WRITE);
    rig.command(31, false);
    rig.unit.reset();
    last.finish(Uint8Array.of(9));
    expect(tes()).toBe(0);
  });

  test("VTD-PMR-01: protected memory", () => {
    const rig = new UnitRig(
      createCapabilities({ cap: SERVER.cap | 0x60n, ecap: SERVER.ecap, hostAddressWidth: 52 }),
    );
    rig.memory.write8(A, 0xaa);
    rig.enable();
    rig.write32(0x68, 0x20_0000);
    rig.write32(0x6c, 0x20_0000);
    rig.write64(0x70, 0x800_0000n);
    rig.write64(0x78, 0x820_0000n);
    expect(rig.read(PAGE)).toBe(0xaa);
    rig.write32(0x64, 0x8000_0000);
    expect([rig.read32(0x64) & 1, rig.read(PAGE), rig.read32(0x34)]).toEqual([1, undefined, 0]);
    rig.command(31, false);
    expect([
      rig.read(0x1f_ffffn),
      rig.read(0x20_0000n),
      rig.read(0x3f_ffffn),
      rig.read(0x40_0000n),
    ]).toEqual([0, undefined, undefined, 0]);
    expect([
      rig.read(0x7ff_ffffn),
      rig.read(0x800_0000n),
      rig.read(0x83f_ffffn),
      rig.read(0x840_0000n),
    ]).toEqual([0, undefined, undefined, 0]);
    rig.write32(0x64, 0);
    expect([rig.read32(0x64), rig.read(0x20_0000n)]).toEqual([0, 0xaa]);
  });
});

describe("invalidation by register", () => {
  const context = (cirg: bigint, did = 0n, sid = 0n) =>
    (1n << 63n) | (cirg << 61n) | (sid << 16n) | did;
  const iotlb = (iirg: bigint, did = 0n) => (1n << 63n) | (iirg << 60n) | (did << 32n);

  test("VTD-RINV-01: contexts and translations, and what was performed", () => {
    for (const [value, stale, caig] of [
      [context(1n), false, 1n],
      [context(2n, 1n), false, 2n],
      [context(2n, 9n), true, 2n],
      [context(3n, 1n, BigInt(SOURCE)), false, 3n],
      [context(3n, 1n, 0x18n), true, 3n],
      [context(0n), true, 0n],
    ] as const) {
      const rig = filled("legacy");
      expect(rig.read(PAGE)).toBe(0xaa);
      rig.poke(0x12_1000n + BigInt(SOURCE) * 16n, 0n);
      rig.write64(0x28, value);
      expect([rig.read64(0x28) >> 63n, (rig.read64(0x28) >> 59n) & 3n]).toEqual([0n, caig]);
      expect([value, rig.read(PAGE)]).toEqual([value, stale ? 0xaa : undefined]);
    }
    for (const [value, iva, stale, iaig] of [
      [iotlb(1n), 0n, false, 1n],
      [iotlb(2n, 1n), 0n, false, 2n],
      [iotlb(2n, 3n), 0n, true, 2n],
      [iotlb(3n, 1n), PAGE, false, 3n],
      [iotlb(3n, 1n), 0x8000n, true, 3n],
      [iotlb(3n, 1n), 3n, false, 3n],
      [iotlb(3n, 1n), 19n, true, 0n],
      [iotlb(0n), 0n, true, 0n],
    ] as const) {
      const rig = filled("legacy");
      expect(rig.read(PAGE)).toBe(0xaa);
      rig.mapSecond(B);
      rig.write64(0xf0, iva);
      rig.write64(0xf8, value);
      expect([rig.read64(0xf8) >> 63n, (rig.read64(0xf8) >> 57n) & 3n]).toEqual([0n, iaig]);
      expect([value, iva, rig.read(PAGE)]).toEqual([value, iva, stale ? 0xaa : 0xbb]);
    }
  });

  test("VTD-RINV-02: in halves, the upper one starts", () => {
    const rig = filled("legacy");
    expect(rig.read(PAGE)).toBe(0xaa);
    rig.poke(0x12_1000n + BigInt(SOURCE) * 16n, 0n);
    rig.mapSecond(B);
    rig.write32(0x28, (SOURCE << 16) | 1);
    expect(rig.read(PAGE)).toBe(0xaa);
    rig.write32(0x2c, 0xe000_0000);
    expect(rig.read(PAGE)).toBeUndefined();
    const second = filled("legacy");
    expect(second.read(PAGE)).toBe(0xaa);
    second.mapSecond(B);
    second.write32(0xf0, Number(PAGE));
    second.write32(0xf8, 0);
    expect(second.read(PAGE)).toBe(0xaa);
    second.write32(0xfc, 0xb000_0001);
    expect(second.read(PAGE)).toBe(0xbb);
  });

  test("VTD-RINV-03: while the queue is on nothing is done", () => {
    const rig = filled("legacy").enableQueue();
    expect(rig.read(PAGE)).toBe(0xaa);
    rig.mapSecond(B);
    rig.write64(0x28, context(1n));
    rig.write64(0xf8, iotlb(1n));
    expect([rig.read64(0x28), rig.read64(0xf8), rig.read(PAGE)]).toEqual([
      context(1n),
      iotlb(1n),
      0xaa,
    ]);
  });

  test("VTD-RINV-04: while one is under way another is not heard", () => {
    const rig = new UnitRig(SERVER);
    const told: string[] = [];
    const owed: (() => void)[] = [];
    rig.unit.subscribe({
      invalidated: (invalidation, done) => {
        const { what } = invalidation as Extract<Invalidation, { kind: "iotlb" | "context" }>;
        told.push(what.granularity);
        owed.push(done);
      },
    });
    rig.write64(0x28, context(2n, 1n));
    rig.write64(0xf8, iotlb(2n, 1n));
    rig.write64(0x28, context(1n));
    rig.write64(0xf8, iotlb(1n));
    expect([told, rig.read64(0x28) >> 63n, rig.read64(0xf8) >> 63n]).toEqual([
      ["domain", "domain"],
      1n,
      1n,
    ]);
    for (const done of owed.splice(0)) done();
    expect([(rig.read64(0x28) >> 59n) & 0x13n, (rig.read64(0xf8) >> 57n) & 0x43n]).toEqual([
      2n,
      2n,
    ]);
    rig.write64(0x28, context(1n));
    expect(told).toEqual(["domain", "domain", "global"]);
  });
});
