import { frameOf } from "../../bits/halves.ts";
import { key1GHigh, key1GLow, key2MHigh, key2MLow } from "./iotlb.ts";
import {
  ENTRY_WORDS,
  KEY_HI,
  KEY_LO,
  OUT_HI,
  OUT_LO,
  placeOf,
  RIGHTS,
  TAG,
  TranslationCache,
} from "./translation-cache.ts";

/**
 * The paging-structure cache: where the tables of levels 0 and 1 are, so that a
 * walk can begin there. An entry holds the table's address and what the entries
 * above have left of the rights, in the walker's own bits.
 */
export class StructureCache {
  /** The entries of level 0, then those of level 1; `find` returns an index into it. */
  readonly words: Int32Array;
  readonly #level0: TranslationCache;
  readonly #level1: TranslationCache;
  readonly #mask: number;

  /** @param lg2 log2 of the number of entries of each level */
  constructor(lg2: number) {
    const size = ENTRY_WORDS << lg2;
    this.words = new Int32Array(2 * size);
    this.#mask = size - ENTRY_WORDS;
    this.#level0 = new TranslationCache(lg2, 21, this.words);
    this.#level1 = new TranslationCache(lg2, 30, this.words, size);
  }

  /** @returns the index of the entry for the lowest table for address `(hi, lo)` that is known, or -1 */
  find(tag: number, hi: number, lo: number): number {
    // As `TranslationCache.find` of each level: to call it costs a cold walk a fifth, and so it is with `put`.
    const { words } = this;
    const mask = this.#mask;
    const low = key2MLow(hi, lo);
    const at0 = placeOf(tag, low, mask);
    if (
      words[at0 | KEY_LO] === low &&
      words[at0 | TAG] === tag &&
      words[at0 | KEY_HI] === hi >>> 21
    )
      return at0;
    const high = key1GLow(hi, lo);
    const at1 = placeOf(tag, high, mask) | (mask + ENTRY_WORDS);
    return words[at1 | KEY_LO] === high &&
      words[at1 | TAG] === tag &&
      words[at1 | KEY_HI] === hi >>> 30
      ? at1
      : -1;
  }

  /** The level of the table whose entry is at `at`. */
  levelOf(at: number): number {
    return at > this.#mask ? 1 : 0;
  }

  /** The frame of the table whose entry is at `at`. */
  frameAt(at: number): number {
    return frameOf(this.words[at | OUT_HI]!, this.words[at | OUT_LO]!);
  }

  /** Caches that the table of `level` for `(hi, lo)` is at `(tableHi, tableLo)`; levels above 1 are not kept. */
  put(
    tag: number,
    hi: number,
    lo: number,
    level: number,
    tableHi: number,
    tableLo: number,
    rights: number,
  ): void {
    if (level > 1) return;
    const { words } = this;
    const mask = this.#mask;
    const keyLo = level === 0 ? key2MLow(hi, lo) : key1GLow(hi, lo);
    const at = placeOf(tag, keyLo, mask) | (level === 0 ? 0 : mask + ENTRY_WORDS);
    words[at | KEY_LO] = keyLo;
    words[at | KEY_HI] = level === 0 ? key2MHigh(hi) : key1GHigh(hi);
    words[at | TAG] = tag;
    words[at | RIGHTS] = rights;
    words[at | OUT_HI] = tableHi;
    words[at | OUT_LO] = tableLo;
  }

  /**
   * Caches what a walk has passed between the table where it began, of level
   * `start`, and its leaf: the leaf's table, frame `pfn` of `level`, and the one above it.
   */
  putPath(
    tag: number,
    hi: number,
    lo: number,
    start: number,
    level: number,
    pfn: number,
    rights: number,
    abovePfn: number,
    aboveRights: number,
  ): void {
    let tablePfn = pfn;
    let tableRights = rights;
    for (let at = level; at < start && at < 2; at = (at + 1) | 0) {
      this.put(tag, hi, lo, at, tablePfn >>> 20, tablePfn << 12, tableRights);
      tablePfn = abovePfn;
      tableRights = aboveRights;
    }
  }

  /** Drops what leads to the 2^`mask` 4 KiB pages around `(hi, lo)`. */
  drop(tag: number, hi: number, lo: number, mask: number): void {
    this.#level0.drop(tag, key2MHigh(hi), key2MLow(hi, lo), Math.max(0, mask - 9));
    this.#level1.drop(tag, key1GHigh(hi), key1GLow(hi, lo), Math.max(0, mask - 18));
  }

  /** Drops everything. */
  clear(): void {
    this.words.fill(0);
  }
}
