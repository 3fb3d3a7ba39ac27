import { key1GHigh, key1GLow, key2MHigh, key2MLow } from "./iotlb.ts";
import { OUT_HI, OUT_LO, RIGHTS, TranslationCache } from "./translation-cache.ts";

/**
 * The paging-structure cache: where the tables of levels 0 and 1 are, so that a
 * walk can begin there. It holds what the entries above have left of the
 * rights, in the walker's own bits.
 */
export class StructureCache {
  readonly #level0: TranslationCache;
  readonly #level1: TranslationCache;
  /** Answer of `find`: the level of the table that was found. */
  level = 0;
  /** Answer of `find`: the table's frame. */
  pfn = 0;
  /** Answer of `find`: what the entries above the table permit. */
  rights = 0;

  /** @param lg2 log2 of the number of entries of each level */
  constructor(lg2: number) {
    this.#level0 = new TranslationCache(lg2);
    this.#level1 = new TranslationCache(lg2);
  }

  /** @returns whether a table for address `(hi, lo)` is known; the lowest wins */
  find(tag: number, hi: number, lo: number): boolean {
    const low = this.#level0.find(tag, key2MHigh(hi), key2MLow(hi, lo));
    if (low >= 0) return this.#take(this.#level0, low, 0);
    const high = this.#level1.find(tag, key1GHigh(hi), key1GLow(hi, lo));
    return high >= 0 && this.#take(this.#level1, high, 1);
  }

  #take(tables: TranslationCache, at: number, level: number): boolean {
    const { words } = tables;
    this.level = level;
    this.rights = words[at + RIGHTS]!;
    this.pfn = words[at + OUT_HI]! * 0x10_0000 + words[at + OUT_LO]!;
    return true;
  }

  /** Caches that the table of `level` for `(hi, lo)` is frame `pfn`; levels above 1 are not kept. */
  put(tag: number, hi: number, lo: number, level: number, pfn: number, rights: number): void {
    const outHi = Math.floor(pfn / 0x10_0000);
    const outLo = pfn % 0x10_0000;
    if (level === 0) {
      this.#level0.put(tag, key2MHigh(hi), key2MLow(hi, lo), rights, outHi, outLo);
    } else if (level === 1) {
      this.#level1.put(tag, key1GHigh(hi), key1GLow(hi, lo), rights, outHi, outLo);
    }
  }

  /** Drops what leads to the 2^`mask` 4 KiB pages around `(hi, lo)`. */
  drop(tag: number, hi: number, lo: number, mask: number): void {
    this.#level0.drop(tag, key2MHigh(hi), key2MLow(hi, lo), Math.max(0, mask - 9));
    this.#level1.drop(tag, key1GHigh(hi), key1GLow(hi, lo), Math.max(0, mask - 18));
  }

  /** Drops everything. */
  clear(): void {
    this.#level0.clear();
    this.#level1.clear();
  }
}
