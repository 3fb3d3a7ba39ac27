import { LAST_ADDRESS } from "./address.ts";

/** A range of addresses, both ends inclusive, so that the last byte of the space can be in one. */
export interface Range {
  readonly start: bigint;
  /** The last address in the range; `last >= start`. */
  readonly last: bigint;
}

/**
 * @param length in bytes
 * @returns the range of `length` bytes from `start`, or `undefined` when it is
 *   empty or would pass 2^64 - 1
 */
export const rangeOf = (start: bigint, length: bigint): Range | undefined => {
  if (length <= 0n || start < 0n) return undefined;
  const last = start + length - 1n;
  return last > LAST_ADDRESS ? undefined : { start, last };
};

/** The number of bytes in `range`; 2^64 for the whole space. */
export const rangeLength = (range: Range): bigint => range.last - range.start + 1n;

/** Whether the two ranges have an address in common. */
export const overlaps = (a: Range, b: Range): boolean => a.start <= b.last && b.start <= a.last;

/** Whether every address of `inner` is in `outer`. */
export const contains = (outer: Range, inner: Range): boolean =>
  outer.start <= inner.start && inner.last <= outer.last;
