import { RestoreError, type SavedWords } from "../../struct/saved-state.ts";
import { defineEvent, type EventType, TraceChannel } from "../../trace/channel.ts";
import type { AtsTarget } from "./ats.ts";
import { type BaseAddressRegister, placeBaseAddresses } from "./base-address.ts";
import type { ConfigSpace, ConfigWidth } from "./config-space.ts";
import { configSpaceOf, type FunctionDeclaration } from "./declaration.ts";
import { type FunctionKind, KINDS } from "./function-kind.ts";
import type { MmioTarget } from "./mmio.ts";
import { PageRequestInterface } from "./page-request-interface.ts";
import { formatPciAddress, requesterId } from "./requester-id.ts";
import { PCI_EXPRESS_CAPABILITY } from "./spec/capabilities.ts";
import { TYPE_0_HEADER, TYPE_1_HEADER } from "./spec/config-header.ts";

/** Software has written to a function's configuration space. */
export const PCI_CONFIG_WRITE: EventType<{
  readonly function: string;
  readonly offset: number;
  readonly width: ConfigWidth;
  readonly value: number;
}> = defineEvent("pci.config-write");

/** A function has been reset, by itself or from the bridge above it. */
export const PCI_RESET: EventType<{ readonly function: string }> = defineEvent("pci.reset");

/** A function's state as plain data. */
export interface FunctionState {
  readonly device: number;
  readonly function: number;
  readonly kind: FunctionKind;
  readonly config: SavedWords;
  readonly pageRequests: readonly (readonly [group: string, count: number])[];
  readonly secondaryInReset: boolean;
}

/** Byte of the PCI Express capability that holds `initiateReset`, and the bit in it. */
const INITIATE_RESET_BYTE = 9;
const INITIATE_RESET_BIT = 0x80;

/** A function: something with a requester ID and a configuration space. */
export class PciFunction {
  readonly bus: Bus;
  /** 0 to 31. */
  readonly device: number;
  /** 0 to 7. */
  readonly function: number;
  readonly kind: FunctionKind;
  readonly config: ConfigSpace;
  /** The bus behind it, when it is a bridge. */
  readonly secondary: Bus | undefined;
  /** Its base address registers. */
  readonly bars: readonly BaseAddressRegister[];
  /** What is behind them; nobody answers while there is nothing. */
  mmioTarget: MmioTarget | undefined = undefined;
  /** Its page requests that wait for an answer. */
  readonly pageRequests: PageRequestInterface;
  /** What drops cached translations, when the device has such a cache. */
  atsTarget: AtsTarget | undefined = undefined;
  /** Set once it has been taken out of the machine. */
  removed = false;
  readonly #topology: Topology;
  readonly #resetListeners: (() => void)[] = [];
  readonly #writeListeners: (() => void)[] = [];
  #secondaryInReset = false;

  constructor(topology: Topology, bus: Bus, declaration: FunctionDeclaration) {
    this.#topology = topology;
    this.bus = bus;
    this.device = declaration.device;
    this.function = declaration.function ?? 0;
    this.kind = declaration.kind;
    this.config = configSpaceOf(declaration);
    this.secondary = KINDS[this.kind].bridge ? new Bus(topology, bus.segment, this) : undefined;
    this.bars = placeBaseAddresses(this.config, declaration.bars ?? []);
    this.pageRequests = new PageRequestInterface(this.config);
    this.config.onWrite = (offset, width, value) => this.#written(offset, width, value);
  }

  /** Its requester ID; `undefined` while its bus has no number. */
  get requesterId(): number | undefined {
    const { number } = this.bus;
    return number === undefined ? undefined : requesterId(number, this.device, this.function);
  }

  /** Its address as `ssss:bb:dd.f`; bus 00 while the bus has no number. */
  get address(): string {
    const id = this.requesterId ?? requesterId(0, this.device, this.function);
    return formatPciAddress({ segment: this.bus.segment, requesterId: id });
  }

  /** Whether Bus Master Enable is set: it may issue memory requests, or pass those from behind it on. */
  get busMaster(): boolean {
    return this.secondary === undefined
      ? this.config.has(TYPE_0_HEADER, "busMasterEnable")
      : this.config.has(TYPE_1_HEADER, "busMasterEnable");
  }

