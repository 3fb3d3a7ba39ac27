/** Random machines: root, context and PASID structures over random page tables, for one unit. */
import type { Random } from "./random.ts";
import type { ReferenceRequest } from "./vtd-machine.ts";
import { LOW_FRAMES, type TestMemory } from "./vtd-memory.ts";
import {
  mapFirstStage,
  mapSecondStage,
  type TableSpace,
  type Tree,
  tableFrame,
  Workshop,
} from "./vtd-page-tables.ts";
import type { UnitProfile } from "./vtd-profiles.ts";

/** An address that a source has some translation for, or nearly. */
export interface Target {
  readonly source: number;
  readonly pasid: number | undefined;
  readonly address: bigint;
}

/** A unit's registers; its tables are in the memory that they were built in. */
export interface RandomMachine {
  readonly profile: UnitProfile;
  readonly enabled: boolean;
  readonly rtaddr: bigint;
  readonly targets: readonly Target[];
}

const LOW_END = BigInt(LOW_FRAMES) * 4096n;
const has = (profile: UnitProfile, position: number): boolean =>
  ((profile.ecap >> BigInt(position)) & 1n) === 1n;

/** One domain's translation. */
interface Domain {
  readonly id: number;
  /** As in PGTT; legacy domains are 2. */
  readonly type: number;
  readonly lower: Tree;
  readonly upper: Tree;
  readonly space: TableSpace;
  readonly width: number;
  readonly addresses: bigint[];
}

/** Addresses that are interesting in an address space of `width` bits. */
const interesting = (random: Random, width: number, canonical: boolean): bigint => {
  const end = 1n << BigInt(width);
  const half = end >> 1n;
  const top = (1n << 64n) - 4096n;
  const page = BigInt(random.below(512)) << 12n;
  return random.weighted<() => bigint>([
    [40, () => 0x1_0000_0000n + page],
    [20, () => (random.bits64() & ~0xfffn) % (canonical ? half : end)],
    [4, () => 0n],
    [4, () => (canonical ? half - 4096n : end - 4096n)],
    [2, () => (canonical ? half : end)],
    [6, () => (canonical ? (1n << 64n) - half : half)],
    [5, () => (canonical ? top - page : end - 4096n - page)],
    [2, () => random.bits64() & ~0xfffn],
    [2, () => top],
    [6, () => random.pick([0xfee0_0000n, 0xfedf_f000n, 0xfeef_f000n, 0xfef0_0000n, 0xfee0_1000n])],
  ])();
};

const leafLevel = (random: Random): number =>
  random.weighted([
    [70, 0],
    [20, 1],
    [10, 2],
  ]);

/** Stage-1 tables in guest memory, mapped by `lower` one by one. */
const guestSpace = (workshop: Workshop, lower: Tree): TableSpace => {
  const { random } = workshop;
  const base = random.pick([0n, 0x4000_0000n, 1n << 38n, 0x20_0000n]);
  const placed = new Map<bigint, bigint>();
  return {
    allocate() {
      const physical = tableFrame(workshop);
      const named = base + (physical % 0x4000_0000n);
      if (workshop.isHostile())
        return { physical, named: random.pick([1n << 50n, 0x4444_0000n, 1n << 47n]) };
      const identical = physical < 0x4000_0000n && base % 0x4000_0000n === 0n;
      const near = physical < LOW_END;
      const level = identical && random.chance(15) ? 2 : near && random.chance(30) ? 1 : 0;
      mapSecondStage(workshop, lower, named, level, physical);
      placed.set(named, physical);
      return { physical, named };
    },
    find: (named) => placed.get(named),
  };
};

const hostSpace = (workshop: Workshop): TableSpace => ({
  allocate() {
    const physical = tableFrame(workshop);
    return { physical, named: physical };
  },
  find: (named) => named,
});

