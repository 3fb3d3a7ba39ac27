import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import type { TraceChannel } from "../../trace/channel.ts";
import { defineEvent, type EventType } from "../../trace/channel.ts";
import type { AtsInvalidation, PageGroupResponse } from "./ats.ts";
import { DmaPort } from "./dma-port.ts";
import type { Translator } from "./dma-request.ts";
import { InFlightRequests } from "./in-flight.ts";
import type { InterruptPort } from "./interrupt-request.ts";
import { MmioMap, type MmioWidth } from "./mmio.ts";
import { type Route, routeFrom } from "./route.ts";
import { ATS_CAPABILITY } from "./spec/capabilities.ts";
import type { PciFunction, Topology } from "./topology.ts";

/** Which functions a translator serves, as the device scopes of firmware tables say it (VT-d 4.1 §8.3.1). */
export type TranslatorScope =
  /** Every function of the segment that no other scope names. */
  | { readonly kind: "segment"; readonly segment: number }
  /** A bridge and everything behind it. */
  | { readonly kind: "subtree"; readonly bridge: PciFunction }
  /** These functions; a bridge among them stands for the requests that it takes ownership of. */
  | { readonly kind: "functions"; readonly functions: readonly PciFunction[] };

/** A device's translation cache was told to drop something. */
export const PCI_DEVICE_INVALIDATION: EventType<{
  readonly function: string;
  readonly invalidation: AtsInvalidation;
}> = defineEvent("pci.device-invalidation");

/** A group of page requests was answered. */
export const PCI_PAGE_RESPONSE: EventType<{
  readonly function: string;
  readonly response: PageGroupResponse;
  /** Whether the function waited for it. */
  readonly expected: boolean;
}> = defineEvent("pci.page-response");

/** The fabric as plain data. */
export interface FabricInspection {
  readonly schema: "softiommu/pci-fabric@1";
  readonly inFlight: number;
  readonly ports: readonly {
    readonly function: string;
    /** Requester ID at the root complex. */
    readonly source: number;
    readonly translated: boolean;
    /** Why every request is refused; `null` when it is not so. */
    readonly blocked: string | null;
    readonly inFlight: number;
  }[];
}

/**
 * The way from devices to memory: ports and bridges, then whatever translates
 * for the requester, then physical memory. Without a translator the address of
 * a request is the physical one.
 */
export class Fabric {
  readonly topology: Topology;
  readonly memory: PhysicalMemory;
  readonly trace: TraceChannel;
  /** Every transfer that is held between translation and memory. */
  readonly inFlight: InFlightRequests = new InFlightRequests();
  readonly #ports = new Map<PciFunction, DmaPort>();
  readonly #bySegment = new Map<number, Translator>();
  readonly #bySubtree = new Map<PciFunction, Translator>();
  readonly #byFunction = new Map<PciFunction, Translator>();
  readonly #mmio: MmioMap;
  #interruptPort: InterruptPort | undefined;
  readonly #throughTranslator = new Map<Translator, InFlightRequests>();

  constructor(topology: Topology, memory: PhysicalMemory) {
    this.topology = topology;
    this.memory = memory;
    this.trace = topology.trace;
    this.#mmio = new MmioMap(topology);
  }

  /**
   * Has `translator` serve what `scope` names.
   *
   * @returns a function that ends it; transfers in flight are not touched
   * @throws RangeError when the scope is taken: a bug in the caller
   */
  attach(translator: Translator, scope: TranslatorScope): () => void {
    switch (scope.kind) {
      case "segment":
        return this.#claim(this.#bySegment, [scope.segment], translator);
      case "subtree":
        return this.#claim(this.#bySubtree, [scope.bridge], translator);
      case "functions":
        return this.#claim(this.#byFunction, scope.functions, translator);
    }
  }

