/**
 * A machine whose tables change while devices run. Software keeps one rule, as
 * the architecture demands: all that shares a tag shares its tables. A domain
 * has one second stage and a domain and PASID one first stage, for ever; their
 * entries, and who uses which domain, change all the time.
 */
import { createSparseMemory, type PhysicalMemory } from "../../src/memory/index.ts";
import type { ContextValue, PasidValue, Past } from "./cache-history.ts";
import type { Random } from "./random.ts";

/** 1 GiB regions, 2 MiB regions and pages that are mapped; all below 2^39. */
const REGIONS = [1n, 2n];
const BLOCKS = [0n, 1n, 2n];
const PAGES = [0n, 1n, 2n, 3n];
/** Where guest memory holds stage-1 tables. */
const TABLES_REGION = 4n;

export const SOURCES: readonly number[] = [0x10, 0x12, 0x14, 0x15];
export const PASIDS: readonly number[] = [0, 1, 2];

/** A page-table entry that changes. */
interface Slot {
  readonly address: bigint;
  readonly level: number;
  readonly stage: 1 | 2;
  readonly nested: boolean;
  /** Tables that it can point at; none in level 0. */
  readonly tables: readonly bigint[];
  /** Pages that it maps when it must be one of these: copies of a stage-1 table. */
  readonly pages: readonly bigint[] | undefined;
}

export interface Domain {
  readonly id: number;
  /** As in PGTT. */
  readonly type: number;
  /** AW, and root of the second stage. */
  readonly width: number;
  readonly second: bigint;
  readonly levels: number;
  /** Roots of first stages by PASID. */
  readonly first: readonly bigint[];
  /** SSADE, EAFE, WPE. */
  readonly secondFlags: boolean;
  readonly extendedAccessed: boolean;
  readonly protectsSupervisor: boolean;
}

const randomAddress = (random: Random): bigint =>
  (random.pick(REGIONS) << 30n) | (random.pick(BLOCKS) << 21n) | (random.pick(PAGES) << 12n);

export class World {
  readonly random: Random;
  readonly legacy: boolean;
  readonly memory: PhysicalMemory = createSparseMemory([{ base: 0n, length: 1n << 28n }]);
  readonly domains: Domain[] = [];
  rtaddr: bigint;
  time = 0;
  readonly #slots: Slot[] = [];
  readonly #slotAt = new Map<bigint, Slot>();
  readonly #roots: readonly bigint[];
  readonly #contextTables: readonly bigint[];
  /** By source: directory, and the two PASID tables that it can point at. */
  readonly #directories: readonly bigint[];
  readonly #pasidTables: readonly (readonly bigint[])[];
  #nextFrame = 0x10_0000n;

  readonly pastEntries = new Map<bigint, Past<bigint>[]>();
  readonly pastContexts = new Map<number, Past<ContextValue>[]>();
  readonly pastPasids = new Map<number, Past<PasidValue>[]>();

  constructor(random: Random, legacy: boolean) {
    this.random = random;
    this.legacy = legacy;
    const types = legacy ? [2, 2, 2] : [1, 1, 2, 3, 3, 4];
    types.forEach((type, i) => {
      this.domains.push(this.#domain(i + 1, type));
    });
    this.#roots = [this.#frame(), this.#frame()];
    this.#contextTables = [this.#frame(), this.#frame()];
    this.#directories = SOURCES.map(() => this.#frame());
    this.#pasidTables = SOURCES.map(() => [this.#frame(), this.#frame()]);
    this.rtaddr = this.#rootTable(0);
    this.#roots.forEach((root, i) => {
      this.memory.write64(root, this.#contextTables[i]! | 1n);
    });
    for (const slot of this.#slots) {
      this.#slotAt.set(slot.address, slot);
      this.memory.write64(slot.address, this.#slotValue(slot));
    }
    SOURCES.forEach((_, i) => {
      this.#writeDirectory(i);
      for (const pasid of PASIDS) for (const table of [0, 1]) this.#writePasid(i, table, pasid);
      for (const table of [0, 1]) this.#writeContext(i, table);
    });
  }

  #frame(): bigint {
    this.#nextFrame += 0x1000n;
    return this.#nextFrame;
  }

