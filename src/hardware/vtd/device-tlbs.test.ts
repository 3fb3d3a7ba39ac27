import { describe, expect, test } from "vitest";
import { EngineRig } from "../../../test/engine-rig.ts";
import { ATS_CAPABILITY } from "../pci/index.ts";
import { createCapabilities } from "./capabilities.ts";
import { SERVER } from "./profiles.ts";
import {
  DEVICE_TLB_DESCRIPTOR,
  PASID_DEVICE_TLB_DESCRIPTOR,
  PASID_IOTLB_DESCRIPTOR,
} from "./spec/descriptors.ts";
import { FEADDR, FECTL, FEDATA, FSTS, GSTS, IQERCD, IQH } from "./spec/registers.ts";

const PAGE = 0x7000n;
const OLD = 0x20_0000n;
const NEW = 0x21_0000n;
const MINUTE = 60_000_000_000n;

/** Page 7 goes to OLD: in the second stage of requests without a PASID, and in the first stages of PASID 5 and 6. */
class CachingRig extends EngineRig {
  readonly second: bigint;
  readonly firsts: readonly bigint[];

  constructor(options: ConstructorParameters<typeof EngineRig>[0] = {}) {
    super(options);
    this.memory.write8(OLD, 0x01);
    this.memory.write8(NEW, 0x02);
    const second = this.page();
    const first = this.page();
    this.second = this.map(second, 4, PAGE, OLD | 3n)[0]!;
    this.map(second, 4, PAGE + 0x1000n, (OLD + 0x1000n) | 3n);
    const other = this.page();
    this.firsts = [first, other].map((root) => this.mapFirst(root, PAGE, OLD | 0x67n)[0]!);
    if (this.legacy) {
      this.legacyContext({ TT: 1, SSPTPTR: second });
      return;
    }
    this.context({ PASIDE: 1, DTE: 1 });
    this.pasidEntry({ PGTT: 2, SSPTPTR: second }, 0);
    this.pasidEntry({ PGTT: 1, FSPTPTR: first, DID: 2, PWSNP: 1 }, 5);
    this.pasidEntry({ PGTT: 1, FSPTPTR: other, DID: 2, PWSNP: 1 }, 6);
  }

  /** Reads page 7 through the engine's own translations. */
  loadCached(pasid?: number): string {
    const tag = pasid === undefined ? {} : { pasid };
    return this.load(PAGE, { flags: { translated: 1 }, ...tag });
  }

  /** Points page 7 to NEW everywhere, and invalidates the unit's caches, not the engine's. */
  move(): void {
    this.poke(this.second, NEW | 3n);
    for (const leaf of this.firsts) this.poke(leaf, NEW | 0x67n);
    this.invalidateDomain(1);
    for (const pasid of this.legacy ? [] : [5, 6]) {
      this.submit(6, PASID_IOTLB_DESCRIPTOR, { G: 2, DID: 2, PASID: pasid });
    }
  }

  invalidateDevice(more: Parameters<typeof DEVICE_TLB_DESCRIPTOR.encode>[0] = {}): void {
    this.submit(3, DEVICE_TLB_DESCRIPTOR, { SID: this.source, ADDR: PAGE, ...more });
  }
}