  /** The other functions of its device, in order. */
  get peers(): readonly PciFunction[] {
    return this.bus.functions.filter((other) => other.device === this.device && other !== this);
  }

  /**
   * Calls `listener` after each reset and after removal.
   *
   * @returns a function that ends it
   */
  onReset(listener: () => void): () => void {
    this.#resetListeners.push(listener);
    return () => {
      const at = this.#resetListeners.indexOf(listener);
      if (at >= 0) this.#resetListeners.splice(at, 1);
    };
  }

  /** Calls `listener` after each write by software to its configuration space. */
  onConfigWrite(listener: () => void): void {
    this.#writeListeners.push(listener);
  }

  /** Resets it: configuration space first, then whoever holds something on its behalf (PCIe 6.3 §6.6.2). */
  reset(): void {
    this.config.reset();
    this.pageRequests.reset();
    this.#secondaryInReset = false;
    this.#topology.generation++;
    for (const listener of [...this.#resetListeners]) listener();
    const { trace } = this.#topology;
    if (trace.enabled) trace.emit(PCI_RESET, { function: this.address });
  }

  /** Its registers and what waits for an answer, as plain data. */
  save(): FunctionState {
    return {
      device: this.device,
      function: this.function,
      kind: this.kind,
      config: this.config.save(),
      pageRequests: this.pageRequests.save(),
      secondaryInReset: this.#secondaryInReset,
    };
  }

  /**
   * Puts back what `save` saw; nobody hears of it as of a write or a reset.
   *
   * @throws RestoreError when it was another kind of function, or elsewhere
   */
  restore(state: FunctionState): void {
    const { device, function: fn, kind } = this;
    if (state.device !== device || state.function !== fn || state.kind !== kind) {
      throw new RestoreError(`${this.address} is a ${kind}, and what was saved is not`);
    }
    this.config.restore(state.config);
    this.pageRequests.restore(state.pageRequests);
    this.#secondaryInReset = state.secondaryInReset;
    this.#topology.generation++;
  }

  #written(offset: number, width: ConfigWidth, value: number): void {
    const { trace } = this.#topology;
    this.#topology.generation++;
    if (trace.enabled)
      trace.emit(PCI_CONFIG_WRITE, { function: this.address, offset, width, value });
    this.pageRequests.written(offset, width, value);
    if (this.#asksForReset(offset, width, value)) this.reset();
    if (this.secondary !== undefined) this.#followSecondaryReset(this.secondary);
    for (const listener of this.#writeListeners) listener();
  }

  #asksForReset(offset: number, width: ConfigWidth, value: number): boolean {
    const at = this.config.offsetOf(PCI_EXPRESS_CAPABILITY.layout);
    if (at === undefined || !this.config.has(PCI_EXPRESS_CAPABILITY.layout, "functionLevelReset"))
      return false;
    const index = at + INITIATE_RESET_BYTE - offset;
    return index >= 0 && index < width && ((value >>> (index * 8)) & INITIATE_RESET_BIT) !== 0;
  }

  /** Secondary Bus Reset resets what is behind the bridge when it becomes 1 (PCIe 6.3 §7.5.1.3.13). */
  #followSecondaryReset(secondary: Bus): void {
    const inReset = this.config.has(TYPE_1_HEADER, "secondaryBusReset");
    if (inReset && !this.#secondaryInReset) {
      for (const fn of functionsBelow(secondary)) fn.reset();
    }
    this.#secondaryInReset = inReset;
  }
}

/** The functions that share one bus number: a link, a conventional bus, or the inside of a switch or root complex. */
export class Bus {
  readonly segment: number;
  /** The bridge in front of it; `undefined` for a bus of the root complex. */
  readonly bridge: PciFunction | undefined;
  readonly #topology: Topology;
  readonly #rootNumber: number;
  readonly #functions: PciFunction[] = [];

  constructor(
    topology: Topology,
    segment: number,
    bridge: PciFunction | undefined,
    rootNumber = 0,
  ) {
    this.#topology = topology;
    this.segment = segment;
    this.bridge = bridge;
    this.#rootNumber = rootNumber;
  }

