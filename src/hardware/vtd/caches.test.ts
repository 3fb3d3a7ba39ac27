import { describe, expect, test } from "vitest";
import { codeOf, VtdRig } from "../../../test/vtd-rig.ts";
import { NO_PASID } from "../pci/dma-request.ts";
import { createCapabilities } from "./capabilities.ts";
import { SERVER } from "./profiles.ts";

const A = 0x20_0000n;
const B = 0x40_0000n;
const PAGE = 0x7000n;

/**
 * Two devices: both with a second stage in domain 1 (no PASID) and a first
 * stage in domain 2 (PASID 5); memory at A reads 0xaa, at B 0xbb.
 */
const machine = (caches: "off" | undefined = undefined) => {
  const rig = new VtdRig({
    capabilities: SERVER,
    mode: "scalable",
    ...(caches === undefined ? {} : { caches }),
  });
  const second = rig.page();
  const first = rig.page();
  const [secondLeaf] = rig.map(second, 4, PAGE, A | 3n);
  const [firstLeaf] = rig.mapFirst(first, PAGE, A | 0x67n);
  for (const source of [rig.source, rig.otherSource]) {
    rig.context({ PASIDE: 1 }, source);
    rig.pasidEntry({ PGTT: 2, SSPTPTR: second, DID: 1 }, 0, source);
    rig.pasidEntry({ PGTT: 1, FSPTPTR: first, DID: 2, PWSNP: 1 }, 5, source);
  }
  rig.memory.write8(A, 0xaa);
  rig.memory.write8(B, 0xbb);
  return { rig, second, first, secondLeaf: secondLeaf!, firstLeaf: firstLeaf! };
};

const page = (domain: number, hint = false, mask = 0, address = PAGE) =>
  ({ granularity: "page", domain, address, mask, hint }) as const;