describe("invalidation", () => {
  test.each(["legacy", "scalable"] as const)(
    "VTD-DTLB-01, VTD-DTLB-03: what a device keeps, in %s mode",
    (mode) => {
      const rig = new CachingRig({ mode });
      expect(rig.loadCached()).toBe("01");
      rig.move();
      expect([rig.load(PAGE), rig.loadCached()]).toEqual(["02", "01"]);
      rig.invalidateDevice();
      const done = rig.wait();
      expect([done(), rig.loadCached()]).toEqual([true, "02"]);
    },
  );

  test("VTD-DTLB-02: the range, and requests without a PASID alone", () => {
    const seen = (more: Parameters<CachingRig["invalidateDevice"]>[0]) => {
      const rig = new CachingRig();
      rig.loadCached();
      rig.loadCached(5);
      rig.move();
      rig.invalidateDevice(more);
      return [rig.loadCached(), rig.loadCached(5)];
    };
    expect(seen({})).toEqual(["02", "01"]);
    expect(seen({ ADDR: PAGE + 0x1000n })).toEqual(["01", "01"]);
    expect(seen({ ADDR: 0x3000n, S: 1 })).toEqual(["02", "01"]);
    expect(seen({ ADDR: 0xb000n, S: 1 })).toEqual(["01", "01"]);
    expect(seen({ ADDR: 0x7fff_ffff_ffff_f000n, S: 1 })).toEqual(["02", "01"]);
    expect(seen({ SID: 0x18 })).toEqual(["01", "01"]);
  });

  test("VTD-DTLB-02: by PASID, and whatever the PASID", () => {
    const seen = (values: Parameters<typeof PASID_DEVICE_TLB_DESCRIPTOR.encode>[0]) => {
      const rig = new CachingRig();
      for (const pasid of [undefined, 5, 6]) rig.loadCached(pasid);
      rig.move();
      rig.submit(8, PASID_DEVICE_TLB_DESCRIPTOR, {
        SID: rig.source,
        PASID: 5,
        ADDR: PAGE,
        ...values,
      });
      return [undefined, 5, 6].map((pasid) => rig.loadCached(pasid));
    };
    expect(seen({})).toEqual(["01", "02", "01"]);
    expect(seen({ ADDR: 0x3000n, S: 1 })).toEqual(["01", "02", "01"]);
    expect(seen({ ADDR: 0x9000n })).toEqual(["01", "01", "01"]);
    expect(seen({ G: 1 })).toEqual(["01", "02", "02"]);
    expect(seen({ SID: 0x18, G: 1 })).toEqual(["01", "01", "01"]);
  });

  test("VTD-DTLB-08: an invalidation that nobody takes", () => {
    const rig = new CachingRig({ answers: "never" });
    rig.engine.function.config.writeField(ATS_CAPABILITY.layout, "atsEnable", 0);
    rig.invalidateDevice();
    rig.invalidateDevice({ SID: 0x18 });
    const done = rig.wait();
    rig.clock.advance(MINUTE);
    expect([done(), rig.read(FSTS).ITE]).toEqual([true, 0n]);
  });

  test("VTD-DTLB-10: a unit without device TLBs", () => {
    const DT = 1n << 2n;
    const capabilities = createCapabilities({
      cap: SERVER.cap,
      ecap: SERVER.ecap & ~DT,
      hostAddressWidth: 52,
    });
    for (const type of [3, 8]) {
      const rig = new EngineRig({ capabilities });
      rig.submit(type, DEVICE_TLB_DESCRIPTOR, {});
      expect(rig.read(FSTS).IQE).toBe(1n);
    }
  });
});

