import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  alignDown,
  alignUp,
  contains,
  entryFrame,
  floorLg2,
  frameAddress,
  frameHigh,
  frameLow,
  frameOf,
  fromHalves,
  hex,
  highHalf,
  isAligned,
  LAST_ADDRESS,
  lowHalf,
  lowMask,
  overlaps,
  rangeLength,
  rangeOf,
  trailingZeros,
} from "./index.ts";

const EDGES = [
  0n,
  1n,
  0xfffn,
  0x1000n,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  1n << 32n,
  1n << 63n,
  LAST_ADDRESS,
];
const u64 = fc.oneof(fc.bigInt({ min: 0n, max: LAST_ADDRESS }), fc.constantFrom(...EDGES));
const lg2 = fc.integer({ min: 0, max: 63 });

describe("halves", () => {
  test("BITS-HALF-01: halves are int32 and make the value again", () => {
    fc.assert(
      fc.property(u64, (value) => {
        const hi = highHalf(value);
        const lo = lowHalf(value);
        expect([hi | 0, lo | 0]).toEqual([hi, lo]);
        expect(fromHalves(hi, lo)).toBe(value);
        expect(fromHalves(hi >>> 0, lo >>> 0)).toBe(value);
        expect(BigInt(hex(value))).toBe(value);
      }),
    );
  });

  test("BITS-HALF-02: frames are exact", () => {
    fc.assert(
      fc.property(u64, (value) => {
        const hi = highHalf(value);
        const lo = lowHalf(value);
        const pfn = frameOf(hi, lo);
        expect(BigInt(pfn)).toBe(value >> 12n);
        expect(frameAddress(pfn)).toBe(value & ~0xfffn);
        expect(fromHalves(frameHigh(pfn), frameLow(pfn))).toBe(value & ~0xfffn);
        expect(BigInt(entryFrame(hi, lo))).toBe((value >> 12n) & ((1n << 40n) - 1n));
      }),
    );
  });
});

describe("log2", () => {
  test("BITS-LG2-01: highest and lowest set bit", () => {
    expect([floorLg2(0n), trailingZeros(0n)]).toEqual([-1, 64]);
    fc.assert(
      fc.property(u64, (value) => {
        if (value === 0n) return;
        expect(value >> BigInt(floorLg2(value))).toBe(1n);
        const zeros = BigInt(trailingZeros(value));
        expect([value & ((1n << zeros) - 1n), (value >> zeros) & 1n]).toEqual([0n, 1n]);
      }),
    );
  });

  test("BITS-LG2-02: the nearest multiples below and above", () => {
    fc.assert(
      fc.property(u64, lg2, (value, n) => {
        const down = alignDown(value, n);
        const up = alignUp(value, n);
        expect([isAligned(down, n), isAligned(up, n)]).toEqual([true, true]);
        expect(value - down <= lowMask(n) && up - value <= lowMask(n)).toBe(true);
        expect(down <= value && value <= up).toBe(true);
        expect(up - down === 0n || up - down === 1n << BigInt(n)).toBe(true);
      }),
    );
  });
});

describe("ranges", () => {
  test("BITS-RANGE-01: up to the last address and not beyond", () => {
    expect(rangeOf(LAST_ADDRESS, 1n)).toEqual({ start: LAST_ADDRESS, last: LAST_ADDRESS });
    expect(rangeOf(0n, 1n << 64n)).toEqual({ start: 0n, last: LAST_ADDRESS });
    expect([
      rangeOf(LAST_ADDRESS, 2n),
      rangeOf(5n, 0n),
      rangeOf(5n, -1n),
      rangeOf(-1n, 1n),
    ]).toEqual([undefined, undefined, undefined, undefined]);
    expect(rangeLength({ start: 0n, last: LAST_ADDRESS })).toBe(1n << 64n);
  });

  test("BITS-RANGE-02: overlap and containment, against every address of a small space", () => {
    const small = fc.tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 1, max: 6 }));
    const addresses = (start: number, length: number) =>
      Array.from({ length }, (_, i) => start + i);
    fc.assert(
      fc.property(small, small, ([a, an], [b, bn]) => {
        const first = rangeOf(BigInt(a), BigInt(an))!;
        const second = rangeOf(BigInt(b), BigInt(bn))!;
        const inFirst = new Set(addresses(a, an));
        expect(overlaps(first, second)).toBe(addresses(b, bn).some((x) => inFirst.has(x)));
        expect(contains(first, second)).toBe(addresses(b, bn).every((x) => inFirst.has(x)));
      }),
    );
  });
});
