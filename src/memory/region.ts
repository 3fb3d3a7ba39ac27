import type { Bank } from "./bank.ts";

/**
 * A range of page frames with memory of one kind behind it. The kinds differ
 * only in where a bank comes from; reading and writing is the same for all.
 */
export interface Region {
  /** The first frame of the region. */
  readonly firstPfn: number;
  /** The frame after the last. */
  readonly endPfn: number;
  /** The bank to read frame `pfn` from; valid until the next call. */
  bankToRead(pfn: number): Bank;
  /** The bank to write frame `pfn` to; all its frames may be written. One of several frames stays valid until its buffer is taken away. */
  bankToWrite(pfn: number): Bank;
  /** Called after `length` bytes at `offset` in frame `pfn` have been written, where somebody must hear of writes. */
  wrote?(pfn: number, offset: number, length: number): void;
}
