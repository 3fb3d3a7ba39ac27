import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../hardware/platform/index.ts";
import { IovaAllocator } from "./iova-allocator.ts";
import { IovaSpace } from "./iova-space.ts";

const LAST_32 = 0xffff_ffffn;
const LAST_48 = (1n << 48n) - 1n;

const allocator = (reserved: { start: bigint; last: bigint }[] = [], last = LAST_48) => {
  const clock = new ManualClock();
  const aperture = { start: 0n, last };
  return { clock, iovas: new IovaAllocator({ clock, pageLg2: 12, aperture, reserved }) };
};

describe("the address space", () => {
  it("DMA-IOVA-01: addresses come from the top down, each a multiple of its size", () => {
    const { iovas } = allocator();
    const take = (count: number) => iovas.allocate(count, LAST_32, true);
    expect([take(1), take(1), take(64), take(100), take(1)]).toEqual([
      0xffff_f000n,
      0xffff_e000n,
      0xfff8_0000n,
      0xfff0_0000n,
      0xffef_f000n,
    ]);
  });

  it("DMA-IOVA-02: page 0, reserved ranges and what is beyond the limit are never handed out", () => {
    const { iovas } = allocator([
      { start: 0x3000n, last: 0x4fffn },
      { start: 0x4000n, last: 0x5fffn },
      { start: 0xfee0_0000n, last: 0xfeef_ffffn },
    ]);
    const all = Array.from({ length: 9 }, () => iovas.allocate(1, 0x8fffn, true));
    expect(all.filter((at) => at !== undefined)).toEqual([
      0x8000n,
      0x7000n,
      0x6000n,
      0x2000n,
      0x1000n,
    ]);
    const narrow = allocator([], 0xffffn).iovas;
    expect(narrow.allocate(1, LAST_48, true)).toBe(0xf000n);
  });

  it("DMA-IOVA-03: what has been given back above is found again when there is nothing left below", () => {
    const space = new IovaSpace(1, 1 << 20);
    const taken = Array.from({ length: 15 }, () => space.allocate(1, 15)!);
    expect(taken).toEqual([15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    expect(space.allocate(1, 15)).toBeUndefined();
    expect([space.free(12), space.free(12)]).toEqual([true, false]);
    expect(space.allocate(2, 15)).toBeUndefined();
    expect(space.allocate(1, 15)).toBe(12);
    // What does not fit below one limit may fit below another.
    expect(space.allocate(2, 15)).toBeUndefined();
    expect(space.allocate(2, 31)).toBe(30);
  });

  it("DMA-IOVA-01, DMA-IOVA-03: agrees with a plain set of pages on whether there is room", () => {
    const step = fc.record({
      count: fc.integer({ min: 1, max: 9 }),
      limit: fc.integer({ min: 8, max: 63 }),
      free: fc.boolean(),
      which: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 30, maxLength: 120 }), (steps) => {
        const space = new IovaSpace(1, 48);
        const used = new Set<number>();
        const runs: [first: number, count: number][] = [];
        const fits = (first: number, count: number) =>
          Array.from({ length: count }, (_, i) => first + i).every((page) => !used.has(page));
        for (const { count, limit, free, which } of steps) {
          if (free && runs.length > 0) {
            const [[first, size]] = runs.splice(which % runs.length, 1) as [[number, number]];
            expect(space.free(first)).toBe(true);
            for (let i = 0; i < size; i++) used.delete(first + i);
            continue;
          }
          const alignment = 2 ** Math.ceil(Math.log2(count));
          const first = space.allocate(count, limit);
          if (first === undefined) {
            for (let at = alignment; at + count - 1 <= limit; at += alignment) {
              expect(fits(at, count)).toBe(false);
            }
            continue;
          }
          expect([first % alignment, first >= 1, first + count - 1 <= limit]).toEqual([
            0,
            true,
            true,
          ]);
          expect(fits(first, count)).toBe(true);
          for (let i = 0; i < count; i++) used.add(first + i);
          runs.push([first, count]);
        }
        expect(space.size).toBe(runs.length);
      }),
      { seed: 7, numRuns: 300 },
    );
  });
});

describe("caches", () => {
  it("DMA-IOVA-04: short runs come back last in, first out, at powers of two; long ones go at once", () => {
    const { iovas } = allocator();
    const a = iovas.allocate(3, LAST_32, true)!;
    const b = iovas.allocate(4, LAST_32, true)!;
    const long = iovas.allocate(33, LAST_32, true)!;
    expect(a - b).toBe(0x4000n);
    iovas.free(a, 3);
    iovas.free(b, 4);
    iovas.free(long, 33);
    expect([iovas.cached, iovas.taken]).toEqual([2, 2]);
    expect(iovas.allocate(4, LAST_32, true)).toBe(b);
    expect(iovas.allocate(3, LAST_32, true)).toBe(a);
  });

  it("DMA-IOVA-04: a cached run beyond the limit is passed over", () => {
    const { iovas } = allocator();
    const high = iovas.allocate(1, LAST_48, true)!;
    const low = iovas.allocate(1, LAST_32, true)!;
    iovas.free(low, 1);
    iovas.free(high, 1);
    expect(iovas.allocate(1, LAST_32, true)).toBe(low);
    expect(iovas.allocate(1, LAST_32, true)).toBe(low - 0x1000n);
    expect(iovas.allocate(1, LAST_48, true)).toBe(high);
  });

  it("DMA-IOVA-05: caches are emptied when there is no room, by a thorough search only", () => {
    const { iovas } = allocator([], 0x1_ffffn);
    const all: bigint[] = [];
    for (let at = iovas.allocate(1, LAST_32, true); at !== undefined; ) {
      all.push(at);
      at = iovas.allocate(1, LAST_32, true);
    }
    expect(all.length).toBe(31);
    for (const at of all) iovas.free(at, 1);
    expect(iovas.allocate(16, LAST_32, false)).toBeUndefined();
    expect(iovas.allocate(16, LAST_32, true)).toBe(0x1_0000n);
    expect([iovas.cached, iovas.taken]).toEqual([0, 1]);
  });

  it("DMA-IOVA-06: what caches have too much of goes back in time", () => {
    const { iovas, clock } = allocator();
    const all = Array.from({ length: 127 * 6 }, () => iovas.allocate(1, LAST_32, true)!);
    for (const at of all) iovas.free(at, 1);
    expect(iovas.cached).toBe(127 * 6);
    clock.advance(1_000_000_000n);
    expect(iovas.cached).toBe(127 * 3);
    expect(iovas.taken).toBe(127 * 3);
    iovas.destroy();
    iovas.emptyCaches();
    expect(iovas.taken).toBe(0);
  });
});
