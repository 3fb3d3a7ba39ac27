import { frameAddress } from "../bits/halves.ts";
import {
  type Capture,
  type CaptureContents,
  type CapturedRegisters,
  type RamRange,
  type StoredPage,
  type VtdCapture,
  type VtdRegisters,
  vtdRegisters,
  withVtdRegisters,
} from "../capture/index.ts";
import { Fabric, Topology } from "../hardware/pci/index.ts";
import {
  type Capabilities,
  type CacheSizes,
  createCapabilities,
  TranslationUnit,
} from "../hardware/vtd/index.ts";
import { createSparseMemory, type PhysicalMemory, WORDS_LG2 } from "../memory/index.ts";
import { TraceChannel } from "../trace/channel.ts";

/** What a machine is made of. */
export interface MachineOptions {
  readonly capabilities: Capabilities;
  /** Where RAM is, by address and apart. */
  readonly ram: readonly RamRange[];
  /** What `ram` holds; memory that is all zeros when absent. */
  readonly memory?: PhysicalMemory;
  /** Sizes of the unit's caches; `off` for a unit that reads every table for every request. */
  readonly caches?: CacheSizes | "off";
  /** The unit's registers other than those that the machine keeps itself. */
  readonly registers?: VtdRegisters;
  /** Where every room's events go. */
  readonly trace?: TraceChannel;
}

/** GSTS.TES and GSTS.RTPS (VT-d specification 11.4.4.2): translation is on, the root table is set. */
const TES = 1n << 31n;
const RTPS = 1n << 30n;

/** Register VER of a unit that nobody described: 1.0. */
const VERSION = 0x10n;

/** Memory, one remapping unit in front of it, and the PCI fabric behind that; their events in one channel. */
export class Machine {
  readonly memory: PhysicalMemory;
  readonly ram: readonly RamRange[];
  readonly trace: TraceChannel;
  readonly unit: TranslationUnit;
  readonly topology: Topology;
  readonly fabric: Fabric;
  readonly #registers: VtdRegisters;

  constructor(options: MachineOptions) {
    const { capabilities, ram, caches } = options;
    this.ram = ram;
    this.memory = options.memory ?? createSparseMemory(ram);
    this.trace = options.trace ?? new TraceChannel();
    this.#registers =
      options.registers ?? withVtdRegisters(vtdRegisters(new Map()), { ver: VERSION });
    this.unit = new TranslationUnit({
      capabilities,
      memory: this.memory,
      trace: this.trace,
      ...(caches === undefined ? {} : { caches }),
    });
    this.topology = new Topology(this.trace);
    this.fabric = new Fabric(this.topology, this.memory);
    this.fabric.attach(this.unit, { kind: "segment", segment: 0 });
  }

  /** The unit's registers at this moment. */
  get registers(): VtdRegisters {
    const { capabilities, enabled, rootTableAddress } = this.unit;
    const status = (this.#registers.gsts & ~TES) | (enabled ? TES : 0n);
    return withVtdRegisters(this.#registers, {
      cap: capabilities.cap,
      ecap: capabilities.ecap,
      gsts: rootTableAddress === 0n ? status : status | RTPS,
      rtaddr: rootTableAddress,
    });
  }

  /**
   * What `writeCapture` takes to save the machine as it is now.
   *
   * @param pages which pages to keep; every page of RAM that is not all zeros when absent
   * @throws RangeError when `pages` is absent and there are more than 64 GiB of RAM: a bug in the caller
   */
  capture(pages?: readonly StoredPage[]): CaptureContents {
    const registers: CapturedRegisters = { iommu: "vtd", registers: this.registers };
    const { memory, ram } = this;
    return { ...registers, memory, ram, storedPages: pages ?? usedPages(memory, ram) };
  }

  /** The machine's state as plain data. */
  inspect(): {
    readonly schema: "softiommu/machine@1";
    readonly unit: ReturnType<TranslationUnit["inspect"]>;
    readonly topology: ReturnType<Topology["inspect"]>;
    readonly fabric: ReturnType<Fabric["inspect"]>;
  } {
    return {
      schema: "softiommu/machine@1",
      unit: this.unit.inspect(),
      topology: this.topology.inspect(),
      fabric: this.fabric.inspect(),
    };
  }
}

/** RAM that is searched for pages in use: 64 GiB. */
const MAX_SEARCHED = 1n << 36n;

const isUsed = (memory: PhysicalMemory, pfn: number): boolean => {
  const { words, firstPfn } = memory.bankOf(pfn);
  const start = (pfn - firstPfn) << WORDS_LG2;
  for (let at = start; at < start + (1 << WORDS_LG2); at++) if (words[at] !== 0) return true;
  return false;
};

/** Every page of RAM that is not all zeros. */
const usedPages = (memory: PhysicalMemory, ram: readonly RamRange[]): StoredPage[] => {
  if (ram.reduce((sum, { length }) => sum + length, 0n) > MAX_SEARCHED) {
    throw new RangeError("there is too much RAM to search: say which pages to keep");
  }
  const pages: StoredPage[] = [];
  for (const { base, length } of ram) {
    const end = Number((base + length) >> 12n);
    for (let pfn = Number(base >> 12n); pfn < end; pfn++) {
      if (isUsed(memory, pfn)) pages.push({ pa: frameAddress(pfn), kind: "ram" });
    }
  }
  return pages;
};

/** How a machine is made from a capture. */
export interface FromCaptureOptions {
  readonly caches?: CacheSizes | "off";
  readonly trace?: TraceChannel;
}

/**
 * The machine that a capture was taken of. Its memory is the capture's: what
 * is written stays in this process, and the capture's files as they are.
 *
 * The registers do not say whether the unit updates accessed and dirty flags
 * where page walks are not snooped. Those of QEMU, which most captures are of,
 * do; so does this one.
 */
export const machineFromCapture = (
  capture: VtdCapture,
  options: FromCaptureOptions = {},
): Machine => {
  const { registers, memory, ram } = capture;
  const machine = new Machine({
    ...options,
    capabilities: createCapabilities({
      cap: registers.cap,
      ecap: registers.ecap,
      unsnoopedUpdates: true,
    }),
    ram,
    memory,
    registers,
  });
  machine.unit.setRootTable(registers.rtaddr);
  machine.unit.setTranslation((registers.gsts & TES) !== 0n);
  return machine;
};

/** Whether the capture is one that `machineFromCapture` takes. */
export const isVtd = (capture: Capture): capture is VtdCapture => capture.iommu === "vtd";
