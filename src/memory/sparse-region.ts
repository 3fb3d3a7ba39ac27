import { type Bank, bankOver, WORDS_LG2 } from "./bank.ts";
import type { Region } from "./region.ts";

/** Frames of a chunk, as a log2: 2 MiB, few enough to be cheap and many enough to keep the directory small. */
const CHUNK_LG2 = 9;
const CHUNK_FRAMES = 1 << CHUNK_LG2;

/** Chunks found by index in an array, the first 128 GiB of a region; beyond them a map serves. */
const DENSE_CHUNKS = 1 << 16;

const ZEROS = new ArrayBuffer(4096);

/**
 * Memory of which only what has been written takes space. A frame that was
 * never written reads as zeros and costs nothing, wherever it is.
 *
 * @param firstPfn the first frame
 * @param frames how many; the whole space of 2^40 frames is as cheap as one
 */
export const sparseRegion = (firstPfn: number, frames: number): Region => {
  const endPfn = firstPfn + frames;
  const firstChunk = Math.floor(firstPfn / CHUNK_FRAMES);
  const dense: (Bank | undefined)[] = [];
  const far = new Map<number, Bank>();
  // One frame of zeros stands for every frame that was never written: no read allocates.
  const zero = {
    firstPfn: 0,
    frames: 1,
    words: new Int32Array(ZEROS),
    bytes: new Uint8Array(ZEROS),
  };
  const chunkOf = (pfn: number): Bank | undefined => {
    const chunk = Math.floor(pfn / CHUNK_FRAMES) - firstChunk;
    return chunk < DENSE_CHUNKS ? dense[chunk] : far.get(chunk);
  };
  const allocate = (pfn: number): Bank => {
    const chunk = Math.floor(pfn / CHUNK_FRAMES);
    const first = Math.max(chunk * CHUNK_FRAMES, firstPfn);
    const end = Math.min((chunk + 1) * CHUNK_FRAMES, endPfn);
    const bank = bankOver(new ArrayBuffer((end - first) << (WORDS_LG2 + 2)), 0, first, end - first);
    if (chunk - firstChunk >= DENSE_CHUNKS) far.set(chunk - firstChunk, bank);
    else {
      while (dense.length <= chunk - firstChunk) dense.push(undefined);
      dense[chunk - firstChunk] = bank;
    }
    return bank;
  };
  return {
    firstPfn,
    endPfn,
    bankToRead(pfn) {
      const bank = chunkOf(pfn);
      if (bank !== undefined) return bank;
      zero.firstPfn = pfn;
      return zero;
    },
    bankToWrite: (pfn) => chunkOf(pfn) ?? allocate(pfn),
  };
};