const buildDomain = (workshop: Workshop, id: number, type: number): Domain => {
  const { random, profile } = workshop;
  const widths = [1, 2, 3].filter((aw) => ((profile.cap >> BigInt(8 + aw)) & 1n) === 1n);
  const width = workshop.random.chance(3) ? random.below(8) : random.pick(widths);
  const root = random.weighted<() => bigint>([
    [100, () => workshop.frame()],
    [2, () => workshop.hole()],
    [1, () => 0n],
  ]);
  const lower = { root: root(), levels: Math.min(width, 3) + 2 };
  const space = type === 3 ? guestSpace(workshop, lower) : hostSpace(workshop);
  const wide = ((profile.cap >> 60n) & 1n) === 1n && random.chance(40);
  const upper = {
    root: type === 1 || type === 3 ? space.allocate().named : 0n,
    levels: wide ? 5 : 4,
  };
  return { id, type, lower, upper, space, width, addresses: [] };
};

/** Maps a few pages of the domain and remembers where. */
const populate = (workshop: Workshop, domain: Domain): void => {
  const { random } = workshop;
  const first = domain.type === 1 || domain.type === 3;
  const width = first ? (domain.upper.levels === 5 ? 57 : 48) : 12 + 9 * domain.lower.levels;
  for (let n = 1 + random.below(3); n > 0; n--) {
    const address = interesting(random, width, first);
    domain.addresses.push(address);
    if (!first) {
      mapSecondStage(workshop, domain.lower, address, leafLevel(random));
      continue;
    }
    const to = (size: bigint): bigint => {
      if (domain.type === 1)
        return random.chance(8) ? 0xfee0_0000n : (random.bits64() % (1n << 39n)) & ~(size - 1n);
      const guest = interesting(random, 12 + 9 * domain.lower.levels, false);
      const page = guest & ~(size - 1n);
      const offset = address & (size - 1n);
      if (!random.chance(5))
        mapSecondStage(workshop, domain.lower, page + offset, leafLevel(random));
      return page;
    };
    mapFirstStage(workshop, domain.upper, domain.space, address, leafLevel(random), to);
  }
};

/** Flips something that is reserved or means something else. */
const spoil = (random: Random, words: bigint[], positions: readonly number[]): void => {
  const at = random.pick(positions);
  words[at >> 6] = words[at >> 6]! ^ (1n << BigInt(at & 63));
};

const poke = (workshop: Workshop, address: bigint, words: readonly bigint[]): void => {
  words.forEach((word, i) => {
    workshop.memory.poke(address + BigInt(i) * 8n, word);
  });
};

const legacyContext = (workshop: Workshop, domain: Domain): bigint[] => {
  const { random, profile } = workshop;
  const deviceTlb = has(profile, 2) ? 40 : 2;
  const type = random.weighted([
    [60, 0n],
    [deviceTlb, 1n],
    [has(profile, 6) ? 10 : 2, 2n],
    [2, 3n],
  ]);
  const fpd = random.chance(8) ? 2n : 0n;
  const words = [
    1n | fpd | (type << 2n) | domain.lower.root,
    BigInt(domain.width) | (BigInt(domain.id) << 8n) | (BigInt(random.below(16)) << 3n),
  ];
  if (workshop.isHostile()) spoil(random, words, [0, 0, 4, 11, 7, 63, 71, 64 + 24, 127, 2, 3, 64]);
  return words;
};

const scalableContext = (
  workshop: Workshop,
  directory: bigint,
  size: number,
  ridPasid: number,
): bigint[] => {
  const { random, profile } = workshop;
  const deviceTlb = has(profile, 2) && random.chance(85) ? 4n : 0n;
  const pasids = has(profile, 40) && random.chance(92) ? 8n : 0n;
  const privileged = has(profile, 53) && random.chance(15) ? 1n << 20n : 0n;
  const fpd = random.chance(8) ? 2n : 0n;
  const words = [
    1n |
      fpd |
      deviceTlb |
      pasids |
      (has(profile, 29) ? 16n : 0n) |
      (BigInt(size) << 9n) |
      directory,
    BigInt(ridPasid) | privileged,
    0n,
    0n,
  ];
  if (workshop.isHostile())
    spoil(random, words, [0, 0, 2, 3, 4, 5, 8, 63, 64, 77, 83, 84, 85, 127, 128, 255]);
  return words;
};

