import { LAST_ADDRESS } from "../../bits/address.ts";
import { alignUp, floorLg2, trailingZeros } from "../../bits/log2.ts";
import type { Range } from "../../bits/range.ts";
import { fail, type Outcome, ok } from "../errno.ts";
import type { PageRange } from "./range-leaf.ts";
import { lastOf, pageOf, type RangeTree, startOf } from "./range-tree.ts";
import type { ReservedRanges } from "./reserved-ranges.ts";

/** Addresses are never aligned to more than this: a large page of the processor. */
const MAX_ALIGN_LG2 = 21;

/** Neither the first page nor the last is ever chosen. */
const FIRST = 4096n;
const LAST = LAST_ADDRESS - 4096n;

/** What an address is chosen among. */
export interface IovaSpace {
  readonly areas: RangeTree<PageRange>;
  readonly reserved: ReservedRanges;
  /** Where alone addresses may be chosen, where there are such ranges. */
  readonly allowed: RangeTree<PageRange>;
  /** What every area's address and length are multiples of. */
  readonly alignment: bigint;
}

/**
 * log2 of the alignment that gives large pages a chance: as much as the length
 * can use and the memory's own address has.
 */
const alignmentLg2 = (address: bigint, length: bigint): number => {
  const lengthLg2 = floorLg2(length - 1n) + 1;
  const wanted = address === 0n ? lengthLg2 : Math.min(lengthLg2, trailingZeros(address));
  return Math.min(wanted, MAX_ALIGN_LG2);
};

/**
 * Chooses an address for `length` bytes of memory at `address`: the first that
 * fits, of those that are allowed, not reserved, and free.
 *
 * @param address in the process or the file; its place in the page is kept
 * @returns EOVERFLOW for a length of half the space, EINVAL when the memory is
 *   aligned to less than the space demands, ENOSPC
 */
export const allocIova = (space: IovaSpace, address: bigint, length: bigint): Outcome<bigint> => {
  if (length >= LAST_ADDRESS / 2n) return fail("EOVERFLOW");
  const lg2 = alignmentLg2(address, length);
  if (1n << BigInt(lg2) < space.alignment) return fail("EINVAL");
  const offset = address & 0xfffn;
  const place = (start: bigint, last: bigint): bigint | undefined => {
    const aligned = alignUp(start, lg2) | offset;
    return aligned < last && last - aligned >= length - 1n ? aligned : undefined;
  };
  for (const { start, last } of allowedRanges(space)) {
    // The start of an allowed range is aligned first; what is left must do.
    const from = place(start, last);
    if (from === undefined) continue;
    for (const hole of space.reserved.holes(from, last)) {
      const found = space.areas.findHole(hole.start, hole.last, pageOf(length), place);
      if (found !== undefined) return ok(found);
    }
  }
  return fail("ENOSPC");
};

const allowedRanges = ({ allowed }: IovaSpace): readonly Range[] => {
  if (allowed.size === 0) return [{ start: FIRST, last: LAST }];
  return [...allowed.overlapping(FIRST, LAST)].map((range) => {
    const start = startOf(range);
    const last = lastOf(range);
    return { start: start > FIRST ? start : FIRST, last: last < LAST ? last : LAST };
  });
};
