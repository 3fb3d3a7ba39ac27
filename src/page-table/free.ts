import { entryFrame } from "../bits/halves.ts";
import { WORDS_LG2 } from "../memory/bank.ts";
import { classify, EMPTY, TABLE } from "./entry.ts";
import type { PageTable } from "./page-table.ts";

const ENTRY_WORDS = 1 << WORDS_LG2;

/** Whether there is nothing but empty entries and tables with nothing in them below the table in frame `pfn`. */
export const holdsNothing = (table: PageTable, pfn: number, level: number): boolean => {
  for (let word = 0; word < ENTRY_WORDS; word += 2) {
    const { words, firstPfn } = table.memory.bankOf(pfn);
    if (words.length === 0) return false;
    const at = ((pfn - firstPfn) << WORDS_LG2) + word;
    const hi = words[at + 1]!;
    const lo = words[at]!;
    const kind = classify(table.format, level, hi, lo);
    if (kind === EMPTY) continue;
    if (kind !== TABLE || !holdsNothing(table, entryFrame(hi, lo), level - 1)) return false;
  }
  return true;
};

/** Calls `take` for the table in frame `pfn` and every table below it, those below first. */
export const collectTables = (
  table: PageTable,
  pfn: number,
  level: number,
  take: (pfn: number) => void,
): void => {
  for (let word = 0; level > 0 && word < ENTRY_WORDS; word += 2) {
    const { words, firstPfn } = table.memory.bankOf(pfn);
    if (words.length === 0) break;
    const at = ((pfn - firstPfn) << WORDS_LG2) + word;
    const hi = words[at + 1]!;
    const lo = words[at]!;
    if (classify(table.format, level, hi, lo) === TABLE) {
      collectTables(table, entryFrame(hi, lo), level - 1, take);
    }
  }
  take(pfn);
};

/** See `PageTable.free`. */
export const freeTables = (table: PageTable): void => {
  // All are found before the first is freed: its new owner may write into it at once.
  const found: number[] = [];
  collectTables(table, table.rootPfn, table.levels - 1, (pfn) => found.push(pfn));
  for (const pfn of found) table.pages.free(pfn);
};
