/** log2 of the frames of the largest block: 1 GiB. */
const MAX_ORDER = 18;

/**
 * Free page frames in blocks of powers of two, each aligned to its size, as
 * large as what is free allows. The same requests in the same order give the
 * same frames.
 */
export class Buddy {
  readonly #free: readonly Set<number>[] = Array.from({ length: MAX_ORDER + 1 }, () => new Set());
  #count = 0;

  /** Frames that are free. */
  get count(): number {
    return this.#count;
  }

  /** Adds `count` frames from `pfn` that were not known before. */
  addRange(pfn: number, count: number): void {
    let at = pfn;
    const end = pfn + count;
    while (at < end) {
      let order = MAX_ORDER;
      while (at % 2 ** order !== 0 || at + 2 ** order > end) order--;
      this.#free[order]!.add(at);
      at += 2 ** order;
    }
    this.#count += count;
  }

  /** @returns the first frame of a block of 2^`order`, or `undefined` when there is none */
  take(order: number): number | undefined {
    let from = order;
    while (from <= MAX_ORDER && this.#free[from]!.size === 0) from++;
    const block = this.#free[from]?.values().next().value;
    if (block === undefined) return undefined;
    this.#free[from]!.delete(block);
    for (let at = from - 1; at >= order; at--) this.#free[at]!.add(block + 2 ** at);
    this.#count -= 2 ** order;
    return block;
  }

  /** Takes one frame back, and joins it with its neighbours. */
  giveBack(pfn: number): void {
    this.#count += 1;
    let block = pfn;
    let order = 0;
    for (; order < MAX_ORDER; order++) {
      const size = 2 ** order;
      const other = (block / size) % 2 === 0 ? block + size : block - size;
      if (!this.#free[order]!.delete(other)) break;
      block = Math.min(block, other);
    }
    this.#free[order]!.add(block);
  }
}