  /** The functions on it, by device and function. */
  get functions(): readonly PciFunction[] {
    return this.#functions;
  }

  /** Its number: what the bridge's Secondary Bus register says, `undefined` while that is 0. */
  get number(): number | undefined {
    if (this.bridge === undefined) return this.#rootNumber;
    return this.bridge.config.get(TYPE_1_HEADER, "secondaryBus") || undefined;
  }

  /**
   * Puts a function on the bus. Bridges begin without bus numbers; see `assignBusNumbers`.
   *
   * @throws RangeError when the place is taken or the kind cannot sit here: a bug in the caller
   */
  add(declaration: FunctionDeclaration): PciFunction {
    const { kind, device, function: fn = 0 } = declaration;
    const above = this.bridge?.kind ?? "root";
    const taken = this.#functions.some((other) => other.device === device && other.function === fn);
    if (taken || device < 0 || device > 31 || fn < 0 || fn > 7) {
      throw new RangeError(`device ${device} function ${fn} is taken or out of range`);
    }
    if (!KINDS[kind].below.includes(above))
      throw new RangeError(`a ${kind} cannot sit below ${above}`);
    if (above !== "root" && KINDS[above].link && device !== 0) {
      throw new RangeError(`the link of a ${above} ends in device 0`);
    }
    const added = new PciFunction(this.#topology, this, declaration);
    this.#functions.push(added);
    this.#functions.sort((a, b) => a.device - b.device || a.function - b.function);
    this.#markMultiFunction(device);
    this.#topology.generation++;
    return added;
  }

  /** Takes a function, and what is behind it, out of the machine; their requests in flight are aborted. */
  remove(fn: PciFunction): void {
    const at = this.#functions.indexOf(fn);
    if (at < 0) return;
    const gone = [fn, ...(fn.secondary === undefined ? [] : functionsBelow(fn.secondary))];
    this.#functions.splice(at, 1);
    this.#markMultiFunction(fn.device);
    for (const each of gone) each.removed = true;
    for (const each of gone) each.reset();
  }

  #markMultiFunction(device: number): void {
    const together = this.#functions.filter((fn) => fn.device === device);
    for (const { config, secondary } of together) {
      const value = together.length > 1 ? 1 : 0;
      if (secondary === undefined) config.hardwire(TYPE_0_HEADER, "multiFunction", value);
      else config.hardwire(TYPE_1_HEADER, "multiFunction", value);
    }
  }
}

/** Every function on `bus` and behind its bridges, each bridge before what is behind it. */
export const functionsBelow = (bus: Bus): PciFunction[] =>
  bus.functions.flatMap((fn) => [
    fn,
    ...(fn.secondary === undefined ? [] : functionsBelow(fn.secondary)),
  ]);

/** One function as `Topology.inspect` shows it. */
export interface FunctionInspection {
  readonly address: string;
  readonly kind: FunctionKind;
  readonly vendorId: number;
  readonly deviceId: number;
  /** What is behind it, when it is a bridge. */
  readonly secondary?: BusInspection;
}

/** One bus as `Topology.inspect` shows it. */
export interface BusInspection {
  readonly segment: number;
  readonly number: number | null;
  readonly functions: readonly FunctionInspection[];
}

const inspectBus = (bus: Bus): BusInspection => ({
  segment: bus.segment,
  number: bus.number ?? null,
  functions: bus.functions.map((fn) => ({
    address: fn.address,
    kind: fn.kind,
    vendorId: fn.config.read(0, 2),
    deviceId: fn.config.read(2, 2),
    ...(fn.secondary === undefined ? {} : { secondary: inspectBus(fn.secondary) }),
  })),
});

/**
 * Every segment of a machine: buses, bridges and functions.
 *
 * Bus numbers are what the bridges' registers say, so software that writes them
 * renumbers the machine. Lookup routes as configuration requests do: from a
 * root bus through bridges whose Secondary to Subordinate window covers the bus.
 */
export class Topology {
  readonly trace: TraceChannel;
  /** The root complex's buses, in the order they were added. */
  readonly rootBuses: Bus[] = [];
  /** Grows with each change of a configuration register or of the tree; who keeps a conclusion compares it. */
  generation = 0;
  readonly #byAddress = new Map<number, PciFunction>();
  #indexedAt = -1;

