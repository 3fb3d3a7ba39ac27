/**
 * A range of addresses in whole numbers: pages of 4096 bytes and bytes within
 * them, both ends inclusive. 2^64-1 is byte 4095 of page 2^52-1, exact in a
 * `number`.
 */
export interface PageRange {
  readonly startPage: number;
  readonly startByte: number;
  readonly lastPage: number;
  readonly lastByte: number;
}

/** Ranges of a leaf, and leaves of a branch, at most. */
export const CAPACITY_LG2 = 6;
export const CAPACITY: number = 1 << CAPACITY_LG2;

/** The page behind the last one of the 64-bit space. */
export const END_PAGE: number = 2 ** 52;

/** No leaf. */
export const NONE = -1;

/** Whole pages of bytes between an address and a later one, neither counted. */
export const pagesBetween = (
  lastPage: number,
  lastByte: number,
  startPage: number,
  startByte: number,
): number => startPage - lastPage - 1 + (startByte + 4095 - lastByte >= 4096 ? 1 : 0);

/** From this page on a `number` cannot hold an address to the byte. */
const INEXACT_PAGE = 2 ** 41;

/**
 * An address as one number to search by: its page, and the byte as a fraction
 * where that is exact. Keys are in the order of their addresses; two that are
 * equal have the same page, and where that is large bytes have to be looked at.
 */
export const keyOf = (page: number, byte: number): number =>
  page < INEXACT_PAGE ? page + byte / 4096 : page;

/**
 * Among `CAPACITY` sorted keys, of which those behind the last are infinite,
 * the index of the last that is not above an address; -1 when all are.
 *
 * @param first where in `keys` the first is, with `stride` to the next
 * @param bytes the addresses' bytes in bits 11:0, from index `firstByte`
 */
export const lastNotAbove = (
  keys: Float64Array,
  first: number,
  stride: number,
  bytes: Int32Array,
  firstByte: number,
  page: number,
  byte: number,
): number => {
  const key = keyOf(page, byte);
  let index = 0;
  for (let half = CAPACITY >> 1; half > 0; half >>= 1) {
    if (keys[first + (index + half) * stride]! <= key) index += half;
  }
  if (keys[first]! > key) return -1;
  if (page >= INEXACT_PAGE) {
    // Of those in the page the ones that begin behind the byte do not count.
    while (
      index >= 0 &&
      keys[first + index * stride] === key &&
      (bytes[firstByte + index]! & 0xfff) > byte
    ) {
      index -= 1;
    }
  }
  return index;
};

/** A copy of an array with room for `length` numbers. */
export const grown = <A extends Float64Array | Int32Array>(array: A, length: number): A => {
  const larger = new (array.constructor as new (length: number) => A)(length);
  larger.set(array);
  return larger;
};

/**
 * The leaves of a tree: runs of up to `CAPACITY` ranges side by side in the
 * order of addresses. All lie in a few large arrays, a leaf being a slot in
 * them, because a look-up would otherwise spend its time on finding arrays.
 */
export class RangeLeaves<Item extends PageRange> {
  /** By place, which is a leaf's number times `CAPACITY` and an index: the keys of start and last. */
  keys: Float64Array = new Float64Array(2 * CAPACITY).fill(Number.POSITIVE_INFINITY);
  /** By place: the byte of the start in bits 11:0, that of the last in bits 23:12. */
  bytes: Int32Array = new Int32Array(CAPACITY);
  readonly items: (Item | undefined)[] = [];
  /** By leaf. */
  counts: Int32Array = new Int32Array(1);
  /** The leaves beside it. */
  previous: Int32Array = new Int32Array(1);
  next: Int32Array = new Int32Array(1);
  /** No hole before one of its ranges has more whole pages; may be too large until it is looked at. */
  maxGaps: Float64Array = new Float64Array(1);
  readonly #free: number[] = [];
  #used = 0;

  /** A new leaf behind another, or by itself. */
  create(behind: number): number {
    const leaf = this.#free.pop() ?? this.#used++;
    if (leaf >= this.counts.length) this.#grow();
    this.counts[leaf] = 0;
    this.maxGaps[leaf] = 0;
    this.previous[leaf] = behind;
    const next = behind === NONE ? NONE : this.next[behind]!;
    this.next[leaf] = next;
    if (behind !== NONE) this.next[behind] = leaf;
    if (next !== NONE) this.previous[next] = leaf;
    return leaf;
  }

