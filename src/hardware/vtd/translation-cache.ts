/** 32-bit words to an entry, as a log2. */
const ENTRY_LG2 = 3;
export const ENTRY_WORDS: number = 1 << ENTRY_LG2;
/** Offsets of what an entry is found by. */
export const KEY_LO = 0;
export const KEY_HI = 1;
export const TAG = 2;
/** Offset of an entry's rights. */
export const RIGHTS = 3;
/** Offset of bits 63:32 of what the key leads to. */
export const OUT_HI = 4;
/** Offset of bits 31:0 of what the key leads to. */
export const OUT_LO = 5;
/** Offset of log2 of the size of what the key stands for. */
export const PAGE_LG2 = 6;

/** Key bits from here on are folded into those below. */
const FOLD = 10;

/**
 * Where the entry of a key is among those of a cache with `mask`, in words.
 *
 * Low bits of a product with the tag, which is odd: keys side by side never
 * share a place, and what two spaces have side by side meets here and there
 * instead of everywhere or nowhere.
 */
export const placeOf = (tag: number, keyLo: number, mask: number): number =>
  (Math.imul(keyLo ^ (keyLo >>> FOLD), tag) << ENTRY_LG2) & mask;

/** A range of at most this share of the entries is dropped key by key; a longer one by looking at every entry. */
const PROBE_SHARE_LG2 = 3;

/**
 * A direct-mapped cache from (tag, key) to an address and rights.
 *
 * Direct-mapped, because a second way costs more in branches than it saves in
 * misses. The tag names an address space at a moment: whoever invalidates a
 * whole space gives it a new tag, and its old entries never match again. Tag 0
 * marks an empty entry and belongs to nobody; tags are odd.
 */
export class TranslationCache {
  /** All entries, and those of the caches beside; `find` returns an index into it. */
  readonly words: Int32Array;
  readonly #first: number;
  readonly #mask: number;
  readonly #pageLg2: number;

  /**
   * @param lg2 log2 of the number of entries, 0 to 20
   * @param pageLg2 kept in each entry for whoever finds it
   * @param words where the entries are, `ENTRY_WORDS << lg2` words from `first` on; an array of its own when absent
   * @param first a multiple of the number of those words
   */
  constructor(
    lg2: number,
    pageLg2 = 0,
    words: Int32Array = new Int32Array(ENTRY_WORDS << lg2),
    first = 0,
  ) {
    this.words = words;
    this.#first = first;
    this.#mask = (ENTRY_WORDS << lg2) - ENTRY_WORDS;
    this.#pageLg2 = pageLg2;
  }

  /** @returns the index of the entry's first word, or -1 */
  find(tag: number, keyHi: number, keyLo: number): number {
    const { words } = this;
    const at = placeOf(tag, keyLo, this.#mask) | this.#first;
    return words[at | KEY_LO] === keyLo && words[at | TAG] === tag && words[at | KEY_HI] === keyHi
      ? at
      : -1;
  }

  /** Puts an entry in its place, over whatever was there. */
  put(
    tag: number,
    keyHi: number,
    keyLo: number,
    rights: number,
    outHi: number,
    outLo: number,
  ): void {
    const { words } = this;
    const at = placeOf(tag, keyLo, this.#mask) | this.#first;
    words[at | KEY_LO] = keyLo;
    words[at | KEY_HI] = keyHi;
    words[at | TAG] = tag;
    words[at | RIGHTS] = rights;
    words[at | OUT_HI] = outHi;
    words[at | OUT_LO] = outLo;
    words[at | PAGE_LG2] = this.#pageLg2;
  }

  /** The first word of the last entry. */
  get #last(): number {
    return this.#first + this.#mask;
  }

  /** Drops the entries of `tag` for the 2^`lg2` keys around `(keyHi, keyLo)`; `lg2` is 0 to 63. */
  drop(tag: number, keyHi: number, keyLo: number, lg2: number): void {
    if (lg2 === 0) {
      const at = this.find(tag, keyHi, keyLo);
      if (at >= 0) this.words[at | TAG] = 0;
    } else if (lg2 < 31 && 1 << lg2 <= this.#mask >> (ENTRY_LG2 + PROBE_SHARE_LG2)) {
      const first = keyLo & (-1 << lg2);
      for (let i = 0; i < 1 << lg2; i++) this.drop(tag, keyHi, first + i, 0);
    } else {
      this.#dropByScan(tag, keyHi, keyLo, lg2);
    }
  }

  #dropByScan(tag: number, keyHi: number, keyLo: number, lg2: number): void {
    const careLo = lg2 >= 32 ? 0 : -1 << lg2;
    const careHi = lg2 >= 64 ? 0 : lg2 > 32 ? -1 << (lg2 - 32) : -1;
    const { words } = this;
    for (let at = this.#first; at <= this.#last; at += ENTRY_WORDS) {
      if (
        words[at | TAG] === tag &&
        ((words[at | KEY_LO]! ^ keyLo) & careLo) === 0 &&
        ((words[at | KEY_HI]! ^ keyHi) & careHi) === 0
      ) {
        words[at | TAG] = 0;
      }
    }
  }

  /** Drops everything. */
  clear(): void {
    this.words.fill(0, this.#first, this.#last + ENTRY_WORDS);
  }

  /** How many entries carry a tag for which `isLive` holds. For inspection: looks at every entry. */
  count(isLive: (tag: number) => boolean): number {
    let live = 0;
    for (let at = this.#first; at <= this.#last; at += ENTRY_WORDS) {
      const tag = this.words[at | TAG]!;
      if (tag !== 0 && isLive(tag)) live++;
    }
    return live;
  }
}
