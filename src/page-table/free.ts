import { entryFrame } from "../bits/halves.ts";
import { WORDS_LG2 } from "../memory/bank.ts";
import { classify, EMPTY, TABLE } from "./entry.ts";
import type { PageTable } from "./page-table.ts";

const ENTRY_WORDS = 1 << WORDS_LG2;
const MAX_LEVELS = 8;

/**
 * Whether there is nothing but empty entries and tables with nothing in them
 * below the table in frame `pfn`.
 *
 * @param seen tables that are being looked at or have been, by frame and level:
 *   tables that point at each other do not make it endless
 */
export const holdsNothing = (
  table: PageTable,
  pfn: number,
  level: number,
  seen: Set<number> = new Set(),
): boolean => {
  const key = pfn * MAX_LEVELS + level;
  if (seen.has(key)) return true;
  seen.add(key);
  for (let word = 0; word < ENTRY_WORDS; word += 2) {
    const { words, firstPfn } = table.memory.bankOf(pfn);
    if (words.length === 0) return false;
    const at = ((pfn - firstPfn) << WORDS_LG2) + word;
    const hi = words[at + 1]!;
    const lo = words[at]!;
    const kind = classify(table.format, level, hi, lo);
    if (kind === EMPTY) continue;
    if (kind !== TABLE) return false;
    if (!holdsNothing(table, entryFrame(hi, lo), level - 1, seen)) return false;
  }
  return true;
};

/** Adds the table in frame `pfn` and every table below it to `found`; what lies outside memory is no table. */
export const collectTables = (
  table: PageTable,
  pfn: number,
  level: number,
  found: Set<number>,
): void => {
  if (found.has(pfn) || table.memory.bankOf(pfn).words.length === 0) return;
  found.add(pfn);
  for (let word = 0; level > 0 && word < ENTRY_WORDS; word += 2) {
    const { words, firstPfn } = table.memory.bankOf(pfn);
    const at = ((pfn - firstPfn) << WORDS_LG2) + word;
    const hi = words[at + 1]!;
    const lo = words[at]!;
    if (classify(table.format, level, hi, lo) === TABLE) {
      collectTables(table, entryFrame(hi, lo), level - 1, found);
    }
  }
};

/** See `PageTable.free`. */
export const freeTables = (table: PageTable): void => {
  // All are found before the first is freed: its new owner may write into it at once.
  const found = new Set<number>();
  collectTables(table, table.rootPfn, table.levels - 1, found);
  for (const pfn of found) table.pages.free(pfn);
};
