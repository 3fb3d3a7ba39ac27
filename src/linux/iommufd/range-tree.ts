import { LAST_ADDRESS } from "../../bits/address.ts";
import { RangeBranch } from "./range-branch.ts";
import {
  CAPACITY,
  CAPACITY_LG2,
  END_PAGE,
  grown,
  keyOf,
  lastNotAbove,
  NONE,
  type PageRange,
  pagesBetween,
  RangeLeaves,
} from "./range-leaf.ts";

/** A page range as addresses. */
export const startOf = (range: PageRange): bigint =>
  (BigInt(range.startPage) << 12n) | BigInt(range.startByte);
export const lastOf = (range: PageRange): bigint =>
  (BigInt(range.lastPage) << 12n) | BigInt(range.lastByte);

/** The page and the byte within it of an address. */
export const pageOf = (address: bigint): number => Number(address >> 12n);
export const byteOf = (address: bigint): number => Number(address & 0xfffn);

/** `start` to `last` as a page range. */
export const pageRangeOf = (start: bigint, last: bigint): PageRange => ({
  startPage: pageOf(start),
  startByte: byteOf(start),
  lastPage: pageOf(last),
  lastByte: byteOf(last),
});

/** Called with a hole; answers with what was looked for, or `undefined` to go on. */
export type HoleVisitor<Found> = (start: bigint, last: bigint) => Found | undefined;

/**
 * Ranges of which none overlaps another, over the whole 64-bit space, its
 * last byte included. Look-up, insertion and removal take time that grows with
 * the logarithm of their number; so does the search for a hole that is large
 * enough, unless many that are large enough are refused for another reason.
 *
 * Three levels: leaves of up to 64 ranges, branches of up to 64 leaves, and a
 * list of branches. Leaves and branches know a bound of the largest hole before
 * one of their ranges, which is made exact when a search finds it too large.
 */
export class RangeTree<Item extends PageRange> {
  readonly #leaves: RangeLeaves<Item> = new RangeLeaves<Item>();
  readonly #branches: RangeBranch[] = [];
  /** Where each branch begins, as a key and a byte. */
  #rootKeys: Float64Array = new Float64Array(16);
  #rootBytes: Int32Array = new Int32Array(16);
  #size = 0;
  /** Where the last search ended: a branch, the index of a leaf in it, and that of a range in the leaf. */
  #branch = 0;
  #leaf = 0;
  #index = 0;

  get size(): number {
    return this.#size;
  }

