import type { Pages } from "./pages.ts";
import type { PageRange } from "./range-leaf.ts";
import { byteOf, pageOf } from "./range-tree.ts";

/** A device may read, write: the bits of a mapping. */
export const AREA_READ = 1;
export const AREA_WRITE = 2;

/** A range of I/O virtual addresses that stands for a part of some pages. */
export class Area implements PageRange {
  readonly startPage: number;
  readonly startByte: number;
  readonly lastPage: number;
  readonly lastByte: number;
  readonly pages: Pages;
  /** The first of `pages` that the area touches, and the byte in it at which the area begins. */
  readonly firstIndex: number;
  readonly firstByte: number;
  /** `AREA_READ`, `AREA_WRITE`. */
  readonly prot: number;
  /** Accesses of drivers that have pages of the area pinned. */
  accesses = 0;
  /** Hardware queues in it, which must stay. */
  locks = 0;
  /** Nothing new may be pinned: the area is on its way out. */
  preventAccess = false;

  constructor(start: bigint, last: bigint, pages: Pages, startByte: bigint, prot: number) {
    this.startPage = pageOf(start);
    this.startByte = byteOf(start);
    this.lastPage = pageOf(last);
    this.lastByte = byteOf(last);
    this.pages = pages;
    this.firstIndex = pageOf(startByte);
    this.firstByte = byteOf(startByte);
    this.prot = prot;
  }

  get start(): bigint {
    return (BigInt(this.startPage) << 12n) | BigInt(this.startByte);
  }

  get last(): bigint {
    return (BigInt(this.lastPage) << 12n) | BigInt(this.lastByte);
  }

  /** In bytes. */
  get length(): bigint {
    return this.last - this.start + 1n;
  }

  /** How many of `pages` the area touches. */
  get pageCount(): number {
    return pageOf(BigInt(this.firstByte) + this.length - 1n) + 1;
  }

  /** The byte in `pages`, counted from the start of the first, that `iova` stands for. */
  byteAt(iova: bigint): bigint {
    return (BigInt(this.firstIndex) << 12n) + BigInt(this.firstByte) + (iova - this.start);
  }
}
