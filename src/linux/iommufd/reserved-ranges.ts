import type { Range } from "../../bits/range.ts";
import type { PageRange } from "./range-leaf.ts";
import { pageRangeOf, RangeTree } from "./range-tree.ts";

interface Reserved extends Range {
  readonly owner: object | undefined;
}

/**
 * Ranges that nothing may be mapped in, each with who asked for it. They may
 * overlap; what matters to others is which addresses are in none.
 */
export class ReservedRanges {
  #ranges: readonly Reserved[] = [];
  /** The same addresses, as ranges that do not overlap. */
  #merged = new RangeTree<PageRange>();

  /** Adds a range. */
  add(start: bigint, last: bigint, owner?: object): void {
    this.#replace([...this.#ranges, { start, last, owner }]);
  }

  /** Removes every range of `owner`. */
  removeOwner(owner: object): void {
    const kept = this.#ranges.filter((range) => range.owner !== owner);
    if (kept.length !== this.#ranges.length) this.#replace(kept);
  }

  #replace(ranges: readonly Reserved[]): void {
    this.#ranges = ranges;
    this.#merged = new RangeTree<PageRange>();
    const sorted = [...ranges].sort((a, b) => (a.start < b.start ? -1 : 1));
    let open: Range | undefined;
    for (const { start, last } of sorted) {
      if (open !== undefined && start <= open.last + 1n) {
        open = { start: open.start, last: last > open.last ? last : open.last };
      } else {
        if (open !== undefined) this.#merged.insert(pageRangeOf(open.start, open.last));
        open = { start, last };
      }
    }
    if (open !== undefined) this.#merged.insert(pageRangeOf(open.start, open.last));
  }

  /** Whether any address from `start` to `last` is reserved. */
  overlaps(start: bigint, last: bigint): boolean {
    return this.#merged.first(start, last) !== undefined;
  }

  /** The runs of addresses between `start` and `last` that are not reserved. */
  holes(start: bigint, last: bigint): readonly Range[] {
    const holes: Range[] = [];
    this.#merged.findHole(start, last, 0, (from, to) => {
      holes.push({ start: from, last: to });
      return undefined;
    });
    return holes;
  }

  /** Every range, in the order in which they were added. */
  get all(): readonly Range[] {
    return this.#ranges.map(({ start, last }) => ({ start, last }));
  }
}
