/** A set of physical addresses as ranges by address, apart from each other: those given, joined where they touch. */
export class PhysicalRanges {
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  /** @param ranges in bytes, `end` exclusive, at most 2^53; empty ones are left out */
  constructor(ranges: readonly { readonly start: number; readonly end: number }[]) {
    const sorted = ranges.filter(({ start, end }) => start < end).sort((a, b) => a.start - b.start);
    for (const { start, end } of sorted) {
      const last = this.#ends.length - 1;
      if (last >= 0 && start <= this.#ends[last]!)
        this.#ends[last] = Math.max(this.#ends[last]!, end);
      else {
        this.#starts.push(start);
        this.#ends.push(end);
      }
    }
  }

  /** How many ranges. */
  get count(): number {
    return this.#starts.length;
  }

  start(index: number): number {
    return this.#starts[index]!;
  }

  /** Exclusive. */
  end(index: number): number {
    return this.#ends[index]!;
  }

  /** The index of the first range that ends beyond `address`; `count` when there is none. */
  firstBeyond(address: number): number {
    let low = 0;
    let high = this.#ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ends[middle]! > address) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
