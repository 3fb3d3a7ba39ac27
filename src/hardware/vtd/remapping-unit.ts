import { fromHalves } from "../../bits/halves.ts";
import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import { TraceChannel } from "../../trace/channel.ts";
import type { InterruptSink, MsiMessage } from "../interrupt/message.ts";
import type { PageGroupResponse, PageRequest, PageRequestOutcome } from "../pci/ats.ts";
import {
  type DmaRequest,
  READ,
  TRANSLATION_REQUEST,
  type Translator,
  WRITE,
} from "../pci/dma-request.ts";
import type { Clock } from "../platform/clock.ts";
import type { CacheSizes } from "./cache-sizes.ts";
import type { Capabilities } from "./capabilities.ts";
import { DeviceTlbInvalidation, type DeviceTlbs } from "./device-tlbs.ts";
import { EventMessage, type EventRegisters } from "./event-message.ts";
import { INTERRUPT_REMAPPED, REGISTER_WRITTEN } from "./events.ts";
import { createSilentFault, type VtdFault } from "./fault.ts";
import { FaultRecording } from "./fault-recording.ts";
import { GlobalCommand } from "./global-command.ts";
import { InterruptRemapping } from "./interrupt-remapping.ts";
import type { InvalidationSubscriber } from "./invalidation.ts";
import { InvalidationDispatch } from "./invalidation-dispatch.ts";
import { InvalidationQueue, type QueueOwner } from "./invalidation-queue.ts";
import { interruptInfo, PageRequestQueue } from "./page-request-queue.ts";
import { PageRequests } from "./page-requests.ts";
import { PendingWork } from "./pending-work.ts";
import { ProtectedMemory } from "./protected-memory.ts";
import { RegisterFile, type RegisterWidth } from "./register-file.ts";
import { RegisterInvalidation } from "./register-invalidation.ts";
import * as spec from "./spec/registers.ts";
import { TranslationUnit } from "./unit.ts";

/** What a whole unit is made of. */
export interface RemappingUnitOptions {
  readonly capabilities: Capabilities;
  /** Where its tables and queues are, and what its output addresses. */
  readonly memory: PhysicalMemory;
  /** Where interrupts go, remapped ones and its own events. */
  readonly interrupts: InterruptSink;
  readonly trace?: TraceChannel;
  readonly caches?: CacheSizes | "off";
  /** How it reaches devices' translation caches; without it there are none. */
  readonly deviceTlbs?: DeviceTlbs;
  /** What it drains: requests that it has translated and that have not touched memory yet. */
  readonly inFlight?: { whenEarlierDone(callback: () => void): void };
  /** Delivers page group responses to devices. */
  readonly respond?: (response: PageGroupResponse) => void;
  /** Time for devices to answer in; without it they have all of it. */
  readonly clock?: Clock;
  /** Its own requester ID, for its events. */
  readonly source?: number;
}

/**
 * A VT-d remapping unit, whole: what software sees of it is a page of registers
 * and what it reads and writes in memory; what devices see is that their
 * requests are translated or refused.
 */
export class RemappingUnit implements Translator {
  readonly translation: TranslationUnit;
  readonly trace: TraceChannel;
  readonly capabilities: Capabilities;
  readonly #registers: RegisterFile;
  readonly #interrupts: InterruptSink;
  readonly #work = new PendingWork();
  readonly #devices: DeviceTlbInvalidation;
  readonly #dispatch: InvalidationDispatch;
  readonly #queue: InvalidationQueue;
  readonly #faults: FaultRecording;
  readonly #remapping: InterruptRemapping;
  readonly #protected: ProtectedMemory;
  readonly #registerInvalidation: RegisterInvalidation;
  readonly #pages: PageRequests;
  readonly #completion: EventMessage;