  /** Puts the cursor on the last range that begins at or below an address; returns its place, `NONE` when there is none. */
  #seek(page: number, byte: number): number {
    const b = this.#branchFor(page, byte);
    if (b < 0) return NONE;
    const { keys, startBytes, leaves } = this.#branches[b]!;
    const l = lastNotAbove(keys, 0, 1, startBytes, 0, page, byte);
    const base = leaves[l]! << CAPACITY_LG2;
    const all = this.#leaves;
    const place = base + lastNotAbove(all.keys, base * 2, 2, all.bytes, base, page, byte);
    this.#branch = b;
    this.#leaf = l;
    this.#index = place - base;
    return place;
  }

  /** The last branch that begins at or below an address; -1 when there is none. */
  #branchFor(page: number, byte: number): number {
    const key = keyOf(page, byte);
    let low = 0;
    let high = this.#branches.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const at = this.#rootKeys[middle]!;
      if (at < key || (at === key && this.#rootBytes[middle]! <= byte)) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** The number of the leaf that the cursor is in. */
  #leafNumber(): number {
    return this.#branches[this.#branch]!.leaves[this.#leaf]!;
  }

  /** The range that an address is in. */
  at(page: number, byte: number): Item | undefined {
    const place = this.#seek(page, byte);
    if (place < 0) return undefined;
    const last = this.#leaves.keys[place * 2 + 1]!;
    const key = keyOf(page, byte);
    if (last < key || (last === key && this.#leaves.bytes[place]! >>> 12 < byte)) return undefined;
    return this.#leaves.items[place];
  }

  /** The first range that ends at or above an address. */
  from(page: number, byte: number): Item | undefined {
    const found = this.at(page, byte);
    if (found !== undefined || this.#size === 0) return found;
    const { items, counts, next } = this.#leaves;
    if (this.#seek(page, byte) === NONE) {
      return items[this.#branches[0]!.leaves[0]! << CAPACITY_LG2];
    }
    const leaf = this.#leafNumber();
    if (this.#index + 1 < counts[leaf]!) return items[(leaf << CAPACITY_LG2) + this.#index + 1];
    return next[leaf] === NONE ? undefined : items[next[leaf]! << CAPACITY_LG2];
  }

  /** The first range with an address from `start` to `last` in it. */
  first(start: bigint, last: bigint): Item | undefined {
    const item = this.from(pageOf(start), byteOf(start));
    return item !== undefined && startOf(item) <= last ? item : undefined;
  }

  /** Every range with an address from `start` to `last` in it, in order. The tree must not change meanwhile. */
  *overlapping(start: bigint, last: bigint): Generator<Item, void, undefined> {
    const first = this.first(start, last);
    if (first === undefined) return;
    this.#seek(first.startPage, first.startByte);
    let index = this.#index;
    for (let leaf = this.#leafNumber(); leaf !== NONE; leaf = this.#leaves.next[leaf]!) {
      for (; index < this.#leaves.counts[leaf]!; index++) {
        const item = this.#leaves.items[(leaf << CAPACITY_LG2) + index]!;
        if (startOf(item) > last) return;
        yield item;
      }
      index = 0;
    }
  }

  [Symbol.iterator](): Generator<Item, void, undefined> {
    return this.overlapping(0n, LAST_ADDRESS);
  }

  /** Adds a range. @throws Error when it overlaps another: a bug of ours */
  insert(item: Item): void {
    const { startPage, startByte, lastPage, lastByte } = item;
    const after = this.from(startPage, startByte);
    if (
      after !== undefined &&
      (after.startPage < lastPage || (after.startPage === lastPage && after.startByte <= lastByte))
    ) {
      throw new Error("a range is put over another");
    }
    this.#size += 1;
    if (this.#seek(startPage, startByte) === NONE) this.#insertFirst(item);
    else {
      this.#index += 1;
      this.#leaves.insert(this.#leafNumber(), this.#index, item);
    }
    this.#noteGap();
    this.#splitIfFull();
  }

  #insertFirst(item: Item): void {
    this.#branch = 0;
    this.#leaf = 0;
    this.#index = 0;
    const [branch] = this.#branches;
    if (branch !== undefined) this.#leaves.insert(branch.leaves[0]!, 0, item);
    else {
      const leaf = this.#leaves.create(NONE);
      this.#leaves.insert(leaf, 0, item);
      this.#branches.push(new RangeBranch());
      this.#branches[0]!.insert(this.#leaves, 0, leaf);
    }
    this.#refresh();
  }

  /** Takes over where the leaf of the cursor begins. */
  #refresh(): void {
    this.#branches[this.#branch]!.refresh(this.#leaves, this.#leaf);
    if (this.#leaf === 0) this.#refreshRoot(this.#branch + 1);
  }

  /** Takes over where the branches from that of the cursor on begin, up to `end`. */
  #refreshRoot(end: number = this.#branches.length): void {
    if (end > this.#rootKeys.length) {
      this.#rootKeys = grown(this.#rootKeys, end * 2);
      this.#rootBytes = grown(this.#rootBytes, end * 2);
    }
    for (let b = this.#branch; b < end; b++) {
      this.#rootKeys[b] = this.#branches[b]!.keys[0]!;
      this.#rootBytes[b] = this.#branches[b]!.startBytes[0]!;
    }
  }

  /** Raises the bounds to the hole before the range at the cursor. */
  #noteGap(): void {
    const branch = this.#branches[this.#branch]!;
    const leaf = branch.leaves[this.#leaf]!;
    const gap = this.#leaves.gapBefore(leaf, this.#index);
    if (gap > this.#leaves.maxGaps[leaf]!) this.#leaves.maxGaps[leaf] = gap;
    if (gap > branch.maxGap) branch.maxGap = gap;
  }

  #splitIfFull(): void {
    const branch = this.#branches[this.#branch]!;
    const leaf = this.#leafNumber();
    if (this.#leaves.counts[leaf]! < CAPACITY) return;
    // Most insertions come in the order of addresses: what lies behind stays nearly full then.
    const atEnd = this.#leaves.next[leaf] === NONE;
    const other = this.#leaves.split(leaf, atEnd ? CAPACITY - 4 : CAPACITY / 2);
    branch.insert(this.#leaves, this.#leaf + 1, other);
    if (branch.count < CAPACITY) return;
    this.#branches.splice(this.#branch + 1, 0, branch.split(this.#leaves, CAPACITY / 2));
    this.#refreshRoot();
  }

  /** Removes the range that begins where `item` does. @throws Error when there is none: a bug of ours */
  remove(item: PageRange): Item {
    const { startPage, startByte } = item;
    const place = this.#seek(startPage, startByte);
    const removed = place === NONE ? undefined : this.#leaves.items[place];
    if (removed?.startPage !== startPage || removed.startByte !== startByte) {
      throw new Error("a range is removed that is not there");
    }
    this.#size -= 1;
    const leaf = this.#leafNumber();
    this.#leaves.remove(leaf, this.#index);
    if (this.#leaves.counts[leaf] === 0) this.#removeLeaf(leaf);
    else {
      if (this.#index === 0) this.#refresh();
      this.#joinWithNext(leaf);
    }
    const next = this.from(startPage, startByte);
    if (next !== undefined) {
      // The hole before the range behind is larger now.
      this.#seek(next.startPage, next.startByte);
      this.#noteGap();
    }
    return removed;
  }

  #removeLeaf(leaf: number): void {
    const branch = this.#branches[this.#branch]!;
    this.#leaves.release(leaf);
    branch.remove(this.#leaf);
    if (branch.count === 0) this.#branches.splice(this.#branch, 1);
    if (branch.count === 0 || this.#leaf === 0) this.#refreshRoot();
  }

  #joinWithNext(leaf: number): void {
    const branch = this.#branches[this.#branch]!;
    const next = branch.leaves[this.#leaf + 1];
    if (next === undefined) return;
    if (this.#leaves.counts[leaf]! + this.#leaves.counts[next]! > CAPACITY / 2) return;
    this.#leaves.join(leaf, next);
    branch.remove(this.#leaf + 1);
  }

  /**
   * Looks for a hole: a run of addresses in no range, as long as it is between
   * `start` and `last`. Holes with fewer than `pages` whole pages are passed over.
   *
   * @returns the first answer of `visit` that is not `undefined`
   */
  findHole<Found>(
    start: bigint,
    last: bigint,
    pages: number,
    visit: HoleVisitor<Found>,
  ): Found | undefined {
    const show = (from: bigint, to: bigint): Found | undefined => {
      const clippedFrom = from > start ? from : start;
      const clippedTo = to < last ? to : last;
      return clippedFrom <= clippedTo ? visit(clippedFrom, clippedTo) : undefined;
    };
    const first = this.from(pageOf(start), byteOf(start));
    if (first !== undefined) {
      this.#seek(first.startPage, first.startByte);
      const found = this.#holeFrom(this.#branch, this.#leaf, this.#index, last, pages, show);
      if (found !== undefined) return found.found;
    }
    const final = this.#lastItem();
    const from = final === undefined ? 0n : lastOf(final) + 1n;
    if (final !== undefined && pagesBetween(final.lastPage, final.lastByte, END_PAGE, 0) < pages) {
      return undefined;
    }
    return show(from, 0xffff_ffff_ffff_ffffn);
  }

  /** The search among the holes before ranges, from one range on. Answers when it is over before the end. */
  #holeFrom<Found>(
    branchIndex: number,
    leafIndex: number,
    index: number,
    last: bigint,
    pages: number,
    show: HoleVisitor<Found>,
  ): { readonly found: Found | undefined } | undefined {
    let leafAt = leafIndex;
    let indexAt = index;
    for (let b = branchIndex; b < this.#branches.length; b++, leafAt = 0, indexAt = 0) {
      const branch = this.#branches[b]!;
      if (branch.maxGap < pages && b !== branchIndex) continue;
      let max = 0;
      const whole = leafAt === 0;
      for (let l = leafAt; l < branch.count; l++, indexAt = 0) {
        const leaf = branch.leaves[l]!;
        if (this.#leaves.maxGaps[leaf]! >= pages) {
          const over = this.#holeInLeaf(leaf, indexAt, last, pages, show);
          if (over !== undefined) return over;
        }
        if (this.#leaves.maxGaps[leaf]! > max) max = this.#leaves.maxGaps[leaf]!;
      }
      if (whole) branch.maxGap = max;
    }
    return undefined;
  }

  #holeInLeaf<Found>(
    leaf: number,
    index: number,
    last: bigint,
    pages: number,
    show: HoleVisitor<Found>,
  ): { readonly found: Found | undefined } | undefined {
    let seen = false;
    for (let i = index; i < this.#leaves.counts[leaf]!; i++) {
      if (this.#leaves.gapBefore(leaf, i) < pages) continue;
      seen = true;
      const before = this.#leaves.itemBefore(leaf, i);
      const from = before === undefined ? 0n : lastOf(before) + 1n;
      if (from > last) return { found: undefined };
      const start = startOf(this.#leaves.items[(leaf << CAPACITY_LG2) + i]!);
      const found = start > from ? show(from, start - 1n) : undefined;
      if (found !== undefined) return { found };
    }
    if (!seen && index === 0) this.#leaves.measure(leaf);
    return undefined;
  }

  #lastItem(): Item | undefined {
    const leaf = this.#branches.at(-1)?.leaves.at(-1);
    if (leaf === undefined) return undefined;
    return this.#leaves.items[(leaf << CAPACITY_LG2) + this.#leaves.counts[leaf]! - 1];
  }

  /** What `inspect` shows: ranges as addresses. */
  ranges(): readonly { readonly start: bigint; readonly last: bigint }[] {
    return [...this].map((item) => ({ start: startOf(item), last: lastOf(item) }));
  }
}
