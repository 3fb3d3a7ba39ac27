import type { Random } from "../../test/reference/random.ts";
import { NOWHERE } from "./machine-map.ts";
import type { BookEntry, EntryKind } from "./table-book.ts";
import { dataFrame, type TableBook } from "./table-book.ts";

/** Positions worth flipping, by kind of entry and quadword: reserved bits, present bits, types, widths. */
const POSITIONS: { readonly [K in EntryKind]: readonly (readonly number[])[] } = {
  root: [
    [0, 1, 5, 11],
    [0, 1, 3, 12, 40],
  ],
  context: [
    [0, 1, 2, 3, 4, 5, 8, 9, 11],
    [0, 1, 2, 3, 6, 7, 8, 19, 20, 21, 24, 40, 63],
    [0, 13, 63],
    [1, 30, 62],
  ],
  directory: [[0, 1, 2, 7, 11]],
  pasid: [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    [0, 16, 22, 23, 24, 25, 26, 27, 32, 60],
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 11],
    [0, 40],
    [1],
    [2],
    [63],
    [31],
  ],
  table: [[0, 1, 2, 5, 7, 8, 10, 11, 52, 55, 61, 62, 63]],
  leaf: [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 20, 21, 52, 55, 61, 62, 63]],
  interrupt: [
    [0, 1, 2, 3, 4, 5, 7, 8, 11, 12, 15, 24, 31, 32, 40, 48],
    [0, 3, 8, 15, 16, 17, 18, 19, 20, 40, 63],
  ],
};

/** Positions above any address that the unit has. */
const HIGH = [39, 40, 46, 47, 48, 50, 51];
const ADDRESS = 0xf_ffff_ffff_f000n;

/** Spoils one entry of the book, now and then twice: which fault comes first is worth knowing. */
export const spoilEntry = (random: Random, book: TableBook, entry: BookEntry): void => {
  spoilOnce(random, book, entry);
  if (random.chance(25)) spoilOnce(random, book, entry);
};

/** An entry worth spoiling: there are few of the device's own, and many of its page tables. */
export const pickEntry = (random: Random, { entries }: TableBook): BookEntry => {
  const own = entries.filter(({ what }) => what !== "table" && what !== "leaf");
  return random.pick(random.chance(20) ? own : entries);
};

/** In one of the ways in which software gets entries wrong. */
const spoilOnce = (random: Random, book: TableBook, entry: BookEntry): void => {
  const quadword = random.chance(70) ? 0 : random.below(entry.quadwords);
  const address = entry.address + BigInt(8 * quadword);
  const word = book.get(address);
  const flip = (position: number): bigint => word ^ (1n << BigInt(position));
  const spoilt = random.weighted<() => bigint>([
    [60, () => flip(random.pick(POSITIONS[entry.what][quadword] ?? [0]))],
    [6, () => flip(random.pick(HIGH))],
    [6, () => (word & ~ADDRESS) | NOWHERE],
    [4, () => (word & ~ADDRESS) | dataFrame(random.below(16))],
    [4, () => 0n],
    [4, () => (entry.what === "leaf" ? (word & ~ADDRESS) | 0xfee0_0000n : 0n)],
    [4, () => random.bits64() & ~(ADDRESS & 0xffff_ffffn)],
    // Not present and wrong: which comes first?
    [12, () => (word & ~1n) | (1n << BigInt(random.pick(POSITIONS[entry.what][quadword] ?? [1])))],
    [6, () => flip(random.below(12))],
    [6, () => flip(random.below(64) | 32)],
  ])();
  book.set(address, spoilt);
};
