import { INDEX_LG2 } from "./format.ts";

/**
 * Writes leaves into consecutive entries as long as they are empty.
 *
 * Four entries are tested and written at a time: one test for four costs a
 * quarter, and the address of each comes from that of the first by addition. The
 * carry from one half of the address into the other is dealt with outside the
 * loop, since it comes at most once in a table of 4K or 2M pages.
 *
 * @param words a bank's words
 * @param at the first entry's word index
 * @param count how many entries
 * @param hi bits 63:32 of the first entry, `lo` bits 31:0, address and attributes
 * @param level the table's; each entry's address is 2^(12 + 9 level) above the one before
 * @param usedHi bits of which one is set in a used entry, together with `usedLo`
 * @returns how many were written; the next one is used when that is less than `count`
 */
export const fillEmpty = (
  words: Int32Array,
  at: number,
  count: number,
  hi: number,
  lo: number,
  level: number,
  usedHi: number,
  usedLo: number,
): number => {
  // Steps of 4 GiB and more (levels 3 and 4) leave the low half alone.
  const stepLo = level < 3 ? 4096 << (INDEX_LG2 * level) : 0;
  const stepHi = level < 3 ? 0 : 1 << (INDEX_LG2 * level - 20);
  let done = 0;
  while (done < count) {
    const toCarry = stepLo === 0 ? 1 : Math.ceil((0x1_0000_0000 - (lo >>> 0)) / stepLo);
    const stop = count - done < toCarry ? count : done + toCarry;
    const filled = fillWithoutCarry(
      words,
      at + (done << 1),
      stop - done,
      hi,
      lo,
      stepLo,
      usedHi,
      usedLo,
    );
    if (filled < stop - done) return done + filled;
    lo = (lo + Math.imul(filled, stepLo)) | 0;
    hi = stepLo === 0 ? hi + stepHi : hi + 1;
    done = stop;
  }
  return done;
};

const fillWithoutCarry = (
  words: Int32Array,
  start: number,
  count: number,
  hi: number,
  first: number,
  step: number,
  usedHi: number,
  usedLo: number,
): number => {
  let at = start;
  let lo = first;
  const fours = start + ((count & ~3) << 1);
  // `| 0`: an index is an int32, so that the compiler need not look for an overflow.
  for (; at < fours; at = (at + 8) | 0) {
    const b = (at + 2) | 0;
    const c = (at + 4) | 0;
    const d = (at + 6) | 0;
    let used = (words[at]! | words[b]! | words[c]! | words[d]!) & usedLo;
    if (usedHi !== 0) {
      const low = words[(at + 1) | 0]! | words[(at + 3) | 0]!;
      used |= (low | words[(at + 5) | 0]! | words[(at + 7) | 0]!) & usedHi;
    }
    if (used !== 0) break;
    words[(at + 1) | 0] = hi;
    words[at] = lo;
    words[(at + 3) | 0] = hi;
    words[b] = (lo + step) | 0;
    words[(at + 5) | 0] = hi;
    words[c] = (lo + 2 * step) | 0;
    words[(at + 7) | 0] = hi;
    words[d] = (lo + 3 * step) | 0;
    lo = (lo + 4 * step) | 0;
  }
  const end = start + (count << 1);
  for (; at < end; at += 2) {
    if (((words[at]! & usedLo) | (words[at + 1]! & usedHi)) !== 0) break;
    words[at + 1] = hi;
    words[at] = lo;
    lo = (lo + step) | 0;
  }
  return (at - start) >> 1;
};

/** Whether `count` entries from word `start` are all empty. */
export const allEmpty = (
  words: Int32Array,
  start: number,
  count: number,
  usedHi: number,
  usedLo: number,
): boolean => {
  let los = 0;
  let his = 0;
  const end = start + (count << 1);
  for (let at = start; at < end; at += 2) {
    los |= words[at]!;
    his |= words[at + 1]!;
  }
  return ((los & usedLo) | (his & usedHi)) === 0;
};

/** Writes the same entry `count` times from word `start`; `count` is a power of two above 1. */
export const fillCopies = (
  words: Int32Array,
  start: number,
  count: number,
  hi: number,
  lo: number,
): void => {
  const end = start + (count << 1);
  for (let at = start; at < end; at += 4) {
    words[at + 1] = hi;
    words[at] = lo;
    words[at + 3] = hi;
    words[at + 2] = lo;
  }
};

/** Below this many entries a loop is faster than the call of a built-in function. */
const FEW = 16;

/** Makes `count` entries from word `start` empty. */
export const clearEntries = (words: Int32Array, start: number, count: number): void => {
  const end = start + (count << 1);
  if (count > FEW) words.fill(0, start, end);
  else for (let at = start; at < end; at++) words[at] = 0;
};
