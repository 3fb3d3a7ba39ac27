/** Called with pages that lie side by side: the first one's index, its frame, and how many. */
export type RunVisitor = (index: number, frame: number, count: number) => void;

/**
 * Which frame each of some pages is in, as runs of pages whose frames lie side
 * by side: memory in large pages takes a few words however much it is.
 */
export class FrameRuns {
  readonly #indexes: number[] = [];
  readonly #frames: number[] = [];
  readonly #counts: number[] = [];

  /** The first run that ends behind `index`. */
  #find(index: number): number {
    let low = 0;
    let high = this.#indexes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#indexes[middle]! + this.#counts[middle]! <= index) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Adds one page behind all others, or in a gap between them. */
  add(index: number, frame: number): void {
    const at = this.#find(index);
    const before = at - 1;
    const follows =
      before >= 0 &&
      this.#indexes[before]! + this.#counts[before]! === index &&
      this.#frames[before]! + this.#counts[before]! === frame;
    if (follows) this.#counts[before]! += 1;
    else if (at === this.#indexes.length) {
      this.#indexes.push(index);
      this.#frames.push(frame);
      this.#counts.push(1);
    } else {
      this.#indexes.splice(at, 0, index);
      this.#frames.splice(at, 0, frame);
      this.#counts.splice(at, 0, 1);
    }
  }

  /** Visits the runs of `count` pages from `index`, cut at both ends; runs side by side come as one. */
  forEach(index: number, count: number, visit: RunVisitor): void {
    const end = index + count;
    for (let at = this.#find(index); at < this.#indexes.length; ) {
      const runStart = this.#indexes[at]!;
      if (runStart >= end) break;
      const from = Math.max(runStart, index);
      const frame = this.#frames[at]! + (from - runStart);
      let to = runStart + this.#counts[at]!;
      let next = at + 1;
      while (
        this.#indexes[next] === to &&
        this.#frames[next] === this.#frames[next - 1]! + this.#counts[next - 1]!
      ) {
        to += this.#counts[next]!;
        next += 1;
      }
      visit(from, frame, Math.min(to, end) - from);
      at = next;
    }
  }

  /** Forgets `count` pages from `index`, all of which are there. */
  remove(index: number, count: number): void {
    const end = index + count;
    const first = this.#find(index);
    const kept: (readonly [number, number, number])[] = [];
    let at = first;
    for (; at < this.#indexes.length && this.#indexes[at]! < end; at++) {
      const start = this.#indexes[at]!;
      const frame = this.#frames[at]!;
      const stop = start + this.#counts[at]!;
      if (start < index) kept.push([start, frame, index - start]);
      if (stop > end) kept.push([end, frame + (end - start), stop - end]);
    }
    this.#indexes.splice(first, at - first, ...kept.map(([i]) => i));
    this.#frames.splice(first, at - first, ...kept.map(([, frame]) => frame));
    this.#counts.splice(first, at - first, ...kept.map(([, , n]) => n));
  }

  /** The frame of one page; -1 when it is not there. */
  frameOf(index: number): number {
    const at = this.#find(index);
    const start = this.#indexes[at];
    return start !== undefined && start <= index ? this.#frames[at]! + index - start : -1;
  }
}
