/**
 * Branded addresses. All are unsigned 64-bit values held in a `bigint`; the
 * brand keeps an I/O virtual address from being used where a physical one is
 * meant. Only this room casts.
 */
declare const brand: unique symbol;

/** An unsigned 64-bit address in the address space named by `Space`. */
export type Address<Space extends string> = bigint & { readonly [brand]: Space };

/** I/O virtual address: what a device puts on the bus. */
export type Iova = Address<"iova">;
/** Guest physical address: the output of stage 1, the input of stage 2. */
export type Gpa = Address<"gpa">;
/** Host physical address: what memory is addressed by. */
export type Hpa = Address<"hpa">;
/** Host virtual address: an address in a process. */
export type Hva = Address<"hva">;

/** 2^64 - 1, the last address. */
export const LAST_ADDRESS = 0xffff_ffff_ffff_ffffn;

/** @returns `value` modulo 2^64 as an I/O virtual address. */
export const iova = (value: bigint | number): Iova => BigInt.asUintN(64, BigInt(value)) as Iova;
/** @returns `value` modulo 2^64 as a guest physical address. */
export const gpa = (value: bigint | number): Gpa => BigInt.asUintN(64, BigInt(value)) as Gpa;
/** @returns `value` modulo 2^64 as a host physical address. */
export const hpa = (value: bigint | number): Hpa => BigInt.asUintN(64, BigInt(value)) as Hpa;
/** @returns `value` modulo 2^64 as a host virtual address. */
export const hva = (value: bigint | number): Hva => BigInt.asUintN(64, BigInt(value)) as Hva;
