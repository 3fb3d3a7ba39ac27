import type { Target } from "./target.ts";

const LINE_LG2 = 3;
const SOURCE = 0;
const PASID = 1;
const GENERATION = 2;
/** Offset of the IOTLB tag of a device and PASID. */
export const TAG = 3;
/** Offset of what is or-ed into `access`: the privilege of requests without a PASID. */
export const EXTRA_ACCESS = 4;
/** Offset of the tag of the second stage below, where nested. */
export const SECOND_TAG = 5;
const TYPE_AND_DOMAIN = 6;
const SPACE_PASID = 7;

const typeAndDomain = (target: Target): number => (target.type << 16) | target.domain;

/** log2 of the lines. More devices and PASIDs than that in turn cost the context and PASID caches' look-ups. */
const LINES_LG2 = 10;

/**
 * From source and PASID straight to an IOTLB tag, so that a hit needs neither
 * the context cache nor the PASID cache. It is no cache of its own in the
 * architecture's sense: any invalidation of anything but pages empties it.
 */
export class Bindings {
  readonly words: Int32Array = new Int32Array(1 << (LINES_LG2 + LINE_LG2));
  #generation = 1;

  /** @returns the index of the line's first word, or -1 */
  find(source: number, pasid: number): number {
    const at = this.#slot(source, pasid);
    const { words } = this;
    return words[at + SOURCE] === source &&
      words[at + PASID] === pasid &&
      words[at + GENERATION] === this.#generation
      ? at
      : -1;
  }

  /**
   * As `find`, but only if the line was made for `target`. A PASID entry that
   * was read again may say something else than when the line was made.
   */
  findFor(source: number, pasid: number, target: Target): number {
    const at = this.find(source, pasid);
    const { words } = this;
    return at >= 0 &&
      words[at + TYPE_AND_DOMAIN] === typeAndDomain(target) &&
      words[at + SPACE_PASID] === target.pasid
      ? at
      : -1;
  }

  /**
   * Remembers under which tags requests of the pair are looked up.
   *
   * @returns the index of the line's first word
   */
  put(
    source: number,
    pasid: number,
    target: Target,
    tag: number,
    secondTag: number,
    extraAccess: number,
  ): number {
    const at = this.#slot(source, pasid);
    const { words } = this;
    words[at + SOURCE] = source;
    words[at + PASID] = pasid;
    words[at + GENERATION] = this.#generation;
    words[at + TAG] = tag;
    words[at + EXTRA_ACCESS] = extraAccess;
    words[at + SECOND_TAG] = secondTag;
    words[at + TYPE_AND_DOMAIN] = typeAndDomain(target);
    words[at + SPACE_PASID] = target.pasid;
    return at;
  }

  /** Forgets all. */
  clear(): void {
    this.#generation = (this.#generation + 1) | 0;
    if (this.#generation === 0) {
      this.words.fill(0);
      this.#generation = 1;
    }
  }

  #slot(source: number, pasid: number): number {
    const mixed = Math.imul(source ^ Math.imul(pasid, 0x2c1b3c6d), 0x9e3779b1);
    return (mixed >>> (32 - LINES_LG2)) << LINE_LG2;
  }
}
