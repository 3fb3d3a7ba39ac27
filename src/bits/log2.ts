/** log2 arithmetic on 64-bit values. A name that ends in `Lg2` holds a log2. */

/** The mask of the low `lg2` bits; 0 ≤ `lg2` ≤ 64. */
export const lowMask = (lg2: number): bigint => (1n << BigInt(lg2)) - 1n;

/** The index of the highest set bit of `value`, or -1 for 0. `value` must not be negative. */
export const floorLg2 = (value: bigint): number =>
  value === 0n ? -1 : value.toString(2).length - 1;

/** The index of the lowest set bit of `value`, or 64 for 0. */
export const trailingZeros = (value: bigint): number =>
  value === 0n ? 64 : floorLg2(value & -value);

/** `value` rounded down to a multiple of 2^`lg2`. */
export const alignDown = (value: bigint, lg2: number): bigint => value & ~lowMask(lg2);

/** `value` rounded up to a multiple of 2^`lg2`; may be 2^64. */
export const alignUp = (value: bigint, lg2: number): bigint =>
  (value + lowMask(lg2)) & ~lowMask(lg2);

/** Whether `value` is a multiple of 2^`lg2`. */
export const isAligned = (value: bigint, lg2: number): boolean => (value & lowMask(lg2)) === 0n;