const pasidEntry = (workshop: Workshop, domain: Domain): bigint[] => {
  const { random, profile } = workshop;
  const optional = (position: number, at: number, percent: number): bigint =>
    has(profile, position) && random.chance(percent) ? 1n << BigInt(at) : 0n;
  const fpd = random.chance(8) ? 2n : 0n;
  const second = domain.type === 2 || domain.type === 3;
  const first = domain.type === 1 || domain.type === 3;
  const lower = second ? domain.lower.root : 0n;
  const upper = first ? domain.upper.root | (domain.upper.levels === 5 ? 4n : 0n) : 0n;
  const words = [
    1n |
      fpd |
      (BigInt(domain.width) << 2n) |
      (BigInt(domain.type) << 6n) |
      optional(45, 9, 50) |
      lower,
    BigInt(domain.id) | optional(48, 23, 75) | optional(7, 24, 20) | optional(25, 25, 20),
    optional(31, 0, 70) |
      (has(profile, 47) ? optional(47, 4, 50) : 0n) |
      optional(34, 7, 40) |
      upper,
    0n,
    0n,
    0n,
    0n,
    0n,
  ];
  if (workshop.isHostile()) {
    const positions = [
      0, 0, 5, 6, 7, 8, 8, 9, 10, 2, 3, 4, 80, 86, 87, 88, 89, 90, 91, 100, 128, 129, 130, 131, 132,
    ];
    spoil(random, words, [...positions, 133, 135, 136, 139, 63, 191, 192, 320, 511]);
  }
  return words;
};

const PASIDS = [0, 1, 2, 63, 64, 0x1000, 0xf_ffff];

/** The directory and the tables of one device; returns its context entry. */
const buildDevice = (
  workshop: Workshop,
  domains: readonly Domain[],
  source: number,
  targets: Target[],
): bigint[] => {
  const { random, profile } = workshop;
  const directory = random.chance(3) ? workshop.hole() : workshop.frame();
  const ridPasid =
    has(profile, 49) && random.chance(40) ? random.pick(PASIDS) : random.chance(1) ? 1 : 0;
  const pasids = [ridPasid, random.pick(PASIDS), random.pick(PASIDS)];
  const size = random.weighted([
    [6, 7],
    [2, 0],
    [1, random.below(8)],
  ]);
  for (const [n, pasid] of pasids.entries()) {
    const domain = random.pick(domains);
    const slot = directory + BigInt(pasid >> 6) * 8n;
    let table = (workshop.memory.read64(slot) ?? 0n) & ~0xfffn;
    if (table === 0n) {
      table = random.chance(2) ? workshop.hole() : workshop.frame();
      const words = [1n | (random.chance(5) ? 2n : 0n) | table];
      if (workshop.isHostile()) spoil(random, words, [0, 0, 2, 11, 5, 63, 51]);
      // A directory of several frames passes the frame that was given: those entries stay out of memory or overlap.
      workshop.memory.poke(slot, words[0]!);
    }
    poke(workshop, table + BigInt(pasid & 63) * 64n, pasidEntry(workshop, domain));
    for (const address of domain.addresses)
      targets.push({ source, pasid: n === 0 && random.chance(90) ? undefined : pasid, address });
  }
  return scalableContext(workshop, directory, size, ridPasid);
};

const SOURCES = [0x0008, 0x0010, 0x00f8, 0x0100, 0x01ff, 0xff80];

