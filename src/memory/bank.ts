/**
 * A bank: page frames that lie side by side in one buffer. Whoever reads many
 * words, such as a page-table walker, asks once for the bank of a frame and
 * then reads its words without another call.
 */
export interface Bank {
  /** The frame that `words[0]` begins. */
  readonly firstPfn: number;
  /** How many frames follow, the first included. */
  readonly frames: number;
  /** The frames as little-endian 32-bit words, 1024 to a frame. Shorter than `frames` says once a buffer has been taken away. */
  readonly words: Int32Array;
  /** The same frames as bytes. */
  readonly bytes: Uint8Array;
}

/** 32-bit words to a page frame, as a log2: `(pfn - firstPfn) << WORDS_LG2` is the index of a frame's first word. */
export const WORDS_LG2 = 10;

/** A bank holds at most 4 GiB, so that a word index is always below 2^30. */
export const MAX_BANK_FRAMES: number = 2 ** 20;

/** What the bank of a frame without memory is: no words at all. */
export const NO_BANK: Bank = Object.freeze({
  firstPfn: 0,
  frames: 0,
  words: new Int32Array(0),
  bytes: new Uint8Array(0),
});

/**
 * @param buffer what holds the frames
 * @param byteOffset where in `buffer` the first frame begins; a multiple of 4
 */
export const bankOver = (
  buffer: ArrayBufferLike,
  byteOffset: number,
  firstPfn: number,
  frames: number,
): Bank => ({
  firstPfn,
  frames,
  words: new Int32Array(buffer, byteOffset, frames << WORDS_LG2),
  bytes: new Uint8Array(buffer, byteOffset, frames * 4096),
});
