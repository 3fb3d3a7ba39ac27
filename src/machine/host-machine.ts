import { addDmaEngine, type DmaEngine, type DmaEngineOptions } from "../hardware/devices/index.ts";
import type { Interrupt } from "../hardware/interrupt/index.ts";
import {
  assignMemory,
  type Bus,
  Fabric,
  type FunctionDeclaration,
  requesterId,
  Topology,
  type TranslatorScope,
} from "../hardware/pci/index.ts";
import {
  ManualClock,
  type PhysicalRange,
  type Platform,
  type ReservedMemory,
} from "../hardware/platform/index.ts";
import {
  attachUnit,
  type CacheSizes,
  type Capabilities,
  type RemappingUnit,
  remappedInterrupts,
  SERVER,
} from "../hardware/vtd/index.ts";
import { createSparseMemory, type PhysicalMemory } from "../memory/index.ts";
import { TraceChannel } from "../trace/channel.ts";
import { createPlatform, type PlacedUnit, UnitVectors } from "./host-platform.ts";

/** A function of the root bus, by its place. */
export interface RootBusPlace {
  readonly device: number;
  readonly function?: number;
}

/** A remapping unit of a host machine. */
export interface HostUnitOptions {
  readonly capabilities?: Capabilities;
  readonly caches?: CacheSizes | "off";
  /** Functions of the root bus that it serves, bridges with what is behind them; all that are left when absent. */
  readonly serves?: readonly RootBusPlace[];
}

/** What a host machine is made of. */
export interface HostMachineOptions {
  readonly ram?: readonly PhysicalRange[];
  readonly reserved?: readonly PhysicalRange[];
  /** One unit that serves everything when absent. */
  readonly units?: readonly HostUnitOptions[];
  readonly reservedMemory?: readonly ReservedMemory[];
  readonly trace?: TraceChannel;
  /** Puts functions on the buses, before these get numbers and addresses. */
  readonly populate: (build: HostBuilder) => void;
}

/** Puts functions into a machine that is being made. */
export interface HostBuilder {
  readonly root: Bus;
  readonly fabric: Fabric;
  /** Adds a DMA engine: an integrated endpoint on the root bus, unless told otherwise. */
  addEngine(
    place: RootBusPlace & { readonly kind?: FunctionDeclaration["kind"] },
    bus?: Bus,
    options?: DmaEngineOptions,
  ): DmaEngine;
}

/** Where the registers of the first unit are; each of the others comes 64 KiB behind the one before. */
const UNIT_BASE = 0xfed9_0000n;
const UNIT_STRIDE = 0x1_0000n;
/** Where device memory begins. */
const DEVICE_MEMORY = 0xe000_0000n;
const DEFAULT_RAM = [{ base: 0x10_0000n, length: 256n << 20n }];

/**
 * A whole machine for an operating system of ours: memory, buses, DMA engines,
 * remapping units in front of them, interrupts, and the port through which a
 * kernel reaches all of it.
 */
export class HostMachine {
  readonly memory: PhysicalMemory;
  readonly trace: TraceChannel;
  readonly clock: ManualClock = new ManualClock();
  readonly topology: Topology;
  readonly fabric: Fabric;
  readonly units: readonly RemappingUnit[];
  readonly engines: readonly DmaEngine[];
  /** Interrupts that arrived for vectors which nobody has connected. */
  readonly strayInterrupts: Interrupt[] = [];
  readonly platform: Platform;

  /** @throws RangeError when functions or scopes do not fit: a bug in the caller */
  constructor(options: HostMachineOptions) {
    const ram = options.ram ?? DEFAULT_RAM;
    this.memory = createSparseMemory(ram);
    this.trace = options.trace ?? new TraceChannel();
    this.topology = new Topology(this.trace);
    this.fabric = new Fabric(this.topology, this.memory);
    const root = this.topology.addRootBus();
    this.engines = populateBuses(this.fabric, root, options.populate);
    this.topology.assignBusNumbers();
    assignMemory(root, DEVICE_MEMORY);
    const vectors = new UnitVectors((stray) => void this.strayInterrupts.push(stray));
    const { units = [{}] } = options;
    const placed = units.map((unit, i) => this.#place(unit, i, root, vectors));
    this.units = placed.map(({ unit }) => unit);
    this.fabric.attachInterrupts(remappedInterrupts(vectors));
    this.platform = createPlatform({
      memory: this.memory,
      ram,
      reserved: options.reserved ?? [],
      clock: this.clock,
      fabric: this.fabric,
      units: placed,
      reservedMemory: options.reservedMemory ?? [],
      vectors,
    });
  }

  #place(options: HostUnitOptions, index: number, root: Bus, vectors: UnitVectors): PlacedUnit {
    const { capabilities = SERVER, caches, serves } = options;
    const fns = serves?.map(({ device, function: fn = 0 }) => {
      const found = this.topology.lookup(0, requesterId(root.number!, device, fn));
      if (found === undefined) throw new RangeError(`there is no function ${device}.${fn}`);
      return found;
    });
    const made = {
      capabilities,
      interrupts: vectors,
      trace: this.trace,
      clock: this.clock,
      ...(caches === undefined ? {} : { caches }),
    };
    const bridges = fns?.filter(({ secondary }) => secondary !== undefined) ?? [];
    const others = fns?.filter(({ secondary }) => secondary === undefined) ?? [];
    const scopes: TranslatorScope[] =
      fns === undefined
        ? [{ kind: "segment", segment: 0 }]
        : [
            ...bridges.map((bridge) => ({ kind: "subtree", bridge }) as const),
            ...(others.length > 0 ? [{ kind: "functions", functions: others } as const] : []),
          ];
    const unit = attachUnit(this.fabric, 0, made, scopes[0]);
    for (const scope of scopes.slice(1)) this.fabric.attach(unit, scope);
    return {
      unit,
      base: UNIT_BASE + UNIT_STRIDE * BigInt(index),
      scope:
        fns?.map((fn) => ({
          source: fn.requesterId!,
          subtree: fn.secondary !== undefined,
        })) ?? "all",
    };
  }
}

const populateBuses = (
  fabric: Fabric,
  root: Bus,
  populate: (build: HostBuilder) => void,
): readonly DmaEngine[] => {
  const engines: DmaEngine[] = [];
  populate({
    root,
    fabric,
    addEngine: ({ kind = "integrated-endpoint", ...place }, bus = root, options = {}) => {
      const engine = addDmaEngine(fabric, bus, { kind, ...place }, options);
      engines.push(engine);
      return engine;
    },
  });
  return engines;
};