const buildRoots = (
  workshop: Workshop,
  scalable: boolean,
  domains: readonly Domain[],
  root: bigint,
): Target[] => {
  const { random, memory } = workshop;
  const targets: Target[] = [];
  for (let n = 1 + random.below(3); n > 0; n--) {
    const source = random.pick(SOURCES);
    const upperHalf = scalable && (source & 0x80) !== 0;
    const slot = root + BigInt(source >> 8) * 16n + (upperHalf ? 8n : 0n);
    let table = (memory.read64(slot) ?? 0n) & ~0xfffn;
    if (table === 0n) {
      table = random.chance(2) ? workshop.hole() : workshop.frame();
      const words = [1n | table, 0n];
      if (workshop.isHostile())
        spoil(random, words, scalable ? [0, 0, 1, 11, 63] : [0, 0, 1, 11, 63, 64, 127]);
      poke(workshop, slot, scalable ? [words[0]!] : words);
    }
    if (scalable) {
      poke(
        workshop,
        table + BigInt(source & 0x7f) * 32n,
        buildDevice(workshop, domains, source, targets),
      );
    } else {
      const domain = random.pick(domains);
      poke(workshop, table + BigInt(source & 0xff) * 16n, legacyContext(workshop, domain));
      for (const address of domain.addresses) targets.push({ source, pasid: undefined, address });
    }
  }
  return targets;
};

const typesOf = (profile: UnitProfile): readonly (readonly [number, number])[] => [
  [has(profile, 47) ? 30 : 1, 1],
  [has(profile, 46) ? 25 : 1, 2],
  [has(profile, 26) ? 40 : 1, 3],
  [has(profile, 6) ? 6 : 1, 4],
  [1, 5],
];

/** Fills `memory`, which must be clear, with the tables of a random machine. */
export const buildMachine = (
  random: Random,
  profile: UnitProfile,
  memory: TestMemory,
): RandomMachine => {
  const workshop = new Workshop(random, memory, profile, random.pick([0, 1, 2, 4, 10]));
  const scalable = has(profile, 43) ? random.chance(82) : random.chance(3);
  const types = typesOf(profile);
  const domains = Array.from({ length: 1 + random.below(3) }, (_, i) =>
    buildDomain(
      workshop,
      random.pick([1, 2, 0xffff, i + 3]),
      scalable ? random.weighted(types) : 2,
    ),
  );
  for (const domain of domains) populate(workshop, domain);
  const root = random.chance(1) ? workshop.hole() : workshop.frame();
  const targets = buildRoots(workshop, scalable, domains, root);
  const mode = random.weighted([
    [96, scalable ? 0x400n : 0n],
    [1, 0x800n],
    [2, 0xc00n],
  ]);
  return { profile, enabled: !random.chance(1), rtaddr: root | mode, targets };
};

const ACCESSES = [
  { read: true, write: false },
  { read: false, write: true },
  { read: true, write: true },
] as const;

const TYPES = [
  [72, "untranslated"],
  [24, "translation-request"],
  [4, "translated"],
] as const;

/** A request of the machine: mostly for something that it maps. */
export const randomRequest = (random: Random, machine: RandomMachine): ReferenceRequest => {
  const target = random.pick(machine.targets);
  const type = random.weighted<ReferenceRequest["type"]>(TYPES);
  const pasid = random.chance(3) ? random.pick([undefined, ...PASIDS]) : target.pasid;
  const source = random.chance(2) ? random.pick(SOURCES) : target.source;
  const near = random.chance(12) ? BigInt(random.pick([-1, 1, 512, -512])) << 12n : 0n;
  const page = random.chance(3) ? random.bits64() & ~0xfffn : target.address + near;
  const address = BigInt.asUintN(64, page) | BigInt(random.below(4096));
  const access =
    type === "translation-request" ? ACCESSES[random.pick([0, 2])]! : random.pick(ACCESSES);
  const execute =
    pasid !== undefined &&
    access.read &&
    (!access.write || type === "translation-request") &&
    random.chance(15);
  const privileged = pasid !== undefined && random.chance(20);
  return { source, pasid, address, type, access: { ...access, execute, privileged } };
};
