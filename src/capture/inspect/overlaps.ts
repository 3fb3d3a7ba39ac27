import { frameAddress } from "../../bits/halves.ts";
import type { LeafList } from "../../hardware/vtd/enumerate.ts";
import { PROT_WRITE } from "../../page-table/format.ts";
import type { PhysicalRanges } from "./physical-ranges.ts";

/** A part of an address space. */
export interface Overlap {
  iova: bigint;
  pa: bigint;
  /** In bytes. */
  size: bigint;
}

/** Takes one overlap more; `false` when it will take no others. */
export type OverlapSink = (overlap: Overlap) => boolean;

/** Joins overlaps that continue each other in both spaces. They come by IOVA. */
class Joiner {
  readonly #sink: OverlapSink;
  #open: Overlap | undefined = undefined;
  #full = false;

  constructor(sink: OverlapSink) {
    this.#sink = sink;
  }

  /** Whether nothing more is wanted. */
  get full(): boolean {
    return this.#full;
  }

  add(iova: bigint, pa: bigint, size: bigint): void {
    const open = this.#open;
    if (open !== undefined && open.iova + open.size === iova && open.pa + open.size === pa) {
      open.size += size;
      return;
    }
    this.end();
    this.#open = { iova, pa, size };
  }

  end(): void {
    if (this.#open !== undefined && !this.#full) this.#full = !this.#sink(this.#open);
    this.#open = undefined;
  }
}

/** What the first `count` leaves can write of `ranges`. */
export const writableOverlaps = (
  leaves: LeafList,
  count: number,
  ranges: PhysicalRanges,
  sink: OverlapSink,
): void => {
  if (ranges.count === 0) return;
  const joiner = new Joiner(sink);
  for (let i = 0; i < count && !joiner.full; i++) {
    if ((leaves.prots[i]! & PROT_WRITE) === 0) continue;
    const start = leaves.outFrames[i]! * 4096;
    const end = start + 2 ** leaves.sizesLg2[i]!;
    for (let r = ranges.firstBeyond(start); r < ranges.count && !joiner.full; r++) {
      const from = Math.max(start, ranges.start(r));
      const to = Math.min(end, ranges.end(r));
      if (from >= to) break;
      const iova = frameAddress(leaves.iovaFrames[i]!) + BigInt(from - start);
      joiner.add(iova, BigInt(from), BigInt(to - from));
    }
  }
  joiner.end();
};

/** The frames of FEE0_0000 to FEEF_FFFF, where interrupts go. */
const WINDOW_FRAME = 0xfee00;
const WINDOW_END = 0xfef00;

/** The part of `frames` frames from `first` that is in the window, as offsets; empty when `to <= from`. */
const inWindow = (first: number, frames: number): { from: number; to: number } => ({
  from: Math.max(0, WINDOW_FRAME - first),
  to: Math.min(frames, WINDOW_END - first),
});

/**
 * Which parts of the first `count` leaves have their output in the interrupt
 * window or, where requests have no PASID, their input.
 */
export const windowOverlaps = (
  leaves: LeafList,
  count: number,
  withoutPasid: boolean,
  sink: OverlapSink,
): void => {
  const joiner = new Joiner(sink);
  for (let i = 0; i < count && !joiner.full; i++) {
    const iovaFrame = leaves.iovaFrames[i]!;
    const outFrame = leaves.outFrames[i]!;
    const frames = 2 ** (leaves.sizesLg2[i]! - 12);
    const parts = [inWindow(outFrame, frames)];
    if (withoutPasid) parts.push(inWindow(iovaFrame, frames));
    let done = 0;
    for (const { from, to } of parts.sort((a, b) => a.from - b.from)) {
      const start = Math.max(from, done);
      if (start >= to) continue;
      joiner.add(
        frameAddress(iovaFrame + start),
        frameAddress(outFrame + start),
        frameAddress(to - start),
      );
      done = to;
    }
  }
  joiner.end();
};
