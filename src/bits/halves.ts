/**
 * 64-bit values as two 32-bit halves.
 *
 * Hot paths keep a 64-bit value as `(hi, lo)`, two int32 numbers, because a
 * `bigint` costs an allocation for every operation. A page frame number is
 * `address >> 12`, at most 2^52 - 1, and therefore exact in a `number`.
 */

/** log2 of the base page size in bytes. */
export const PAGE_LG2 = 12;
/** The base page size in bytes. */
export const PAGE_SIZE = 4096;

/** Bits 31:0 of `value` as an int32. */
export const lowHalf = (value: bigint): number => Number(value & 0xffff_ffffn) | 0;

/** Bits 63:32 of `value` as an int32. */
export const highHalf = (value: bigint): number => Number((value >> 32n) & 0xffff_ffffn) | 0;

/** The unsigned 64-bit value made of two 32-bit halves, signed or not. */
export const fromHalves = (hi: number, lo: number): bigint =>
  (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);

/** The page frame number of the full 64-bit address `(hi, lo)`: bits 63:12, below 2^52. */
export const frameOf = (hi: number, lo: number): number => (hi >>> 0) * 0x10_0000 + (lo >>> 12);

/** The page frame number in bits 51:12 of the entry `(hi, lo)`, below 2^40. */
export const entryFrame = (hi: number, lo: number): number =>
  (hi & 0xf_ffff) * 0x10_0000 + (lo >>> 12);

/** Address bits 51:43 in a high half. Where one is set, the frame is no int32. */
export const FAR = 0x000f_f800;

/** The page frame number of the address `(hi, lo)`, an int32, where no bit of `FAR` is set in `hi`. */
export const nearFrame = (hi: number, lo: number): number => (hi << 20) | (lo >>> 12);

/** Bits 63:32 of the address of page frame `pfn`, as an int32. */
export const frameHigh = (pfn: number): number => Math.floor(pfn / 0x10_0000) | 0;

/** Bits 31:12 of the address of page frame `pfn`, in place, as an int32. */
export const frameLow = (pfn: number): number => (pfn << 12) | 0;

/** The address of page frame `pfn`. */
export const frameAddress = (pfn: number): bigint => BigInt(pfn) << 12n;
