import { type Bank, bankOver, NO_BANK } from "../memory/bank.ts";
import { PhysicalMemory } from "../memory/physical-memory.ts";
import type { Region } from "../memory/region.ts";
import type { ByteSource } from "./byte-source.ts";
import type { RamRange } from "./capture.ts";
import { CACHED_FRAMES, MAX_WRITTEN_FRAMES } from "./limits.ts";

/** Bytes of a file that are bytes of memory. Extents of one memory do not overlap in memory. */
export interface Extent {
  /** Physical address of the first byte, below 2^52. */
  readonly address: number;
  /** Size in bytes. */
  readonly length: number;
  /** Where in the file the first byte is. */
  readonly offset: number;
}

/** How many page frames are held in memory. */
export interface FrameBounds {
  /** Frames of the file that are kept after they were read. */
  readonly cached: number;
  /** Frames that can be written. */
  readonly written: number;
}

/**
 * Page frames made of extents of a file, read when they are asked for. What no
 * extent covers is zero. Writes go to a copy: the file is never changed.
 */
class FileFrames {
  readonly #bytes: ByteSource;
  /** By address. */
  readonly #extents: readonly Extent[];
  /** In the order they were read; the oldest goes first. */
  readonly #cached = new Map<number, Bank>();
  readonly #written = new Map<number, Bank>();
  /** Stands for every frame that is in no extent: such a read allocates nothing. */
  readonly #zeros: { -readonly [K in keyof Bank]: Bank[K] } = bankOver(
    new ArrayBuffer(4096),
    0,
    0,
    1,
  );

  readonly #bounds: FrameBounds;

  constructor(bytes: ByteSource, extents: readonly Extent[], bounds: FrameBounds) {
    this.#bytes = bytes;
    this.#bounds = bounds;
    this.#extents = [...extents].sort((a, b) => a.address - b.address);
  }

  toRead(pfn: number): Bank {
    const known = this.#written.get(pfn) ?? this.#cached.get(pfn);
    if (known !== undefined) return known;
    const first = this.#firstExtentAfter(pfn * 4096);
    const extent = this.#extents[first];
    if (extent === undefined || extent.address >= (pfn + 1) * 4096) {
      this.#zeros.firstPfn = pfn;
      return this.#zeros;
    }
    const bank = this.#load(pfn, first);
    if (this.#cached.size >= this.#bounds.cached) {
      for (const oldest of this.#cached.keys()) {
        this.#cached.delete(oldest);
        break;
      }
    }
    this.#cached.set(pfn, bank);
    return bank;
  }

  toWrite(pfn: number): Bank {
    const known = this.#written.get(pfn);
    if (known !== undefined) return known;
    if (this.#written.size >= this.#bounds.written) return NO_BANK;
    const bank = bankOver(new ArrayBuffer(4096), 0, pfn, 1);
    bank.bytes.set(this.toRead(pfn).bytes);
    this.#written.set(pfn, bank);
    this.#cached.delete(pfn);
    return bank;
  }

  /** The index of the first extent that has a byte at `address` or beyond. */
  #firstExtentAfter(address: number): number {
    let low = 0;
    let high = this.#extents.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const extent = this.#extents[middle]!;
      if (extent.address + extent.length > address) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #load(pfn: number, first: number): Bank {
    const bank = bankOver(new ArrayBuffer(4096), 0, pfn, 1);
    const start = pfn * 4096;
    for (let i = first; i < this.#extents.length; i++) {
      const extent = this.#extents[i]!;
      const from = Math.max(start, extent.address);
      const end = Math.min(start + 4096, extent.address + extent.length);
      if (end <= from) break;
      const piece = this.#bytes.read(extent.offset + from - extent.address, end - from);
      bank.bytes.set(piece, from - start);
    }
    return bank;
  }
}

/**
 * Memory whose contents are in a file.
 *
 * Reading may throw a `CaptureError`: when the file can no longer be read,
 * there is nothing true to answer.
 *
 * @param ram where memory is: page aligned, apart, and around all extents
 */
export const fileMemory = (
  bytes: ByteSource,
  extents: readonly Extent[],
  ram: readonly RamRange[],
  bounds: FrameBounds = { cached: CACHED_FRAMES, written: MAX_WRITTEN_FRAMES },
): PhysicalMemory => {
  const frames = new FileFrames(bytes, extents, bounds);
  return new PhysicalMemory(
    ram.map(
      ({ base, length }): Region => ({
        firstPfn: Number(base >> 12n),
        endPfn: Number((base + length) >> 12n),
        bankToRead: (pfn) => frames.toRead(pfn),
        bankToWrite: (pfn) => frames.toWrite(pfn),
      }),
    ),
  );
};
