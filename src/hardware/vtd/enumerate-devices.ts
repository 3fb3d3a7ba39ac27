import { frameAddress } from "../../bits/halves.ts";
import { TraceChannel } from "../../trace/channel.ts";
import { NO_PASID, UNTRANSLATED } from "../pci/dma-request.ts";
import type { Capabilities } from "./capabilities.ts";
import { Counters } from "./counters.ts";
import { createDeviceReaders, type DeviceReaders } from "./device-readers.ts";
import { DeviceTables } from "./device-tables.ts";
import type { ProblemKind } from "./enumerate-leaves.ts";
import { copyPage, PAGE_WORDS, type VisitParts } from "./enumerate-tables.ts";
import { FaultSite } from "./fault.ts";
import { CONTEXT_ENTRY, SCALABLE_CONTEXT_ENTRY, TT_DEVICE_TLB } from "./spec/context-entry.ts";
import { PASID_DIRECTORY_ENTRY, PASID_ENTRY } from "./spec/pasid-entry.ts";
import { Target } from "./target.ts";

/** A root, context or PASID entry that was refused, or points to where there is no memory. */
export interface StructureProblem {
  readonly kind: ProblemKind;
  /** Requester ID of the device it belongs to; `undefined` for the root table and what its entries point to. */
  readonly source: number | undefined;
  /** Of a PASID entry; `null` for requests without a PASID, and where no single PASID is concerned. */
  readonly pasid: number | null;
  /** Physical address of the entry, or what is pointed to. */
  readonly address: bigint;
}

/** How the requests of one device with one PASID, or without any, are treated. */
export interface FoundSpace {
  /** `null` for requests without a PASID. */
  readonly pasid: number | null;
  /** PASID_ENTRY.PGTT, or what a legacy context entry amounts to. */
  readonly type: number;
  readonly domain: number;
  /** FPD of the PASID entry or one on the way to it. */
  readonly fpd: boolean;
  /** The code of the fault that the entry, or one on the way to it, causes; 0 when it is valid. */
  readonly code: number;
  /** How hardware takes the entry; `undefined` when it is not valid. */
  readonly target: Target | undefined;
}

/** A device with a context entry. */
export interface FoundDevice {
  /** Requester ID. */
  readonly source: number;
  /** Physical address of its context entry. */
  readonly contextAddress: bigint;
  /** Device TLBs are served: TT=01, or DTE. */
  readonly deviceTlb: boolean;
  /** Requests with a PASID are served. */
  readonly pasidEnabled: boolean;
  readonly pageRequests: boolean;
  /** FPD of the context entry. */
  readonly fpd: boolean;
  /** The PASID of requests without one; `undefined` in legacy mode. */
  readonly ridPasid: number | undefined;
  /** The code of the fault that the entries for requests without a PASID cause; 0 when there is none. */
  readonly code: number;
  /** Requests without a PASID first, then by PASID. */
  readonly spaces: readonly FoundSpace[];
}

type RootReader = DeviceReaders["root"];

const CONTEXTS_OF_A_PAGE = { legacy: 256, scalable: 128 } as const;

/** log2 of the entries of a PASID directory with PDTS=0, and of those of one of its pages. */
const DIRECTORY_LG2 = 7;
const DIRECTORY_PAGE_LG2 = 9;

const PASIDS_OF_A_TABLE = 64;

const newPage = (): Int32Array => new Int32Array(PAGE_WORDS);

/**
 * Goes through the root table and everything it leads to, down to the PASID
 * entries, and has the unit's own `DeviceTables` say what each is worth.
 */
export class DeviceScan {
  readonly devices: FoundDevice[] = [];
  readonly problems: StructureProblem[] = [];
  readonly #parts: VisitParts;
  readonly #rootPfn: number;
  readonly #legacy: boolean;
  readonly #site = new FaultSite();
  readonly #tables: DeviceTables;
  readonly #root: RootReader;
  readonly #half: DeviceReaders["half"];
  readonly #context: DeviceReaders["legacy"];
  readonly #scalable: DeviceReaders["scalable"];
  readonly #directory: DeviceReaders["directory"];
  readonly #entry: DeviceReaders["entry"];
  readonly #rootWords = newPage();
  readonly #contextWords = newPage();
  readonly #directoryWords = newPage();
  readonly #pasidWords = newPage();

