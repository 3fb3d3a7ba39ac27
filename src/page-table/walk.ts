import { entryFrame, frameAddress, fromHalves } from "../bits/halves.ts";
import { WORDS_LG2 } from "../memory/bank.ts";
import {
  classify,
  EMPTY,
  frameDown,
  INVALID,
  indexAt,
  indexIn,
  LEAF,
  leafFrame,
  leafLg2,
  POWER_OF_TWO,
  upperBits,
} from "./entry.ts";
import { INDEX_LG2, PROT_READ, PROT_USER, PROT_WRITE } from "./format.ts";
import type { PageTable } from "./page-table.ts";

const EVERYTHING = PROT_READ | PROT_WRITE | PROT_USER;

/** What every item of a walk tells: where an entry is and what it says. */
interface ItemPlace {
  /** The level of the table that has the entry; 0 is the table of the smallest pages. */
  readonly level: number;
  /** The first input address that the entry, or the page it belongs to, translates. */
  readonly iova: bigint;
  /** How many bytes of the input space that is. */
  readonly size: bigint;
  /** What the entry and all those above it allow. */
  readonly prot: number;
  /** The entry's 64 bits. */
  readonly entry: bigint;
  /** Where in memory the entry is. */
  readonly entryAddress: bigint;
}

/** A page. Where several entries repeat it, the one that was found first. */
export interface TableLeaf extends ItemPlace {
  readonly kind: "leaf";
  /** The output address: of the page's first byte; from `walk`, of the byte asked for. */
  readonly pa: bigint;
}

/** An entry that points at a table. */
export interface TablePointer extends ItemPlace {
  readonly kind: "table";
  /** The table's address. */
  readonly table: bigint;
}

/** A used entry that can be neither leaf nor table where it is. */
export interface InvalidEntry extends ItemPlace {
  readonly kind: "invalid";
}

/** A table that lies outside memory. */
export interface TableOutside {
  readonly kind: "outside";
  /** The level of the table. */
  readonly level: number;
  readonly iova: bigint;
  readonly size: bigint;
  readonly table: bigint;
}

/** What `PageTable.entries` finds. */
export type TableItem = TableLeaf | TablePointer | InvalidEntry | TableOutside;

/** See `PageTable.lookUpFrame`. */
export const lookUpFrame = (table: PageTable, vfn: number): number => {
  if (table.rangeError(vfn, 1) !== undefined || !table.reaches(vfn + 1)) return -1;
  const { format, memory } = table;
  const { usedHi, usedLo, tableMask, tableValue, tableStep } = format;
  const upper = upperBits(vfn);
  const low = vfn | 0;
  let pfn = table.rootPfn;
  for (let level = table.levels - 1; level >= 0; level--) {
    const { words, firstPfn } = memory.bankOf(pfn);
    if (words.length === 0) return -1;
    const word = ((pfn - firstPfn) << WORDS_LG2) + (indexIn(level, upper, low) << 1);
    const lo = words[word]!;
    const hi = words[word + 1]!;
    if (((lo & usedLo) | (hi & usedHi)) === 0) return -1;
    if (level > 0 && (lo & tableMask) === tableValue + level * tableStep) {
      pfn = entryFrame(hi, lo);
      continue;
    }
    if (classify(format, level, hi, lo) !== LEAF) return -1;
    const lg2 = leafLg2(format, level, hi, lo);
    return lg2 === 0 ? entryFrame(hi, lo) : leafFrame(hi, lo, lg2) + (vfn - frameDown(vfn, lg2));
  }
  return -1;
};

/** See `PageTable.walk`. */
export const walk = (table: PageTable, iova: bigint): TableLeaf | undefined => {
  const vfn = Number(iova >> 12n);
  if (table.rangeError(vfn, 1) !== undefined || !table.reaches(vfn + 1)) return undefined;
  for (const item of visit(table, vfn, vfn)) {
    if (item.kind === "leaf") return { ...item, pa: item.pa + (iova - item.iova) };
  }
  return undefined;
};

/**
 * Every used entry for the input frames from `firstVfn` to `lastVfn`, both
 * inclusive and in one half of a sign-extended space. What an entry without any
 * permission points at is not visited, nor such a leaf: nothing gets there.
 */
export function* visit(
  table: PageTable,
  firstVfn: number,
  lastVfn: number,
): Generator<TableItem, void, undefined> {
  const { format, memory } = table;
  const top = table.levels - 1;
  const tables = new Array<number>(table.levels).fill(table.rootPfn);
  const allowed = new Array<number>(table.levels).fill(EVERYTHING);
  let level = top;
  for (let at = firstVfn; at <= lastVfn; ) {
    const pfn = tables[level]!;
    const { words, firstPfn } = memory.bankOf(pfn);
    const index = indexAt(at, level);
    const word = ((pfn - firstPfn) << WORDS_LG2) + (index << 1);
    const outside = words.length === 0;
    const hi = outside ? 0 : words[word + 1]!;
    const lo = outside ? 0 : words[word]!;
    const kind = classify(format, level, hi, lo);
    // A table that is not there is passed over as a whole.
    let lg2 = Math.min(INDEX_LG2 * (outside ? level + 1 : level), 52);
    if (kind === LEAF) lg2 = leafLg2(format, level, hi, lo);
    const base = frameDown(at, lg2);
    const next = base + POWER_OF_TWO[lg2]!;
    if (outside || kind !== EMPTY) {
      const place = { level, iova: frameAddress(base), size: frameAddress(next - base) };
      const prot = allowed[level]! & format.permissions(hi, lo);
      const reachable = (prot & (PROT_READ | PROT_WRITE)) !== 0;
      const entry = {
        prot,
        entry: fromHalves(hi, lo),
        entryAddress: frameAddress(pfn) + BigInt(index << 3),
      };
      if (outside) yield { kind: "outside", ...place, table: frameAddress(pfn) };
      else if (kind === INVALID) yield { kind: "invalid", ...place, ...entry };
      else if (reachable && kind === LEAF) {
        yield { kind: "leaf", ...place, ...entry, pa: frameAddress(leafFrame(hi, lo, lg2)) };
      } else if (reachable) {
        const child = entryFrame(hi, lo);
        yield { kind: "table", ...place, ...entry, table: frameAddress(child) };
        level -= 1;
        tables[level] = child;
        allowed[level] = prot;
        continue;
      }
    }
    at = next;
    while (level < top && indexAt(at, level) === 0) level += 1;
  }
}
