import {
  ENTRY_WORDS,
  KEY_HI,
  KEY_LO,
  OUT_LO,
  PAGE_LG2,
  placeOf,
  TAG,
  TranslationCache,
} from "./translation-cache.ts";

const HAS_2M = 1;
const HAS_1G = 2;

/** Keys are addresses shifted by the page size: these give their halves. */
export const key4KLow = (hi: number, lo: number): number => (hi << 20) | (lo >>> 12);
export const key4KHigh = (hi: number): number => hi >>> 12;
export const key2MLow = (hi: number, lo: number): number => (hi << 11) | (lo >>> 21);
export const key2MHigh = (hi: number): number => hi >>> 21;
export const key1GLow = (hi: number, lo: number): number => (hi << 2) | (lo >>> 30);
export const key1GHigh = (hi: number): number => hi >>> 30;

/**
 * The cache of whole translations: one direct-mapped cache for each page size,
 * looked at only once a page of that size has been seen. `TranslationCache` says
 * what an entry holds.
 */
export class Iotlb {
  /** The entries of all sizes; `find` returns an index into it. */
  readonly words: Int32Array;
  readonly #pages4K: TranslationCache;
  readonly #pages2M: TranslationCache;
  readonly #pages1G: TranslationCache;
  readonly #smallMask: number;
  #sizes = 0;

  /** @param lg2 log2 of the number of entries for 4 KiB pages; a quarter of it each for larger ones */
  constructor(lg2: number) {
    const largeLg2 = Math.max(0, lg2 - 2);
    const small = ENTRY_WORDS << lg2;
    const large = ENTRY_WORDS << largeLg2;
    this.words = new Int32Array(small + 2 * large);
    this.#smallMask = small - ENTRY_WORDS;
    this.#pages4K = new TranslationCache(lg2, 12, this.words);
    this.#pages2M = new TranslationCache(largeLg2, 21, this.words, small);
    this.#pages1G = new TranslationCache(largeLg2, 30, this.words, small + large);
  }

  /** @returns the index of the first word of the entry for address `(hi, lo)` in the space `tag`, or -1 */
  find(tag: number, hi: number, lo: number): number {
    // As `#pages4K.find`, which is two objects further away: most requests come no further than here.
    const { words } = this;
    const keyLo = (hi << 20) | (lo >>> 12);
    const at = placeOf(tag, keyLo, this.#smallMask);
    if (words[at | KEY_LO] === keyLo && words[at | TAG] === tag && words[at | KEY_HI] === hi >>> 12)
      return at;
    return this.#sizes === 0 ? -1 : this.#findLarge(tag, hi, lo);
  }

  #findLarge(tag: number, hi: number, lo: number): number {
    const at =
      (this.#sizes & HAS_2M) === 0 ? -1 : this.#pages2M.find(tag, key2MHigh(hi), key2MLow(hi, lo));
    if (at >= 0 || (this.#sizes & HAS_1G) === 0) return at;
    return this.#pages1G.find(tag, key1GHigh(hi), key1GLow(hi, lo));
  }

  /** Bits 31:0 of the physical address of the byte at `lo`, by the entry at `at`. */
  outLow(at: number, lo: number): number {
    return this.words[at | OUT_LO]! | (lo & ((1 << this.words[at | PAGE_LG2]!) - 1));
  }

  /**
   * Caches that the page of 2^`pageLg2` bytes around `(hi, lo)` lies around
   * `(outHi, outLo)`. Of a large page that reaches into the interrupt range
   * only the 4 KiB around the address are kept: the rest must be looked at
   * again.
   *
   * @returns whether the page was kept whole
   */
  put(
    tag: number,
    hi: number,
    lo: number,
    pageLg2: number,
    rights: number,
    outHi: number,
    outLo: number,
  ): boolean {
    if (pageLg2 === 12) {
      this.#pages4K.put(tag, key4KHigh(hi), key4KLow(hi, lo), rights, outHi, outLo & ~0xfff);
      return true;
    }
    return this.#putLarge(tag, hi, lo, pageLg2, rights, outHi, outLo);
  }

  #putLarge(
    tag: number,
    hi: number,
    lo: number,
    pageLg2: number,
    rights: number,
    outHi: number,
    outLo: number,
  ): boolean {
    if (outHi === 0 && outLo >>> pageLg2 === 0xfee0_0000 >>> pageLg2) {
      this.put(tag, hi, lo, 12, rights, outHi, outLo);
      return false;
    }
    if (pageLg2 === 21) {
      this.#sizes |= HAS_2M;
      this.#pages2M.put(tag, key2MHigh(hi), key2MLow(hi, lo), rights, outHi, outLo & ~0x1f_ffff);
    } else {
      this.#sizes |= HAS_1G;
      this.#pages1G.put(tag, key1GHigh(hi), key1GLow(hi, lo), rights, outHi, outLo & ~0x3fff_ffff);
    }
    return true;
  }

  /** Drops every page of `tag` that has an address in the 2^`mask` 4 KiB pages around `(hi, lo)`. */
  drop(tag: number, hi: number, lo: number, mask: number): void {
    this.#pages4K.drop(tag, key4KHigh(hi), key4KLow(hi, lo), mask);
    if ((this.#sizes & HAS_2M) !== 0) {
      this.#pages2M.drop(tag, key2MHigh(hi), key2MLow(hi, lo), Math.max(0, mask - 9));
    }
    if ((this.#sizes & HAS_1G) !== 0) {
      this.#pages1G.drop(tag, key1GHigh(hi), key1GLow(hi, lo), Math.max(0, mask - 18));
    }
  }

  /** Drops everything. */
  clear(): void {
    this.#pages4K.clear();
    this.#pages2M.clear();
    this.#pages1G.clear();
    this.#sizes = 0;
  }

  /** Entries in use, by page size. */
  count(isLive: (tag: number) => boolean): { "4K": number; "2M": number; "1G": number } {
    return {
      "4K": this.#pages4K.count(isLive),
      "2M": this.#pages2M.count(isLive),
      "1G": this.#pages1G.count(isLive),
    };
  }
}