  #rootTable(which: number): bigint {
    return this.#roots[which]! | (this.legacy ? 0n : 0x400n);
  }

  #domain(id: number, type: number): Domain {
    const { random } = this;
    const width = random.pick([1, 2]);
    const second = type === 2 || type === 3;
    const copies = type === 3 ? 2 : 1;
    const places: { named: bigint; physical: bigint[] }[] = [];
    const allocate = (): { named: bigint; physical: bigint[] } => {
      const physical = Array.from({ length: copies }, () => this.#frame());
      const named =
        type === 3 ? (TABLES_REGION << 30n) | (BigInt(places.length) << 12n) : physical[0]!;
      places.push({ named, physical });
      return { named, physical };
    };
    const first =
      type === 1 || type === 3 ? PASIDS.map(() => this.#tree(allocate, 1, 4, type === 3)) : [];
    const host = (): { named: bigint; physical: bigint[] } => {
      const frame = this.#frame();
      return { named: frame, physical: [frame] };
    };
    const tablePages = type === 3 ? places.map(({ physical }) => physical) : [];
    return {
      id,
      type,
      width,
      levels: width + 2,
      second: second ? this.#tree(host, 2, width + 2, false, tablePages) : 0n,
      first,
      secondFlags: random.chance(50),
      extendedAccessed: random.chance(50),
      protectsSupervisor: random.chance(50),
    };
  }

  /** Declares the slots of a tree over the mapped regions; returns what its top table is called. */
  #tree(
    allocate: () => { named: bigint; physical: bigint[] },
    stage: 1 | 2,
    levels: number,
    nested: boolean,
    tablePages: readonly (readonly bigint[])[] = [],
  ): bigint {
    const add = (
      table: { physical: bigint[] },
      index: bigint,
      level: number,
      tables: readonly bigint[],
      pages?: readonly bigint[],
    ): void => {
      for (const physical of table.physical) {
        this.#slots.push({ address: physical + index * 8n, level, stage, nested, tables, pages });
      }
    };
    const top = allocate();
    let table = top;
    for (let level = levels - 1; level > 2; level--) {
      const next = allocate();
      add(table, 0n, level, [next.named]);
      table = next;
    }
    for (const region of REGIONS) {
      const blocks = allocate();
      add(table, region, 2, [blocks.named]);
      for (const block of BLOCKS) {
        const leaves = Array.from({ length: nested ? 1 : 2 }, allocate);
        add(
          blocks,
          block,
          1,
          leaves.map(({ named }) => named),
        );
        for (const leaf of leaves) for (const page of PAGES) add(leaf, page, 0, []);
      }
    }
    if (tablePages.length > 0) {
      const blocks = allocate();
      const leaves = allocate();
      add(table, TABLES_REGION, 2, [blocks.named]);
      add(blocks, 0n, 1, [leaves.named]);
      tablePages.forEach((copies, i) => {
        add(leaves, BigInt(i), 0, [], copies);
      });
    }
    return top.named;
  }

  #slotValue(slot: Slot): bigint {
    const { random } = this;
    const { level, stage, tables, pages } = slot;
    // Whatever leads to stage-1 tables is kept alive more often, or nothing would ever be mapped.
    if (random.chance(level > 1 || pages !== undefined ? 2 : 8)) return 0n;
    const leaf =
      tables.length === 0 ||
      (level < 3 && pages === undefined && random.chance(level === 1 ? 20 : 8));
    const size = 1n << BigInt(12 + 9 * level);
    const page = slot.nested
      ? randomAddress(random)
      : 0x2_0000_0000n + (BigInt(random.below(1 << 20)) << 12n);
    const target = leaf ? (pages ? random.pick(pages) : page & ~(size - 1n)) : random.pick(tables);
    const large = leaf && level > 0 ? 0x80n : 0n;
    if (stage === 1) {
      const permissions = random.weighted([
        [80, 7n],
        [8, 5n],
        [8, 3n],
      ]);
      const flags = random.chance(30) ? 0x460n : random.chance(30) ? 0x20n : 0n;
      return target | permissions | flags | large;
    }
    const permissions = random.weighted([
      [84, 3n],
      [9, 1n],
      [pages ? 1 : 6, 2n],
    ]);
    const flags = random.chance(30) ? 0x300n : random.chance(30) ? 0x100n : 0n;
    const reserved = random.chance(1) ? 1n << 62n : 0n;
    return target | permissions | flags | large | reserved;
  }

  #contextAddress(source: number, table: number): bigint {
    return this.#contextTables[table]! + BigInt(source) * (this.legacy ? 16n : 32n);
  }

  #writeContext(i: number, table: number): void {
    const { random } = this;
    const source = SOURCES[i]!;
    const present = random.chance(94) ? 1n : 0n;
    const fpd = random.chance(20) ? 2n : 0n;
    const base = this.#contextAddress(source, table);
    if (this.legacy) {
      const domain = random.pick(this.domains);
      const type = random.weighted([
        [50, 0n],
        [45, 1n],
        [5, 2n],
      ]);
      this.memory.write64(base, present | fpd | (type << 2n) | domain.second);
      this.memory.write64(base + 8n, BigInt(domain.width) | (BigInt(domain.id) << 8n));
      return;
    }
    const deviceTlb = random.chance(85) ? 4n : 0n;
    const pasids = random.chance(90) ? 8n : 0n;
    this.memory.write64(base, present | fpd | deviceTlb | pasids | this.#directories[i]!);
    this.memory.write64(base + 8n, BigInt(random.below(2)) | (random.chance(10) ? 1n << 20n : 0n));
  }

  #writeDirectory(i: number): void {
    const { random } = this;
    const flags = (random.chance(95) ? 1n : 0n) | (random.chance(10) ? 2n : 0n);
    this.memory.write64(this.#directories[i]!, random.pick(this.#pasidTables[i]!) | flags);
  }

  #writePasid(i: number, table: number, pasid: number): void {
    const { random } = this;
    const domain = random.pick(this.domains);
    const type = domain.type === 3 && random.chance(20) ? 2 : domain.type;
    const flags = (random.chance(95) ? 1n : 0n) | (random.chance(10) ? 2n : 0n);
    const snoop = 1n << 23n;
    const first = type === 1 || type === 3 ? domain.first[pasid]! : 0n;
    const control =
      (random.chance(80) ? 1n : 0n) |
      (domain.protectsSupervisor ? 0x10n : 0n) |
      (domain.extendedAccessed ? 0x80n : 0n);
    const words = [
      flags |
        (BigInt(domain.width) << 2n) |
        (BigInt(type) << 6n) |
        (domain.secondFlags ? 0x200n : 0n) |
        domain.second |
        (random.chance(2) ? 0x20n : 0n),
      BigInt(domain.id) | snoop,
      control | first,
    ];
    const base = this.#pasidTables[i]![table]! + BigInt(pasid) * 64n;
    words.forEach((word, at) => {
      this.memory.write64(base + BigInt(at) * 8n, word);
    });
  }

  #words(address: bigint, count: number): bigint[] {
    return Array.from(
      { length: count },
      (_, at) => this.memory.read64(address + BigInt(at) * 8n) ?? 0n,
    );
  }

  /** What the unit finds for `source` when it looks now. */
  contextValue(source: number): ContextValue {
    const which = this.rtaddr === this.#rootTable(0) ? 0 : 1;
    const context = this.#words(this.#contextAddress(source, which), this.legacy ? 2 : 4);
    return {
      rtaddr: this.rtaddr,
      root: this.#words(this.#roots[which]!, 2),
      context,
      domain: this.legacy ? Number((context[1]! >> 8n) & 0xffffn) : undefined,
    };
  }

  pasidValue(source: number, pasid: number): PasidValue {
    const directory = this.memory.read64(this.#directories[SOURCES.indexOf(source)]!)!;
    const entry = this.#words((directory & ~0xfffn) + BigInt(pasid) * 64n, 8);
    return { directory, entry, domain: Number(entry[1]! & 0xffffn) };
  }

  /** The domain and PASID that tag what a request without or with a PASID uses, as its entries are now. */
  tagOf(source: number, pasid: number | undefined): { domain: number; pasid: number } {
    const { domain, context } = this.contextValue(source);
    if (domain !== undefined) return { domain, pasid: 0 };
    const tagged = pasid ?? Number(context[1]! & 0xf_ffffn);
    return { domain: this.pasidValue(source, tagged).domain, pasid: tagged };
  }

  static pasidKey(source: number, pasid: number): number {
    return source * 1024 + pasid;
  }

  /** Does something to context and PASID structures and keeps what they were. */
  #changeStructures(change: () => void): void {
    const contexts = SOURCES.map((source) => this.contextValue(source));
    const pasids = SOURCES.flatMap((source) => PASIDS.map((pasid) => [source, pasid] as const));
    const before = this.legacy
      ? []
      : pasids.map(([source, pasid]) => this.pasidValue(source, pasid));
    change();
    const keep = <T>(into: Map<number, Past<T>[]>, key: number, value: T, now: T): void => {
      if (JSON.stringify(value, hexadecimal) === JSON.stringify(now, hexadecimal)) return;
      const past = into.get(key) ?? [];
      into.set(key, [...past, { value, to: this.time }]);
    };
    SOURCES.forEach((source, i) => {
      keep(this.pastContexts, source, contexts[i]!, this.contextValue(source));
    });
    before.forEach((value, i) => {
      const [source, pasid] = pasids[i]!;
      keep(this.pastPasids, World.pasidKey(source, pasid), value, this.pasidValue(source, pasid));
    });
  }

  changeContext(): void {
    const i = this.random.below(SOURCES.length);
    this.#changeStructures(() => {
      this.#writeContext(i, this.random.below(2));
    });
  }

  changePasid(): void {
    const i = this.random.below(SOURCES.length);
    this.#changeStructures(() => {
      if (this.random.chance(20)) this.#writeDirectory(i);
      else this.#writePasid(i, this.random.below(2), this.random.pick(PASIDS));
    });
  }

  /** Takes the other root table. */
  changeRoot(): void {
    this.#changeStructures(() => {
      this.rtaddr = this.#rootTable(this.rtaddr === this.#rootTable(0) ? 1 : 0);
    });
  }

  /** Changes a page-table entry, one of those at `used` more often than another. */
  changeEntry(used: readonly bigint[]): void {
    const { random } = this;
    const known = used
      .map((address) => this.#slotAt.get(address))
      .filter((slot) => slot !== undefined);
    const first = known.filter(({ stage }) => stage === 1);
    const from = random.chance(40) ? this.#slots : random.chance(50) ? first : known;
    const slot = random.pick(from.length > 0 ? from : this.#slots);
    const before = this.memory.read64(slot.address)!;
    const cleared = before & (slot.stage === 1 ? ~0x460n : ~0x300n);
    const after = random.chance(15) ? cleared : this.#slotValue(slot);
    if (after === before) return;
    // What the entry was includes the flags that the unit set: without them it was never used.
    const past = this.pastEntries.get(slot.address) ?? [];
    this.pastEntries.set(slot.address, [...past, { value: before, to: this.time }]);
    this.memory.write64(slot.address, after);
  }

  randomAddress(): bigint {
    const { random } = this;
    const offset = BigInt(random.below(4096));
    if (random.chance(4))
      return (TABLES_REGION << 30n) | (BigInt(random.below(30)) << 12n) | offset;
    if (random.chance(1)) return random.bits64();
    return randomAddress(random) | offset;
  }
}

const hexadecimal = (_key: string, value: unknown): unknown =>
  typeof value === "bigint" ? value.toString(16) : value;
