import { OUT_HI, OUT_LO, RIGHTS, TranslationCache } from "./translation-cache.ts";

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
 * looked at only once a page of that size has been seen.
 *
 * A look-up leaves its answer in `outHi`, `outLo`, `pageLg2` and `rights`.
 */
export class Iotlb {
  readonly #pages4K: TranslationCache;
  readonly #pages2M: TranslationCache;
  readonly #pages1G: TranslationCache;
  #sizes = 0;
  /** Physical address of the byte that was asked for. */
  outHi = 0;
  outLo = 0;
  /** log2 of the page's size. */
  pageLg2 = 12;
  /** What the translation permits; its meaning belongs to whoever put it. */
  rights = 0;

  /** @param lg2 log2 of the number of entries for 4 KiB pages; a quarter of it each for larger ones */
  constructor(lg2: number) {
    this.#pages4K = new TranslationCache(lg2);
    this.#pages2M = new TranslationCache(Math.max(0, lg2 - 2));
    this.#pages1G = new TranslationCache(Math.max(0, lg2 - 2));
  }

  /** @returns whether the translation of address `(hi, lo)` in the space `tag` is cached */
  find(tag: number, hi: number, lo: number): boolean {
    const small = this.#pages4K;
    const at = small.find(tag, hi >>> 12, (hi << 20) | (lo >>> 12));
    if (at >= 0) {
      const { words } = small;
      this.rights = words[at + RIGHTS]!;
      this.outHi = words[at + OUT_HI]!;
      this.outLo = words[at + OUT_LO]! | (lo & 0xfff);
      this.pageLg2 = 12;
      return true;
    }
    return this.#sizes !== 0 && this.#findLarge(tag, hi, lo);
  }

  #findLarge(tag: number, hi: number, lo: number): boolean {
    if ((this.#sizes & HAS_2M) !== 0) {
      const at = this.#pages2M.find(tag, key2MHigh(hi), key2MLow(hi, lo));
      if (at >= 0) return this.#take(this.#pages2M, at, lo & 0x1f_ffff, 21);
    }
    if ((this.#sizes & HAS_1G) !== 0) {
      const at = this.#pages1G.find(tag, key1GHigh(hi), key1GLow(hi, lo));
      if (at >= 0) return this.#take(this.#pages1G, at, lo & 0x3fff_ffff, 30);
    }
    return false;
  }

  #take(pages: TranslationCache, at: number, offset: number, pageLg2: number): boolean {
    this.rights = pages.words[at + RIGHTS]!;
    this.outHi = pages.words[at + OUT_HI]!;
    this.outLo = pages.words[at + OUT_LO]! | offset;
    this.pageLg2 = pageLg2;
    return true;
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
