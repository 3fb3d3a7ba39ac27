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

/** Physical addresses of large pages, by level, that have the interrupt range in them. */
const INTERRUPTS_IN = [0xfee0_0000n, 0xfee0_0000n, 0xc000_0000n] as const;

/** The physical address of a leaf: data for a small page; 0, where the arena is too, for a large one. */
const targetOf = (random: Random, level: number): bigint =>
  random.weighted<() => bigint>([
    [90, () => (level > 0 ? 0n : dataFrame(random.below(64)))],
    [4, () => (level > 0 ? 0n : NOWHERE)],
    [6, () => INTERRUPTS_IN[level]!],
  ])();

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

/**
 * Addresses worth trying in a space of `width` bits: at its low end, or at its
 * high one. Not both in one scene: our unit keeps the last page where it keeps
 * the first, and QEMU keeps both.
 */
const randomIova = (random: Random, mode: Mode, width: number, isHigh: boolean): bigint => {
  const canonical = mode === "first-stage";
  const end = 1n << BigInt(canonical ? width - 1 : width);
  const top = canonical ? 1n << 64n : end;
  const page = BigInt(random.below(64)) << 12n;
  const somewhere = (random.bits64() & ~0xfffn) % end;
  return random.weighted<() => bigint>(
    isHigh
      ? [
          [30, () => end - 4096n],
          [20, () => top - 0x30_0000n - page],
          [10, () => top - end],
          [20, () => somewhere],
          [20, () => 0x4000_0000n + page],
        ]
      : [
          [60, () => 0x7000n + page],
          [12, () => 0n],
          [12, () => somewhere],
          [10, () => 0x4000_0000n + page],
          [6, () => (end >> 1n) + 0x30_0000n],
        ],
  )();
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

/** Where a sound scene has its pages: small ones, and permitting what is asked for. */
const SOUND_IOVAS = [0x7000n, 0x8000n, 0x9000n, 0x20_0000n, 0x4000_0000n, 0x80_0000_0000n - 4096n];

const addSoundPages = (random: Random, scene: Scene): void => {
  const { book, mode, top, levels, pages } = scene;
  const flags = mode === "first-stage" ? 0x67n : 3n;
  for (const iova of SOUND_IOVAS.slice(0, 3 + random.below(4))) {
    if (levels === 3 && iova >> 39n !== 0n) continue;
    const leaf = dataFrame(random.below(64)) | flags;
    if (book.map(top, levels, iova, leaf, 0, tableBitsOf(mode)) !== undefined)
      pages.push({ iova, level: 0 });
  }
};

/**
 * Builds tables that are right, but for what their leaves permit.
 *
 * @param leaves `sound` for small pages that permit everything
 */
export const buildScene = (
  random: Random,
  mode: Mode,
  capabilities: Capabilities,
  leaves: "random" | "sound" = "random",
): Scene => {
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
  // What passes through is nothing that becomes stale: QEMU looks again only when it is told of a change.
  const passes = leaves === "random" && random.chance(6);
  if (mode === "legacy") {
    const type = passes ? 2n : 0n;
    book.put({ what: "context", address: context + BigInt(DEVICE_SOURCE * 16), quadwords: 2 }, [
      top | 1n | (type << 2n) | (random.chance(10) ? 2n : 0n),
      BigInt(width) | (BigInt(domain) << 8n),
    ]);
  } else {
    putScalable(random, book, { mode, context, top, width, domain, passes });
  }
  const pages: ScenePage[] = [];
  const rtaddr = root | (mode === "legacy" ? 0n : 0x400n);
  const scene = { mode, book, rtaddr, pages, domain, top, levels, queue, status };
  if (leaves === "sound") addSoundPages(random, scene);
  else addRandomPages(random, scene);
  return scene;
};

const addRandomPages = (random: Random, { mode, book, top, levels, pages }: Scene): void => {
  const width = mode === "first-stage" ? 48 : 12 + 9 * levels;
  const isHigh = random.chance(35);
  for (let n = 2 + random.below(5); n > 0; n--) {
    const level = random.weighted([
      [75, 0],
      [15, 1],
      [10, 2],
    ]);
    const iova = intoArena(randomIova(random, mode, width, isHigh), level);
    const leaf = randomLeaf(random, mode, level);
    if (book.map(top, levels, iova, leaf, level, tableBitsOf(mode)) !== undefined) {
      pages.push({ iova, level });
    }
  }
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
    passes,
  }: { mode: Mode; context: bigint; top: bigint; width: number; domain: number; passes: boolean },
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
  const type = passes ? 4n : first ? 1n : 2n;
  const fpd = random.chance(15) ? 2n : 0n;
  // It means nothing for a first stage; Linux writes 2 there.
  const aw = first && random.chance(12) ? random.pick([0n, 1n, 3n]) : BigInt(first ? 2 : width);
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
