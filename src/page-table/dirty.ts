import { entryFrame } from "../bits/halves.ts";
import { WORDS_LG2 } from "../memory/bank.ts";
import {
  classify,
  frameDown,
  indexAt,
  LEAF,
  leafLg2,
  POWER_OF_TWO,
  replicasOf,
  TABLE,
} from "./entry.ts";
import type { PageTableErrno } from "./errno.ts";
import { INDEX_LG2 } from "./format.ts";
import type { Gather } from "./gather.ts";
import type { PageTable } from "./page-table.ts";

/** Called with the first input frame of a written page and its size in frames. */
export type DirtyVisitor = (vfn: number, frames: number) => void;

/**
 * A visitor that sets a bit of `bitmap` for each frame: bit 0 of the first byte
 * stands for frame `firstVfn`, frames outside the bitmap are passed over.
 *
 * @param pageLg2 log2 of the frames that one bit stands for
 */
export const markDirty =
  (bitmap: Uint8Array, firstVfn: number, pageLg2 = 0): DirtyVisitor =>
  (vfn, frames) => {
    const page = POWER_OF_TWO[pageLg2]!;
    const first = Math.max(0, Math.floor((vfn - firstVfn) / page));
    const end = Math.min(bitmap.length * 8, Math.ceil((vfn + frames - firstVfn) / page));
    for (let bit = first; bit < end; bit++) bitmap[bit >>> 3]! |= 1 << (bit & 7);
  };

/** See `PageTable.readAndClearDirty`. */
export const visitDirty = (
  table: PageTable,
  vfn: number,
  count: number,
  clear: boolean,
  gather: Gather,
  onDirty: DirtyVisitor,
): PageTableErrno | undefined => {
  if (table.format.dirtyLo === 0) return "EOPNOTSUPP";
  const error = table.rangeError(vfn, count);
  if (error !== undefined) return error;
  const end = table.reaches(vfn + count) ? vfn + count : POWER_OF_TWO[INDEX_LG2 * table.levels]!;
  visitIn(table, table.rootPfn, table.levels - 1, vfn, end, clear, gather, onDirty);
  return undefined;
};

const visitIn = (
  table: PageTable,
  pfn: number,
  level: number,
  vfn: number,
  end: number,
  clear: boolean,
  gather: Gather,
  onDirty: DirtyVisitor,
): void => {
  const itemLg2 = INDEX_LG2 * level;
  for (let at = vfn; at < end; ) {
    const { words, firstPfn } = table.memory.bankOf(pfn);
    if (words.length === 0) return;
    const word = ((pfn - firstPfn) << WORDS_LG2) + (indexAt(at, level) << 1);
    const hi = words[word + 1]!;
    const lo = words[word]!;
    const kind = classify(table.format, level, hi, lo);
    const lg2 = kind === LEAF ? leafLg2(table.format, level, hi, lo) : itemLg2;
    const base = frameDown(at, lg2);
    const next = base + POWER_OF_TWO[lg2]!;
    if (kind === TABLE) {
      visitIn(
        table,
        entryFrame(hi, lo),
        level - 1,
        at,
        Math.min(next, end),
        clear,
        gather,
        onDirty,
      );
    } else if (
      kind === LEAF &&
      takeDirty(table, pfn, indexAt(base, level), replicasOf(level, lg2), clear)
    ) {
      onDirty(base, POWER_OF_TWO[lg2]!);
      if (clear) gather.add(base, POWER_OF_TWO[lg2]!);
    }
    at = next;
  }
};

/** Whether any of the entries that make up a page is dirty; hardware marks one of them, whichever it used. */
const takeDirty = (
  table: PageTable,
  pfn: number,
  index: number,
  count: number,
  clear: boolean,
): boolean => {
  const { memory } = table;
  const bit = table.format.dirtyLo;
  const { words, firstPfn } = clear ? memory.bankToWrite(pfn) : memory.bankOf(pfn);
  const start = ((pfn - firstPfn) << WORDS_LG2) + (index << 1);
  const end = start + (count << 1);
  let dirty = 0;
  for (let word = start; word < end; word += 2) dirty |= words[word]! & bit;
  if (dirty === 0) return false;
  if (clear) {
    // Hardware in another thread may set accessed or dirty at the same moment.
    for (let word = start; word < end; word += 2) Atomics.and(words, word, ~bit);
    memory.wrote(pfn, index << 3, count << 3);
  }
  return true;
};
