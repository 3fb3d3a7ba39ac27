import type { Layout } from "../struct/layout.ts";

/** An entry or a mapping allows reads. */
export const PROT_READ = 1;
/** An entry or a mapping allows writes. */
export const PROT_WRITE = 2;
/** An entry of a format with a user bit allows requests without supervisor privilege. Only reported; `map` always sets it. */
export const PROT_USER = 4;

/** Permissions as `inspect` writes them: `rw`, `r-`, `-w` or `--`, and `u` after it for `PROT_USER`. */
export const protText = (prot: number): string =>
  `${prot & PROT_READ ? "r" : "-"}${prot & PROT_WRITE ? "w" : "-"}${prot & PROT_USER ? "u" : ""}`;

/** Bits of an index into a table, as a log2 of the entries: every table but AMD v1's sixth level has 512. */
export const INDEX_LG2 = 9;

/** What can differ between tables of one format. */
export interface EntryFlags {
  /** Leaves make every access coherent: SNP in the second stage, FC in AMD v1. */
  readonly forceSnoop: boolean;
}

/**
 * What one page-table format says about single entries, and nothing else: a
 * format never touches memory and knows no algorithm.
 *
 * What the algorithms ask for each entry is data, not functions. All formats
 * are objects of one shape, so that one compiled map, unmap and walk serves
 * them all at full speed. An entry is `(hi, lo)`, two int32 halves. Levels count
 * from 0, the table of the smallest pages; an entry of level `n` covers
 * 2^(12 + 9n) bytes.
 */
export interface PageTableFormat {
  readonly name: string;
  /** The fewest levels that a table can have. */
  readonly minLevels: number;
  /** The most levels that a table can have. */
  readonly maxLevels: number;
  /** log2 of the largest input space, whatever the levels. */
  readonly maxInputLg2: number;
  /** log2 of the largest output space. */
  readonly maxOutputLg2: number;
  /** Every size that a leaf can have and `map` may make: bit n stands for 2^n bytes. */
  readonly pageSizes: bigint;
  /** What `EntryFlags.forceSnoop` may be: the format has a bit for it. */
  readonly canForceSnoop: boolean;
  /** Whether the input space may be two halves, the upper one sign-extended. */
  readonly canSignExtend: boolean;
  /** Whether a new level can be put above the top of a live table. */
  readonly canGrow: boolean;

  /** Bits of `lo`; an entry is empty when none of these and of `usedHi` is set. */
  readonly usedLo: number;
  /** Bits of `hi`; see `usedLo`. */
  readonly usedHi: number;
  /** Above level 0, a used entry with `(lo & tableMask) === tableValue + level * tableStep` is a table. */
  readonly tableMask: number;
  readonly tableValue: number;
  readonly tableStep: number;
  /** By level: a used entry with `(lo & leafMask) === leafValue` that is no table is a leaf of one entry. */
  readonly leafMask: Int32Array;
  readonly leafValue: Int32Array;
  /** Bits of `lo` that, all set, make a leaf whose size is in its address; 0 where there is no such leaf. */
  readonly encodedSizeLo: number;
  /** The bit of `lo` in a leaf that says that the page has been written; 0 where software cannot rely on it. */
  readonly dirtyLo: number;

  /** Bits 63:0 of a table entry of `level`, without the address. It has all permissions. */
  tableAttributes(level: number): bigint;
  /** Bits 63:0 of a leaf of `level`, of the level's own size and without the address. */
  leafAttributes(level: number, prot: number, flags: EntryFlags): bigint;
  /** What the entry by itself allows: `PROT_READ`, `PROT_WRITE`, `PROT_USER`. */
  permissions(hi: number, lo: number): number;
  /** log2 of the size in bytes that is in the address of a leaf with `encodedSizeLo`; 0 when there is none. */
  encodedSizeLg2(hi: number, lo: number): number;
  /** What has to be added to the frame number of a page of 2^`sizeLg2` bytes to put its size into its address. */
  encodedSizeFrames(sizeLg2: number): number;
  /** The bits of an entry of `level` that is a leaf or a table. */
  layoutOf(level: number, leaf: boolean): Layout<string>;
}

/** Which of `pageSizes` a leaf in a table of `levels` levels can have. */
export const sizesWithin = (format: PageTableFormat, levels: number): bigint =>
  format.pageSizes & ((1n << BigInt(12 + INDEX_LG2 * levels)) - 1n);