describe("caches", () => {
  test("VTD-CACHE-01: context by source, PASID entry by source and PASID", () => {
    const { rig, second } = machine();
    const other = rig.page();
    rig.map(other, 4, PAGE, B | 3n);
    const reads = () => [rig.read(PAGE), rig.read(PAGE, NO_PASID, 0, rig.otherPort)];
    expect(reads()).toEqual([0xaa, 0xaa]);
    for (const source of [rig.source, rig.otherSource])
      rig.pasidEntry({ PGTT: 2, SSPTPTR: other, DID: 1 }, 0, source);
    rig.unit.invalidateIotlb({ granularity: "global" });
    expect(reads()).toEqual([0xaa, 0xaa]);
    rig.poke(rig.contextEntry(), 0n);
    rig.unit.invalidatePasid({ granularity: "pasid", domain: 1, pasid: 0 });
    rig.unit.invalidateIotlb({ granularity: "global" });
    expect(reads()).toEqual([0xbb, 0xbb]);
    rig.unit.invalidateContext({ granularity: "device", source: rig.source, functionMask: 0 });
    expect([codeOf(rig.read(PAGE)), rig.read(PAGE, NO_PASID, 0, rig.otherPort)]).toEqual([
      "41",
      0xbb,
    ]);
    expect(second).not.toBe(other);
  });

  test("VTD-CACHE-02: second-stage translations are shared by domain, first-stage ones belong to a PASID", () => {
    const { rig, secondLeaf, firstLeaf } = machine();
    expect([rig.read(PAGE), rig.read(PAGE, 5)]).toEqual([0xaa, 0xaa]);
    rig.poke(secondLeaf, B | 3n);
    rig.poke(firstLeaf, B | 0x67n);
    // The other device has asked for nothing yet: what it finds, the first one's requests have left.
    expect(rig.read(PAGE, NO_PASID, 0, rig.otherPort)).toBe(0xaa);
    expect(rig.read(PAGE, 5, 0, rig.otherPort)).toBe(0xaa);
    const pasids = machine();
    pasids.rig.pasidEntry({ PGTT: 1, FSPTPTR: pasids.first, DID: 2, PWSNP: 1 }, 6);
    expect(pasids.rig.read(PAGE, 5)).toBe(0xaa);
    pasids.rig.poke(pasids.firstLeaf, B | 0x67n);
    expect([pasids.rig.read(PAGE, 5), pasids.rig.read(PAGE, 6)]).toEqual([0xaa, 0xbb]);
  });

  test("VTD-CACHE-03: stale until invalidated; what was not present is not remembered", () => {
    const { rig, secondLeaf, second } = machine();
    expect(rig.read(PAGE)).toBe(0xaa);
    rig.poke(secondLeaf, 0n);
    expect(rig.read(PAGE)).toBe(0xaa);
    rig.unit.invalidateIotlb(page(1));
    expect(codeOf(rig.read(PAGE))).toBe("79");
    rig.poke(secondLeaf, B | 3n);
    expect(rig.read(PAGE)).toBe(0xbb);
    rig.map(second, 4, 1n << 40n, A | 3n);
    expect(rig.read(1n << 40n)).toBe(0xaa);
    const off = machine("off");
    expect(off.rig.read(PAGE)).toBe(0xaa);
    off.rig.poke(off.secondLeaf, B | 3n);
    expect(off.rig.read(PAGE)).toBe(0xbb);
  });

  test("VTD-CACHE-04: the first write after a read walks again and sets dirty", () => {
    const { rig, firstLeaf } = machine();
    rig.poke(firstLeaf, A | 0x27n);
    expect([rig.read(PAGE, 5), rig.peek(firstLeaf) & 0x40n]).toEqual([0xaa, 0n]);
    const before = rig.unit.counters.walks;
    expect([rig.write(PAGE, 1, 5), rig.peek(firstLeaf) & 0x40n]).toEqual([undefined, 0x40n]);
    expect(rig.unit.counters.walks).toBe(before + 1);
    expect(rig.write(PAGE, 2, 5)).toBeUndefined();
    expect(rig.unit.counters.walks).toBe(before + 1);
  });

  test("VTD-CACHE-05: what a cached entry does not permit is looked up again", () => {
    const { rig, secondLeaf } = machine();
    rig.poke(secondLeaf, A | 1n);
    expect([rig.read(PAGE), codeOf(rig.write(PAGE))]).toEqual([0xaa, "85"]);
    rig.poke(secondLeaf, A | 3n);
    expect(rig.write(PAGE, 0xcc)).toBeUndefined();
    expect(rig.memory.read8(A)).toBe(0xcc);
  });

  test("VTD-CACHE-06: every cache stays within its size", () => {
    const rig = new VtdRig({
      capabilities: SERVER,
      mode: "scalable",
      caches: { iotlbLg2: 4, structuresLg2: 2, pasidsLg2: 2, contextsLg2: 1 },
    });
    const root = rig.identity(0x200_0000n);
    rig.context({ PASIDE: 1 });
    for (let pasid = 0; pasid < 32; pasid++)
      rig.pasidEntry({ PGTT: 2, SSPTPTR: root, DID: pasid }, pasid);
    rig.map(root, 4, 1n << 39n, A | 3n);
    for (let i = 0; i < 64; i++) rig.map(root, 4, (1n << 39n) + BigInt(i) * 0x1000n, A | 3n);
    for (let i = 0; i < 64; i++) {
      expect(rig.read((1n << 39n) + BigInt(i) * 0x1000n, i % 32)).toBe(0);
      expect(rig.read(BigInt(i % 16) * 0x20_0000n, i % 32)).toBe(0);
    }
    const { caches } = rig.unit.inspect();
    expect(caches.iotlb["4K"]).toBeGreaterThan(8);
    expect(caches.iotlb["4K"]).toBeLessThanOrEqual(16);
    expect(caches.iotlb["2M"]).toBeLessThanOrEqual(4);
    expect(caches.pasids.length).toBeLessThanOrEqual(4);
    expect(caches.contexts.length).toBe(1);
  });
});

