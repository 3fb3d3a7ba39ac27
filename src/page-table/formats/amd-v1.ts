import type { Layout } from "../../struct/layout.ts";
import { type EntryFlags, type PageTableFormat, PROT_READ, PROT_WRITE } from "../format.ts";
import { AMD_V1_LEAF_ENTRY, AMD_V1_TABLE_ENTRY } from "./amd-v1-entry.ts";

const PRESENT = 0x1n;
const FORCE_COHERENT = 1n << 60n;
const READ = 1n << 61n;
const WRITE = 1n << 62n;

/** Every power of two from 4K to 2^51, except 512G, which hardware gets wrong. */
const SIZES = ((1n << 52n) - (1n << 12n)) & ~(1n << 39n);

/** The index of the lowest 0 of `value`; 32 when all bits are 1. */
const lowestZero = (value: number): number => {
  const zeros = ~value;
  return zeros === 0 ? 32 : 31 - Math.clz32(zeros & -zeros);
};

/**
 * AMD-Vi's host ("v1") format. A leaf has next level 0 when its size is its
 * level's own; with next level 7 its size is in its address, and it is repeated
 * in as many entries as the size takes. The sixth level has 128 tables and no leaves.
 */
export const AMD_V1: PageTableFormat = Object.freeze({
  name: "amd-v1",
  minLevels: 1,
  maxLevels: 6,
  maxInputLg2: 64,
  maxOutputLg2: 52,
  pageSizes: SIZES,
  canForceSnoop: true,
  canSignExtend: false,
  canGrow: true,
  usedLo: 1,
  usedHi: 0,
  tableMask: 0xe01,
  tableValue: 1,
  tableStep: 0x200,
  leafMask: Int32Array.of(0xe01, 0xe01, 0xe01, 0xe01, 0xe01, -1),
  leafValue: Int32Array.of(1, 1, 1, 1, 1, 0),
  encodedSizeLo: 0xe00,
  dirtyLo: 0x40,
  tableAttributes: (level: number) => PRESENT | READ | WRITE | (BigInt(level) << 9n),
  leafAttributes: (_level: number, prot: number, flags: EntryFlags) =>
    PRESENT |
    (prot & PROT_READ ? READ : 0n) |
    (prot & PROT_WRITE ? WRITE : 0n) |
    (flags.forceSnoop ? FORCE_COHERENT : 0n),
  permissions: (hi: number, lo: number) => (lo & 1 ? (hi >>> 29) & (PROT_READ | PROT_WRITE) : 0),
  encodedSizeLg2: (hi: number, lo: number) => {
    const inLow = lowestZero(lo | 0xfff);
    if (inLow < 32) return inLow + 1;
    const inHigh = lowestZero(hi | 0xfff0_0000);
    return inHigh < 32 ? inHigh + 33 : 0;
  },
  encodedSizeFrames: (sizeLg2: number) => 2 ** (sizeLg2 - 13) - 1,
  layoutOf: (_level: number, leaf: boolean): Layout<string> =>
    leaf ? AMD_V1_LEAF_ENTRY : AMD_V1_TABLE_ENTRY,
});
