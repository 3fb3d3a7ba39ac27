import { fromHalves } from "../../bits/halves.ts";
import { hex } from "../../bits/hex.ts";
import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import { type SavedWords, SaveRefusedError } from "../../struct/saved-state.ts";
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
import {
  INTERRUPT_REMAPPED,
  REFUSAL_RECORDED,
  REGISTER_READ,
  REGISTER_WRITTEN,
  SETTLED,
  UNIT_RESET,
} from "./events.ts";
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
import { RTADDR } from "./spec/root-table-address.ts";
import { TranslationUnit } from "./unit.ts";
import { requireSameUnit, type UnitState } from "./unit-state.ts";

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

/** A table's address as the unit takes it. */
const tableInUse = (address: bigint, { hostAddressWidth, deviations }: Capabilities): bigint =>
  deviations.tableAddressesCut ? BigInt.asUintN(hostAddressWidth, address) : address;

/** RTADDR as the unit takes it, where it does not know all of TTM. */
const rootInUse = (rtaddr: bigint, capabilities: Capabilities): bigint => {
  const address = tableInUse(rtaddr, capabilities);
  if (!capabilities.deviations.rootModeIsOneBit) return address;
  const scalable = capabilities.has("SMTS") ? 1n : 0n;
  return (address & ~RTADDR.fields.TTM.mask) | (address & (scalable << RTADDR.fields.TTM.shift));
};

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

  /** @throws RangeError when no unit can have these capabilities, naming the field: a bug in the caller */
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
    const outlet = { sink: interrupts, source: options.source ?? 0, trace: this.trace };
    const event = (at: EventRegisters): EventMessage => new EventMessage(registers, at, outlet);
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
      stopMarkers: capabilities.has("SMS"),
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
    this.#connect(options);
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

  #connect({ inFlight }: RemappingUnitOptions): void {
    const registers = this.#registers;
    const drains = this.capabilities.has("DWD") || this.capabilities.has("DRD");
    new GlobalCommand(registers, this.capabilities, {
      setRootTable: (rtaddr) => {
        this.translation.setRootTable(rootInUse(rtaddr, this.capabilities));
        this.#flushAfterCommand();
      },
      isTranslating: () => this.translation.enabled,
      whenDrained: (callback) => {
        if (inFlight === undefined || !drains) callback();
        else inFlight.whenEarlierDone(callback);
      },
      setTranslation: (enabled) => {
        this.translation.setTranslation(enabled);
        this.#flushAfterCommand();
        if (!enabled) this.#faults.restart();
      },
      enableQueue: () => this.#queue.enable(),
      disableQueue: () => this.#queue.disable(),
      setInterruptTable: (address, entries, extended) => {
        const table = tableInUse(address, this.capabilities);
        this.#remapping.setTable(table, entries, extended);
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

  /** Bytes of its register window: one page, or 2^N where CAP and ECAP put registers beyond it. */
  get registerWindow(): number {
    return this.#registers.size;
  }

  /** Reads `width` bytes of the register window at `offset`; any place, any alignment. */
  readRegister(offset: number, width: RegisterWidth): bigint {
    const value = this.#registers.read(offset, width);
    if (this.trace.enabled) this.trace.emit(REGISTER_READ, { offset, width, value });
    return value;
  }

  /** Every word of the register window that is not 0, by offset; nobody hears of it. */
  get registerWords(): SavedWords {
    return this.#registers.save();
  }

  /** Writes the low `width` bytes of `value`. What it sets going has happened, or waits for others, when this returns. */
  writeRegister(offset: number, width: RegisterWidth, value: bigint): void {
    if (this.trace.enabled) this.trace.emit(REGISTER_WRITTEN, { offset, width, value });
    const stopped = this.#isQueueStopped();
    this.#registers.write(offset, width, value);
    // Clearing the error lets the queue go on with the descriptor it stopped at.
    const resumes = !this.capabilities.deviations.queueResumesByTailOnly;
    if (stopped && resumes && !this.#isQueueStopped()) this.#queue.run();
    this.#settled();
  }

  #settled(): void {
    if (this.trace.enabled) this.trace.emit(SETTLED, {});
  }

  #flushAfterCommand(): void {
    if (!this.capabilities.deviations.rootCommandsFlush) return;
    this.translation.invalidateContext({ granularity: "global" });
    this.translation.invalidatePasid({ granularity: "global" });
    this.translation.invalidateIotlb({ granularity: "global" });
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
    if (this.trace.enabled) {
      const { source, pasid, address, code } = fault;
      const { access, addressType } = request;
      this.trace.emit(REFUSAL_RECORDED, { source, pasid, address, access, addressType, code });
    }
    const both = READ | WRITE;
    const isAtomic =
      (request.access & both) === both && request.addressType !== TRANSLATION_REQUEST;
    this.#faults.record({
      source: fault.source,
      info: fault.address & ~0xfffn,
      code: fault.code,
      inTables: fault.stage !== 0,
      pasid: fault.pasid,
      kind: isAtomic ? "atomic" : fault.access.read || fault.access.execute ? "read" : "write",
      execute: fault.access.execute,
      privileged: fault.access.privileged,
      addressType: request.addressType,
    });
    this.#settled();
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
    const outcome = this.#pages.request(request);
    this.#settled();
    return outcome;
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

  /**
   * Everything that software or a device could notice, as plain data. Caches
   * are left out: hardware may drop what they hold at any time.
   *
   * @throws SaveRefusedError while an invalidation or a switch of translation is not over
   */
  save(): UnitState {
    const { translation } = this;
    if (!this.#work.isIdle) throw new SaveRefusedError("an invalidation of the unit is not over");
    if (this.#registers.has(spec.GSTS, "TES") !== translation.enabled) {
      throw new SaveRefusedError("the unit waits for requests before it switches translation");
    }
    return {
      schema: "softiommu/vtd-unit-state@1",
      registers: this.#registers.save(),
      enabled: translation.enabled,
      rootTableAddress: hex(translation.rootTableAddress),
      nextFaultRecord: this.#faults.next,
      queue: this.#queue.save(),
      registerInvalidation: this.#registerInvalidation.save(),
      interruptRemapping: this.#remapping.save(),
    };
  }

  /**
   * Puts everything back to what `save` saw; subscribers stay.
   *
   * @throws RestoreError when it was another kind of unit
   */
  restore(state: UnitState): void {
    requireSameUnit(state, this.capabilities);
    this.reset();
    this.#registers.restore(state.registers);
    this.#queue.restore(state.queue);
    this.#faults.restart(state.nextFaultRecord);
    this.#protected.follow();
    this.#registerInvalidation.restore(state.registerInvalidation);
    this.#remapping.restore(state.interruptRemapping);
    this.translation.setRootTable(BigInt(state.rootTableAddress));
    this.translation.setTranslation(state.enabled);
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
    if (this.trace.enabled) this.trace.emit(UNIT_RESET, {});
  }
}
