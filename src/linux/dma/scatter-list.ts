import { alignDown, alignUp, lowMask } from "../../bits/log2.ts";

/** A run of physical memory, of any length and anywhere in its first page. */
export interface MemorySegment {
  readonly pa: bigint;
  /** Bytes. */
  readonly length: bigint;
}

/** A run of addresses as a device is given it. */
export interface DmaSegment {
  readonly address: bigint;
  /** Bytes. */
  readonly length: bigint;
}

/** What a device can take as one segment. */
export interface SegmentLimits {
  /** Bytes. */
  readonly maxLength: bigint;
  /** No segment has addresses on both sides of a multiple of 2^`boundaryLg2`. */
  readonly boundaryLg2: number;
}

/** One segment of memory, laid out. */
export interface LaidOutSegment extends MemorySegment {
  /** Where its first page goes, counted from the start of all. */
  readonly offset: bigint;
  /** Bytes of all its pages. */
  readonly pageLength: bigint;
}

/** Where each segment of a scatter list goes in one run of addresses. */
export interface ScatterLayout {
  readonly segments: readonly LaidOutSegment[];
  /** Bytes of the whole run. */
  readonly length: bigint;
}

/**
 * Puts segments behind each other, page by page. A segment that would cross a
 * boundary begins behind it: the run begins on a multiple of its length rounded
 * up to a power of two, so that boundaries are known before the address is.
 */
export const layOut = (
  list: readonly MemorySegment[],
  pageLg2: number,
  { boundaryLg2 }: SegmentLimits,
): ScatterLayout => {
  const segments: LaidOutSegment[] = [];
  let offset = 0n;
  for (const { pa, length } of list) {
    const pageLength = alignUp(pa + length, pageLg2) - alignDown(pa, pageLg2);
    const untilBoundary = -offset & lowMask(boundaryLg2);
    if (untilBoundary > 0n && untilBoundary < pageLength) offset += untilBoundary;
    segments.push({ pa, length, offset, pageLength });
    offset += pageLength;
  }
  return { segments, length: offset };
};

/**
 * The segments that a device is given: neighbours become one where the first
 * ends with its page, the second begins with one, and the device's limits allow.
 */
export const joinSegments = (
  { segments }: ScatterLayout,
  base: bigint,
  pageLg2: number,
  { maxLength, boundaryLg2 }: SegmentLimits,
): readonly DmaSegment[] => {
  const joined: { readonly address: bigint; length: bigint }[] = [];
  for (const { pa, length, offset } of segments) {
    const address = base + offset + (pa & lowMask(pageLg2));
    const last = joined.at(-1);
    const joins =
      last !== undefined &&
      last.address + last.length === address &&
      (address & lowMask(boundaryLg2)) !== 0n &&
      last.length + length <= maxLength;
    if (joins) last.length += length;
    else joined.push({ address, length });
  }
  return joined;
};
