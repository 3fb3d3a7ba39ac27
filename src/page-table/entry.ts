import { entryFrame } from "../bits/halves.ts";
import { INDEX_LG2, type PageTableFormat } from "./format.ts";

/** Nothing is mapped by the entry. */
export const EMPTY = 0;
/** The entry points at the table of the next level down. */
export const TABLE = 1;
/** The entry maps a page, or, with others like it, a part of one. */
export const LEAF = 2;
/** The entry is used, but no table made by `map` has one like it. */
export const INVALID = 3;

/** What an entry is: `EMPTY`, `TABLE`, `LEAF` or `INVALID`. */
export const classify = (
  format: PageTableFormat,
  level: number,
  hi: number,
  lo: number,
): number => {
  if (((lo & format.usedLo) | (hi & format.usedHi)) === 0) return EMPTY;
  if (level > 0 && (lo & format.tableMask) === format.tableValue + level * format.tableStep) {
    return TABLE;
  }
  if ((lo & format.leafMask[level]!) === format.leafValue[level]!) return LEAF;
  const bits = format.encodedSizeLo;
  return bits !== 0 && (lo & bits) === bits && leafLg2(format, level, hi, lo) > 0 ? LEAF : INVALID;
};

/**
 * log2 of the page frames that a leaf maps: of all the entries that repeat it.
 * -1 when its address encodes a size that does not belong to the level.
 */
export const leafLg2 = (format: PageTableFormat, level: number, hi: number, lo: number): number => {
  const itemLg2 = INDEX_LG2 * level;
  const bits = format.encodedSizeLo;
  if (bits === 0 || (lo & bits) !== bits) return itemLg2;
  const lg2 = format.encodedSizeLg2(hi, lo) - 12;
  return lg2 > itemLg2 && lg2 < itemLg2 + INDEX_LG2 ? lg2 : -1;
};

/** 2^`lg2`, exact for 0 ≤ `lg2` ≤ 52. */
export const POWER_OF_TWO: Float64Array = Float64Array.from({ length: 53 }, (_, lg2) => 2 ** lg2);

/** `frame` rounded down to a multiple of 2^`lg2`. */
export const frameDown = (frame: number, lg2: number): number => {
  if (lg2 < 31 && frame < 0x8000_0000) return frame & -(1 << lg2);
  const size = POWER_OF_TWO[lg2]!;
  return Math.floor(frame / size) * size;
};

/** The first output frame of the page that a leaf of 2^`lg2` frames maps. */
export const leafFrame = (hi: number, lo: number, lg2: number): number =>
  frameDown(entryFrame(hi, lo), lg2);

/** How many entries of a table of `level` a page of 2^`lg2` frames takes. */
export const replicasOf = (level: number, lg2: number): number => 1 << (lg2 - INDEX_LG2 * level);

/**
 * The bits of an input frame number from 27 up, those that index the tables of
 * levels 3 to 5. The bits below, of levels 0 to 2, are in the number's low half.
 */
export const upperBits = (vfn: number): number => Math.floor(vfn * (1 / 0x800_0000)) | 0;

/**
 * The index into a table of `level`.
 *
 * @param vfn an input frame number, or bits 31:0 of it as an int32
 * @param upper `upperBits` of the whole of it
 */
export const indexIn = (level: number, upper: number, vfn: number): number =>
  level < 3 ? (vfn >>> (INDEX_LG2 * level)) & 511 : (upper >>> (INDEX_LG2 * (level - 3))) & 511;

/** The index of input frame `vfn` in a table of `level`. */
export const indexAt = (vfn: number, level: number): number =>
  level < 3 ? (vfn >>> (INDEX_LG2 * level)) & 511 : indexIn(level, upperBits(vfn), 0);