  #claim<Key>(map: Map<Key, Translator>, keys: readonly Key[], translator: Translator): () => void {
    if (keys.some((key) => map.has(key)))
      throw new RangeError("the scope has a translator already");
    for (const key of keys) map.set(key, translator);
    this.topology.generation++;
    return () => {
      for (const key of keys) if (map.get(key) === translator) map.delete(key);
      this.topology.generation++;
    };
  }

  /**
   * What translates a function's requests: the most particular scope wins, which
   * is the function's own, then that of the nearest bridge, then the segment's.
   */
  translatorOf(fn: PciFunction): Translator | undefined {
    let found = this.#byFunction.get(fn) ?? this.#bySubtree.get(fn);
    for (let hop = fn.bus.bridge; hop !== undefined && found === undefined; hop = hop.bus.bridge) {
      const owns = hop.kind === "pci-bridge" || hop.kind === "pcie-to-pci-bridge";
      found = (owns ? this.#byFunction.get(hop) : undefined) ?? this.#bySubtree.get(hop);
    }
    return found ?? this.#bySegment.get(fn.bus.segment);
  }

  /** Where a function's requests enter; the same port each time. */
  port(fn: PciFunction): DmaPort {
    const known = this.#ports.get(fn);
    if (known !== undefined) return known;
    const port = new DmaPort(
      {
        memory: this.memory,
        trace: this.trace,
        generation: () => this.topology.generation,
        interruptPort: () => this.#interruptPort,
        routeOf: (from) => routeFrom(from, this.translatorOf(from)),
        countedBy: (route) => this.#countedBy(route),
      },
      fn,
    );
    this.#ports.set(fn, port);
    return port;
  }

  #countedBy({ translator }: Route): readonly InFlightRequests[] {
    return translator === undefined
      ? [this.inFlight]
      : [this.inFlight, this.inFlightThrough(translator)];
  }

  /** The transfers in flight that `translator` has translated: what a unit drains. */
  inFlightThrough(translator: Translator): InFlightRequests {
    let requests = this.#throughTranslator.get(translator);
    if (requests === undefined) {
      requests = new InFlightRequests();
      this.#throughTranslator.set(translator, requests);
    }
    return requests;
  }

  /**
   * Sends an invalidation to the translation cache of a function.
   *
   * @param id requester ID
   * @param completed called once the device has answered, with `false` when wrongly: at once, later, or never
   * @returns `false` when nobody takes it: no such function, ATS not enabled, or no cache
   */
  invalidateDevice(
    segment: number,
    id: number,
    invalidation: AtsInvalidation,
    completed: (right?: boolean) => void,
  ): boolean {
    const fn = this.topology.lookup(segment, id);
    if (fn?.atsTarget === undefined || !fn.config.has(ATS_CAPABILITY.layout, "atsEnable"))
      return false;
    if (this.trace.enabled)
      this.trace.emit(PCI_DEVICE_INVALIDATION, { function: fn.address, invalidation });
    fn.atsTarget.invalidate(invalidation, completed);
    return true;
  }

  /**
   * Delivers the answer to a group of page requests.
   *
   * @returns `false` when the function does not wait for it or does not exist
   */
  respondToDevice(segment: number, response: PageGroupResponse): boolean {
    const fn = this.topology.lookup(segment, response.destination);
    if (fn === undefined) return false;
    const expected = fn.pageRequests.answered(response);
    if (this.trace.enabled)
      this.trace.emit(PCI_PAGE_RESPONSE, { function: fn.address, response, expected });
    if (expected) fn.atsTarget?.respond?.(response);
    return expected;
  }

  /**
   * Has `port` take the interrupts of every function: DWORD writes without a
   * PASID to FEE0_0000 to FEEF_FFFF, which are never memory. Without a port
   * they are refused.
   *
   * @returns a function that ends it
   * @throws RangeError when there is a port already: a bug in the caller
   */
  attachInterrupts(port: InterruptPort): () => void {
    if (this.#interruptPort !== undefined) throw new RangeError("interrupts have a port already");
    this.#interruptPort = port;
    return () => {
      if (this.#interruptPort === port) this.#interruptPort = undefined;
    };
  }

  /** Reads device memory as a processor does; all ones where nobody answers. */
  readMmio(segment: number, address: bigint, width: MmioWidth): bigint {
    return this.#mmio.read(segment, address, width);
  }

  /**
   * Writes device memory as a processor does.
   *
   * @returns `false` when nobody answers
   */
  writeMmio(segment: number, address: bigint, width: MmioWidth, value: bigint): boolean {
    return this.#mmio.write(segment, address, width, value);
  }

  /** The fabric's state as plain data; only functions whose port has been asked for. */
  inspect(): FabricInspection {
    return {
      schema: "softiommu/pci-fabric@1",
      inFlight: this.inFlight.count,
      ports: [...this.#ports.values()].map(({ function: fn, route, inFlight }) => ({
        function: fn.address,
        source: route.source,
        translated: route.translator !== undefined,
        blocked: route.blocked?.message ?? null,
        inFlight: inFlight.count,
      })),
    };
  }
}
