import { FAR, nearFrame } from "../bits/halves.ts";
import { WORDS_LG2 } from "../memory/bank.ts";
import { traceMapped, traceUnmapped } from "./events.ts";
import { INDEX_LG2 } from "./format.ts";
import type { Gather } from "./gather.ts";
import type { PageTable } from "./page-table.ts";

/*
 * One page whose size is its level's own, the commonest of all mappings, in
 * tables that are there already, as int32 arithmetic. Whatever is out of the
 * ordinary, an error, a missing table or a frame from 2^31 on, is left to the
 * general way, which answers the same.
 */

const SLOT_MASK = (1 << INDEX_LG2) - 1;

/** The level whose entries map `count` frames, or -1. */
const levelOfSize = (count: number): number =>
  count === 1 ? 0 : count === 1 << INDEX_LG2 ? 1 : count === 1 << (2 * INDEX_LG2) ? 2 : -1;

/** The table of `target` level for input frame `vfn`, an int32; -1 when there is no table at some level above. */
const tableOf = (table: PageTable, vfn: number, target: number): number => {
  const { memory, rootPfn } = table;
  const { usedHi, usedLo, tableMask, tableStep } = table.format;
  let level = (table.levels - 1) | 0;
  let tableBits = (table.format.tableValue + level * tableStep) | 0;
  let pfn = rootPfn | 0;
  if (pfn !== rootPfn) return -1;
  let { words, firstPfn, frames } = memory.bankOf(pfn);
  for (; level > target; level = (level - 1) | 0) {
    let frame = pfn - firstPfn;
    if (frame < 0 || frame >= frames) {
      ({ words, firstPfn, frames } = memory.bankOf(pfn));
      frame = pfn - firstPfn;
    }
    const index = level > 3 ? 0 : (vfn >>> (INDEX_LG2 * level)) & SLOT_MASK;
    const word = (frame << WORDS_LG2) | (index << 1);
    if (word >= words.length) return -1;
    const lo = words[word]!;
    const hi = words[word | 1]!;
    if ((lo & tableMask) !== tableBits || ((lo & usedLo) | (hi & usedHi)) === 0) return -1;
    if ((hi & FAR) !== 0) return -1;
    pfn = nearFrame(hi, lo);
    tableBits = (tableBits - tableStep) | 0;
  }
  return pfn;
};

/**
 * Maps the page of `count` frames at frame `vfn` to the one at `pfn`, or returns
 * `false` without having done anything.
 */
export const mapPage = (
  table: PageTable,
  vfn: number,
  pfn: number,
  count: number,
  prot: number,
): boolean => {
  const level = levelOfSize(count);
  if (((table.plainLevels >>> level) & 1) === 0) return false;
  if ((vfn | 0) !== vfn || (pfn | 0) !== pfn) return false;
  if (vfn < 0 || vfn >= table.plainEnd || pfn < 0 || pfn >= table.outputEnd) return false;
  if (((vfn | pfn) & (count - 1)) !== 0 || ((table.admittedProts >>> (prot & 3)) & 1) === 0) {
    return false;
  }
  const tablePfn = tableOf(table, vfn, level);
  if (tablePfn < 0) return false;
  const { words, firstPfn } = table.memory.bankToWrite(tablePfn);
  if (words.length === 0) return false;
  const slot = (vfn >>> (INDEX_LG2 * level)) & SLOT_MASK;
  const word = ((tablePfn - firstPfn) << WORDS_LG2) | (slot << 1);
  const { usedHi, usedLo } = table.format;
  if (((words[word]! & usedLo) | (words[word | 1]! & usedHi)) !== 0) return false;
  const attributes = (level << 2) + (prot & 3);
  words[word | 1] = table.leafHi[attributes]! | (pfn >>> 20);
  words[word] = table.leafLo[attributes]! | (pfn << 12);
  table.memory.wrote(tablePfn, slot << 3, 8);
  table.failure = undefined;
  if (table.trace.enabled) traceMapped(table, vfn, count, pfn, prot);
  return true;
};

/** Unmaps the page of `count` frames at frame `vfn`, or returns `false` without having done anything. */
export const unmapPage = (
  table: PageTable,
  vfn: number,
  count: number,
  gather: Gather,
): boolean => {
  const level = levelOfSize(count);
  if (((table.plainLevels >>> level) & 1) === 0 || (vfn & (count - 1)) !== 0) return false;
  if ((vfn | 0) !== vfn || vfn < 0 || vfn >= table.plainEnd) return false;
  const tablePfn = tableOf(table, vfn, level);
  if (tablePfn < 0) return false;
  const { words, firstPfn } = table.memory.bankToWrite(tablePfn);
  if (words.length === 0) return false;
  const slot = (vfn >>> (INDEX_LG2 * level)) & SLOT_MASK;
  const word = ((tablePfn - firstPfn) << WORDS_LG2) | (slot << 1);
  const { leafMask, leafValue, usedHi, usedLo } = table.format;
  const lo = words[word]!;
  if ((lo & leafMask[level]!) !== leafValue[level]!) return false;
  if (((lo & usedLo) | (words[word | 1]! & usedHi)) === 0) return false;
  words[word] = 0;
  words[word | 1] = 0;
  table.memory.wrote(tablePfn, slot << 3, 8);
  gather.add(vfn, count);
  table.failure = undefined;
  if (table.trace.enabled) traceUnmapped(table, vfn, count);
  return true;
};
