import { type Hpa, hpa } from "../../bits/address.ts";
import {
  frameAddress,
  frameOf,
  fromHalves,
  highHalf,
  lowHalf,
  PAGE_SIZE,
} from "../../bits/halves.ts";
import { hex } from "../../bits/hex.ts";
import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import { defineEvent, type EventType, type TraceChannel } from "../../trace/channel.ts";
import { isStopMarker, type PageRequest, type PageRequestOutcome } from "./ats.ts";
import {
  type DmaFault,
  DmaRequest,
  EXECUTE,
  NO_PASID,
  PRIVILEGED,
  READ,
  TRANSLATION_REQUEST,
  UNTRANSLATED,
  WRITE,
} from "./dma-request.ts";
import {
  dwordAt,
  InFlight,
  type InFlightContext,
  InFlightRequests,
  TRANSFERRED,
  type TransferFailure,
  type TransferPiece,
  type TransferResult,
} from "./in-flight.ts";
import { type InterruptPort, isInterruptRequest } from "./interrupt-request.ts";
import { type PciFault, type PciFaultReason, pciFault } from "./pci-fault.ts";
import { type Route, refusalOf } from "./route.ts";
import type { PciFunction } from "./topology.ts";

/** A request has been translated or refused. */
export const PCI_REQUEST: EventType<{
  readonly function: string;
  /** Requester ID at the root complex. */
  readonly source: number;
  readonly pasid: number;
  readonly address: bigint;
  readonly length: number;
  readonly access: number;
  readonly addressType: number;
  /** Where it goes; `undefined` when it was refused. */
  readonly physical: bigint | undefined;
  readonly fault: DmaFault | undefined;
}> = defineEvent("pci.request");

/** A transfer that was held between translation and memory has touched memory or been aborted. */
export const PCI_TRANSFER_ENDED: EventType<{
  readonly function: string;
  readonly length: number;
  readonly writes: boolean;
  readonly result: TransferResult;
}> = defineEvent("pci.transfer-ended");

/** A function has sent an interrupt. */
export const PCI_INTERRUPT: EventType<{
  readonly function: string;
  /** Requester ID at the root complex. */
  readonly source: number;
  readonly address: bigint;
  readonly data: number;
  readonly fault: DmaFault | undefined;
}> = defineEvent("pci.interrupt");

/** The bytes that were read, or why they were not. */
export type ReadResult = { readonly ok: true; readonly bytes: Uint8Array } | TransferFailure;

/** What a device's cache of translations learns. */
export type TranslationResult =
  | {
      readonly ok: true;
      /** Physical address of the page that was asked for. */
      readonly address: Hpa;
      /** log2 of the size of the aligned range that holds it and is translated alike. */
      readonly sizeLg2: number;
      /** `READ`, `WRITE` and `EXECUTE`, or-ed; 0 when there is no translation. */
      readonly granted: number;
    }
  | { readonly ok: false; readonly fault: DmaFault };

/** What became of a page request; its answer, if there is one, goes to the function's `AtsTarget`. */
export type PageRequestResult =
  | { readonly ok: true; readonly outcome: PageRequestOutcome }
  | { readonly ok: false; readonly fault: PciFault };

/** How a port reaches the fabric it belongs to. */
export interface PortFabric {
  readonly memory: PhysicalMemory;
  readonly trace: TraceChannel;
  /** Changes when a route may have. */
  generation(): number;
  routeOf(fn: PciFunction): Route;
  /** Where interrupts go; `undefined` when nobody takes them. */
  interruptPort(): InterruptPort | undefined;
  /** Where a transfer through `route` is counted besides at its port. */
  countedBy(route: Route): readonly InFlightRequests[];
}

const failure = (fault: DmaFault | undefined, transferred: number): TransferFailure => {
  if (fault === undefined) throw new Error("a translator refused a request and named no fault");
  return { ok: false, fault, transferred };
};

/**
 * Where a function's requests enter the fabric. It splits what crosses pages,
 * and uses one `DmaRequest` again and again: a transfer allocates nothing but
 * its result.
 *
 * Addresses run on from 2^64 - 1 to 0, as a device's counter does.
 */
export class DmaPort {
  readonly function: PciFunction;
  /** The function's own transfers in flight; its translation cache waits for them before it answers an invalidation. */
  readonly inFlight: InFlightRequests = new InFlightRequests();
  readonly #fabric: PortFabric;
  readonly #request = new DmaRequest();
  readonly #held = new Set<InFlight>();
  #route: Route;
  #routeAt: number;

