import { entryFrame } from "../bits/halves.ts";
import { WORDS_LG2 } from "../memory/bank.ts";
import {
  classify,
  EMPTY,
  frameDown,
  indexAt,
  indexIn,
  LEAF,
  leafLg2,
  POWER_OF_TWO,
  replicasOf,
  TABLE,
  upperBits,
} from "./entry.ts";
import { traceUnmapped } from "./events.ts";
import { clearEntries } from "./fill.ts";
import { INDEX_LG2, type PageTableFormat } from "./format.ts";
import type { Gather } from "./gather.ts";
import type { PageTable } from "./page-table.ts";
import { unmapPage } from "./single-page.ts";

/** See `PageTable.unmapFrames`. */
export const unmapFrames = (
  table: PageTable,
  vfn: number,
  count: number,
  gather: Gather,
): number => {
  if (unmapPage(table, vfn, count, gather)) return count;
  table.failure = table.rangeError(vfn, count);
  if (table.failure === undefined && !table.reaches(vfn + count)) table.failure = "ERANGE";
  if (table.failure !== undefined) return 0;
  const done = unmapFrom(table, vfn, count, gather) - vfn;
  if (done > 0) {
    gather.add(vfn, done);
    if (table.trace.enabled) traceUnmapped(table, vfn, done);
  }
  return done;
};

/**
 * Goes straight down to the first table of which the range touches more than one
 * entry: no table above it can become empty.
 *
 * @returns the frame that follows the last one unmapped
 */
const unmapFrom = (table: PageTable, vfn: number, count: number, gather: Gather): number => {
  const { memory } = table;
  const { usedHi, usedLo, tableMask, tableValue, tableStep } = table.format;
  const upper = upperBits(vfn);
  const low = vfn | 0;
  let pfn = table.rootPfn;
  let level = table.levels - 1;
  for (; level > 0; level--) {
    const size = POWER_OF_TWO[INDEX_LG2 * level]!;
    if (count >= size || vfn - frameDown(vfn, INDEX_LG2 * level) + count > size) break;
    const { words, firstPfn } = memory.bankOf(pfn);
    if (words.length === 0) return stop(table, "EFAULT", vfn);
    const word = ((pfn - firstPfn) << WORDS_LG2) + (indexIn(level, upper, low) << 1);
    const lo = words[word]!;
    const hi = words[word + 1]!;
    if (((lo & usedLo) | (hi & usedHi)) === 0) return stop(table, "ENOENT", vfn);
    if ((lo & tableMask) !== tableValue + level * tableStep) break;
    pfn = entryFrame(hi, lo);
  }
  if (level === 0) return clearLeaves(table, pfn, 0, vfn, vfn + count);
  return unmapIn(table, pfn, level, vfn, vfn + count, gather);
};

/**
 * Unmaps the frames from `vfn` to `end` that the table in frame `pfn`, of
 * `level`, has the entries for. A table below whose whole range goes is taken
 * out of the tree, but only once all its entries are clear.
 *
 * @returns the frame that follows the last one unmapped
 */
const unmapIn = (
  table: PageTable,
  pfn: number,
  level: number,
  vfn: number,
  end: number,
  gather: Gather,
): number => {
  const itemLg2 = INDEX_LG2 * level;
  let at = vfn;
  while (at < end) {
    if (level === 0) return clearLeaves(table, pfn, level, at, end);
    const { words, firstPfn } = table.memory.bankOf(pfn);
    if (words.length === 0) return stop(table, "EFAULT", at);
    const index = indexAt(at, level);
    const word = ((pfn - firstPfn) << WORDS_LG2) + (index << 1);
    const hi = words[word + 1]!;
    const lo = words[word]!;
    const kind = classify(table.format, level, hi, lo);
    if (kind === TABLE) {
      const base = frameDown(at, itemLg2);
      const itemEnd = base + POWER_OF_TWO[itemLg2]!;
      const child = entryFrame(hi, lo);
      const next = unmapIn(table, child, level - 1, at, itemEnd < end ? itemEnd : end, gather);
      if (table.failure !== undefined) return next;
      if (at === base && itemEnd <= end) {
        table.writeEntry(pfn, index, 0, 0);
        gather.addTable(child);
      }
      at = next;
    } else if (kind === LEAF) {
      at = clearLeaves(table, pfn, level, at, end);
      if (table.failure !== undefined) return at;
    } else {
      return stop(table, kind === EMPTY ? "ENOENT" : "EINVAL", at);
    }
  }
  return at;
};

const stop = (table: PageTable, errno: "ENOENT" | "EINVAL" | "EFAULT", at: number): number => {
  table.failure = errno;
  return at;
};

/**
 * Clears the leaves that follow each other in one table from frame `vfn` on, up
 * to `end`, and stops without a failure at an entry that is a table.
 */
const clearLeaves = (
  table: PageTable,
  pfn: number,
  level: number,
  vfn: number,
  end: number,
): number => {
  const { format, memory } = table;
  const { words, firstPfn } = memory.bankToWrite(pfn);
  if (words.length === 0) return stop(table, "EFAULT", vfn);
  const index = indexAt(vfn, level);
  const itemLg2 = INDEX_LG2 * level;
  const first = ((pfn - firstPfn) << WORDS_LG2) + (index << 1);
  const size = POWER_OF_TWO[itemLg2]!;
  const wanted = Math.min((1 << INDEX_LG2) - index, Math.ceil((end - vfn) / size));
  // A page of one entry begins where its entry does; one of several is looked at below.
  if (frameDown(vfn, itemLg2) !== vfn) return stop(table, "EINVAL", vfn);
  let entries = leavesIn(words, first, wanted, format, level);
  while (entries < wanted) {
    const word = first + (entries << 1);
    const step = entriesOfLeaf(table, level, words[word + 1]!, words[word]!, index + entries);
    if (step === 0) break;
    entries += step;
  }
  if (entries > 0) {
    clearEntries(words, first, entries);
    memory.wrote(pfn, index << 3, entries << 3);
  }
  return vfn + entries * size;
};

/** How many of `count` entries from word `first` are leaves of one entry each, before the first that is not or may not be. */
const leavesIn = (
  words: Int32Array,
  first: number,
  count: number,
  format: PageTableFormat,
  level: number,
): number => {
  const { usedLo } = format;
  const mask = format.leafMask[level]!;
  const value = format.leafValue[level]!;
  let word = first;
  const fours = first + ((count & ~3) << 1);
  for (; word < fours; word += 8) {
    const a = words[word]!;
    const b = words[word + 2]!;
    const c = words[word + 4]!;
    const d = words[word + 6]!;
    // A bit that all four have is a bit of each.
    if ((((a ^ value) | (b ^ value) | (c ^ value) | (d ^ value)) & mask) !== 0) break;
    if ((a & b & c & d & usedLo) === 0) break;
  }
  return (word - first) >> 1;
};

/**
 * How many entries the leaf takes that begins at entry `index`: 0 for a table,
 * and with a failure set where no leaf begins.
 */
const entriesOfLeaf = (
  table: PageTable,
  level: number,
  hi: number,
  lo: number,
  index: number,
): number => {
  const kind = classify(table.format, level, hi, lo);
  if (kind === LEAF) {
    const entries = replicasOf(level, leafLg2(table.format, level, hi, lo));
    if ((index & (entries - 1)) === 0) return entries;
  }
  if (kind !== TABLE) table.failure = kind === EMPTY ? "ENOENT" : "EINVAL";
  return 0;
};
