import { LAST_ADDRESS } from "../bits/address.ts";
import { frameAddress, frameHigh, frameLow, highHalf, lowHalf } from "../bits/halves.ts";
import { hex } from "../bits/hex.ts";
import { floorLg2, trailingZeros } from "../bits/log2.ts";
import { WORDS_LG2 } from "../memory/bank.ts";
import type { PhysicalMemory } from "../memory/physical-memory.ts";
import { TraceChannel } from "../trace/channel.ts";
import { type DirtyVisitor, visitDirty } from "./dirty.ts";
import { POWER_OF_TWO } from "./entry.ts";
import type { MapOutcome, PageTableErrno, UnmapOutcome } from "./errno.ts";
import { TABLE_GREW } from "./events.ts";
import { type EntryFlags, INDEX_LG2, type PageTableFormat, sizesWithin } from "./format.ts";
import { freeTables } from "./free.ts";
import type { Gather } from "./gather.ts";
import { mapFrames } from "./map.ts";
import type { TablePages } from "./table-pages.ts";
import { unmapFrames } from "./unmap.ts";
import { lookUpFrame, type TableItem, type TableLeaf, visit, walk } from "./walk.ts";

/** What a page table is made of and what it may do. */
export interface PageTableOptions {
  readonly format: PageTableFormat;
  /** Where the tables lie. */
  readonly memory: PhysicalMemory;
  readonly pages: TablePages;
  /** How many levels; see the format. */
  readonly levels: number;
  /** Which page sizes `map` may use, bit n for 2^n bytes; all of the format's when absent. */
  readonly pageSizes?: bigint;
  /** log2 of the input space, with the sign bit where there is one; all that the levels reach when absent. */
  readonly inputLg2?: number;
  /** log2 of the output space; all that an entry can hold when absent. */
  readonly outputLg2?: number;
  /** The input space is the two canonical halves of 64 bits instead of [0, 2^inputLg2). */
  readonly signExtend?: boolean;
  /** Every leaf makes accesses coherent. */
  readonly forceSnoop?: boolean;
  /** A mapping without write permission is refused: for a nesting parent on hardware with erratum 772415. */
  readonly writableOnly?: boolean;
  /** `map` puts levels above the top when a range needs them, up to `inputLg2`. */
  readonly growable?: boolean;
  /** Called when `map` has changed `rootPfn` and `levels`. Hardware may use the old top until it has been told. */
  readonly onTopChange?: (table: PageTable) => void;
  readonly trace?: TraceChannel;
}

/** What `createPageTable` and `adoptPageTable` answer. */
export type PageTableOutcome =
  | { readonly ok: true; readonly table: PageTable }
  | { readonly ok: false; readonly errno: "EINVAL" | "EOPNOTSUPP" | "ENOMEM" | "EFAULT" };

/** A page table's limits, as data. */
export interface PageTableState {
  readonly schema: "softiommu/page-table@1";
  readonly format: string;
  readonly levels: number;
  readonly root: string;
  readonly inputLg2: number;
  readonly outputLg2: number;
  readonly pageSizes: string;
  readonly signExtend: boolean;
}

/**
 * A page table as the kernel that owns it sees it. Everything about what is
 * mapped is in memory: an object made by `adoptPageTable` from the root, the
 * levels and the same options is this one's equal.
 *
 * The methods take addresses and bytes as `bigint`; those whose names end in
 * `Frames` do the work on page frame numbers. After each of these `failure`
 * says why it stopped, or is `undefined`.
 *
 * The caller makes sure that no two operations work on one range at a time, and
 * flushes what the gather holds before it releases it.
 */
export class PageTable {
  readonly format: PageTableFormat;
  readonly memory: PhysicalMemory;
  readonly pages: TablePages;
  readonly inputLg2: number;
  readonly outputLg2: number;
  readonly signExtend: boolean;
  readonly trace: TraceChannel;
  /** The frame of the top table. */
  rootPfn: number;
  levels: number;
  /** Why the last operation on frames stopped. */
  failure: PageTableErrno | undefined = undefined;