  #grow(): void {
    const leaves = this.counts.length * 2;
    const used = this.keys.length;
    this.keys = grown(this.keys, (2 * leaves) << CAPACITY_LG2);
    this.keys.fill(Number.POSITIVE_INFINITY, used);
    this.bytes = grown(this.bytes, leaves << CAPACITY_LG2);
    this.counts = grown(this.counts, leaves);
    this.previous = grown(this.previous, leaves);
    this.next = grown(this.next, leaves);
    this.maxGaps = grown(this.maxGaps, leaves);
  }

  /** Takes an empty leaf out of the chain. */
  release(leaf: number): void {
    const previous = this.previous[leaf]!;
    const next = this.next[leaf]!;
    if (previous !== NONE) this.next[previous] = next;
    if (next !== NONE) this.previous[next] = previous;
    this.#free.push(leaf);
  }

  #write(place: number, item: Item): void {
    this.keys[place * 2] = keyOf(item.startPage, item.startByte);
    this.keys[place * 2 + 1] = keyOf(item.lastPage, item.lastByte);
    this.bytes[place] = item.startByte | (item.lastByte << 12);
    while (this.items.length <= place) this.items.push(undefined);
    this.items[place] = item;
  }

  #move(from: number, to: number): void {
    this.keys[to * 2] = this.keys[from * 2]!;
    this.keys[to * 2 + 1] = this.keys[from * 2 + 1]!;
    this.bytes[to] = this.bytes[from]!;
    while (this.items.length <= to) this.items.push(undefined);
    this.items[to] = this.items[from];
  }

  #clear(place: number): void {
    this.keys[place * 2] = Number.POSITIVE_INFINITY;
    this.items[place] = undefined;
  }

  insert(leaf: number, index: number, item: Item): void {
    const base = leaf << CAPACITY_LG2;
    for (let at = base + this.counts[leaf]!; at > base + index; at--) this.#move(at - 1, at);
    this.#write(base + index, item);
    this.counts[leaf]! += 1;
  }

  remove(leaf: number, index: number): void {
    const base = leaf << CAPACITY_LG2;
    const end = base + this.counts[leaf]! - 1;
    for (let at = base + index; at < end; at++) this.#move(at + 1, at);
    this.#clear(end);
    this.counts[leaf]! -= 1;
  }

  /** Moves the ranges from `index` on into a new leaf behind this one. */
  split(leaf: number, index: number): number {
    const other = this.create(leaf);
    this.#moveRanges(leaf, index, other);
    this.maxGaps[other] = this.maxGaps[leaf]!;
    return other;
  }

  /** Takes over all ranges of the leaf behind, which is released. */
  join(leaf: number, other: number): void {
    this.#moveRanges(other, 0, leaf);
    this.maxGaps[leaf] = Math.max(this.maxGaps[leaf]!, this.maxGaps[other]!);
    this.release(other);
  }

  #moveRanges(from: number, index: number, to: number): void {
    const source = from << CAPACITY_LG2;
    const target = (to << CAPACITY_LG2) + this.counts[to]!;
    const count = this.counts[from]! - index;
    for (let i = 0; i < count; i++) {
      this.#move(source + index + i, target + i);
      this.#clear(source + index + i);
    }
    this.counts[from]! -= count;
    this.counts[to]! += count;
  }

  /** The range before one, at place `(leaf, index)`; `undefined` before the first. */
  itemBefore(leaf: number, index: number): Item | undefined {
    if (index > 0) return this.items[(leaf << CAPACITY_LG2) + index - 1];
    const previous = this.previous[leaf]!;
    if (previous === NONE) return undefined;
    return this.items[(previous << CAPACITY_LG2) + this.counts[previous]! - 1];
  }

  /** Whole pages between a range and the one before it, or the start of the space. */
  gapBefore(leaf: number, index: number): number {
    const item = this.items[(leaf << CAPACITY_LG2) + index]!;
    const before = this.itemBefore(leaf, index);
    return before === undefined
      ? item.startPage
      : pagesBetween(before.lastPage, before.lastByte, item.startPage, item.startByte);
  }

  /** Makes a leaf's bound exact. */
  measure(leaf: number): void {
    let max = 0;
    for (let i = 0; i < this.counts[leaf]!; i++) {
      const gap = this.gapBefore(leaf, i);
      if (gap > max) max = gap;
    }
    this.maxGaps[leaf] = max;
  }
}