describe("devices that misbehave", () => {
  test("VTD-DTLB-03: a late answer holds the wait", () => {
    const rig = new CachingRig({ answers: "late" });
    rig.loadCached();
    rig.move();
    const before = rig.wait();
    rig.invalidateDevice();
    const behind = rig.wait();
    rig.clock.advance(MINUTE - 1n);
    expect([before(), behind(), rig.engine.tlb.owed]).toEqual([true, false, 1]);
    rig.engine.tlb.answer();
    expect([behind(), rig.loadCached()]).toEqual([true, "02"]);
    rig.clock.advance(MINUTE);
    expect(rig.read(FSTS)).toMatchObject({ ITE: 0n, ICE: 0n });
  });

  test("VTD-DTLB-03: without a fence what follows is fetched meanwhile, with one it is not", () => {
    const rig = new CachingRig({ answers: "late" });
    rig.invalidateDevice();
    rig.wait();
    rig.invalidateDevice();
    expect(rig.engine.tlb.owed).toBe(2);
    rig.wait({ FN: 1 });
    rig.invalidateDevice();
    const done = rig.wait();
    expect(rig.engine.tlb.owed).toBe(2);
    rig.engine.tlb.answer();
    expect([rig.engine.tlb.owed, done()]).toEqual([1, false]);
    rig.engine.tlb.answer();
    expect(done()).toBe(true);
  });

  test("VTD-DTLB-04: no answer within a minute", () => {
    const rig = new CachingRig({ answers: "never" });
    rig.unmask(FECTL, FEDATA, FEADDR, 0x51);
    rig.invalidateDevice();
    const given = rig.wait({ IF: 1 });
    rig.clock.advance(MINUTE - 1n);
    expect([rig.read(FSTS).ITE, rig.interrupts.length]).toEqual([0n, 0]);
    rig.clock.advance(1n);
    expect(rig.read(FSTS)).toMatchObject({ ITE: 1n, ICE: 0n, IQE: 0n });
    expect(rig.read(IQERCD).ITESID).toBe(BigInt(rig.source));
    expect(rig.interrupts.map(({ vector }) => vector)).toEqual([0x51]);
    const head = rig.read(IQH).QH;
    const later = rig.wait();
    expect([given(), later(), rig.read(IQH).QH]).toEqual([false, false, head]);
    rig.write(FSTS, 0x40n);
    expect([given(), later(), rig.read(IQH).QH]).toEqual([false, true, head + 2n]);
    expect(rig.read(FSTS).ITE).toBe(0n);
  });

  test("VTD-DTLB-04: the wait of a device that did answer is given up with the others", () => {
    const rig = new CachingRig({ answers: "late" });
    rig.invalidateDevice();
    const first = rig.wait();
    rig.clock.advance(1n);
    rig.invalidateDevice();
    const second = rig.wait();
    rig.clock.advance(MINUTE - 1n);
    rig.engine.tlb.answer();
    expect([first(), second(), rig.read(FSTS).ITE]).toEqual([false, false, 1n]);
    rig.write(FSTS, 0x40n);
    expect(rig.wait()()).toBe(true);
    rig.clock.advance(MINUTE);
    expect(rig.read(FSTS).ITE).toBe(0n);
  });

  test("VTD-DTLB-05: a fence that was given up holds nothing", () => {
    const rig = new CachingRig({ answers: "never" });
    rig.invalidateDevice();
    rig.wait({ FN: 1 });
    const behind = rig.wait();
    rig.clock.advance(MINUTE);
    expect(behind()).toBe(false);
    rig.write(FSTS, 0x40n);
    expect(behind()).toBe(true);
  });

  test("VTD-DTLB-05: switching the queue off ends in spite of it", () => {
    const rig = new CachingRig({ answers: "never" });
    rig.invalidateDevice();
    rig.command(26, false);
    expect(rig.read(GSTS).QIES).toBe(1n);
    rig.clock.advance(MINUTE);
    expect([rig.read(GSTS).QIES, rig.read(IQH).QH]).toEqual([0n, 0n]);
  });

  test("VTD-DTLB-06: an answer to another invalidation", () => {
    const rig = new CachingRig({ answers: "wrong" });
    rig.unmask(FECTL, FEDATA, FEADDR, 0x51);
    rig.invalidateDevice();
    const done = rig.wait();
    expect(rig.read(FSTS)).toMatchObject({ ICE: 1n, ITE: 0n });
    expect(rig.read(IQERCD)).toMatchObject({ ICESID: BigInt(rig.source), ITESID: 0n });
    expect(rig.interrupts.map(({ vector }) => vector)).toEqual([0x51]);
    expect(done()).toBe(true);
    rig.clock.advance(MINUTE);
    expect(rig.read(FSTS).ITE).toBe(0n);
    rig.write(FSTS, 0x20n);
    expect(rig.read(FSTS).ICE).toBe(0n);
  });

  test("VTD-DTLB-07: an answer after the minute", () => {
    const rig = new CachingRig({ answers: "late" });
    rig.invalidateDevice();
    const given = rig.wait();
    rig.clock.advance(MINUTE);
    rig.engine.tlb.answer();
    expect([given(), rig.read(FSTS).ITE, rig.read(FSTS).ICE]).toEqual([false, 1n, 0n]);
    rig.write(FSTS, 0x40n);
    rig.invalidateDevice();
    const next = rig.wait();
    expect(next()).toBe(false);
    rig.engine.tlb.answer();
    expect(next()).toBe(true);
  });

  test("VTD-DTLB-09: a reset forgets what is on its way", () => {
    for (const answers of ["late", "never"] as const) {
      const rig = new CachingRig({ answers });
      rig.invalidateDevice();
      const given = rig.wait();
      rig.unit.reset();
      rig.clock.advance(MINUTE);
      rig.engine.tlb.answer();
      expect([given(), rig.read(FSTS)]).toMatchObject([false, { ITE: 0n, ICE: 0n }]);
    }
  });
});
