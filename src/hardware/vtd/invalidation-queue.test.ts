import { describe, expect, test } from "vitest";
import { QUEUE, ROOT, SOURCE, STATUS, UnitRig } from "../../../test/unit-rig.ts";
import { READ, WRITE } from "../pci/dma-request.ts";
import { createCapabilities } from "./capabilities.ts";
import type { Invalidation } from "./invalidation.ts";
import { PENDING_LIMIT } from "./pending-work.ts";
import { SERVER } from "./profiles.ts";

const PAGE = 0x7000n;
const A = 0x20_0000n;
const B = 0x40_0000n;

const machine = (mode: "legacy" | "scalable" = "scalable"): UnitRig => {
  const rig = new UnitRig(SERVER, mode).enable().enableQueue();
  rig.memory.write8(A, 0xaa);
  rig.memory.write8(B, 0xbb);
  return rig;
};

const iotlbDomain = (domain: bigint): bigint[] => [2n | (2n << 4n) | (domain << 16n)];
const stopped = (rig: UnitRig): number => rig.read32(0x34) & 0x10;
const reason = (rig: UnitRig): bigint => rig.read64(0xb0) & 0xfn;

describe("the queue", () => {
  test("VTD-QI-01: head follows tail, around the end", () => {
    for (const mode of ["legacy", "scalable"] as const) {
      const rig = machine(mode);
      const size = mode === "legacy" ? 256 : 128;
      expect(rig.headAndTail).toEqual([0, 0]);
      for (let i = 1; i <= size * 2 + 3; i++) {
        rig.submit(UnitRig.wait(BigInt(i)));
        expect(rig.headAndTail).toEqual([i % size, i % size]);
        expect(rig.status()).toBe(i);
      }
      rig.command(26, false);
      expect([rig.read64(0x80), rig.read32(0x1c) & 0x0400_0000]).toEqual([0n, 0]);
      rig.write64(0x88, 0n);
      rig.command(26);
      rig.poke(QUEUE, ...UnitRig.wait(0x777n), 0n, 0n);
      rig.write64(0x88, mode === "legacy" ? 16n : 32n);
      expect(rig.status()).toBe(0x777);
    }
  });

  test("VTD-QI-02: types 6 to 9 need 256 bits and scalable mode", () => {
    for (const type of [6n, 7n, 8n, 9n]) {
      const narrow = machine("legacy");
      narrow.submit([type | (2n << 4n)]);
      expect([type, stopped(narrow), reason(narrow)]).toEqual([type, 0x10, 5n]);
      const legacy = new UnitRig(SERVER, "legacy").enable();
      legacy.write64(0x90, QUEUE | 0x800n);
      legacy.command(26);
      legacy.poke(QUEUE, type | (2n << 4n), 0n, 0n, 0n);
      legacy.write64(0x88, 32n);
      expect([type, stopped(legacy), reason(legacy)]).toEqual([type, 0x10, 7n]);
    }
    const rig = machine();
    rig.submit([6n | (2n << 4n)], [7n], [9n | (5n << 32n)], UnitRig.wait(1n));
    expect([stopped(rig), rig.status()]).toEqual([0, 1]);
  });

  test("VTD-QI-03: what is wrong with a descriptor stops the queue at it", () => {
    const bad: readonly (readonly [string, readonly bigint[], bigint])[] = [
      ["type 0", [0n], 3n],
      ["type 15", [15n], 3n],
      ["type bits 11:9", [5n | 0x20n | (1n << 9n), STATUS], 3n],
      ["context granularity 0", [1n], 4n],
      ["context reserved", [1n | (1n << 4n) | (1n << 6n)], 4n],
      ["context second quadword", [1n | (1n << 4n), 1n], 4n],
      ["IOTLB granularity 0", [2n], 4n],
      ["IOTLB mask 19", [2n | (3n << 4n), 19n], 4n],
      ["IOTLB reserved", [2n | (1n << 4n), 0x80n], 4n],
      ["device-TLB reserved", [3n | (1n << 4n)], 4n],
      ["interrupt reserved", [4n | (1n << 5n)], 4n],
      ["wait without purpose", [5n, STATUS], 4n],
      ["wait reserved", [5n | 0x20n | (1n << 8n), STATUS], 4n],
      ["wait unaligned", [5n | 0x20n, STATUS | 2n], 4n],
      ["PASID-IOTLB granularity 1", [6n | (1n << 4n)], 4n],
      ["PASID-IOTLB mask 19", [6n | (3n << 4n), 19n], 4n],
      ["PASID-cache granularity 2", [7n | (2n << 4n)], 4n],
      ["third quadword", [5n | 0x20n, STATUS, 1n], 4n],
    ];
    for (const [name, words, info] of bad) {
      const rig = machine();
      rig.submit(UnitRig.wait(1n), words, UnitRig.wait(2n));
      expect([name, stopped(rig), reason(rig), rig.headAndTail, rig.status()]).toEqual([
        name,
        0x10,
        info,
        [1, 3],
        1,
      ]);
    }
    const beyond = machine();
    beyond.write64(0x88, 4096n);
    expect(reason(beyond)).toBe(1n);
    const odd = machine();
    odd.write64(0x88, 16n);
    expect(reason(odd)).toBe(6n);
    const nowhere = new UnitRig(SERVER).enable();
    nowhere.write64(0x90, 0x2000_0800n);
    nowhere.command(26);
    nowhere.write64(0x88, 32n);
    expect(reason(nowhere)).toBe(2n);
  });

  test("VTD-QI-04: clearing IQE goes on with the descriptor as it is then", () => {
    const rig = machine();
    rig.submit([0n], UnitRig.wait(2n));
    rig.write32(0x34, 0x10);
    expect([stopped(rig), rig.headAndTail, rig.status()]).toEqual([0x10, [0, 2], 0]);
    rig.poke(QUEUE, ...UnitRig.wait(1n, 0x20n, 1n));
    rig.write32(0x34, 0x10);
    expect([stopped(rig), reason(rig), rig.headAndTail, rig.status(1n), rig.status()]).toEqual([
      0,
      0n,
      [2, 2],
      1,
      2,
    ]);
  });

  test("VTD-QI-05: waits write their status and raise their event", () => {
    const rig = machine();
    rig.write32(0xa4, 0x41);
    rig.write32(0xa8, 0xfee0_3000);
    rig.submit(UnitRig.wait(0xdead_beefn, 0x30n));
    expect([
      rig.status(),
      rig.memory.read32(STATUS + 4n),
      rig.read32(0x9c),
      rig.interrupts,
    ]).toEqual([0xdead_beef, 0, 1, []]);
    expect(rig.read32(0xa0)).toBe(0xc000_0000);
    rig.write32(0xa0, 0);
    expect(rig.interrupts).toMatchObject([{ vector: 0x41, destination: 3 }]);
    rig.submit(UnitRig.wait(1n, 0x10n));
    expect(rig.interrupts.length).toBe(1);
    rig.write32(0x9c, 1);
    rig.submit(UnitRig.wait(1n, 0x10n));
    expect([rig.interrupts.length, rig.status()]).toEqual([2, 0xdead_beef]);
  });

  test("VTD-QI-06: a fence holds what follows, no fence does not", () => {
    for (const fence of [0n, 0x40n]) {
      const rig = machine();
      const owed: (() => void)[] = [];
      rig.unit.subscribe({ invalidated: (_, done) => owed.push(done) });
      rig.submit(
        iotlbDomain(1n),
        UnitRig.wait(1n, 0x20n | fence),
        iotlbDomain(2n),
        UnitRig.wait(2n, 0x20n, 1n),
      );
      expect([owed.length, rig.status(), rig.headAndTail]).toEqual(
        fence === 0n ? [2, 0, [4, 4]] : [1, 0, [2, 4]],
      );
      owed.shift()!();
      expect([rig.status(), rig.status(1n), rig.headAndTail]).toEqual([1, 0, [4, 4]]);
      owed.shift()!();
      expect(rig.status(1n)).toBe(2);
    }
  });

  test("VTD-QI-07: a wait stays until the requests in flight have touched memory, where it must", () => {
    const drained: readonly (readonly [string, bigint[], boolean])[] = [
      ["IOTLB with DR and DW", [2n | (2n << 4n) | 0xc0n | (1n << 16n)], true],
      ["IOTLB with DW", [2n | (2n << 4n) | 0x40n | (1n << 16n)], true],
      ["IOTLB with neither", [2n | (2n << 4n) | (1n << 16n)], false],
      ["PASID-based", [6n | (2n << 4n) | (2n << 16n) | (5n << 32n)], true],
      ["contexts", [1n | (1n << 4n)], false],
    ];
    for (const [name, descriptor, drains] of drained) {
      const rig = machine();
      const held = rig.port.begin(PAGE, 1, WRITE, 5);
      rig.mapFirst(B);
      rig.submit(descriptor, UnitRig.wait(1n));
      expect([name, rig.status()]).toEqual([name, drains ? 0 : 1]);
      held.finish(Uint8Array.of(0x5a));
      expect([rig.memory.read8(A), rig.memory.read8(B), rig.status()]).toEqual([0x5a, 0xbb, 1]);
    }
    const rig = machine();
    const held = rig.port.begin(PAGE, 1, READ);
    const later = [rig.submit(iotlbDomain(1n)), rig.port.begin(PAGE, 1, READ)] as const;
    rig.submit([2n | (2n << 4n) | 0xc0n | (1n << 16n)], UnitRig.wait(1n));
    held.finish(new Uint8Array(1));
    expect(rig.status()).toBe(0);
    later[1].finish(new Uint8Array(1));
    expect(rig.status()).toBe(1);
  });

  test("VTD-QI-08: a subscriber is told before completion and may finish later", () => {
    const rig = machine();
    const told: Invalidation[] = [];
    const owed: (() => void)[] = [];
    const end = rig.unit.subscribe({
      invalidated: (invalidation, done) => {
        told.push(invalidation);
        // The unit's own caches have been emptied before.
        expect(rig.read(PAGE)).toBe(0xbb);
        owed.push(done);
      },
    });
    expect(rig.read(PAGE)).toBe(0xaa);
    rig.mapSecond(B);
    expect(rig.read(PAGE)).toBe(0xaa);
    rig.submit([2n | (3n << 4n) | (1n << 16n), 0x40n | PAGE], UnitRig.wait(7n));
    expect([rig.status(), rig.headAndTail]).toEqual([0, [2, 2]]);
    expect(told).toEqual([
      {
        kind: "iotlb",
        drain: false,
        what: { granularity: "page", domain: 1, address: PAGE, mask: 0, hint: true },
      },
    ]);
    owed[0]!();
    expect(rig.status()).toBe(7);
    owed[0]!();
    rig.submit(iotlbDomain(1n), UnitRig.wait(8n));
    expect(rig.status()).toBe(7);
    end();
    expect(rig.status()).toBe(8);
    rig.submit(iotlbDomain(1n), UnitRig.wait(9n));
    expect([rig.status(), told.length]).toEqual([9, 2]);
  });

  test("VTD-QI-09: switching off is over when what was fetched is", () => {
    const rig = machine();
    const owed: (() => void)[] = [];
    rig.unit.subscribe({ invalidated: (_, done) => owed.push(done) });
    rig.submit(iotlbDomain(1n), UnitRig.wait(1n));
    rig.command(26, false);
    expect([rig.read32(0x1c) & 0x0400_0000, rig.headAndTail]).toEqual([0x0400_0000, [2, 2]]);
    rig.submit(UnitRig.wait(2n));
    expect(rig.headAndTail).toEqual([2, 3]);
    owed[0]!();
    expect([rig.status(), rig.read32(0x1c) & 0x0400_0000, rig.headAndTail]).toEqual([1, 0, [0, 3]]);
  });

  test("VTD-QI-09: what is in the queue then is done before", () => {
    const rig = machine();
    const owed: (() => void)[] = [];
    rig.unit.subscribe({ invalidated: (_, done) => owed.push(done) });
    rig.submit(
      iotlbDomain(1n),
      UnitRig.wait(1n, 0x60n),
      iotlbDomain(2n),
      UnitRig.wait(2n, 0x20n, 1n),
    );
    rig.command(26, false);
    expect([rig.headAndTail, rig.read32(0x1c) & 0x0400_0000]).toEqual([[2, 4], 0x0400_0000]);
    owed[0]!();
    expect([rig.status(), rig.status(1n), rig.read32(0x1c) & 0x0400_0000]).toEqual([
      1, 0, 0x0400_0000,
    ]);
    owed[1]!();
    expect([rig.status(1n), rig.read32(0x1c) & 0x0400_0000, rig.headAndTail]).toEqual([
      2,
      0,
      [0, 4],
    ]);
  });

  test("VTD-QI-10: each type invalidates its own, as DMA sees it", () => {
    const found = (...descriptors: bigint[][]) => {
      const rig = machine();
      expect([rig.read(PAGE), rig.read(PAGE, 5)]).toEqual([0xaa, 0xaa]);
      rig.mapSecond(B);
      rig.mapFirst(B);
      rig.submit(...descriptors, UnitRig.wait(1n));
      expect(rig.status()).toBe(1);
      return [rig.read(PAGE), rig.read(PAGE, 5)];
    };
    expect(found()).toEqual([0xaa, 0xaa]);
    expect(found([2n | (1n << 4n)])).toEqual([0xbb, 0xbb]);
    expect(found(iotlbDomain(1n))).toEqual([0xbb, 0xaa]);
    expect(found([2n | (3n << 4n) | (1n << 16n), PAGE])).toEqual([0xbb, 0xaa]);
    expect(found([2n | (3n << 4n) | (1n << 16n), 0x8000n])).toEqual([0xaa, 0xaa]);
    expect(found([6n | (2n << 4n) | (2n << 16n) | (5n << 32n)])).toEqual([0xaa, 0xbb]);
    expect(found([6n | (3n << 4n) | (2n << 16n) | (5n << 32n), PAGE])).toEqual([0xaa, 0xbb]);
    expect(found([6n | (3n << 4n) | (2n << 16n) | (5n << 32n), 0x9000n])).toEqual([0xaa, 0xaa]);
    const structures = (...descriptors: bigint[][]) => {
      const rig = machine();
      expect([rig.read(PAGE), rig.read(PAGE, 5)]).toEqual([0xaa, 0xaa]);
      rig.poke(0x12_3000n, 0n);
      rig.poke(0x12_3000n + 5n * 64n, 0n);
      rig.submit(...descriptors, [2n | (1n << 4n)], UnitRig.wait(1n));
      return [rig.read(PAGE), rig.read(PAGE, 5)];
    };
    expect(structures()).toEqual([0xaa, 0xaa]);
    expect(structures([7n | (3n << 4n)])).toEqual([undefined, undefined]);
    expect(structures([7n | (1n << 16n)])).toEqual([undefined, 0xaa]);
    expect(structures([7n | (1n << 4n) | (2n << 16n) | (5n << 32n)])).toEqual([0xaa, undefined]);
    const contexts = machine();
    expect(contexts.read(PAGE)).toBe(0xaa);
    contexts.poke(ROOT, 0n);
    contexts.submit([1n | (3n << 4n) | (0x18n << 32n)], [2n | (1n << 4n)], UnitRig.wait(1n));
    expect(contexts.read(PAGE)).toBe(0xaa);
    contexts.submit([1n | (3n << 4n) | (BigInt(SOURCE) << 32n)], UnitRig.wait(2n));
    expect(contexts.read(PAGE)).toBeUndefined();
  });

  test("VTD-QI-11: an index mask beyond MHMV", () => {
    const withMask = (largest: bigint, words: bigint) => {
      const ecap = (SERVER.ecap & ~(0xfn << 20n)) | (largest << 20n);
      const rig = new UnitRig(createCapabilities({ cap: SERVER.cap, ecap, hostAddressWidth: 52 }));
      rig.enable().enableQueue();
      rig.submit([words], UnitRig.wait(1n));
      return [stopped(rig), reason(rig), rig.status()];
    };
    const masked = (mask: bigint, byIndex: bigint) => 4n | (byIndex << 4n) | (mask << 27n);
    expect(withMask(3n, masked(3n, 1n))).toEqual([0, 0n, 1]);
    expect(withMask(3n, masked(4n, 1n))).toEqual([0x10, 4n, 0]);
    expect(withMask(0n, masked(1n, 1n))).toEqual([0x10, 4n, 0]);
    expect(withMask(15n, masked(16n, 1n))).toEqual([0x10, 4n, 0]);
    expect(withMask(3n, masked(31n, 0n))).toEqual([0, 0n, 1]);
  });

  test("VTD-QI-12: a subscriber that never finishes is not told of more and more", () => {
    const rig = machine();
    const owed: (() => void)[] = [];
    rig.unit.subscribe({ invalidated: (_, done) => owed.push(done) });
    const batch = Array.from({ length: 100 }, () => iotlbDomain(1n));
    for (let n = 0; n < 20; n++) rig.submit(...batch);
    expect(owed.length).toBe(PENDING_LIMIT);
    const [head, tail] = rig.headAndTail;
    expect(head).not.toBe(tail);
    // Software has written over what was not fetched yet; from here on it waits for the head.
    rig.submit(UnitRig.wait(1n));
    rig.command(26, false);
    expect(rig.read32(0x1c) & 0x0400_0000).not.toBe(0);
    let told = 0;
    for (let done = owed.shift(); done !== undefined; done = owed.shift()) {
      done();
      told++;
    }
    expect(told).toBeGreaterThan(PENDING_LIMIT);
    expect([rig.status(), rig.headAndTail[0], rig.read32(0x1c) & 0x0400_0000]).toEqual([1, 0, 0]);
  });
});