  constructor(fabric: PortFabric, fn: PciFunction) {
    this.#fabric = fabric;
    this.function = fn;
    this.#route = fabric.routeOf(fn);
    this.#routeAt = fabric.generation();
    fn.onReset(() => this.#abortAll());
  }

  /** The way its requests take at present. */
  get route(): Route {
    const generation = this.#fabric.generation();
    if (this.#routeAt !== generation) {
      this.#route = this.#fabric.routeOf(this.function);
      this.#routeAt = generation;
    }
    return this.#route;
  }

  /**
   * Sends one request up to the root complex and has it translated. Puts the
   * requester ID and the answer into `request`.
   *
   * @returns `false` when it is refused, with `request.fault` set
   */
  translate(request: DmaRequest): boolean {
    const { route } = this;
    const refused = refusalOf(route, request);
    request.source = route.source;
    request.fault = refused;
    const passed = refused === undefined && this.#atRootComplex(route, request);
    if (this.#fabric.trace.enabled) this.#traceRequest(request, passed);
    return passed;
  }

  #atRootComplex(route: Route, request: DmaRequest): boolean {
    if (route.translator !== undefined) return route.translator.translate(request);
    if (request.addressType === TRANSLATION_REQUEST) {
      request.fault = pciFault(
        "no-translation-agent",
        `nothing translates requests of ${this.function.address}`,
      );
      return false;
    }
    request.outHi = request.hi;
    request.outLo = request.lo;
    request.pageLg2 = 64;
    request.granted = READ | WRITE | EXECUTE;
    return true;
  }

  /**
   * Reads memory.
   *
   * @param length in bytes; 0 reads nothing and succeeds
   * @param flags `EXECUTE` and `PRIVILEGED`, or-ed
   */
  read(address: bigint, length: number, pasid: number = NO_PASID, flags = 0): ReadResult {
    const bytes = new Uint8Array(length);
    const result = this.transfer(address, bytes, READ | flags, pasid);
    return result.ok ? { ok: true, bytes } : result;
  }

  /** Writes memory. Pages before the one that is refused have been written. */
  write(address: bigint, bytes: Uint8Array, pasid: number = NO_PASID, flags = 0): TransferResult {
    return this.transfer(address, bytes, WRITE | flags, pasid);
  }

  /**
   * Moves `bytes` to memory when `access` has `WRITE`, from memory otherwise,
   * page by page: each is translated and touched before the next is translated.
   *
   * @param addressType `UNTRANSLATED`, or `TRANSLATED` for an address that ATS returned
   */
  transfer(
    address: bigint,
    bytes: Uint8Array,
    access: number,
    pasid: number = NO_PASID,
    addressType: number = UNTRANSLATED,
  ): TransferResult {
    const { memory } = this.#fabric;
    const request = this.#request;
    const toMemory = (access & WRITE) !== 0;
    let hi = highHalf(address);
    let lo = lowHalf(address);
    for (let done = 0; done < bytes.length; ) {
      const count = Math.min(PAGE_SIZE - (lo & 0xfff), bytes.length - done);
      this.#fill(hi, lo, count, access, pasid, addressType);
      if (isInterruptRequest(request)) {
        const fault = this.#refusedInterrupt() ?? this.#sendInterrupt(lo, dwordAt(bytes, done));
        if (fault !== undefined) return failure(fault, done);
      } else {
        if (!this.translate(request)) return failure(request.fault, done);
        const pfn = frameOf(request.outHi, request.outLo);
        if (!memory.copyInFrame(pfn, request.outLo & 0xfff, bytes, done, count, toMemory)) {
          return failure(this.#noMemory(pfn), done);
        }
      }
      done += count;
      lo = (lo + count) | 0;
      if (lo === 0) hi = (hi + 1) | 0;
    }
    return TRANSFERRED;
  }

  /** Sets every field of the port's request: a listener may have sent another one since the last page. */
  #fill(
    hi: number,
    lo: number,
    count: number,
    access: number,
    pasid: number,
    addressType: number,
  ): void {
    const request = this.#request;
    request.hi = hi;
    request.lo = lo;
    request.length = count;
    request.access = access;
    request.pasid = pasid;
    request.addressType = addressType;
  }

  /**
   * Translates a transfer and holds it before it touches memory.
   *
   * @param length in bytes
   * @param access as for `transfer`
   * @returns the transfer, to be finished or aborted; when its first page was
   *   refused it holds nothing and nobody waits for it
   */
  begin(
    address: bigint,
    length: number,
    access: number,
    pasid: number = NO_PASID,
    addressType: number = UNTRANSLATED,
  ): InFlight {
    const request = this.#request;
    const pieces: TransferPiece[] = [];
    let fault: DmaFault | undefined;
    let hi = highHalf(address);
    let lo = lowHalf(address);
    for (let done = 0; done < length && fault === undefined; ) {
      const count = Math.min(PAGE_SIZE - (lo & 0xfff), length - done);
      this.#fill(hi, lo, count, access, pasid, addressType);
      const isInterrupt = isInterruptRequest(request);
      if (isInterrupt ? this.#refusedInterrupt() === undefined : this.translate(request)) {
        const at = lo;
        pieces.push({
          pfn: frameOf(request.outHi, request.outLo),
          offset: request.outLo & 0xfff,
          count,
          interrupt: isInterrupt ? (data) => this.#sendInterrupt(at, data) : undefined,
        });
      } else {
        fault = failure(request.fault, done).fault;
      }
      done += count;
      lo = (lo + count) | 0;
      if (lo === 0) hi = (hi + 1) | 0;
    }
    const held = new InFlight(
      pieces,
      { length, writes: (access & WRITE) !== 0, fault },
      this.#context(),
    );
    if (pieces.length > 0) this.#held.add(held);
    return held;
  }

  /**
   * Asks for the translation of the page at `address` (ATS translation request).
   *
   * @param access what the device wants to do: `READ`, `WRITE`, `EXECUTE`, `PRIVILEGED`, or-ed
   */
  requestTranslation(address: bigint, access: number, pasid: number = NO_PASID): TranslationResult {
    const request = this.#request;
    this.#fill(
      highHalf(address),
      lowHalf(address) & ~0xfff,
      PAGE_SIZE,
      access,
      pasid,
      TRANSLATION_REQUEST,
    );
    if (!this.translate(request)) return { ok: false, fault: failure(request.fault, 0).fault };
    const { outHi, outLo, pageLg2, granted } = request;
    return { ok: true, address: hpa(fromHalves(outHi, outLo)), sizeLg2: pageLg2, granted };
  }