  constructor(options: RemappingUnitOptions) {
    const { capabilities, memory, interrupts } = options;
    this.capabilities = capabilities;
    this.trace = options.trace ?? new TraceChannel();
    this.#interrupts = interrupts;
    this.translation = new TranslationUnit({
      capabilities,
      memory,
      trace: this.trace,
      ...(options.caches === undefined ? {} : { caches: options.caches }),
    });
    const registers = new RegisterFile(capabilities);
    this.#registers = registers;
    const event = (at: EventRegisters): EventMessage =>
      new EventMessage(registers, at, interrupts, options.source ?? 0);
    this.#faults = new FaultRecording(
      registers,
      event(spec.FAULT_EVENT),
      capabilities.faultRecords,
    );
    this.#completion = event(spec.COMPLETION_EVENT);
    this.#remapping = new InterruptRemapping({
      capabilities,
      memory,
      counters: this.translation.counters,
      trace: this.trace,
    });
    this.#protected = new ProtectedMemory(registers);
    this.#devices = new DeviceTlbInvalidation(options.deviceTlbs, options.clock, (failure) => {
      this.#faults.queueFailed(failure);
      if (failure.kind === "ITE") this.#work.abortWaits();
    });
    this.#dispatch = new InvalidationDispatch({
      translation: this.translation,
      remapping: this.#remapping,
      devices: this.#devices,
      work: this.#work,
      inFlight: options.inFlight,
    });
    this.#pages = new PageRequests({
      translation: this.translation,
      queue: new PageRequestQueue(registers, memory, event(spec.PAGE_REQUEST_EVENT)),
      record: (fault, request) => this.#recordPageFault(fault, request),
      respond: options.respond ?? (() => {}),
      trace: this.trace,
    });
    this.#queue = this.#createQueue(memory);
    this.#registerInvalidation = new RegisterInvalidation(
      registers,
      capabilities,
      (invalidation, done) => {
        this.#dispatch.perform(invalidation);
        this.#work.wait(done);
      },
    );
    this.#connect();
  }

  #createQueue(memory: PhysicalMemory): InvalidationQueue {
    const registers = this.#registers;
    const owner: QueueOwner = {
      execute: (decoded) => {
        if (decoded.kind === "response") this.#pages.respond(decoded.response);
        else this.#dispatch.perform(decoded.invalidation);
      },
      waitInterrupt: () => this.#waitCompleted(),
      failed: (info) => this.#faults.queueFailed({ kind: "IQE", info }),
      isStopped: () => this.#isQueueStopped(),
      isScalable: () => this.translation.isScalable,
    };
    return new InvalidationQueue(
      registers,
      memory,
      this.capabilities,
      this.#work,
      owner,
      this.trace,
    );
  }

  #connect(): void {
    const registers = this.#registers;
    new GlobalCommand(registers, this.capabilities, {
      setRootTable: (rtaddr) => this.translation.setRootTable(rtaddr),
      setTranslation: (enabled) => {
        this.translation.setTranslation(enabled);
        if (!enabled) this.#faults.restart();
      },
      enableQueue: () => this.#queue.enable(),
      disableQueue: () => this.#queue.disable(),
      setInterruptTable: (address, entries, extended) => {
        this.#remapping.setTable(address, entries, extended);
        if (this.capabilities.has("ESIRTPS")) this.#remapping.invalidate(undefined, 0);
      },
      setInterruptRemapping: (enabled) => {
        this.#remapping.enabled = enabled;
      },
      setCompatibleInterrupts: (enabled) => {
        this.#remapping.compatible = enabled;
      },
    });
    registers.onWrite(spec.ICS, () => {
      if (!registers.has(spec.ICS, "IWC")) this.#completion.withdraw();
    });
  }

  /** Reads `width` bytes of the register page at `offset`; any place, any alignment. */
  readRegister(offset: number, width: RegisterWidth): bigint {
    return this.#registers.read(offset, width);
  }

  /** Writes the low `width` bytes of `value`. What it sets going has happened, or waits for others, when this returns. */
  writeRegister(offset: number, width: RegisterWidth, value: bigint): void {
    if (this.trace.enabled) this.trace.emit(REGISTER_WRITTEN, { offset, width, value });
    const stopped = this.#isQueueStopped();
    this.#registers.write(offset, width, value);
    // Clearing the error lets the queue go on with the descriptor it stopped at.
    if (stopped && !this.#isQueueStopped()) this.#queue.run();
  }

  #isQueueStopped(): boolean {
    return this.#registers.has(spec.FSTS, "IQE") || this.#registers.has(spec.FSTS, "ITE");
  }

  /** Translates a request; one that is refused is recorded, unless it is silenced. */
  translate(request: DmaRequest): boolean {
    if (!this.translation.translate(request)) {
      this.#recordFault(request.fault as VtdFault, request);
      return false;
    }
    return !this.#protected.enabled || this.#passesProtection(request);
  }

  #passesProtection(request: DmaRequest): boolean {
    if (!this.#protected.covers(fromHalves(request.outHi, request.outLo))) return true;
    request.fault = createSilentFault("protected-memory", request);
    request.granted = 0;
    return false;
  }

  #recordFault(fault: VtdFault, request: DmaRequest): void {
    if (fault.silenced !== undefined) return;
    const both = READ | WRITE;
    const isAtomic =
      (request.access & both) === both && request.addressType !== TRANSLATION_REQUEST;
    this.#faults.record({
      source: fault.source,
      info: fault.address & ~0xfffn,
      code: fault.code,
      pasid: fault.pasid,
      kind: isAtomic ? "atomic" : fault.access.read || fault.access.execute ? "read" : "write",
      execute: fault.access.execute,
      privileged: fault.access.privileged,
      addressType: request.addressType,
    });
  }

  #recordPageFault(code: number, request: PageRequest): void {
    this.#faults.record({
      source: request.source,
      info: request.address & ~0xfffn,
      code,
      pasid: request.pasid < 0 ? undefined : request.pasid,
      kind: "page-request",
      execute: request.execute,
      privileged: request.privileged,
      addressType: 0,
    });
  }

  /**
   * Takes an interrupt message from a device, remaps it and delivers it.
   *
   * @returns `false` when it is blocked
   */
  deliver(message: MsiMessage): boolean {
    const result = this.#remapping.remap(message);
    if (this.trace.enabled) {
      const code = result.ok ? 0 : result.code;
      this.trace.emit(INTERRUPT_REMAPPED, { ...message, index: result.index, code });
    }
    if (result.ok) {
      this.#interrupts.deliver(result.interrupt);
      return true;
    }
    if (result.silenced) return false;
    this.#faults.record({
      source: message.source,
      info: interruptInfo(result.index),
      code: result.code,
      pasid: undefined,
      kind: "write",
      execute: false,
      privileged: false,
      addressType: 0,
    });
    return false;
  }

  /** Takes a page request from a device (§7.4). */
  requestPage(request: PageRequest): PageRequestOutcome {
    return this.#pages.request(request);
  }

  /**
   * Has `subscriber` told of every invalidation before it completes.
   *
   * @returns a function that ends it; what it still owes counts as done
   */
  subscribe(subscriber: InvalidationSubscriber): () => void {
    return this.#dispatch.subscribe(subscriber);
  }

  #waitCompleted(): void {
    const registers = this.#registers;
    if (registers.has(spec.ICS, "IWC")) return;
    registers.set(spec.ICS, "IWC", 1);
    this.#completion.raise();
  }

  /** Puts everything into its reset state; subscribers stay. */
  reset(): void {
    this.#registers.reset();
    this.#work.clear();
    this.#devices.reset();
    this.#queue.reset();
    this.#faults.restart();
    this.#protected.reset();
    this.#registerInvalidation.reset();
    this.#remapping.reset();
    this.translation.reset();
  }
}
