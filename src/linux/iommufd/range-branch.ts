import { CAPACITY, CAPACITY_LG2, type PageRange, type RangeLeaves } from "./range-leaf.ts";

/** A run of leaves side by side, with where each begins. */
export class RangeBranch {
  readonly keys: Float64Array = new Float64Array(CAPACITY).fill(Number.POSITIVE_INFINITY);
  readonly startBytes: Int32Array = new Int32Array(CAPACITY);
  readonly leaves: number[] = [];
  /** No leaf has a larger hole before a range; may be too large until it is looked at. */
  maxGap = 0;

  get count(): number {
    return this.leaves.length;
  }

  insert(leaves: RangeLeaves<PageRange>, index: number, leaf: number): void {
    this.keys.copyWithin(index + 1, index, this.count);
    this.startBytes.copyWithin(index + 1, index, this.count);
    this.leaves.splice(index, 0, leaf);
    this.refresh(leaves, index);
  }

  remove(index: number): void {
    this.keys.copyWithin(index, index + 1, this.count);
    this.startBytes.copyWithin(index, index + 1, this.count);
    this.leaves.splice(index, 1);
    this.keys[this.count] = Number.POSITIVE_INFINITY;
  }

  /** Takes over where leaf `index` begins. */
  refresh(leaves: RangeLeaves<PageRange>, index: number): void {
    const place = this.leaves[index]! << CAPACITY_LG2;
    this.keys[index] = leaves.keys[place * 2]!;
    this.startBytes[index] = leaves.bytes[place]! & 0xfff;
  }

  /** Moves the leaves from `index` on into a new branch. */
  split(leaves: RangeLeaves<PageRange>, index: number): RangeBranch {
    const other = new RangeBranch();
    for (const leaf of this.leaves.splice(index)) other.insert(leaves, other.count, leaf);
    this.keys.fill(Number.POSITIVE_INFINITY, index);
    other.maxGap = this.maxGap;
    return other;
  }
}
