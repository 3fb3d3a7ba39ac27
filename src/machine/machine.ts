import { frameAddress } from "../bits/halves.ts";
import {
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
import { enumerateUnit } from "../hardware/vtd/enumerate.ts";
import {
  type CacheSizes,
  type Capabilities,
  createCapabilities,
  TranslationUnit,
} from "../hardware/vtd/index.ts";
import { createSparseMemory, type PhysicalMemory } from "../memory/index.ts";
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
   * @param pages which pages to keep, each once and in RAM; those with the unit's tables when absent
   */
  capture(pages: readonly StoredPage[] = tablePages(this.unit, this.memory)): CaptureContents {
    const registers: CapturedRegisters = { iommu: "vtd", registers: this.registers };
    return { ...registers, memory: this.memory, ram: this.ram, storedPages: pages };
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

/** Every page with tables that the unit reads, by address. */
const tablePages = (
  { capabilities, rootTableAddress }: TranslationUnit,
  memory: PhysicalMemory,
): StoredPage[] => {
  const { tablePfns } = enumerateUnit({ capabilities, memory, rtaddr: rootTableAddress });
  const root = rootTableAddress & ~0xfffn;
  return [...tablePfns]
    .sort((a, b) => a - b)
    .map(frameAddress)
    .map((pa) => ({ pa, kind: pa === root ? "root" : "table" }));
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