  constructor(capabilities: Capabilities, parts: VisitParts, rootPfn: number, legacy: boolean) {
    const { memory } = parts;
    this.#parts = parts;
    this.#rootPfn = rootPfn;
    this.#legacy = legacy;
    const own = { capabilities, memory, counters: new Counters(), trace: new TraceChannel() };
    this.#tables = new DeviceTables(own, this.#site, { contextsLg2: -1, pasidsLg2: -1 });
    const readers = createDeviceReaders(own);
    this.#root = readers.root;
    this.#half = readers.half;
    this.#context = readers.legacy;
    this.#scalable = readers.scalable;
    this.#directory = readers.directory;
    this.#entry = readers.entry;
  }

  /** @returns whether the root table could be read */
  run(): boolean {
    if (!this.#read(this.#rootPfn, this.#rootWords, undefined)) return this.#parts.budget.exhausted;
    for (let bus = 0; bus < 256; bus++) {
      if (this.#legacy) {
        this.#scanContexts(bus << 8, this.#root, bus * 16);
      } else {
        this.#scanContexts(bus << 8, this.#half, bus * 16);
        this.#scanContexts((bus << 8) | 0x80, this.#half, bus * 16 + 8);
      }
    }
    return true;
  }

  /** The context table that the root entry at byte `offset` points to; its first entry is that of `firstSource`. */
  #scanContexts(firstSource: number, root: RootReader, offset: number): void {
    if ((this.#rootWords[offset >>> 2]! & 1) === 0) return;
    root.read(this.#rootPfn, offset);
    this.#parts.budget.enter(undefined, null);
    if (root.violatesReserved) {
      this.#addProblem("reserved-bit", undefined, null, root.address);
      return;
    }
    const pfn = root.frame(root.layout.fields.CTP);
    if (!this.#read(pfn, this.#contextWords, undefined)) return;
    const count = CONTEXTS_OF_A_PAGE[this.#legacy ? "legacy" : "scalable"];
    const bytes = 4096 / count;
    for (let i = 0; i < count && !this.#parts.budget.exhausted; i++) {
      if ((this.#contextWords[(i * bytes) >>> 2]! & 1) === 0) continue;
      this.#parts.budget.enter(firstSource + i, null);
      if (this.#legacy) this.#scanLegacyDevice(firstSource + i, pfn, i * bytes);
      else this.#scanDevice(firstSource + i, pfn, i * bytes);
    }
  }

  #scanLegacyDevice(source: number, pfn: number, offset: number): void {
    const entry = this.#context;
    const { fields } = CONTEXT_ENTRY;
    const code = this.#resolve(source, NO_PASID);
    entry.read(pfn, offset);
    if (entry.violatesReserved) this.#addProblem("reserved-bit", source, null, entry.address);
    const { target } = this.#tables;
    const fpd = entry.has(fields.FPD);
    const { domain, type } = target;
    this.devices.push({
      source,
      contextAddress: entry.address,
      deviceTlb: entry.get(fields.TT) === TT_DEVICE_TLB,
      pasidEnabled: false,
      pageRequests: false,
      fpd,
      ridPasid: undefined,
      code,
      spaces: code === 0 ? [{ pasid: null, type, domain, fpd, code, target: copyOf(target) }] : [],
    });
  }

  #scanDevice(source: number, pfn: number, offset: number): void {
    const entry = this.#scalable;
    const { fields } = SCALABLE_CONTEXT_ENTRY;
    const code = this.#resolve(source, NO_PASID);
    entry.read(pfn, offset);
    const bad = entry.violatesReserved;
    if (bad) this.#addProblem("reserved-bit", source, null, entry.address);
    const ridPasid = entry.get(fields.RID_PASID);
    const device = {
      source,
      contextAddress: entry.address,
      deviceTlb: entry.has(fields.DTE),
      pasidEnabled: entry.has(fields.PASIDE),
      pageRequests: entry.has(fields.PRE),
      fpd: entry.has(fields.FPD),
      ridPasid,
      code,
    };
    const directoryLg2 = entry.get(fields.PDTS) + DIRECTORY_LG2;
    const spaces: FoundSpace[] = [];
    if (!bad)
      this.#scanDirectory(source, entry.frame(fields.PASIDDIRPTR), directoryLg2, ridPasid, spaces);
    spaces.sort((a, b) => (a.pasid ?? -1) - (b.pasid ?? -1));
    this.devices.push({ ...device, spaces });
  }

  /** A PASID directory of 2^`lg2` entries, which may be part of a page or several. */
  #scanDirectory(
    source: number,
    firstPfn: number,
    lg2: number,
    ridPasid: number,
    spaces: FoundSpace[],
  ): void {
    const pages = 2 ** Math.max(0, lg2 - DIRECTORY_PAGE_LG2);
    const entries = 2 ** Math.min(lg2, DIRECTORY_PAGE_LG2);
    for (let page = 0; page < pages; page++) {
      // The rest of a directory that runs out of memory is out of memory for the same reason.
      if (!this.#read(firstPfn + page, this.#directoryWords, source)) return;
      for (let i = 0; i < entries; i++) {
        if ((this.#directoryWords[i * 2]! & 1) === 0) continue;
        const firstPasid = (page * entries + i) * PASIDS_OF_A_TABLE;
        this.#scanPasids(source, firstPfn + page, i * 8, firstPasid, ridPasid, spaces);
        if (this.#parts.budget.exhausted) return;
      }
    }
  }

  /** The PASID table that a directory entry points to. */
  #scanPasids(
    source: number,
    directoryPfn: number,
    offset: number,
    firstPasid: number,
    ridPasid: number,
    spaces: FoundSpace[],
  ): void {
    const directory = this.#directory;
    directory.read(directoryPfn, offset);
    if (directory.violatesReserved) {
      this.#addProblem("reserved-bit", source, null, directory.address);
      return;
    }
    const pfn = directory.frame(PASID_DIRECTORY_ENTRY.fields.SMPTBLPTR);
    if (!this.#read(pfn, this.#pasidWords, source)) return;
    for (let i = 0; i < PASIDS_OF_A_TABLE; i++) {
      if ((this.#pasidWords[i * 16]! & 1) === 0) continue;
      if (!this.#parts.budget.spend("pasidEntries", 1)) return;
      const pasid = firstPasid + i === ridPasid ? null : firstPasid + i;
      spaces.push(this.#readSpace(source, pasid, pfn, i * PASID_ENTRY.bytes));
    }
  }

  #readSpace(source: number, pasid: number | null, pfn: number, offset: number): FoundSpace {
    const entry = this.#entry;
    const { fields } = PASID_ENTRY;
    const code = this.#resolve(source, pasid ?? NO_PASID);
    entry.read(pfn, offset);
    if (entry.violatesReserved) this.#addProblem("reserved-bit", source, pasid, entry.address);
    return {
      pasid,
      type: entry.get(fields.PGTT),
      domain: entry.get(fields.DID),
      fpd: this.#site.fpd || entry.has(fields.FPD),
      code,
      target: code === 0 ? copyOf(this.#tables.target) : undefined,
    };
  }

  /** What becomes of an ordinary request: 0, with the answer in `#tables.target`, or the code of its fault. */
  #resolve(source: number, pasid: number): number {
    this.#site.clear();
    return this.#tables.resolve(this.#rootPfn, this.#legacy, source, pasid, UNTRANSLATED);
  }

  #read(pfn: number, words: Int32Array, source: number | undefined): boolean {
    const { budget, memory, tablePfns } = this.#parts;
    if (!budget.spend("structurePages", 1)) return false;
    if (!copyPage(memory, pfn, words)) {
      this.#addProblem("outside-memory", source, null, frameAddress(pfn));
      return false;
    }
    tablePfns.add(pfn);
    return true;
  }

  #addProblem(
    kind: ProblemKind,
    source: number | undefined,
    pasid: number | null,
    address: bigint,
  ): void {
    if (!this.#parts.budget.spend("problems", 1)) return;
    this.problems.push({ kind, source, pasid, address });
  }
}

const copyOf = (target: Target): Target => Object.assign(new Target(), target);
