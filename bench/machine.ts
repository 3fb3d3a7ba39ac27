import { frameAddress } from "../src/bits/halves.ts";
import {
  type CacheSizes,
  type Capabilities,
  CONTEXT_ENTRY,
  PASID_DIRECTORY_ENTRY,
  PASID_ENTRY,
  ROOT_ENTRY,
  SCALABLE_CONTEXT_ENTRY,
  SCALABLE_ROOT_HALF,
  SERVER,
  TranslationUnit,
} from "../src/hardware/vtd/index.ts";
import {
  createPageTable,
  Gather,
  type PageTable,
  type PageTableFormat,
  PROT_READ,
  PROT_WRITE,
  VTD_SECOND_STAGE,
  X86_64,
} from "../src/page-table/index.ts";
import { FIRST_PFN, FIRST_VFN } from "./stream.ts";
import { type MemoryKind, TableMemory } from "./table-memory.ts";

/** 00:02.0. */
export const SOURCE = 0x10;
/** PASIDs 1 to this one, all with the same tables. */
export const PASIDS = 4;

/** How requests are translated. The numbers are those of PASID_ENTRY.PGTT, which the C programs take too. */
export type StageType = "first-stage" | "second-stage" | "nested";
export const PGTT: Readonly<Record<StageType, number>> = {
  "first-stage": 1,
  "second-stage": 2,
  nested: 3,
};

export interface MachineOptions {
  readonly memory: MemoryKind;
  readonly type: StageType;
  /** Frames that are mapped. */
  readonly frames: number;
  readonly caches?: CacheSizes | "off";
  /** log2 of the only page size that is used; 12 when absent. */
  readonly pageLg2?: number;
  /** Levels of the first stage, or of the second when there is no first; 4 when absent. */
  readonly levels?: number;
  /** Levels of the second stage where nested; 4 when absent. */
  readonly lowerLevels?: number;
  /** Legacy mode; only for a second stage. */
  readonly legacy?: boolean;
}

/** A unit with tables in memory for `frames` frames from `FIRST_VFN`, for one device and four PASIDs. */
export interface Machine {
  readonly unit: TranslationUnit;
  readonly tables: TableMemory;
}

const LARGE_ENOUGH = 1 << 14;

const newTable = (
  tables: TableMemory,
  format: PageTableFormat,
  levels: number,
  pageLg2: number,
): PageTable => {
  const pageSizes = 1n << BigInt(pageLg2);
  const made = createPageTable({ format, memory: tables.memory, pages: tables, levels, pageSizes });
  if (!made.ok) throw new Error(`no page table: ${made.errno}`);
  return made.table;
};

const mapAll = (table: PageTable, vfn: number, pfn: number, count: number): void => {
  const gather = new Gather(table.pages);
  if (table.mapFrames(vfn, pfn, count, PROT_READ | PROT_WRITE, gather) !== count) {
    throw new Error(`not mapped: ${table.failure}`);
  }
};

/**
 * Guest frames of a nested machine's tables: each level and the data in a 1 GiB
 * region of its own, so that nothing a paging-structure cache of one entry
 * keeps is of use to the next read.
 */
const guestTables = (level: number): number => (5 - level) * 0x4_0000;
const GUEST_DATA = 8 * 0x4_0000;

/** Memory as a guest sees it, made of host frames as it is written; a second stage leads from one to the other. */
class GuestTables {
  readonly #tables: TableMemory;
  readonly #second: PageTable;
  readonly #counts: number[] = [];
  readonly #behind = new Map<number, number>();

  constructor(tables: TableMemory, second: PageTable) {
    this.#tables = tables;
    this.#second = second;
  }

