import { bufferRegion, type ExternalBuffer } from "./buffer-region.ts";
import { PhysicalMemory } from "./physical-memory.ts";
import { sparseRegion } from "./sparse-region.ts";

/**
 * Memory of which only written frames take space.
 *
 * @param ranges where it is: `base` and `length` in bytes, both multiples of
 *   4096, up to 2^52; all of the 52-bit space when absent
 */
export const createSparseMemory = (
  ranges: readonly { readonly base: bigint; readonly length: bigint }[] = [
    { base: 0n, length: 1n << 52n },
  ],
): PhysicalMemory =>
  new PhysicalMemory(
    ranges.map(({ base, length }) => sparseRegion(Number(base >> 12n), Number(length >> 12n))),
  );

/** Memory over buffers that somebody else holds, each at its own place. */
export const createBufferMemory = (...buffers: readonly ExternalBuffer[]): PhysicalMemory =>
  new PhysicalMemory(buffers.map(bufferRegion));
