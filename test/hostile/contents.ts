import type { Capabilities } from "../../src/hardware/vtd/index.ts";
import type { Random } from "../reference/random.ts";
import { AT, DOMAINS, MAPPED_PAGES, NOWHERE, PASIDS } from "./layout.ts";
import type { WatchedMemory } from "./watched-memory.ts";

/** Any value, with a liking for those at the edges and for addresses of the guest's own things. */
export const randomValue = (random: Random): bigint =>
  random.weighted<() => bigint>([
    [2, () => 0n],
    [2, () => (1n << 64n) - 1n],
    [4, () => 1n << BigInt(random.below(64))],
    [3, () => BigInt(random.below(64))],
    [3, () => random.bits64()],
    [2, () => BigInt(random.next())],
    [4, () => BigInt(random.pick(PLACES)) | BigInt(random.below(4096))],
  ])();

const PLACES: readonly number[] = Object.values(AT);

/** An I/O virtual address: mapped, beside it, or anywhere. */
export const randomIova = (random: Random): bigint =>
  random.weighted<() => bigint>([
    [20, () => BigInt(random.below(MAPPED_PAGES * 4096))],
    [3, () => BigInt(random.below(1 << 22))],
    [2, () => 0x1_0000_0000n + BigInt(random.below(1 << 16))],
    [1, () => 0xfee0_0000n + BigInt(random.below(1 << 18) * 4)],
    [1, () => (1n << 47n) - BigInt(random.below(8192))],
    [1, () => (1n << 64n) - BigInt(1 + random.below(8192))],
    [1, () => random.bits64()],
  ])();

export const randomPasid = (random: Random): number =>
  random.pick([0, 1, PASIDS.firstStage, PASIDS.nested, PASIDS.passThrough, 64, 8191, 0xf_ffff]);

const randomDomain = (random: Random): bigint => BigInt(random.pick([0, ...DOMAINS, 9, 0xffff]));

const randomSource = (random: Random): bigint =>
  BigInt(random.pick([0x10, 0x18, 0x20, 0x28, 0x11, 0xfff8]));

/** An address mask, most of the time one that every unit has. */
const randomMask = (random: Random): bigint =>
  BigInt(random.chance(92) ? random.pick([0, 0, 1, 9, 18]) : random.pick([19, 20, 52, 63]));

/** One of `allowed`, or now and then anything of two bits. */
const granularity = (random: Random, ...allowed: readonly number[]): bigint =>
  BigInt(random.chance(94) ? random.pick(allowed) : random.below(4)) << 4n;

const pageOf = (random: Random): bigint => randomIova(random) & ~0xfffn;

/** Somewhere that a wait may write to, to the guest's own harm if need be. */
const randomStatus = (random: Random): bigint =>
  random.weighted<() => bigint>([
    [8, () => BigInt(AT.status + 4 * random.below(64))],
    [2, () => BigInt(random.pick(PLACES) + 4 * random.below(1024))],
    [1, () => random.bits64() & ~3n],
  ])();

const flag = (random: Random, at: number): bigint => BigInt(random.below(2)) << BigInt(at);

const pasidField = (random: Random): bigint => BigInt(randomPasid(random)) << 32n;

/** The second quadword of an IOTLB invalidation. */
const pages = (random: Random): bigint => pageOf(random) | flag(random, 6) | randomMask(random);

/** The lower half of a descriptor of each type, from 1 on; its fields mean something, and most of the time they are allowed. */
const DESCRIPTORS: readonly ((random: Random) => [bigint, bigint])[] = [
  (r) => [1n | granularity(r, 1, 2, 3) | (randomDomain(r) << 16n) | (randomSource(r) << 32n), 0n],
  (r) => {
    const drains = BigInt(r.below(4)) << 6n;
    return [2n | granularity(r, 1, 2, 3, 3) | drains | (randomDomain(r) << 16n), pages(r)];
  },
  (r) => [3n | (randomSource(r) << 32n), pageOf(r) | flag(r, 0)],
  (r) => {
    const mask = BigInt(r.chance(92) ? r.below(6) : r.below(32)) << 27n;
    return [4n | flag(r, 4) | mask | (BigInt(r.below(64)) << 32n), 0n];
  },
  (r) => {
    const wants = r.chance(96) ? r.pick([2, 2, 2, 3, 1, 6]) : r.below(16);
    return [5n | (BigInt(wants) << 4n) | (BigInt(r.next()) << 32n), randomStatus(r)];
  },
  (r) => [6n | granularity(r, 2, 3, 3) | (randomDomain(r) << 16n) | pasidField(r), pages(r)],
  (r) => [7n | granularity(r, 0, 1, 3) | (randomDomain(r) << 16n) | pasidField(r), 0n],
  (r) => [8n | (randomSource(r) << 16n) | pasidField(r), pageOf(r) | flag(r, 11) | flag(r, 0)],
  (r) => {
    const code = BigInt(r.pick([0, 0, 1, 15, 7])) << 12n;
    const group = (BigInt(r.below(4)) << 3n) | flag(r, 2);
    return [9n | flag(r, 4) | code | (randomSource(r) << 16n) | pasidField(r), group];
  },
];

/** Types that every queue takes, those that need device TLBs, and those that need 256 bits. */
const COMMON = [1, 2, 4, 5];
const WITH_DEVICE_TLBS = [3];
const WIDE = [6, 7];
const WIDE_WITH_DEVICE_TLBS = [8, 9];

