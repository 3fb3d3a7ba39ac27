/** A run of pages that is taken, in a list from low to high. */
interface Taken {
  readonly first: number;
  readonly last: number;
  below: Taken | undefined;
  above: Taken | undefined;
}

/** Everything at and above is no page of anybody's. */
const TOP = Number.POSITIVE_INFINITY;

/** The smallest n for which 2^n is `count` or more. */
export const ceilLg2 = (count: number): number => {
  let lg2 = 0;
  while (2 ** lg2 < count) lg2++;
  return lg2;
};

/**
 * Which pages of an I/O address space are taken. New ones are taken from the top
 * down, below the last that were, so that long runs of small ones are found at
 * once; what lies above is looked at again only when there is nothing left
 * below.
 */
export class IovaSpace {
  readonly #start: number;
  /** The first page that needs more than 32 bits. */
  readonly #end32: number;
  readonly #top: Taken = { first: TOP, last: TOP, below: undefined, above: undefined };
  readonly #byFirst = new Map<number, Taken>();
  /** Below which of the taken runs to look next, for addresses of 32 bits and for wider ones. */
  #next32: Taken = this.#top;
  #next: Taken = this.#top;
  /** Runs of at least so many pages are known not to fit below 2^32, wherever they may end. */
  #hopeless32: number;

  /**
   * @param start first page that may be taken; at least 1, for 0 is nobody's address
   * @param end32 pages below 2^32
   */
  constructor(start: number, end32: number) {
    this.#start = start;
    this.#end32 = end32;
    this.#hopeless32 = end32;
  }

  /** How many runs are taken, reserved ones with them. */
  get size(): number {
    return this.#byFirst.size;
  }

  /**
   * Takes `count` pages of which the first is a multiple of `count` rounded up to
   * a power of two.
   *
   * @param limit the last page that may be among them
   * @returns the first; `undefined` when they do not fit
   */
  allocate(count: number, limit: number): number | undefined {
    const narrow = limit < this.#end32;
    if (narrow && count >= this.#hopeless32) return undefined;
    const from = narrow ? this.#next32 : this.#next;
    const found =
      this.#search(count, from, limit, this.#start) ??
      (from.last < limit ? this.#search(count, this.#top, limit, from.last + 1) : undefined);
    if (found === undefined) {
      if (limit === this.#end32 - 1) this.#hopeless32 = count;
      return undefined;
    }
    const taken = this.#insert(found.first, found.first + count - 1, found.above);
    if (taken.last < this.#end32) this.#next32 = taken;
    else this.#next = taken;
    return taken.first;
  }

  /** The highest fitting place below `from`, from `low` to `limit`, and the run above it. */
  #search(
    count: number,
    from: Taken,
    limit: number,
    low: number,
  ): { readonly first: number; readonly above: Taken } | undefined {
    const alignment = 2 ** ceilLg2(count);
    for (let above = from; ; ) {
      const end = Math.min(limit + 1, above.first);
      const first = Math.floor((end - count) / alignment) * alignment;
      if (first < low) return undefined;
      const { below } = above;
      if (below === undefined || below.last < first) return { first, above };
      above = below;
    }
  }

  #insert(first: number, last: number, above: Taken): Taken {
    const { below } = above;
    const taken: Taken = { first, last, below, above };
    above.below = taken;
    if (below !== undefined) below.above = taken;
    this.#byFirst.set(first, taken);
    return taken;
  }

  #remove(taken: Taken): void {
    const { first, below } = taken;
    const above = taken.above!;
    above.below = below;
    if (below !== undefined) below.above = above;
    this.#byFirst.delete(first);
    // What has become free lies above where the next search would begin.
    const near = first < this.#end32 && first >= this.#next32.first;
    if (near || taken === this.#next32) this.#next32 = above;
    if (first >= this.#next.first) this.#next = above;
    if (first < this.#end32) this.#hopeless32 = this.#end32;
  }

  /** Gives a run back. @returns whether one begins at `first` */
  free(first: number): boolean {
    const taken = this.#byFirst.get(first);
    if (taken !== undefined) this.#remove(taken);
    return taken !== undefined;
  }

  /** Takes pages for good, whether or not some of them are taken already. */
  reserve(first: number, last: number): void {
    let low = first;
    let high = last;
    let above = this.#top;
    while (above.below !== undefined && above.below.first > last) above = above.below;
    for (let { below } = above; below !== undefined && below.last >= first; below = above.below) {
      low = Math.min(low, below.first);
      high = Math.max(high, below.last);
      this.#remove(below);
    }
    this.#insert(low, high, above);
  }
}