  /**
   * Sends a page request message (PCIe 6.3 §10.4). The answer goes to the
   * function's `AtsTarget`, perhaps before this returns.
   */
  requestPage(request: Omit<PageRequest, "source">): PageRequestResult {
    const { route } = this;
    const { pageRequests } = this.function;
    const { pasid, execute, privileged } = request;
    const access = READ | (execute ? EXECUTE : 0) | (privileged ? PRIVILEGED : 0);
    const hi = highHalf(request.address);
    const lo = lowHalf(request.address) & ~0xfff;
    this.#fill(hi, lo, PAGE_SIZE, access, pasid, UNTRANSLATED);
    const isMarker = isStopMarker(request);
    const stopped = pageRequests.refusal(isMarker);
    const fault =
      refusalOf(route, this.#request) ??
      (stopped === undefined ? undefined : this.#refusal(stopped, "may send no page request"));
    if (fault !== undefined) return { ok: false, fault };
    const { translator } = route;
    if (translator?.requestPage === undefined) {
      return {
        ok: false,
        fault: this.#refusal("no-page-request-service", "asks nobody for a page"),
      };
    }
    if (!isMarker) pageRequests.sent(request);
    const { source } = route;
    return { ok: true, outcome: translator.requestPage({ ...request, source }) };
  }

  #refusal(reason: PciFaultReason, what: string): PciFault {
    return pciFault(reason, `${this.function.address} ${what}: ${reason}`);
  }

  /** Why the port's request, an interrupt, does not get to the root complex. */
  #refusedInterrupt(): PciFault | undefined {
    const request = this.#request;
    const refused = refusalOf(this.route, request);
    request.fault = refused;
    return refused;
  }

  #sendInterrupt(lo: number, data: number): PciFault | undefined {
    const { source, translator } = this.route;
    const address = fromHalves(0, lo);
    const deliver = this.#fabric.interruptPort();
    const fault =
      deliver === undefined
        ? this.#refusal("no-interrupt-port", "interrupts nobody")
        : deliver({ source, address, data }, translator)
          ? undefined
          : this.#refusal("interrupt-blocked", "sends an interrupt that does not pass");
    const { trace } = this.#fabric;
    if (trace.enabled) {
      trace.emit(PCI_INTERRUPT, { function: this.function.address, source, address, data, fault });
    }
    return fault;
  }

  #context(): InFlightContext {
    return {
      memory: this.#fabric.memory,
      counted: [this.inFlight, ...this.#fabric.countedBy(this.route)],
      noMemory: (pfn) => this.#noMemory(pfn),
      ended: (transfer, result) => this.#ended(transfer, result),
    };
  }

  #ended(transfer: InFlight, result: TransferResult): void {
    this.#held.delete(transfer);
    const { trace } = this.#fabric;
    if (!trace.enabled) return;
    const { length, writes } = transfer;
    trace.emit(PCI_TRANSFER_ENDED, { function: this.function.address, length, writes, result });
  }

  #abortAll(): void {
    if (this.#held.size === 0) return;
    const fault = pciFault(
      "aborted",
      `${this.function.address} was reset while its request was in flight`,
    );
    for (const transfer of [...this.#held]) transfer.abort(fault);
  }

  #noMemory(pfn: number): PciFault {
    return pciFault(
      "no-memory",
      `${this.function.address} reached ${hex(frameAddress(pfn))}, where there is no memory`,
    );
  }

  #traceRequest(request: DmaRequest, passed: boolean): void {
    const { source, pasid, length, access, addressType, fault } = request;
    this.#fabric.trace.emit(PCI_REQUEST, {
      function: this.function.address,
      source,
      pasid,
      address: fromHalves(request.hi, request.lo),
      length,
      access,
      addressType,
      physical: passed ? fromHalves(request.outHi, request.outLo) : undefined,
      fault,
    });
  }
}
