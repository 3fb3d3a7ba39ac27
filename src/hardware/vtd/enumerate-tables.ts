import { entryFrame, frameAddress } from "../../bits/halves.ts";
import { WORDS_LG2 } from "../../memory/bank.ts";
import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import { INDEX_LG2, PROT_READ, PROT_USER, PROT_WRITE } from "../../page-table/format.ts";
import { type EntryChecks, LEAF_LEVELS } from "./entry-checks.ts";
import type { ProblemKind } from "./enumerate-leaves.ts";
import { type Budget, PAGE_COST } from "./enumerate-limits.ts";

const PAGE_SIZE_BIT = 1 << 7;
const READ_WRITE = PROT_READ | PROT_WRITE;
const EVERYTHING = READ_WRITE | PROT_USER;
const ENTRIES = 1 << INDEX_LG2;
const MOST_LEVELS = 5;

/** Frames of the input that an entry covers, by level. */
const ENTRY_FRAMES = [1, 2 ** 9, 2 ** 18, 2 ** 27, 2 ** 36] as const;

/** 32-bit words of a page. */
export const PAGE_WORDS: number = 1 << WORDS_LG2;

/** Copies the page at frame `pfn` into `words`; `false` when there is no memory. */
export const copyPage = (memory: PhysicalMemory, pfn: number, words: Int32Array): boolean => {
  const bank = memory.bankOf(pfn);
  const at = (pfn - bank.firstPfn) << WORDS_LG2;
  if (at >>> 0 >= bank.words.length) return false;
  words.set(bank.words.subarray(at, at + PAGE_WORDS));
  return true;
};

/** How many entries of `level` an aligned block of 2^`framesLg2` input frames takes, at least one. */
const entriesIn = (framesLg2: number, level: number): number =>
  1 << Math.max(0, framesLg2 - INDEX_LG2 * level);

/** What one stage says about its entries. */
export interface StageEntries {
  readonly checks: EntryChecks;
  /** What an entry by itself allows; neither reading nor writing when it is not present. */
  readonly permissions: (hi: number, lo: number) => number;
}

/** Where a visit's findings go. Frames are of the stage's input; a block has 2^`framesLg2` of them. */
export interface VisitSink {
  leaf(frame: number, outFrame: number, framesLg2: number, prot: number): void;
  problem(kind: ProblemKind, address: bigint, frame: number, framesLg2: number): void;
}

/** What a visit works with. */
export interface VisitParts {
  readonly memory: PhysicalMemory;
  readonly budget: Budget;
  /** The frames of all tables read. */
  readonly tablePfns: Set<number>;
}

/**
 * Finds the frame of a table that is named by `pfn` and covers the block from
 * `frame`; -1 when it cannot be found.
 */
export type TableFinder = (pfn: number, frame: number, framesLg2: number, level: number) => number;

/**
 * Visits all leaves of one stage's tables below a top table, or those of an
 * aligned block of its input, by input address. Memory must not change in the
 * life of the object: it keeps the pages that it read last.
 */
