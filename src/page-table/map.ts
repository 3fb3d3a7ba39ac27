import { entryFrame, frameHigh, frameLow } from "../bits/halves.ts";
import { WORDS_LG2 } from "../memory/bank.ts";
import {
  classify,
  EMPTY,
  frameDown,
  indexAt,
  indexIn,
  POWER_OF_TWO,
  replicasOf,
  TABLE,
  upperBits,
} from "./entry.ts";
import { traceMapped } from "./events.ts";
import { allEmpty, fillCopies, fillEmpty } from "./fill.ts";
import { INDEX_LG2 } from "./format.ts";
import { collectTables, holdsNothing } from "./free.ts";
import type { Gather } from "./gather.ts";
import type { PageTable } from "./page-table.ts";
import { mapPage } from "./single-page.ts";

/** See `PageTable.mapFrames`. */
export const mapFrames = (
  table: PageTable,
  vfn: number,
  pfn: number,
  count: number,
  prot: number,
  gather: Gather,
): number => {
  if (mapPage(table, vfn, pfn, count, prot)) return count;
  if (!admits(table, vfn, pfn, count, prot)) return 0;
  let done = 0;
  while (done < count && table.failure === undefined) {
    const lg2 = bestPageLg2(table, vfn + done, pfn + done, count - done);
    const pages = pagesOf(table, lg2, vfn + done, pfn + done, count - done);
    done += mapPages(table, vfn + done, pfn + done, lg2, pages, prot, gather);
  }
  if (table.trace.enabled && done > 0) traceMapped(table, vfn, done, pfn, prot);
  return done;
};

/** Whether the range can be mapped at all, with new top levels where it needs them; else sets `failure`. */
const admits = (
  table: PageTable,
  vfn: number,
  pfn: number,
  count: number,
  prot: number,
): boolean => {
  if (((table.admittedProts >>> (prot & 3)) & 1) === 0) {
    table.failure = "EINVAL";
    return false;
  }
  table.failure = table.rangeError(vfn, count);
  if (table.failure !== undefined) return false;
  if (!table.holdsOutput(pfn, count)) table.failure = "ERANGE";
  else if (!table.reaches(vfn + count) && !table.growTo(vfn + count)) table.failure ??= "ENOMEM";
  else if (table.smallestLg2 > 0 && alignmentLg2(vfn, pfn, count) < table.smallestLg2)
    table.failure = "ENXIO";
  return table.failure === undefined;
};

/** The index of the lowest bit set in any of three counts of frames; 52 when all are 0. */
const alignmentLg2 = (a: number, b: number, c: number): number => {
  const low = a | b | c;
  if (low !== 0) return 31 - Math.clz32(low & -low);
  // Each is a multiple of 2^32, so that the quotients are exact.
  const high = (a / 0x1_0000_0000) | (b / 0x1_0000_0000) | (c / 0x1_0000_0000);
  return high === 0 ? 52 : 63 - Math.clz32(high & -high);
};

/** The index of the highest bit set in `count`, which is at least 1. */
const floorLg2OfCount = (count: number): number =>
  count < 0x8000_0000 ? 31 - Math.clz32(count) : 62 - Math.clz32(Math.floor(count / 0x8000_0000));

/** log2 of the frames of the largest allowed page that both addresses are aligned to and that is in `count`. */
const bestPageLg2 = (table: PageTable, vfn: number, pfn: number, count: number): number => {
  if (count === 1) return table.bestLg2[0]!;
  const alignment = alignmentLg2(vfn, pfn, 0);
  const limit = floorLg2OfCount(count);
  return table.bestLg2[alignment < limit ? alignment : limit]!;
};

/** How many pages of 2^`lg2` frames come before a larger one can be used, or end the range. */
const pagesOf = (
  table: PageTable,
  lg2: number,
  vfn: number,
  pfn: number,
  count: number,
): number => {
  if (count === 1) return 1;
  const size = POWER_OF_TWO[lg2]!;
  const next = table.nextLg2[lg2]!;
  if (next >= 0) {
    const toBoundary = POWER_OF_TWO[next]! - (vfn - frameDown(vfn, next));
    const together = vfn - frameDown(vfn, next) === pfn - frameDown(pfn, next);
    if (together && toBoundary + POWER_OF_TWO[next]! <= count) return toBoundary / size;
  }
  return Math.floor(count / size);
};

/** Maps `pages` pages of 2^`lg2` frames, one table after another; returns the frames mapped. */
const mapPages = (
  table: PageTable,
  vfn: number,
  pfn: number,
  lg2: number,
  pages: number,
  prot: number,
  gather: Gather,
): number => {
  const level = (lg2 / INDEX_LG2) | 0;
  const replicas = replicasOf(level, lg2);
  const size = POWER_OF_TWO[lg2]!;
  let done = 0;
  while (done < pages) {
    const at = vfn + done * size;
    const leafTable = tableFor(table, at, level);
    if (leafTable < 0) break;
    const index = indexAt(at, level);
    const room = ((1 << INDEX_LG2) - index) / replicas;
    const wanted = pages - done < room ? pages - done : room;
    const written =
      replicas === 1
        ? writeLeaves(table, leafTable, index, level, pfn + done * size, wanted, prot, at, gather)
        : writeReplicated(
            table,
            leafTable,
            index,
            level,
            lg2,
            pfn + done * size,
            wanted,
            prot,
            at,
            gather,
          );
    done += written;
    if (written < wanted) break;
  }
  return done * size;
};

