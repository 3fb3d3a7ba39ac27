/** 32-bit words to an entry. */
const ENTRY_WORDS = 8;
const KEY_LO = 0;
const KEY_HI = 1;
const TAG = 2;
/** Offset of an entry's rights. */
export const RIGHTS = 3;
/** Offset of bits 63:32 of what the key leads to. */
export const OUT_HI = 4;
/** Offset of bits 31:0 of what the key leads to. */
export const OUT_LO = 5;

/** A range of at most this share of the entries is dropped key by key; a longer one by looking at every entry. */
const PROBE_SHARE_LG2 = 3;

/**
 * A direct-mapped cache from (tag, key) to an address and rights.
 *
 * Direct-mapped, because a second way costs more in branches than it saves in
 * misses. The tag names an address space at a moment: whoever invalidates a
 * whole space gives it a new tag, and its old entries never match again. Tag 0
 * marks an empty entry and belongs to nobody.
 */
export class TranslationCache {
  /** All entries; `find` returns an index into it. */
  readonly words: Int32Array;
  readonly #mask: number;
  readonly #shift: number;

  /** @param lg2 log2 of the number of entries, 0 to 20 */
  constructor(lg2: number) {
    this.words = new Int32Array(ENTRY_WORDS << lg2);
    this.#mask = (1 << lg2) - 1;
    this.#shift = lg2 === 0 ? 31 : 32 - lg2;
  }

  #slot(tag: number, keyHi: number, keyLo: number): number {
    // Two products that do not wait for each other: a look-up begins with this.
    const mixed = Math.imul(keyLo ^ (keyHi << 11), 0x9e3779b1) ^ Math.imul(tag, 0x7feb352d);
    return ((mixed >>> this.#shift) & this.#mask) << 3;
  }

  /** @returns the index of the entry's first word, or -1 */
  find(tag: number, keyHi: number, keyLo: number): number {
    const at = this.#slot(tag, keyHi, keyLo);
    const { words } = this;
    return words[at + KEY_LO] === keyLo && words[at + TAG] === tag && words[at + KEY_HI] === keyHi
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
    const at = this.#slot(tag, keyHi, keyLo);
    const { words } = this;
    words[at + KEY_LO] = keyLo;
    words[at + KEY_HI] = keyHi;
    words[at + TAG] = tag;
    words[at + RIGHTS] = rights;
    words[at + OUT_HI] = outHi;
    words[at + OUT_LO] = outLo;
  }

  /** Drops the entries of `tag` for the 2^`lg2` keys around `(keyHi, keyLo)`; `lg2` is 0 to 63. */
  drop(tag: number, keyHi: number, keyLo: number, lg2: number): void {
    if (lg2 === 0) {
      const at = this.find(tag, keyHi, keyLo);
      if (at >= 0) this.words[at + TAG] = 0;
    } else if (lg2 < 31 && 1 << lg2 <= (this.#mask + 1) >> PROBE_SHARE_LG2) {
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
    for (let at = 0; at < words.length; at += ENTRY_WORDS) {
      if (
        words[at + TAG] === tag &&
        ((words[at + KEY_LO]! ^ keyLo) & careLo) === 0 &&
        ((words[at + KEY_HI]! ^ keyHi) & careHi) === 0
      ) {
        words[at + TAG] = 0;
      }
    }
  }

  /** Drops everything. */
  clear(): void {
    this.words.fill(0);
  }

  /** How many entries carry a tag for which `isLive` holds. For inspection: looks at every entry. */
  count(isLive: (tag: number) => boolean): number {
    let live = 0;
    for (let at = 0; at < this.words.length; at += ENTRY_WORDS) {
      const tag = this.words[at + TAG]!;
      if (tag !== 0 && isLive(tag)) live++;
    }
    return live;
  }
}