  /** @returns the guest frame of a new table of `level` */
  allocate(level: number): number {
    const count = this.#counts[level] ?? 0;
    this.#counts[level] = count + 1;
    const guest = guestTables(level) + count;
    const host = this.#tables.allocate();
    mapAll(this.#second, guest, host, 1);
    this.#behind.set(guest, host);
    return guest;
  }

  entryAddress(guest: number, index: number): bigint {
    return frameAddress(this.#behind.get(guest)!) + BigInt(index * 8);
  }
}

/** @returns the guest frame of the first stage's top table */
const buildGuestFirstStage = (
  tables: TableMemory,
  second: PageTable,
  levels: number,
  frames: number,
): number => {
  const { memory } = tables;
  const guest = new GuestTables(tables, second);
  const top = guest.allocate(levels - 1);
  for (let i = 0; i < frames; i++) {
    const vfn = FIRST_VFN + i;
    let at = top;
    for (let level = levels - 1; level > 0; level--) {
      const address = guest.entryAddress(at, Math.floor(vfn / 512 ** level) % 512);
      const entry = memory.read64(address)!;
      at = entry === 0n ? guest.allocate(level - 1) : Number(entry >> 12n);
      if (entry === 0n) memory.write64(address, frameAddress(at) | 7n);
    }
    memory.write64(guest.entryAddress(at, vfn % 512), frameAddress(GUEST_DATA + i) | 7n);
  }
  mapAll(second, GUEST_DATA, FIRST_PFN, frames);
  return top;
};

interface Roots {
  readonly first: number;
  readonly second: number;
}

const buildTables = (tables: TableMemory, options: MachineOptions): Roots => {
  const { type, frames, pageLg2 = 12, levels = 4, lowerLevels = 4 } = options;
  if (type === "nested") {
    const second = newTable(tables, VTD_SECOND_STAGE, lowerLevels, 12);
    return { first: buildGuestFirstStage(tables, second, levels, frames), second: second.rootPfn };
  }
  const table = newTable(
    tables,
    type === "first-stage" ? X86_64 : VTD_SECOND_STAGE,
    levels,
    pageLg2,
  );
  mapAll(table, FIRST_VFN, FIRST_PFN, frames);
  return type === "first-stage"
    ? { first: table.rootPfn, second: 0 }
    : { first: 0, second: table.rootPfn };
};

const writeEntry = (tables: TableMemory, address: bigint, words: readonly bigint[]): void => {
  words.forEach((word, i) => {
    tables.memory.write64(address + BigInt(i * 8), word);
  });
};

const pasidEntry = (options: MachineOptions, roots: Roots, pasid: number): bigint[] => {
  const { type, levels = 4, lowerLevels = 4 } = options;
  const secondLevels = type === "nested" ? lowerLevels : levels;
  return PASID_ENTRY.encode({
    P: true,
    AW: type === "first-stage" ? 2 : secondLevels - 2,
    PGTT: PGTT[type],
    SSADE: type !== "first-stage",
    SSPTPTR: frameAddress(roots.second),
    // A second stage's cache entries have its domain's tag: as many domains as PASIDs.
    DID: type === "second-stage" ? pasid : 1,
    PWSNP: true,
    FSPM: type === "second-stage" ? 0 : levels - 4,
    FSPTPTR: frameAddress(roots.first),
  });
};

/** @returns what RTADDR is to say */
const buildScalableTables = (
  tables: TableMemory,
  options: MachineOptions,
  roots: Roots,
): bigint => {
  const frame = (): bigint => frameAddress(tables.allocate());
  const [root, context, directory, table] = [frame(), frame(), frame(), frame()];
  writeEntry(tables, root, SCALABLE_ROOT_HALF.encode({ P: true, CTP: context }));
  const contextEntry = SCALABLE_CONTEXT_ENTRY.encode({
    P: true,
    PASIDE: true,
    PASIDDIRPTR: directory,
  });
  writeEntry(tables, context + BigInt(SOURCE * 32), contextEntry);
  writeEntry(tables, directory, PASID_DIRECTORY_ENTRY.encode({ P: true, SMPTBLPTR: table }));
  for (let pasid = 1; pasid <= PASIDS; pasid++) {
    writeEntry(tables, table + BigInt(pasid * 64), pasidEntry(options, roots, pasid));
  }
  return root | 0x400n;
};

const buildLegacyTables = (tables: TableMemory, options: MachineOptions, roots: Roots): bigint => {
  const root = frameAddress(tables.allocate());
  const context = frameAddress(tables.allocate());
  writeEntry(tables, root, ROOT_ENTRY.encode({ P: true, CTP: context }));
  const fields = {
    P: true,
    SSPTPTR: frameAddress(roots.second),
    AW: (options.levels ?? 4) - 2,
    DID: 1,
  };
  writeEntry(tables, context + BigInt(SOURCE * 16), CONTEXT_ENTRY.encode(fields));
  return root;
};

/** Builds the tables and starts the unit. */
export const createMachine = (
  options: MachineOptions,
  capabilities: Capabilities = SERVER,
): Machine => {
  let size = LARGE_ENOUGH;
  while (size < options.frames) size *= 2;
  const tables = new TableMemory(options.memory, size);
  const roots = buildTables(tables, options);
  const rtaddr = options.legacy
    ? buildLegacyTables(tables, options, roots)
    : buildScalableTables(tables, options, roots);
  const caches = options.caches;
  const unit = new TranslationUnit({
    capabilities,
    memory: tables.memory,
    ...(caches === undefined ? {} : { caches }),
  });
  unit.setRootTable(rtaddr);
  unit.setTranslation(true);
  return { unit, tables };
};
