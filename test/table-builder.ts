import type { PhysicalMemory } from "../src/memory/index.ts";

/**
 * Page tables for tests, built and walked entry by entry with `bigint`
 * arithmetic. Nothing here comes from `src/page-table`: what both agree on is
 * not one's mistake in the other's eyes.
 */
export type TableKind = "x86-64" | "vtd-second-stage" | "amd-v1";

/** A page to build. */
export interface BuiltPage {
  readonly iova: bigint;
  readonly pa: bigint;
  /** In bytes; a power of two. */
  readonly size: bigint;
  /** `rw`, `r-`, `-w`, and for x86-64 `u` after it. */
  readonly perms: string;
}

/** Where the tables go. */
export interface TableSpace {
  readonly memory: PhysicalMemory;
  /** The address of a page full of zeros. */
  readonly allocate: () => bigint;
}

const ADDRESS = 0x000f_ffff_ffff_f000n;
const PAGE_SIZE_BIT = 0x80n;

const log2 = (value: bigint): number => value.toString(2).length - 1;

/** The level whose entries are no larger than the page. */
const levelOf = (size: bigint): number => Math.floor((log2(size) - 12) / 9);

const slotOf = (table: bigint, iova: bigint, level: number): bigint =>
  table + ((iova >> BigInt(12 + 9 * level)) % 512n) * 8n;

const tableEntry = (kind: TableKind, level: number, child: bigint): bigint => {
  if (kind === "x86-64") return child | 0x7n;
  if (kind === "vtd-second-stage") return child | 0x3n;
  return child | 1n | (BigInt(level) << 9n) | (3n << 61n);
};

const leafEntry = (kind: TableKind, level: number, { pa, size, perms }: BuiltPage): bigint => {
  const read = perms.includes("r") ? 1n : 0n;
  const write = perms.includes("w") ? 1n : 0n;
  const large = level > 0 ? PAGE_SIZE_BIT : 0n;
  if (kind === "x86-64") return pa | 1n | (write << 1n) | (perms.includes("u") ? 4n : 0n) | large;
  if (kind === "vtd-second-stage") return pa | read | (write << 1n) | large;
  const access = 1n | (read << 61n) | (write << 62n);
  if (log2(size) === 12 + 9 * level) return pa | access;
  // All address bits below the size's are 1, but for the highest of them.
  return pa | ((size / 2n - 1n) & ADDRESS) | access | (7n << 9n);
};

const addPage = (
  kind: TableKind,
  levels: number,
  root: bigint,
  page: BuiltPage,
  space: TableSpace,
): void => {
  const { memory, allocate } = space;
  const target = levelOf(page.size);
  let table = root;
  for (let level = levels - 1; level > target; level--) {
    const slot = slotOf(table, page.iova, level);
    let entry = memory.read64(slot)!;
    if (entry === 0n) {
      entry = tableEntry(kind, level, allocate());
      memory.write64(slot, entry);
    }
    table = entry & ADDRESS;
  }
  const copies = page.size >> BigInt(12 + 9 * target);
  for (let i = 0n; i < copies; i++) {
    memory.write64(slotOf(table, page.iova, target) + i * 8n, leafEntry(kind, target, page));
  }
};

/**
 * Builds a table of `levels` levels that maps `pages`, which do not overlap.
 *
 * @returns the address of its top
 */
export const buildTable = (
  kind: TableKind,
  levels: number,
  pages: readonly BuiltPage[],
  space: TableSpace,
): bigint => {
  const root = space.allocate();
  for (const page of pages) addPage(kind, levels, root, page, space);
  return root;
};

/** What an entry says: the table below, or the first output byte of a page and its size; `undefined` for neither. */
const decode = (
  kind: TableKind,
  level: number,
  entry: bigint,
): { table: bigint } | { pa: bigint; size: bigint } | undefined => {
  const own = 1n << BigInt(12 + 9 * level);
  const address = entry & ADDRESS;
  const page = (size: bigint) => ({ pa: address - (address % size), size });
  if (kind !== "amd-v1") {
    const used = kind === "x86-64" ? (entry & 1n) === 1n : entry !== 0n;
    if (!used) return undefined;
    if (level === 0) return page(own);
    if ((entry & PAGE_SIZE_BIT) === 0n) return { table: address };
    return level <= 2 ? page(own) : undefined;
  }
  if ((entry & 1n) === 0n) return undefined;
  const next = Number((entry >> 9n) & 7n);
  if (next === level && level > 0) return { table: address };
  if (level === 5) return undefined;
  if (next === 0) return page(own);
  if (next !== 7) return undefined;
  let bit = 12n;
  while (bit < 52n && ((entry >> bit) & 1n) === 1n) bit++;
  const size = 2n << bit;
  return bit < 52n && size > own && size < own * 512n ? page(size) : undefined;
};

/**
 * The output address of `iova`, whatever the permissions say.
 *
 * @returns `undefined` when nothing translates it
 */
export const translateSlowly = (
  kind: TableKind,
  levels: number,
  root: bigint,
  iova: bigint,
  memory: PhysicalMemory,
): bigint | undefined => {
  let table = root;
  for (let level = levels - 1; level >= 0; level--) {
    const entry = memory.read64(slotOf(table, iova, level));
    const found = entry === undefined ? undefined : decode(kind, level, entry);
    if (found === undefined) return undefined;
    if ("pa" in found) return found.pa + (iova % found.size);
    table = found.table;
  }
  return undefined;
};
