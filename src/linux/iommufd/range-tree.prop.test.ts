import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PageRange } from "./range-leaf.ts";
import { byteOf, lastOf, pageOf, pageRangeOf, RangeTree, startOf } from "./range-tree.ts";

const LAST = (1n << 64n) - 1n;

interface Plain {
  readonly start: bigint;
  readonly last: bigint;
}

/** A generator that fast-check seeds: long runs need more numbers than it likes to shrink. */
const numbers = (seed: number): ((below: number) => number) => {
  let state = seed | 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return Math.floor(((state >>> 0) / 2 ** 32) * below);
  };
};

const plainHoles = (plain: readonly Plain[], start: bigint, last: bigint): Plain[] => {
  const holes: Plain[] = [];
  let at = 0n;
  for (const { start: s, last: l } of [...plain, { start: LAST + 1n, last: LAST + 1n }]) {
    const from = at > start ? at : start;
    const to = s - 1n < last ? s - 1n : last;
    if (from <= to) holes.push({ start: from, last: to });
    at = l + 1n;
  }
  return holes;
};

const holesOf = (
  tree: RangeTree<PageRange>,
  start: bigint,
  last: bigint,
  pages: number,
): Plain[] => {
  const holes: Plain[] = [];
  tree.findHole(start, last, pages, (from, to) => {
    holes.push({ start: from, last: to });
    return undefined;
  });
  return holes;
};

/** One long run: a tree beside a sorted list, with ranges of `unit` bytes and more. */
const run = (seed: number, steps: number, unit: bigint, spread: number): void => {
  const next = numbers(seed);
  const tree = new RangeTree<PageRange>();
  let plain: Plain[] = [];
  const address = (): bigint => {
    const from = BigInt(next(spread)) * unit;
    return next(8) === 0 ? LAST + 1n - unit * BigInt(1 + next(50)) : from;
  };
  for (let step = 0; step < steps; step++) {
    const start = address();
    const last = start + unit * BigInt(1 + next(3)) - 1n;
    const at = plain.find((range) => range.start <= start && start <= range.last);
    expect(tree.at(pageOf(start), byteOf(start)) !== undefined).toBe(at !== undefined);
    const overlap = plain.find((range) => range.start <= last && start <= range.last);
    const first = last > LAST ? undefined : tree.first(start, last);
    if (last <= LAST) {
      expect(first === undefined ? undefined : startOf(first)).toBe(overlap?.start);
    }
    if (overlap === undefined && last <= LAST && next(4) !== 0) {
      tree.insert(pageRangeOf(start, last));
      plain = [...plain, { start, last }].sort((a, b) => (a.start < b.start ? -1 : 1));
    } else if (overlap !== undefined) {
      const removed = tree.remove(pageRangeOf(overlap.start, overlap.last));
      expect(lastOf(removed)).toBe(overlap.last);
      plain = plain.filter((range) => range !== overlap);
    }
    expect(tree.size).toBe(plain.length);
    if (step % 16 === 0) {
      const from = address();
      const to = next(2) === 0 ? LAST : from + BigInt(next(1000)) * unit;
      const pages = next(3) === 0 ? 0 : next(40);
      const clipped = to > LAST ? LAST : to;
      const long = ({ start: s, last: l }: Plain): boolean => l - s + 1n >= BigInt(pages) * 4096n;
      expect(holesOf(tree, from, clipped, pages).filter(long)).toEqual(
        plainHoles(plain, from, clipped).filter(long),
      );
      expect([...tree.overlapping(from, clipped)].map(startOf)).toEqual(
        plain.filter((r) => r.start <= clipped && from <= r.last).map((r) => r.start),
      );
    }
  }
  expect(tree.ranges()).toEqual(plain);
};

describe("range tree", () => {
  test("UAPI-RANGE-01: agrees with a sorted list on any insertions, removals and searches", () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.constantFrom(1n, 2048n, 4096n, 0x1_0001n, 1n << 30n),
        fc.constantFrom(40, 600, 20_000),
        (seed, unit, spread) => {
          run(seed, 700, unit, spread);
        },
      ),
      { numRuns: 30, seed: 11 },
    );
  });

  test("UAPI-RANGE-01: with tens of thousands of ranges too, filled in order, at random and emptied", () => {
    const tree = new RangeTree<PageRange>();
    const count = 40_000;
    for (let i = 0; i < count; i++) {
      const slot = (i * 7919) % count;
      tree.insert(pageRangeOf(BigInt(slot) * 8192n, BigInt(slot) * 8192n + 4095n));
    }
    expect(tree.size).toBe(count);
    expect(tree.findHole(0n, LAST, 2, (start) => start)).toBe(BigInt(count) * 8192n - 4096n);
    expect(tree.findHole(0n, LAST, 1, (start) => start)).toBe(4096n);
    for (const slot of [1, 30_001]) {
      tree.remove(pageRangeOf(BigInt(slot) * 8192n, 0n));
    }
    expect(tree.findHole(0n, LAST, 3, (start) => start)).toBe(4096n);
    expect(tree.findHole(1n << 20n, LAST, 3, (start) => start)).toBe(30_000n * 8192n + 4096n);
    for (const item of [...tree]) tree.remove(item);
    expect(tree.size).toBe(0);
    expect(tree.findHole(0n, LAST, 1, (start, last) => [start, last])).toEqual([0n, LAST]);
  });

  test("UAPI-RANGE-02: the whole space and its last byte are ranges like others", () => {
    const tree = new RangeTree<PageRange>();
    tree.insert(pageRangeOf(LAST, LAST));
    expect(holesOf(tree, 0n, LAST, 0)).toEqual([{ start: 0n, last: LAST - 1n }]);
    expect(() => tree.insert(pageRangeOf(0n, LAST))).toThrow("over another");
    tree.remove(pageRangeOf(LAST, LAST));
    tree.insert(pageRangeOf(0n, LAST));
    expect(holesOf(tree, 0n, LAST, 0)).toEqual([]);
    expect(tree.first(LAST, LAST)).toBeDefined();
    expect(() => tree.remove(pageRangeOf(1n, 1n))).toThrow("not there");
  });
});