export class TableVisit {
  readonly #entries: StageEntries;
  readonly #parts: VisitParts;
  /** By level: the page that a table was read from last, and its words. */
  readonly #pfns: number[] = new Array<number>(MOST_LEVELS).fill(-1);
  readonly #words: readonly Int32Array[] = Array.from(
    { length: MOST_LEVELS },
    () => new Int32Array(PAGE_WORDS),
  );
  readonly #sink: VisitSink;
  readonly #find: TableFinder | undefined;
  /** The block asked for. */
  #first = 0;
  #framesLg2 = 0;

  /** @param find absent where tables are named by their physical frames */
  constructor(entries: StageEntries, parts: VisitParts, sink: VisitSink, find?: TableFinder) {
    this.#entries = entries;
    this.#parts = parts;
    this.#sink = sink;
    this.#find = find;
  }

  /**
   * @param pfn the top table
   * @param first the first input frame, a multiple of 2^`framesLg2`
   * @param framesLg2 log2 of how many input frames, at most what `levels` reach
   * @returns whether the top table could be read, as far as the budget allowed to find out
   */
  visit(pfn: number, levels: number, first: number, framesLg2: number): boolean {
    this.#first = first;
    this.#framesLg2 = framesLg2;
    return this.#visitTable(levels - 1, pfn, 0, EVERYTHING);
  }

  /** @returns as `visit` */
  #visitTable(level: number, named: number, base: number, prot: number): boolean {
    const { budget } = this.#parts;
    const wanted = this.#first;
    const wantedLg2 = this.#framesLg2;
    const tableLg2 = INDEX_LG2 * (level + 1);
    const inside = wantedLg2 < tableLg2;
    const start = inside ? wanted : base;
    const lg2 = inside ? wantedLg2 : tableLg2;
    const pfn = this.#find === undefined ? named : this.#find(named, start, lg2, level);
    if (pfn < 0) return budget.exhausted;
    if (!this.#load(level, pfn)) {
      if (budget.exhausted) return true;
      this.#sink.problem("outside-memory", frameAddress(pfn), start, lg2);
      return false;
    }
    const entryFrames = ENTRY_FRAMES[level]!;
    const first = inside ? Math.floor(wanted / entryFrames) % ENTRIES : 0;
    const count = inside ? entriesIn(wantedLg2, level) : ENTRIES;
    if (!budget.spend("pagingEntries", count)) return true;
    const words = this.#words[level]!;
    const { permissions, checks } = this.#entries;
    for (let index = first; index < first + count; index++) {
      const lo = words[2 * index]!;
      const hi = words[2 * index + 1]!;
      if ((lo | hi) === 0) continue;
      const own = permissions(hi, lo);
      if ((own & READ_WRITE) === 0) continue;
      const isLeaf = level === 0 || (level < LEAF_LEVELS && (lo & PAGE_SIZE_BIT) !== 0);
      const reserved = isLeaf
        ? (lo & checks.leafLo[level]!) | (hi & checks.leafHi[level]!)
        : (lo & checks.tableLo) | (hi & checks.tableHi);
      const left = prot & own;
      // Where nothing is left of the permissions a leaf is no mapping; tables are read all the same.
      if (isLeaf && reserved === 0 && (left & READ_WRITE) === 0) continue;
      const at = base + index * entryFrames;
      if (reserved !== 0) this.#refuse(level, pfn, index, at);
      else if (isLeaf) this.#map(level, entryFrame(hi, lo), at, left);
      else this.#visitTable(level - 1, entryFrame(hi, lo), at, left);
      if (budget.exhausted) return true;
    }
    return true;
  }

  /** An entry with reserved bits, whose input begins at `base`. */
  #refuse(level: number, pfn: number, index: number, base: number): void {
    const entryLg2 = INDEX_LG2 * level;
    const inside = this.#framesLg2 < entryLg2;
    const address = frameAddress(pfn) + BigInt(index * 8);
    const first = inside ? this.#first : base;
    this.#sink.problem("reserved-bit", address, first, inside ? this.#framesLg2 : entryLg2);
  }

  /** A leaf that has frame `out` in its address, whose input begins at `base`. */
  #map(level: number, out: number, base: number, prot: number): void {
    const entryLg2 = INDEX_LG2 * level;
    // Bits below a large page's size are no part of its address: one of them is the first stage's PAT.
    const page = level === 0 ? out : out - (out % ENTRY_FRAMES[level]!);
    const first = this.#first;
    const framesLg2 = this.#framesLg2;
    if (framesLg2 < entryLg2) this.#sink.leaf(first, page + (first - base), framesLg2, prot);
    else this.#sink.leaf(base, page, entryLg2, prot);
  }

  #load(level: number, pfn: number): boolean {
    if (this.#pfns[level] === pfn) return true;
    const { budget, memory, tablePfns } = this.#parts;
    if (!budget.spend("pagingEntries", PAGE_COST)) return false;
    this.#pfns[level] = -1;
    if (!copyPage(memory, pfn, this.#words[level]!)) return false;
    this.#pfns[level] = pfn;
    tablePfns.add(pfn);
    return true;
  }
}