/** The types that the queue takes, or now and then all. */
const typesFor = (random: Random, quadwords: number, devices: boolean): readonly number[] => {
  const wide = quadwords === 4;
  const all = random.chance(1);
  return [
    ...COMMON,
    ...(devices || all ? WITH_DEVICE_TLBS : []),
    ...(wide || all ? WIDE : []),
    ...((wide && devices) || all ? WIDE_WITH_DEVICE_TLBS : []),
  ];
};

/**
 * A descriptor: meaningful, with one bit wrong, or nonsense.
 *
 * @param quadwords 2 or 4
 * @param devices whether the unit has device TLBs
 */
export const randomDescriptor = (random: Random, quadwords: number, devices: boolean): bigint[] => {
  const kind = random.below(1000);
  if (kind < 6) return Array.from({ length: quadwords }, () => randomValue(random));
  const type = random.weighted([
    [60, random.pick(typesFor(random, quadwords, devices))],
    [20, 2],
    [20, 5],
  ]);
  const words = [...DESCRIPTORS[type - 1]!(random), ...(quadwords === 4 ? [0n, 0n] : [])];
  if (kind < 20) {
    const bit = random.below(64 * quadwords);
    words[bit >> 6] = words[bit >> 6]! ^ (1n << BigInt(bit & 63));
  }
  return words;
};

/** An interrupt entry: present, for whoever asks, vector as its index. */
const interruptEntry = (index: number): bigint => 1n | (BigInt(0x20 + index) << 16n);

/** Builds tables of both modes in which all four engines have every kind of translation that the unit has. */
export const buildTables = (ram: WatchedMemory, capabilities: Capabilities): void => {
  const { root, contexts, upperContexts, directory, pasids, second, first } = AT;
  const has = (name: string, bits: number): number => (capabilities.has(name) ? bits : 0);
  const scalable = directory | 0x401 | has("DT", 4) | has("PASID", 8) | has("PRS", 0x10);
  const wide = (capabilities.secondStageWidths & 4) !== 0;
  ram.poke(root, BigInt(contexts | 1), BigInt(upperContexts | 1));
  ram.poke(AT.legacyRoot, BigInt(AT.legacyContexts | 1), 0n);
  for (let source = 0x10; source <= 0x28; source += 8) {
    // 2^9 directory entries.
    ram.poke(contexts + source * 32, BigInt(scalable), 0n, 0n, 0n);
    const type = source === 0x28 ? has("PT", 8) : has("DT", 4);
    const top = wide ? second : second + 0x1000;
    ram.poke(AT.legacyContexts + source * 16, BigInt(top | 1 | type), wide ? 0x102n : 0x101n);
  }
  ram.poke(directory, BigInt(pasids | 1));
  const entry = (pasid: number, ...words: bigint[]): void => {
    ram.poke(pasids + pasid * 64, ...words, ...new Array<bigint>(8 - words.length).fill(0n));
  };
  const snoop = BigInt(has("SMPWCS", 1 << 23));
  if (capabilities.has("SSTS")) entry(0, BigInt(second | 0x89 | has("SSADS", 0x200)), 1n | snoop);
  else entry(0, 0x41n, 1n, BigInt(first));
  entry(PASIDS.firstStage, 0x41n, 2n | snoop, BigInt(first));
  entry(PASIDS.nested, BigInt(second) | 0xc9n, 3n | snoop, BigInt(first));
  entry(PASIDS.passThrough, 0x101n, 1n);
  buildStage(ram, second, 3n);
  buildStage(ram, first, 7n);
  // The nested stage finds the first one's tables where they are: 1 GiB as it is, in one entry.
  ram.poke(second + 0x1000 + 8, 0x4000_0083n);
  for (let i = 0; i < 32; i++) ram.poke(AT.interrupts + 16 * i, interruptEntry(i), 0n);
};

const buildStage = (ram: WatchedMemory, top: number, bits: bigint): void => {
  for (let level = 0; level < 3; level++)
    ram.poke(top + level * 0x1000, BigInt(top + (level + 1) * 0x1000) | bits);
  for (let page = 0; page < MAPPED_PAGES; page++)
    ram.poke(top + 0x3000 + 8 * page, BigInt(AT.data + page * 0x1000) | bits);
};

/** Structures by where they are and how long an entry is: what the guest changes most. */
const ENTRIES: readonly (readonly [base: number, stride: number, count: number])[] = [
  [AT.root, 8, 2],
  [AT.legacyRoot, 8, 2],
  [AT.contexts + 0x200, 8, 128],
  [AT.legacyContexts + 0x100, 8, 64],
  [AT.directory, 8, 4],
  [AT.pasids, 8, 64],
  [AT.second, 8, 2],
  [AT.second + 0x1000, 8, 4],
  [AT.second + 0x2000, 8, 4],
  [AT.second + 0x3000, 8, MAPPED_PAGES],
  [AT.first, 8, 2],
  [AT.first + 0x1000, 8, 2],
  [AT.first + 0x2000, 8, 4],
  [AT.first + 0x3000, 8, MAPPED_PAGES],
  [AT.interrupts, 8, 64],
];

/** Changes one quadword of some table: one bit of it, what it points to, or all. */
export const spoilTable = (random: Random, ram: WatchedMemory): void => {
  const [base, stride, count] = random.pick(ENTRIES);
  const address = base + stride * random.below(count);
  const old = ram.read64(BigInt(address))!;
  const flipped = old ^ (1n << BigInt(random.below(64)));
  const place = BigInt(random.chance(90) ? random.pick(PLACES) : NOWHERE);
  ram.poke(
    address,
    random.weighted([
      [6, flipped],
      [3, (old & 0xfffn) | place],
      [2, old & ~3n],
      [1, randomValue(random)],
      [1, 0n],
    ]),
  );
};