describe("invalidation", () => {
  test("VTD-INV-01: context entries, global, by domain, by device with a function mask", () => {
    const forgets = (what: Parameters<VtdRig["unit"]["invalidateContext"]>[0]) => {
      const rig = new VtdRig({ capabilities: SERVER, mode: "legacy" });
      const root = rig.page();
      rig.map(root, 4, PAGE, A | 3n);
      rig.legacyContext({ SSPTPTR: root, DID: 7 });
      rig.legacyContext({ SSPTPTR: root, DID: 8 }, rig.otherSource);
      expect([rig.read(PAGE), rig.read(PAGE, NO_PASID, 0, rig.otherPort)]).toEqual([0, 0]);
      rig.poke(rig.contextEntry(), 0n);
      rig.poke(rig.contextEntry(rig.otherSource), 0n);
      rig.unit.invalidateContext(what);
      return [codeOf(rig.read(PAGE)), codeOf(rig.read(PAGE, NO_PASID, 0, rig.otherPort))];
    };
    // The devices are 00:02.0 and 00:1f.7.
    expect(forgets({ granularity: "global" })).toEqual(["02", "02"]);
    expect(forgets({ granularity: "domain", domain: 7 })).toEqual(["02", 0]);
    expect(forgets({ granularity: "domain", domain: 9 })).toEqual([0, 0]);
    expect(forgets({ granularity: "device", source: 0x10, functionMask: 0 })).toEqual(["02", 0]);
    for (const [source, mask, hit] of [
      [0xfb, 1, true],
      [0xfe, 1, false],
      [0xf9, 2, true],
      [0xfe, 2, false],
      [0xf8, 3, true],
      [0xf0, 3, false],
    ] as const) {
      expect([mask, forgets({ granularity: "device", source, functionMask: mask })[1]]).toEqual([
        mask,
        hit ? "02" : 0,
      ]);
    }
  });

  test("VTD-INV-02: PASID entries, by the domain that was cached", () => {
    const forgets = (what: Parameters<VtdRig["unit"]["invalidatePasid"]>[0]) => {
      const { rig } = machine();
      expect([rig.read(PAGE), rig.read(PAGE, 5)]).toEqual([0xaa, 0xaa]);
      for (const pasid of [0, 5]) rig.pasidEntry({ P: 0, DID: 9 }, pasid);
      rig.unit.invalidatePasid(what);
      rig.unit.invalidateIotlb({ granularity: "global" });
      return [codeOf(rig.read(PAGE)), codeOf(rig.read(PAGE, 5))];
    };
    expect(forgets({ granularity: "global" })).toEqual(["59", "59"]);
    expect(forgets({ granularity: "domain", domain: 2 })).toEqual([0xaa, "59"]);
    expect(forgets({ granularity: "domain", domain: 9 })).toEqual([0xaa, 0xaa]);
    expect(forgets({ granularity: "pasid", domain: 2, pasid: 5 })).toEqual([0xaa, "59"]);
    expect(forgets({ granularity: "pasid", domain: 1, pasid: 5 })).toEqual([0xaa, 0xaa]);
  });

  /** Fills the caches, remaps everything to B, invalidates; what each request then finds. */
  const finds = (invalidate: (rig: VtdRig) => void) => {
    const { rig, secondLeaf, firstLeaf } = machine();
    expect([rig.read(PAGE), rig.read(PAGE, 5)]).toEqual([0xaa, 0xaa]);
    rig.poke(secondLeaf, B | 3n);
    rig.poke(firstLeaf, B | 0x67n);
    expect([rig.read(PAGE), rig.read(PAGE, 5)]).toEqual([0xaa, 0xaa]);
    invalidate(rig);
    return [rig.read(PAGE), rig.read(PAGE, 5)];
  };

  test("VTD-INV-03: global and by domain, in every stage", () => {
    expect(finds((rig) => rig.unit.invalidateIotlb({ granularity: "global" }))).toEqual([
      0xbb, 0xbb,
    ]);
    expect(finds((rig) => rig.unit.invalidateIotlb({ granularity: "domain", domain: 1 }))).toEqual([
      0xbb, 0xaa,
    ]);
    expect(finds((rig) => rig.unit.invalidateIotlb({ granularity: "domain", domain: 2 }))).toEqual([
      0xaa, 0xbb,
    ]);
  });

  test("VTD-INV-04: by page, the range in the second stage and all of the first", () => {
    expect(finds((rig) => rig.unit.invalidateIotlb(page(1)))).toEqual([0xbb, 0xaa]);
    expect(finds((rig) => rig.unit.invalidateIotlb(page(1, false, 0, 0x8000n)))).toEqual([
      0xaa, 0xaa,
    ]);
    expect(finds((rig) => rig.unit.invalidateIotlb(page(1, false, 3, 0n)))).toEqual([0xbb, 0xaa]);
    expect(finds((rig) => rig.unit.invalidateIotlb(page(1, false, 2, 0n)))).toEqual([0xaa, 0xaa]);
    expect(finds((rig) => rig.unit.invalidateIotlb(page(1, false, 60, 0n)))).toEqual([0xbb, 0xaa]);
    expect(finds((rig) => rig.unit.invalidateIotlb(page(2, false, 0, 1n << 40n)))).toEqual([
      0xaa, 0xbb,
    ]);
  });

  test("VTD-INV-05: by PASID, whole or by page, never the second stage", () => {
    const pasid = (domain: number, id: number) => (rig: VtdRig) =>
      rig.unit.invalidatePasidIotlb({ granularity: "pasid", domain, pasid: id });
    expect(finds(pasid(2, 5))).toEqual([0xaa, 0xbb]);
    expect(finds(pasid(2, 0))).toEqual([0xaa, 0xaa]);
    expect(finds(pasid(1, 0))).toEqual([0xaa, 0xaa]);
    expect(finds((rig) => rig.unit.invalidatePasidIotlb({ ...page(2), pasid: 5 }))).toEqual([
      0xaa, 0xbb,
    ]);
    expect(
      finds((rig) => rig.unit.invalidatePasidIotlb({ ...page(2, false, 0, 0x6000n), pasid: 5 })),
    ).toEqual([0xaa, 0xaa]);
    expect(finds((rig) => rig.unit.invalidatePasidIotlb({ ...page(1), pasid: 0 }))).toEqual([
      0xaa, 0xaa,
    ]);
  });

  test("VTD-INV-06: any page of a large page invalidates it, also where two stages have cut it up", () => {
    for (const [leafLevel, bits] of [
      [1, 21n],
      [2, 30n],
    ] as const) {
      const { rig, second } = machine();
      const at = 1n << 40n;
      const [leaf] = rig.map(second, 4, at, 0x83n, leafLevel);
      const last = at + (1n << bits) - 1n;
      rig.memory.write8(A, 0xaa);
      expect(rig.read(at + (A % (1n << bits)))).not.toBeInstanceOf(Object);
      rig.poke(leaf!, 0n);
      rig.unit.invalidateIotlb(page(1, false, 0, last & ~0xfffn));
      expect(codeOf(rig.read(at))).toBe("79");
    }
    const rig = new VtdRig({ capabilities: SERVER, mode: "scalable" });
    const second = rig.page();
    const first = rig.page();
    for (let p = 0n; p < 0x40_0000n; p += 0x1000n) rig.map(second, 4, p, p | 3n);
    const [leaf] = rig.mapFirst(first, 0n, 0xe7n | 0x20_0000n, 1);
    rig.context({ PASIDE: 1 });
    rig.pasidEntry({ PGTT: 3, FSPTPTR: first, SSPTPTR: second, DID: 2, PWSNP: 1 }, 5);
    expect([rig.read(0n, 5), rig.read(0x5000n, 5)]).toEqual([0, 0]);
    rig.poke(leaf!, 0n);
    expect([rig.read(0n, 5), rig.read(0x5000n, 5)]).toEqual([0, 0]);
    rig.unit.invalidatePasidIotlb({ ...page(2, false, 0, 0x1f_f000n), pasid: 5 });
    expect([codeOf(rig.read(0n, 5)), codeOf(rig.read(0x5000n, 5))]).toEqual(["71", "71"]);
  });

  test("VTD-INV-07: the hint keeps paging structures, without it they go", () => {
    for (const hint of [true, false]) {
      const { rig, second } = machine();
      const other = rig.page();
      rig.poke(other + 7n * 8n, B | 3n);
      expect(rig.read(PAGE)).toBe(0xaa);
      // Another leaf table for the range: a change above the leaf.
      let table = second;
      for (const level of [3, 2])
        table = rig.peek(table + ((PAGE >> BigInt(12 + 9 * level)) & 511n) * 8n) & ~0xfffn;
      rig.poke(table, other | 3n);
      rig.unit.invalidateIotlb(page(1, hint));
      expect(rig.read(PAGE)).toBe(hint ? 0xaa : 0xbb);
    }
  });

  test("VTD-INV-08: invalidating touches as much as it must, however much is cached", () => {
    const { rig, second } = machine();
    for (let i = 0n; i < 512n; i++) rig.map(second, 4, (1n << 40n) + i * 0x1000n, A | 3n);
    for (let i = 0n; i < 512n; i++) rig.read((1n << 40n) + i * 0x1000n);
    const cached = () => rig.unit.inspect().caches.iotlb["4K"];
    const before = cached();
    expect(before).toBeGreaterThan(400);
    rig.unit.invalidateIotlb(page(1, false, 0, 1n << 40n));
    expect(cached()).toBe(before - 1);
    rig.unit.invalidateIotlb({ granularity: "domain", domain: 1 });
    expect(cached()).toBe(0);
  });

  test("VTD-INV-09: a new root table invalidates where ESRTPS says so", () => {
    for (const [esrtps, expected] of [
      [1n, 0xbb],
      [0n, 0xaa],
    ] as const) {
      const capabilities = createCapabilities({
        cap: (SERVER.cap & ~(1n << 63n)) | (esrtps << 63n),
        ecap: SERVER.ecap,
        hostAddressWidth: 52,
      });
      const rig = new VtdRig({ capabilities, mode: "legacy" });
      const root = rig.page();
      const [leaf] = rig.map(root, 4, PAGE, A | 3n);
      rig.legacyContext({ SSPTPTR: root });
      rig.memory.write8(A, 0xaa);
      rig.memory.write8(B, 0xbb);
      expect(rig.read(PAGE)).toBe(0xaa);
      rig.poke(leaf!, B | 3n);
      rig.unit.setRootTable(rig.rootTable);
      expect(rig.read(PAGE)).toBe(expected);
    }
  });
});