  /** Leaf attributes by `level * 4 + prot`. */
  readonly leafHi: Int32Array;
  readonly leafLo: Int32Array;
  /** Table entry attributes by level. */
  readonly tableHi: Int32Array;
  readonly tableLo: Int32Array;
  /** By the log2 of a count of frames: the log2 of the largest allowed page of no more, -1 when there is none. */
  readonly bestLg2: Int8Array = new Int8Array(53);
  /** By the log2 of an allowed page's frames: that of the next larger one, -1 when there is none. */
  readonly nextLg2: Int8Array = new Int8Array(53);
  /** log2 of the frames of the smallest allowed page. */
  smallestLg2 = 0;
  /** Bit `prot` is set when mappings may have these permissions. */
  readonly admittedProts: number;
  /** Bit n is set when pages of level n's own size may be made. */
  plainLevels = 0;
  /** Pages of `plainLevels` that begin below this frame are inside the input space. */
  plainEnd = 0;
  /** The end of the output space in frames. */
  readonly outputEnd: number;
  readonly #growable: boolean;
  readonly #allowedSizes: bigint;
  readonly #onTopChange: ((table: PageTable) => void) | undefined;
  /** The end of the input space in frames, or of its lower half. */
  readonly #inputEnd: number;

  /** Use `createPageTable` or `adoptPageTable`, which check the options and know the input space. */
  constructor(options: PageTableOptions & { readonly inputLg2: number }, rootPfn: number) {
    const { format, levels } = options;
    this.format = format;
    this.memory = options.memory;
    this.pages = options.pages;
    this.rootPfn = rootPfn;
    this.levels = levels;
    this.signExtend = options.signExtend ?? false;
    this.admittedProts = options.writableOnly ? 0b1100 : 0b1110;
    this.#growable = options.growable ?? false;
    this.inputLg2 = options.inputLg2;
    this.outputLg2 = options.outputLg2 ?? format.maxOutputLg2;
    this.trace = options.trace ?? new TraceChannel();
    this.#allowedSizes = options.pageSizes ?? format.pageSizes;
    this.#onTopChange = options.onTopChange;
    this.#inputEnd = POWER_OF_TWO[this.inputLg2 - 12 - (this.signExtend ? 1 : 0)]!;
    this.outputEnd = POWER_OF_TWO[this.outputLg2 - 12]!;

    const flags: EntryFlags = { forceSnoop: options.forceSnoop ?? false };
    const perLevel = Array.from({ length: format.maxLevels }, (_, level) => level);
    const leaves = perLevel.flatMap((level) =>
      [0, 1, 2, 3].map((prot) => format.leafAttributes(level, prot, flags)),
    );
    const tables = perLevel.map((level) => format.tableAttributes(level));
    this.leafHi = Int32Array.from(leaves, highHalf);
    this.leafLo = Int32Array.from(leaves, lowHalf);
    this.tableHi = Int32Array.from(tables, highHalf);
    this.tableLo = Int32Array.from(tables, lowHalf);
    this.#chooseSizes();
  }

  /** The page sizes that `map` uses, bit n for 2^n bytes. */
  get pageSizes(): bigint {
    const largest = (2n << BigInt(this.inputLg2 - (this.signExtend ? 1 : 0))) - 1n;
    return this.#allowedSizes & sizesWithin(this.format, this.levels) & largest;
  }

  #chooseSizes(): void {
    const sizes = this.pageSizes;
    this.smallestLg2 = trailingZeros(sizes) - 12;
    const reach = POWER_OF_TWO[Math.min(INDEX_LG2 * this.levels, 52)]!;
    this.plainEnd = Math.min(reach, this.#inputEnd);
    this.plainLevels = 0;
    for (let level = 0; level < 3; level++) {
      const size = 1n << BigInt(12 + INDEX_LG2 * level);
      if ((sizes & size) !== 0n) this.plainLevels |= 1 << level;
    }
    for (let lg2 = 0; lg2 <= 52; lg2++) {
      const fitting = sizes & ((2n << BigInt(lg2 + 12)) - 1n);
      this.bestLg2[lg2] = fitting === 0n ? -1 : floorLg2(fitting) - 12;
      const larger = sizes & ~((2n << BigInt(lg2 + 12)) - 1n);
      this.nextLg2[lg2] = larger === 0n ? -1 : trailingZeros(larger) - 12;
    }
  }

