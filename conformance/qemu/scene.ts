import type { Capabilities } from "../../src/hardware/vtd/capabilities.ts";
import type { Random } from "../../test/reference/random.ts";
import { ARENA_BASE, DEVICE_SOURCE, NOWHERE } from "./machine-map.ts";
import type { Mode } from "./qemu-process.ts";
import { dataFrame, TableBook } from "./table-book.ts";

/** A page that the scene's tables map, or nearly. */
export interface ScenePage {
  readonly iova: bigint;
  readonly level: number;
}

/** Tables for one device, with the addresses that somebody who uses them wants to know. */
export interface Scene {
  readonly mode: Mode;
  readonly book: TableBook;
  /** RTADDR. */
  readonly rtaddr: bigint;
  readonly pages: ScenePage[];
  readonly domain: number;
  /** The page-table root and its levels. */
  readonly top: bigint;
  readonly levels: number;
  /** A frame for the invalidation queue. */
  readonly queue: bigint;
  /** A frame for what waits write. */
  readonly status: bigint;
}

const PAGE_SIZE_BIT = 0x80n;
/** Bits of a table entry that say yes to everything. */
export const tableBitsOf = (mode: Mode): bigint => (mode === "first-stage" ? 0x27n : 3n);

/** The physical address of a leaf: data for a small page; 0, where the arena is too, for a large one. */
const targetOf = (random: Random, level: number): bigint =>
  level > 0 ? 0n : random.chance(4) ? NOWHERE : dataFrame(random.below(64));

const leafFlags = (random: Random, mode: Mode): bigint => {
  if (mode !== "first-stage") {
    return random.weighted([
      [70, 3n],
      [10, 1n],
      [10, 2n],
      [3, 0n],
      [7, 3n | (BigInt(random.below(16)) << 3n)],
    ]);
  }
  return random.weighted([
    [40, 0x67n],
    [20, 0x07n],
    [10, 0x27n],
    [10, 0x05n],
    [5, 0x25n],
    [4, 0x03n],
    [4, 0x01n],
    [3, 0x00n],
    [4, 0x07n | (BigInt(random.below(32)) << 3n)],
  ]);
};

/** A leaf for a page of `level`. */
export const randomLeaf = (random: Random, mode: Mode, level: number): bigint => {
  const size = level > 0 ? PAGE_SIZE_BIT : 0n;
  const flags = leafFlags(random, mode) & ~PAGE_SIZE_BIT;
  return targetOf(random, level) | flags | size;
};

/** Addresses worth trying in a space of `width` bits. */
const randomIova = (random: Random, mode: Mode, width: number): bigint => {
  const canonical = mode === "first-stage";
  const end = 1n << BigInt(canonical ? width - 1 : width);
  const page = BigInt(random.below(64)) << 12n;
  return random.weighted<() => bigint>([
    [50, () => 0x7000n + page],
    [10, () => 0n],
    [10, () => end - 4096n],
    [10, () => (random.bits64() & ~0xfffn) % end],
    [6, () => 0x4000_0000n + page],
    [4, () => (canonical ? (1n << 64n) - 4096n - page : end - 4096n - page)],
    [4, () => (canonical ? (1n << 64n) - end : end >> 1n)],
  ])();
};

/** Where in the page a large leaf reaches the arena. */
const intoArena = (iova: bigint, level: number): bigint => {
  const size = 1n << BigInt(12 + 9 * level);
  return level === 0
    ? iova
    : (iova & ~(size - 1n)) + BigInt(ARENA_BASE) + (dataFrame(0) & 0xf_ffffn);
};

/** Widths as in AW that the unit has. */
const widthsOf = ({ secondStageWidths }: Capabilities): readonly number[] =>
  [1, 2].filter((aw) => ((secondStageWidths >> aw) & 1) !== 0);

/** Builds tables that are right, but for what their leaves permit. */
export const buildScene = (random: Random, mode: Mode, capabilities: Capabilities): Scene => {
  const book = new TableBook();
  const root = book.frame();
  const [queue, status, context, top] = [book.frame(), book.frame(), book.frame(), book.frame()];
  const width = random.pick(widthsOf(capabilities));
  const levels = mode === "first-stage" ? 4 : width + 2;
  const domain = random.pick([1, 5, 0x1234]);
  book.put({ what: "root", address: root, quadwords: 2 }, [
    context | 1n,
    mode === "legacy" ? 0n : context | 1n,
  ]);
  if (mode === "legacy") {
    const type = random.chance(6) ? 2n : 0n;
    book.put({ what: "context", address: context + BigInt(DEVICE_SOURCE * 16), quadwords: 2 }, [
      top | 1n | (type << 2n) | (random.chance(10) ? 2n : 0n),
      BigInt(width) | (BigInt(domain) << 8n),
    ]);
  } else {
    putScalable(random, book, { mode, context, top, width, domain });
  }
  const pages: ScenePage[] = [];
  for (let n = 2 + random.below(5); n > 0; n--) {
    const level = random.weighted([
      [75, 0],
      [15, 1],
      [10, 2],
    ]);
    const iova = intoArena(
      randomIova(random, mode, mode === "first-stage" ? 48 : 12 + 9 * levels),
      level,
    );
    const leaf = randomLeaf(random, mode, level);
    if (book.map(top, levels, iova, leaf, level, tableBitsOf(mode)) !== undefined) {
      pages.push({ iova, level });
    }
  }
  const rtaddr = root | (mode === "legacy" ? 0n : 0x400n);
  return { mode, book, rtaddr, pages, domain, top, levels, queue, status };
};

const putScalable = (
  random: Random,
  book: TableBook,
  {
    mode,
    context,
    top,
    width,
    domain,
  }: { mode: Mode; context: bigint; top: bigint; width: number; domain: number },
): void => {
  const directory = book.frame();
  const table = book.frame();
  book.put({ what: "context", address: context + BigInt(DEVICE_SOURCE * 32), quadwords: 4 }, [
    directory | 1n | (random.chance(10) ? 2n : 0n) | (BigInt(random.below(8)) << 9n),
    0n,
    0n,
    0n,
  ]);
  book.put({ what: "directory", address: directory, quadwords: 1 }, [table | 1n]);
  const first = mode === "first-stage";
  const passes = random.chance(6);
  const type = passes ? 4n : first ? 1n : 2n;
  const fpd = random.chance(5) ? 2n : 0n;
  // Linux writes AW for a first stage too.
  const aw = first ? 2n : BigInt(width);
  book.put({ what: "pasid", address: table, quadwords: 8 }, [
    (first ? 0n : top) | 1n | fpd | (aw << 2n) | (type << 6n),
    BigInt(domain),
    first ? top : 0n,
    0n,
    0n,
    0n,
    0n,
    0n,
  ]);
};