/** The frame of the table of `level` for input frame `vfn`, made where there is none; -1 with `failure` set. */
const tableFor = (table: PageTable, vfn: number, level: number): number => {
  const { memory } = table;
  const { usedHi, usedLo, tableMask, tableValue, tableStep } = table.format;
  const upper = upperBits(vfn);
  const low = vfn | 0;
  let pfn = table.rootPfn;
  for (let at = table.levels - 1; at > level; at--) {
    const { words, firstPfn } = memory.bankOf(pfn);
    if (words.length === 0) return refuse(table, "EFAULT");
    const index = indexIn(at, upper, low);
    const word = ((pfn - firstPfn) << WORDS_LG2) + (index << 1);
    const lo = words[word]!;
    const hi = words[word + 1]!;
    if (((lo & usedLo) | (hi & usedHi)) === 0) {
      const child = table.allocateTable();
      if (child < 0) return -1;
      table.writeTableEntry(pfn, index, at, child);
      pfn = child;
    } else if ((lo & tableMask) === tableValue + at * tableStep) pfn = entryFrame(hi, lo);
    else return refuse(table, "EADDRINUSE");
  }
  return pfn;
};

const refuse = (table: PageTable, errno: "EADDRINUSE" | "EFAULT"): number => {
  table.failure = errno;
  return -1;
};

/** Writes leaves of one entry each; returns how many, less than `count` with `failure` set. */
const writeLeaves = (
  table: PageTable,
  tablePfn: number,
  index: number,
  level: number,
  pfn: number,
  count: number,
  prot: number,
  vfn: number,
  gather: Gather,
): number => {
  const { format, memory } = table;
  const { words, firstPfn } = memory.bankToWrite(tablePfn);
  if (words.length === 0) {
    table.failure = "EFAULT";
    return 0;
  }
  const attributes = level * 4 + (prot & 3);
  const hi = table.leafHi[attributes]!;
  const lo = table.leafLo[attributes]!;
  const step = POWER_OF_TWO[INDEX_LG2 * level]!;
  const start = ((tablePfn - firstPfn) << WORDS_LG2) + (index << 1);
  let done = 0;
  for (;;) {
    const first = pfn + done * step;
    done += fillEmpty(
      words,
      start + (done << 1),
      count - done,
      hi | frameHigh(first),
      lo | frameLow(first),
      level,
      format.usedHi,
      format.usedLo,
    );
    if (done === count) break;
    // The slot is used. Only tables with nothing in them give way.
    if (!replaceTables(table, tablePfn, index + done, level, 1, vfn + done * step, gather)) break;
    words[start + (done << 1)] = 0;
    words[start + (done << 1) + 1] = 0;
  }
  if (done > 0) memory.wrote(tablePfn, index << 3, done << 3);
  return done;
};

/** Writes pages that take several entries each; returns how many pages, less than `count` with `failure` set. */
const writeReplicated = (
  table: PageTable,
  tablePfn: number,
  index: number,
  level: number,
  lg2: number,
  pfn: number,
  count: number,
  prot: number,
  vfn: number,
  gather: Gather,
): number => {
  const { format, memory } = table;
  const { words, firstPfn } = memory.bankToWrite(tablePfn);
  if (words.length === 0) {
    table.failure = "EFAULT";
    return 0;
  }
  const replicas = replicasOf(level, lg2);
  const size = POWER_OF_TWO[lg2]!;
  const encoded = format.encodedSizeFrames(lg2 + 12);
  const attributes = level * 4 + (prot & 3);
  const start = ((tablePfn - firstPfn) << WORDS_LG2) + (index << 1);
  let done = 0;
  for (; done < count; done++) {
    const slot = index + done * replicas;
    if (!replaceTables(table, tablePfn, slot, level, replicas, vfn + done * size, gather)) break;
    const coded = pfn + done * size + encoded;
    const hi = table.leafHi[attributes]! | frameHigh(coded);
    const lo = table.leafLo[attributes]! | frameLow(coded) | format.encodedSizeLo;
    fillCopies(words, start + ((done * replicas) << 1), replicas, hi, lo);
  }
  if (done > 0) memory.wrote(tablePfn, index << 3, (done * replicas) << 3);
  return done;
};

/**
 * Whether leaves may be written to `count` entries from `index`: each is empty
 * or a table with no leaf below it. Such tables go into the gather, since
 * hardware may have cached them, but only when all the entries are free.
 */
const replaceTables = (
  table: PageTable,
  tablePfn: number,
  index: number,
  level: number,
  count: number,
  vfn: number,
  gather: Gather,
): boolean => {
  const { words, firstPfn } = table.memory.bankOf(tablePfn);
  const start = ((tablePfn - firstPfn) << WORDS_LG2) + (index << 1);
  if (allEmpty(words, start, count, table.format.usedHi, table.format.usedLo)) return true;
  const tables = new Set<number>();
  for (let word = start; word < start + (count << 1); word += 2) {
    const hi = words[word + 1]!;
    const lo = words[word]!;
    const kind = classify(table.format, level, hi, lo);
    if (kind === EMPTY) continue;
    if (kind !== TABLE || !holdsNothing(table, entryFrame(hi, lo), level - 1)) {
      table.failure = "EADDRINUSE";
      return false;
    }
    collectTables(table, entryFrame(hi, lo), level - 1, tables);
  }
  for (const pfn of tables) gather.addTable(pfn);
  gather.add(vfn, count * POWER_OF_TWO[INDEX_LG2 * level]!);
  return true;
};
