import { hex } from "../../bits/hex.ts";
import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import type { TraceChannel } from "../../trace/channel.ts";
import type { Capabilities } from "./capabilities.ts";
import { type Decoded, DescriptorDecoder, type Wait } from "./descriptor-decoder.ts";
import type { Deviations } from "./deviations.ts";
import { DESCRIPTOR_FETCHED, WAIT_COMPLETED } from "./events.ts";
import type { PendingWork } from "./pending-work.ts";
import type { RegisterFile } from "./register-file.ts";
import { QUEUE_ERRORS } from "./spec/descriptors.ts";
import { GSTS, IQA, IQH, IQT } from "./spec/registers.ts";

/** Type of an invalidation wait. */
const WAIT_TYPE = 5n;

/** What the queue hands to its unit. */
export interface QueueOwner {
  /** Performs what a descriptor asks for, other than waiting; work that goes on is in `PendingWork`. */
  execute(decoded: Exclude<Decoded, { kind: "wait" } | { kind: "error" }>): void;
  /** A wait that asked for the event has completed. */
  waitInterrupt(): void;
  /** The queue has stopped; `info` is IQERCD.IQEI. */
  failed(info: number): void;
  /** Whether an error still holds the queue. */
  isStopped(): boolean;
  /** Whether the root table is in scalable mode. */
  isScalable(): boolean;
}

/** What a queue knows besides its registers while nothing is under way. */
export interface QueueState {
  /** Address and size in bytes of the queue in use, as hexadecimal and number. */
  readonly base: string;
  readonly bytes: number;
  readonly step: 16 | 32;
  readonly asked: string;
  readonly endsWithWait: boolean;
}

/** The invalidation queue: fetches descriptors from memory, in order, until head meets tail (§6.5.2). */
export class InvalidationQueue {
  readonly #registers: RegisterFile;
  readonly #memory: PhysicalMemory;
  readonly #decoder: DescriptorDecoder;
  readonly #work: PendingWork;
  readonly #owner: QueueOwner;
  readonly #trace: TraceChannel;
  readonly #deviations: Deviations;
  /** Whether there are queues of 256-bit descriptors at all. */
  readonly #takesWide: boolean;
  /** The address bits that the host has. */
  readonly #reachable: bigint;
  /** What software last wrote to IQA, where reading it tells something else. */
  #asked = 0n;
  /** Whether the last descriptor was a wait. */
  #endsWithWait = false;
  /** The tail in use, where it is not what IQT reads; in bytes. */
  #tail = 0;
  #base = 0n;
  #bytes = 0;
  #step: 16 | 32 = 16;
  #running = false;
  /** A wait with a fence holds what follows. */
  #fenced = false;
  /** So much is under way that nothing more is fetched until some of it is over. */
  #crowded = false;
  /** Software has switched the queue off, and it is not over yet. */
  #ending = false;
  /** It is empty, or stopped, and only what was fetched is not over yet. */
  #finishing = false;

