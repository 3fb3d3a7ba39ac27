/** Random page tables, entry by entry along the path of an address; most of them right, some of them hostile. */
import type { Random } from "./random.ts";
import { LOW_FRAMES, RAM_ADDRESSES, ROM_ADDRESSES, type TestMemory } from "./vtd-memory.ts";
import type { UnitProfile } from "./vtd-profiles.ts";

const ADDRESS = 0x000f_ffff_ffff_f000n;
const LOW_END = BigInt(LOW_FRAMES) * 4096n;

/** What all builders of one machine share. */
export class Workshop {
  readonly random: Random;
  readonly memory: TestMemory;
  readonly profile: UnitProfile;
  /** Percent of the entries that something is done to. */
  readonly hostility: number;
  readonly #free: bigint[];

  constructor(random: Random, memory: TestMemory, profile: UnitProfile, hostility: number) {
    this.random = random;
    this.memory = memory;
    this.profile = profile;
    this.hostility = hostility;
    this.#free = [...RAM_ADDRESSES];
  }

  /** A frame nobody has; when all are taken any frame, so that tables overlap. */
  frame(): bigint {
    const { random } = this;
    if (this.#free.length === 0) return random.pick(RAM_ADDRESSES);
    const at = random.below(this.#free.length);
    const frame = this.#free[at]!;
    this.#free[at] = this.#free[this.#free.length - 1]!;
    this.#free.pop();
    return frame;
  }

  /** A page-aligned address without memory, below every host address width. */
  hole(): bigint {
    return this.random.pick([
      0x4000_0000n,
      0x10_0000n,
      0x0010_0000_0000n,
      0x7f_fe00_0000n,
      LOW_END,
    ]);
  }

  isHostile(): boolean {
    return this.random.chance(this.hostility);
  }
}

const random64Bit = (random: Random, ...positions: readonly number[]): bigint =>
  1n << BigInt(random.pick(positions));

/** A tree of one stage: its top table and where its entries lie. */
export interface Tree {
  readonly root: bigint;
  readonly levels: number;
}

/** A leaf output, aligned to the page. */
const leafOutput = (workshop: Workshop, level: number, wanted: bigint | undefined): bigint => {
  const { random, profile } = workshop;
  const size = 1n << BigInt(12 + 9 * level);
  const limit = 1n << BigInt(profile.hostAddressWidth);
  const address =
    wanted ??
    random.weighted<() => bigint>([
      [60, () => random.pick(RAM_ADDRESSES)],
      [20, () => random.bits64() % limit],
      [8, () => 0xfee0_0000n + (BigInt(random.below(256)) << 12n)],
      [4, () => random.pick([0xfedf_f000n, 0xfef0_0000n, 0xfff0_0000n, limit - 4096n])],
    ])();
  return address & ADDRESS & ~(size - 1n);
};

/** Something wrong with a stage-2 entry. */
const spoilSecondStage = (
  workshop: Workshop,
  entry: bigint,
  table: bigint,
  leaf: boolean,
): bigint => {
  const { random, profile } = workshop;
  return random.weighted<() => bigint>([
    [3, () => entry & ~3n],
    [2, () => (entry & ~3n) | 4n],
    [3, () => (entry & ~1n) | 2n],
    [3, () => (entry & ~2n) | 1n],
    [2, () => entry | random64Bit(random, 7, 11, 12, 13, 20, 62)],
    [2, () => entry | random64Bit(random, 52, 55, 61, 63, 10, 6, 3)],
    [
      1,
      () =>
        profile.hostAddressWidth < 52
          ? entry | (1n << BigInt(profile.hostAddressWidth))
          : entry | (1n << 62n),
    ],
    [3, () => (leaf ? entry : (entry & ~ADDRESS) | workshop.hole())],
    [1, () => (entry & ~ADDRESS) | table],
    [1, () => random.bits64()],
    [1, () => random.bits64() & 0x7fffn],
  ])();
};

/**
 * Maps `input` in a second-stage tree, as far as the path leads through memory.
 *
 * @param to where to, or anywhere when absent
 */
export const mapSecondStage = (
  workshop: Workshop,
  tree: Tree,
  input: bigint,
  leafLevel: number,
  to?: bigint,
): void => {
  const { random, memory, profile } = workshop;
  let table = tree.root;
  for (let level = tree.levels - 1; ; level--) {
    const slot = table + ((input >> BigInt(12 + 9 * level)) & 0x1ffn) * 8n;
    const there = memory.read64(slot);
    if (there === undefined) return;
    if (there !== 0n) {
      if (level === 0 || (there & 0x80n) !== 0n) return;
      table = there & ADDRESS;
      continue;
    }
    const leaf = level <= leafLevel;
    const flags =
      random.weighted([
        [90, 3n],
        [5, 1n],
        [4, 2n],
      ]) |
      (BigInt(random.below(4)) << 8n);
    const target = leaf ? leafOutput(workshop, level, to) : workshop.frame();
    const snoop = leaf && (profile.ecap & 0x80n) !== 0n && random.chance(30) ? 0x800n : 0n;
    const plain = target | flags | snoop | (leaf && level > 0 ? 0x80n : 0n);
    const entry = workshop.isHostile() ? spoilSecondStage(workshop, plain, table, leaf) : plain;
    memory.poke(slot, entry);
    if (leaf || (entry & 0x80n) !== 0n) return;
    table = entry & ADDRESS;
  }
};

/** Something wrong with a stage-1 entry. */
const spoilFirstStage = (
  workshop: Workshop,
  entry: bigint,
  table: bigint,
  leaf: boolean,
): bigint => {
  const { random, profile } = workshop;
  return random.weighted<() => bigint>([
    [3, () => entry & ~1n],
    [3, () => entry & ~2n],
    [3, () => entry & ~4n],
    [3, () => entry | (1n << 63n)],
    [2, () => entry | random64Bit(random, 7, 13, 20, 29, 12)],
    [2, () => entry | random64Bit(random, 52, 62, 11, 9, 8, 6, 3, 4)],
    [
      1,
      () =>
        profile.hostAddressWidth < 52 ? entry | (1n << BigInt(profile.hostAddressWidth)) : entry,
    ],
    [3, () => (leaf ? entry : (entry & ~ADDRESS) | workshop.hole())],
    [1, () => (entry & ~ADDRESS) | table],
    [1, () => random.bits64()],
    [1, () => random.bits64() & 0x7fffn],
  ])();
};

/** A frame for a stage-1 table: where it is in memory, and what stage 1 calls it. */
export interface TableFrame {
  readonly physical: bigint;
  readonly named: bigint;
}

/** Where stage-1 tables of a machine live: in memory itself, or in guest memory that a second stage maps. */
export interface TableSpace {
  allocate(): TableFrame;
  /** The physical address of what stage 1 calls `named`, or `undefined` when the builder put nothing there. */
  find(named: bigint): bigint | undefined;
}

/** Read-only frames sometimes hold stage-1 tables: their flags cannot be updated. */
export const tableFrame = (workshop: Workshop): bigint =>
  workshop.random.chance(workshop.hostility / 2)
    ? workshop.random.pick(ROM_ADDRESSES)
    : workshop.frame();

/** Maps `input` in a first-stage tree, as far as the path leads through memory; `to` gives the output page. */
export const mapFirstStage = (
  workshop: Workshop,
  tree: Tree,
  space: TableSpace,
  input: bigint,
  leafLevel: number,
  to: (size: bigint) => bigint,
): void => {
  const { random, memory } = workshop;
  let table = tree.root;
  for (let level = tree.levels - 1; ; level--) {
    const physical = space.find(table);
    if (physical === undefined) return;
    const slot = physical + ((input >> BigInt(12 + 9 * level)) & 0x1ffn) * 8n;
    const there = memory.read64(slot);
    if (there === undefined) return;
    if (there !== 0n) {
      if (level === 0 || (there & 0x80n) !== 0n) return;
      table = there & ADDRESS;
      continue;
    }
    const leaf = level <= leafLevel;
    const size = 1n << BigInt(12 + 9 * level);
    const target = leaf ? to(size) & ADDRESS & ~(size - 1n) : space.allocate().named;
    const permissions = random.weighted([
      [80, 7n],
      [7, 5n],
      [7, 3n],
      [3, 1n],
    ]);
    const flags =
      (random.chance(50) ? 0x20n : 0n) |
      (random.chance(30) ? 0x40n : 0n) |
      (random.chance(20) ? 0x400n : 0n);
    const pat = leaf && random.chance(20) ? (level === 0 ? 0x80n : 0x1000n) : 0n;
    const noExecute = random.chance(20) ? 1n << 63n : 0n;
    const plain = target | permissions | flags | noExecute | pat | (leaf && level > 0 ? 0x80n : 0n);
    const entry = workshop.isHostile() ? spoilFirstStage(workshop, plain, table, leaf) : plain;
    memory.poke(slot, entry);
    if (leaf || (entry & 0x80n) !== 0n) return;
    table = entry & ADDRESS;
  }
};