  constructor(trace: TraceChannel = new TraceChannel()) {
    this.trace = trace;
  }

  /**
   * Adds a bus of the root complex.
   *
   * @throws RangeError when the segment has a root bus of that number: a bug in the caller
   */
  addRootBus(segment = 0, number = 0): Bus {
    if (this.rootBuses.some((bus) => bus.segment === segment && bus.number === number)) {
      throw new RangeError(`segment ${segment} has a root bus ${number}`);
    }
    const bus = new Bus(this, segment, undefined, number);
    this.rootBuses.push(bus);
    this.generation++;
    return bus;
  }

  /** Every function, each bridge before what is behind it. */
  functions(): PciFunction[] {
    return this.rootBuses.flatMap(functionsBelow);
  }

  /**
   * Numbers every bus depth first, as firmware does.
   *
   * @throws RangeError when a root bus has more buses behind it than there are numbers before the next one
   */
  assignBusNumbers(): void {
    for (const root of this.rootBuses) {
      const start = root.number!;
      const behind = functionsBelow(root).filter((fn) => fn.secondary !== undefined).length;
      if (start + behind > this.#lastBusOf(root)) {
        throw new RangeError(`segment ${root.segment}: too many buses behind root bus ${start}`);
      }
      numberBehind(root, start);
    }
  }

  /** The last number a bus behind `root` can have. */
  #lastBusOf(root: Bus): number {
    const later = this.rootBuses
      .filter((bus) => bus.segment === root.segment && bus.number! > root.number!)
      .map((bus) => bus.number! - 1);
    return Math.min(255, ...later);
  }

  /** The function with a requester ID; `undefined` when there is none. */
  lookup(segment: number, id: number): PciFunction | undefined {
    if (this.#indexedAt !== this.generation) this.#index();
    return this.#byAddress.get(segment * 0x1_0000 + id);
  }

  #index(): void {
    this.#byAddress.clear();
    for (const root of this.rootBuses) this.#indexBus(root, root.number!, this.#lastBusOf(root));
    this.#indexedAt = this.generation;
  }

  #indexBus(bus: Bus, first: number, last: number): void {
    for (const fn of bus.functions) {
      const key = bus.segment * 0x1_0000 + fn.requesterId!;
      if (!this.#byAddress.has(key)) this.#byAddress.set(key, fn);
      const number = fn.secondary?.number;
      if (fn.secondary === undefined || number === undefined || number <= first || number > last)
        continue;
      const subordinate = fn.config.get(TYPE_1_HEADER, "subordinateBus");
      // A window that ends before it begins covers nothing.
      if (subordinate >= number) this.#indexBus(fn.secondary, number, Math.min(subordinate, last));
    }
  }

  /** Reads configuration space; all ones where there is no function. */
  readConfig(segment: number, id: number, offset: number, width: ConfigWidth): number {
    const fn = this.lookup(segment, id);
    return fn === undefined ? 2 ** (width * 8) - 1 : fn.config.read(offset, width);
  }

  /** Writes configuration space; nothing happens where there is no function. */
  writeConfig(
    segment: number,
    id: number,
    offset: number,
    width: ConfigWidth,
    value: number,
  ): void {
    this.lookup(segment, id)?.config.write(offset, width, value);
  }

  /** The tree as plain data. */
  inspect(): {
    readonly schema: "softiommu/pci-topology@1";
    readonly rootBuses: readonly BusInspection[];
  } {
    return { schema: "softiommu/pci-topology@1", rootBuses: this.rootBuses.map(inspectBus) };
  }
}

/** Numbers the buses behind `bus`, which is `number`, and returns the last number used. */
const numberBehind = (bus: Bus, number: number): number => {
  let last = number;
  for (const { secondary, config } of bus.functions) {
    if (secondary === undefined) continue;
    const own = last + 1;
    config.writeField(TYPE_1_HEADER, "primaryBus", number);
    config.writeField(TYPE_1_HEADER, "secondaryBus", own);
    last = numberBehind(secondary, own);
    config.writeField(TYPE_1_HEADER, "subordinateBus", last);
  }
  return last;
};