  constructor(
    registers: RegisterFile,
    memory: PhysicalMemory,
    capabilities: Capabilities,
    work: PendingWork,
    owner: QueueOwner,
    trace: TraceChannel,
  ) {
    this.#registers = registers;
    this.#memory = memory;
    this.#decoder = new DescriptorDecoder(capabilities);
    this.#work = work;
    this.#owner = owner;
    this.#trace = trace;
    this.#deviations = capabilities.deviations;
    this.#takesWide = capabilities.has("SMTS");
    this.#reachable = (1n << BigInt(capabilities.hostAddressWidth)) - 1n;
    registers.onWrite(IQT, (_, touched) => this.#tailWritten(touched));
    work.onRoom(() => {
      if (this.#crowded) this.run();
    });
    if (this.#deviations.queueAddressLatched) {
      registers.onWrite(IQA, (written, touched) => {
        this.#asked = (this.#asked & ~touched) | written;
        registers.set(IQA, "IQA", this.#base);
        if (this.#deviations.queueWidthHidden) registers.set(IQA, "DW", 0);
      });
    }
  }

  #tailWritten(touched: bigint): void {
    if (this.#deviations.tailTakenWhenWritten) {
      if ((touched & IQT.fields.QT.mask) === 0n) return;
      const tail = Number(this.#registers.get(IQT, "QT")) * 16;
      if (this.#isWide() && tail % 32 !== 0) return this.#owner.failed(QUEUE_ERRORS.tailAlignment);
      this.#tail = tail;
    }
    this.run();
  }

  #isWide(): boolean {
    if (this.#deviations.queueWidthHidden)
      return this.#takesWide && (this.#asked & IQA.fields.DW.mask) !== 0n;
    return this.#takesWide && this.#registers.has(IQA, "DW");
  }

  /** Whether GSTS.QIES is set. */
  get enabled(): boolean {
    return this.#registers.has(GSTS, "QIES");
  }

  /** Takes the queue that IQA names into use. */
  enable(): void {
    const registers = this.#registers;
    if (this.#deviations.queueAddressLatched) {
      registers.set(IQA, "IQA", this.#asked & IQA.fields.IQA.mask & this.#reachable);
    }
    this.#base = registers.get(IQA, "IQA");
    // 256 descriptors of 16 bytes, or 128 of 32, are one page.
    this.#bytes = 4096 << Number(registers.get(IQA, "QS"));
    this.#step = this.#isWide() ? 32 : 16;
    registers.set(IQH, "QH", 0);
    registers.set(GSTS, "QIES", 1);
    this.run();
  }

  /** The queue is off once it is empty and everything fetched from it is over. */
  disable(): void {
    if (this.#deviations.queueEndsWithWait && !(this.#endsWithWait && this.#isEmpty())) return;
    this.#ending = true;
    this.run();
  }

  #isEmpty(): boolean {
    return Number(this.#registers.get(IQH, "QH")) * 16 === this.#tailInUse();
  }

  #tailInUse(): number {
    if (this.#deviations.tailTakenWhenWritten) return this.#tail;
    return Number(this.#registers.get(IQT, "QT")) * 16;
  }

  /** Fetches until head meets tail, a fence holds, or something is wrong. */
  run(): void {
    if (this.#running) return;
    this.#running = true;
    this.#crowded = false;
    while (this.#mayFetch() && this.#runOne());
    this.#running = false;
    if (this.#ending && !this.#fenced && !this.#finishing && !this.#crowded) this.#finish();
  }

  #mayFetch(): boolean {
    if (!this.enabled || this.#fenced || this.#finishing || this.#owner.isStopped()) return false;
    this.#crowded = this.#work.isFull;
    return !this.#crowded;
  }

  #finish(): void {
    this.#finishing = true;
    this.#work.wait(() => {
      this.#ending = false;
      this.#finishing = false;
      this.#registers.set(GSTS, "QIES", 0);
      this.#registers.set(IQH, "QH", 0);
    });
  }

  /** @returns whether there may be another descriptor */
  #runOne(): boolean {
    const registers = this.#registers;
    const tail = this.#tailInUse();
    const head = Number(registers.get(IQH, "QH")) * 16;
    if (tail % this.#step !== 0) return this.#fail(QUEUE_ERRORS.tailAlignment);
    if (tail >= this.#bytes) return this.#fail(QUEUE_ERRORS.tail);
    if (head === tail) return false;
    const address = this.#base + BigInt(head);
    const bytes = new Uint8Array(this.#step);
    if (!this.#memory.read(address, bytes)) return this.#fail(QUEUE_ERRORS.fetch);
    const words = [...new BigUint64Array(bytes.buffer)];
    if (this.#trace.enabled) this.#trace.emit(DESCRIPTOR_FETCHED, { address, words });
    const decoded = this.#decoder.decode(words, this.#owner.isScalable());
    this.#endsWithWait = (words[0]! & 0xfn) === WAIT_TYPE;
    if (decoded.kind === "error") return this.#fail(decoded.info);
    if (decoded.kind === "wait" && this.#lacksStatus(decoded.wait))
      return this.#fail(QUEUE_ERRORS.reserved);
    registers.set(IQH, "QH", ((head + this.#step) % this.#bytes) / 16);
    if (decoded.kind === "wait") this.#wait(decoded.wait);
    else this.#owner.execute(decoded);
    return true;
  }

  #fail(info: number): false {
    this.#owner.failed(info);
    return false;
  }

  /** Whether the wait has a status that must be written and cannot be. */
  #lacksStatus(wait: Wait): boolean {
    const { status } = wait;
    if (!this.#deviations.statusMustBeWritten || status === undefined) return false;
    if (this.#memory.write32(status.address, status.data)) return false;
    if (wait.interrupt) this.#owner.waitInterrupt();
    return true;
  }

  #wait(wait: Wait): void {
    if (wait.fence) this.#fenced = true;
    const complete = (): void => {
      if (wait.status !== undefined) {
        const { address, data } = wait.status;
        this.#memory.write32(address, data);
      }
      if (wait.interrupt) this.#owner.waitInterrupt();
      if (this.#trace.enabled) this.#trace.emit(WAIT_COMPLETED, { status: wait.status });
      if (wait.fence) {
        this.#fenced = false;
        this.run();
      }
    };
    // Given up, it holds nothing any more: the queue goes on once software has cleared the error.
    this.#work.wait(complete, () => {
      if (wait.fence) this.#fenced = false;
    });
  }

  /** Only while nothing that was fetched is under way. */
  save(): QueueState {
    return {
      base: hex(this.#base),
      bytes: this.#bytes,
      step: this.#step,
      asked: hex(this.#asked),
      endsWithWait: this.#endsWithWait,
    };
  }

  restore(state: QueueState): void {
    this.reset();
    this.#base = BigInt(state.base);
    this.#bytes = state.bytes;
    this.#step = state.step;
    this.#asked = BigInt(state.asked);
    this.#endsWithWait = state.endsWithWait;
    this.#tail = Number(this.#registers.get(IQT, "QT")) * 16;
  }

  /** Forgets all, as a reset does. */
  reset(): void {
    this.#fenced = false;
    this.#crowded = false;
    this.#ending = false;
    this.#finishing = false;
    this.#base = 0n;
    this.#bytes = 0;
    this.#asked = 0n;
    this.#endsWithWait = false;
    this.#tail = 0;
  }
}