  /** What is wrong with `count` frames from `vfn` as a range of the input space. */
  rangeError(vfn: number, count: number): PageTableErrno | undefined {
    if (count <= 0) return "EINVAL";
    const end = vfn + count;
    if (end > 2 ** 52) return "EOVERFLOW";
    if (vfn >= 0 && end <= this.#inputEnd) return undefined;
    return this.signExtend && vfn >= 2 ** 52 - this.#inputEnd ? undefined : "ERANGE";
  }

  /** Whether `count` frames from `pfn` can be written into entries. */
  holdsOutput(pfn: number, count: number): boolean {
    return pfn >= 0 && pfn + count <= this.outputEnd;
  }

  /** Whether the levels that there are reach every frame below `endVfn`; always so unless the table grows. */
  reaches(endVfn: number): boolean {
    return !this.#growable || endVfn <= POWER_OF_TWO[Math.min(INDEX_LG2 * this.levels, 52)]!;
  }

  /**
   * Puts levels above the top until the table reaches `endVfn`. Hardware that
   * still uses the old top translates as before: the new one holds it at index 0.
   *
   * @returns `false` when a table page was not to be had; the table is whole all the same
   */
  growTo(endVfn: number): boolean {
    while (!this.reaches(endVfn)) {
      const pfn = this.allocateTable();
      if (pfn < 0) return false;
      this.writeTableEntry(pfn, 0, this.levels, this.rootPfn);
      this.rootPfn = pfn;
      this.levels += 1;
      this.#chooseSizes();
      this.#onTopChange?.(this);
      if (this.trace.enabled)
        this.trace.emit(TABLE_GREW, { root: hex(frameAddress(pfn)), levels: this.levels });
    }
    return true;
  }

  /** @returns the frame of a new table full of zeros; -1 with `failure` set when there is none */
  allocateTable(): number {
    const pfn = this.pages.allocate();
    if (pfn === undefined) {
      this.failure = "ENOMEM";
      return -1;
    }
    const { words, firstPfn } = this.memory.bankToWrite(pfn);
    if (words.length === 0) {
      this.pages.free(pfn);
      this.failure = "EFAULT";
      return -1;
    }
    const at = (pfn - firstPfn) << WORDS_LG2;
    words.fill(0, at, at + (1 << WORDS_LG2));
    this.memory.wrote(pfn, 0, 4096);
    return pfn;
  }

  /** Makes entry `index` of the table in frame `pfn`, of `level`, point at the table in frame `child`. */
  writeTableEntry(pfn: number, index: number, level: number, child: number): void {
    this.writeEntry(
      pfn,
      index,
      this.tableHi[level]! | frameHigh(child),
      this.tableLo[level]! | frameLow(child),
    );
  }

  /** Writes one entry. The half with the present bit comes last, for hardware in another thread. */
  writeEntry(pfn: number, index: number, hi: number, lo: number): void {
    const { words, firstPfn } = this.memory.bankToWrite(pfn);
    const at = ((pfn - firstPfn) << WORDS_LG2) + (index << 1);
    words[at + 1] = hi;
    words[at] = lo;
    this.memory.wrote(pfn, index << 3, 8);
  }

  /**
   * Maps `count` frames from input frame `vfn` to output frames from `pfn`.
   *
   * @param prot `PROT_READ`, `PROT_WRITE` or both
   * @param gather takes tables that a large page replaces; not empty afterwards only then
   * @returns how many frames from the start are mapped now: less than `count` when `failure` is set
   */
  mapFrames(vfn: number, pfn: number, count: number, prot: number, gather: Gather): number {
    return mapFrames(this, vfn, pfn, count, prot, gather);
  }

  /**
   * Unmaps `count` frames from input frame `vfn`.
   *
   * @returns how many frames from the start were mapped and are no longer; more
   *   than `count` when the range ended inside a large page, fewer with `failure` set
   */
  unmapFrames(vfn: number, count: number, gather: Gather): number {
    return unmapFrames(this, vfn, count, gather);
  }

  /** The output frame that input frame `vfn` is mapped to, or -1. */
  lookUpFrame(vfn: number): number {
    return lookUpFrame(this, vfn);
  }

  /**
   * Maps `length` bytes from `iova` to `pa`, in as few pages as their
   * alignments and the allowed sizes permit.
   *
   * Errors, in this order: EINVAL length 0 or no permission; EOVERFLOW past
   * 2^64; ERANGE outside the input or output space; ENXIO no page size fits;
   * EADDRINUSE something is mapped there; ENOMEM; EFAULT a table outside memory.
   */
  map(iova: bigint, pa: bigint, length: bigint, prot: number, gather: Gather): MapOutcome {
    const last = iova + length - 1n;
    const vfn = Number(iova >> 12n);
    const count = length <= 0n ? 0 : Number(last >> 12n) - vfn + 1;
    const pfn = Number(pa >> 12n);
    if (((iova | pa | length) & 0xfffn) === 0n) {
      const mapped = frameAddress(mapFrames(this, vfn, pfn, count, prot, gather));
      const errno = this.failure;
      return errno === undefined ? { ok: true, mapped } : { ok: false, errno, mapped };
    }
    const refused = ((this.admittedProts >>> (prot & 3)) & 1) === 0;
    const errno = count === 0 || refused ? "EINVAL" : this.rangeError(vfn, count);
    return {
      ok: false,
      errno: errno ?? (this.holdsOutput(pfn, count) ? "ENXIO" : "ERANGE"),
      mapped: 0n,
    };
  }

  /**
   * Unmaps `length` bytes from `iova`, which must be where a page begins. A page
   * that the range ends in goes whole; an address with nothing mapped ends it.
   *
   * Errors: EINVAL length 0, or the range begins inside a page; EOVERFLOW,
   * ERANGE as `map`; ENOENT nothing is mapped where it stopped; EFAULT.
   */
  unmap(iova: bigint, length: bigint, gather: Gather): UnmapOutcome {
    const vfn = Number(iova >> 12n);
    const count = length <= 0n ? 0 : Number((iova + length - 1n) >> 12n) - vfn + 1;
    if ((iova & 0xfffn) !== 0n) {
      return { ok: false, errno: this.rangeError(vfn, count) ?? "EINVAL", unmapped: 0n };
    }
    const unmapped = frameAddress(unmapFrames(this, vfn, count, gather));
    const errno = this.failure;
    return errno === undefined ? { ok: true, unmapped } : { ok: false, errno, unmapped };
  }

  /** The leaf that translates `iova`, and what it translates to; `undefined` when nothing does. */
  walk(iova: bigint): TableLeaf | undefined {
    return walk(this, iova);
  }

  /**
   * Every used entry from `start` to `last`, a table before what it points at,
   * in the order of addresses. Tables that point at each other may make this
   * long; a caller that does not trust them counts and stops.
   */
  *entries(start = 0n, last: bigint = LAST_ADDRESS): Generator<TableItem, void, undefined> {
    const endVfn = this.signExtend
      ? this.#inputEnd
      : POWER_OF_TWO[Math.min(INDEX_LG2 * this.levels, 52)]!;
    const firstVfn = Number(start >> 12n);
    const lastVfn = Number(last >> 12n);
    yield* visit(this, firstVfn, Math.min(lastVfn, endVfn - 1));
    if (this.signExtend) yield* visit(this, Math.max(firstVfn, 2 ** 52 - endVfn), lastVfn);
  }

  /** Every leaf from `start` to `last` that allows anything, as `entries` finds them. */
  *leaves(start = 0n, last: bigint = LAST_ADDRESS): Generator<TableLeaf, void, undefined> {
    for (const item of this.entries(start, last)) if (item.kind === "leaf") yield item;
  }

  /**
   * Calls `onDirty` for each page from `iova` on that has been written since it
   * was last cleared, with the whole page even where the range has a part of it.
   *
   * @param clear whether the pages count as clean from now on; these go into `gather`
   * @returns EOPNOTSUPP when the format cannot tell; EINVAL, EOVERFLOW, ERANGE as `map`
   */
  readAndClearDirty(
    iova: bigint,
    length: bigint,
    clear: boolean,
    gather: Gather,
    onDirty: DirtyVisitor,
  ): PageTableErrno | undefined {
    const vfn = Number(iova >> 12n);
    const count = length <= 0n ? 0 : Number((iova + length - 1n) >> 12n) - vfn + 1;
    return visitDirty(this, vfn, count, clear, gather, onDirty);
  }

  /** Frees every table, the top included. No hardware may use them any more, nor the caller this object. */
  free(): void {
    freeTables(this);
  }

  inspect(): PageTableState {
    return {
      schema: "softiommu/page-table@1",
      format: this.format.name,
      levels: this.levels,
      root: hex(frameAddress(this.rootPfn)),
      inputLg2: this.inputLg2,
      outputLg2: this.outputLg2,
      pageSizes: hex(this.pageSizes),
      signExtend: this.signExtend,
    };
  }
}
