import { frameAddress } from "../../../bits/halves.ts";
import type { Platform } from "../../../hardware/platform/index.ts";
import { FSTS, IQA, IQERCD, IQT } from "../../../hardware/vtd/spec/registers.ts";
import type { PhysicalMemory } from "../../../memory/physical-memory.ts";
import { DONE, fail, type Outcome } from "../../errno.ts";
import type { FaultInjector } from "../../fault-injector.ts";
import type { Frames } from "../../mm/frames.ts";
import { type Descriptor, waitFor } from "./descriptors.ts";
import type { UnitRegisters } from "./unit-registers.ts";

const QUEUE_BYTES = 4096;
/** How often the status is looked at without a pause: most invalidations are over at once. */
const QUICK_POLLS = 16;
/** The pause after that, which doubles each time. */
const FIRST_PAUSE_NS = 1000n;
/** Longer than hardware waits for a device (PCIe 6.3 §10.3.2: a minute). From then on the unit counts as stuck. */
const LONGEST_WAIT_NS = 120_000_000_000n;
/** FSTS.IQE, ICE and ITE, which are cleared by writing 1. */
const QUEUE_ERRORS = 0x70n;

/** How many descriptors a queue has taken. */
export interface QueueCounts {
  /** Without the waits. */
  readonly descriptors: number;
  readonly waits: number;
}

/** What a queue is made with. */
export interface QueueParts {
  readonly platform: Platform;
  readonly frames: Frames;
  readonly faults: FaultInjector;
}

/**
 * The queue of descriptors of one unit. A submission ends with a wait that
 * writes a number to memory, which is looked for for a bounded time.
 */
export class InvalidationQueue {
  readonly #registers: UnitRegisters;
  readonly #memory: PhysicalMemory;
  readonly #frames: Frames;
  readonly #faults: FaultInjector;
  readonly #platform: Platform;
  readonly #queue: bigint;
  readonly #status: bigint;
  readonly #step: number;
  #tail = 0;
  #ticket = 0;
  #descriptors = 0;
  #waits = 0;
  /** Who did not answer when a submission ended with ETIMEDOUT, if the unit knew. */
  stuckSource: number | undefined = undefined;

  private constructor(
    registers: UnitRegisters,
    { platform, frames, faults }: QueueParts,
    pages: { readonly queue: number; readonly status: number },
    wide: boolean,
  ) {
    this.#registers = registers;
    this.#memory = frames.memory;
    this.#frames = frames;
    this.#faults = faults;
    this.#platform = platform;
    this.#queue = frameAddress(pages.queue);
    this.#status = frameAddress(pages.status);
    this.#step = wide ? 32 : 16;
  }

  /** @param wide descriptors of 256 bits. @returns ENOMEM, ETIMEDOUT */
  static start(
    registers: UnitRegisters,
    parts: QueueParts,
    wide: boolean,
  ): Outcome<InvalidationQueue> {
    const { frames } = parts;
    const queue = frames.allocate();
    if (queue === undefined) return fail("ENOMEM");
    const status = frames.allocate();
    if (status === undefined) {
      frames.free(queue);
      return fail("ENOMEM");
    }
    const made = new InvalidationQueue(registers, parts, { queue, status }, wide);
    const started = made.restart();
    if (started.ok) return { ok: true, value: made };
    made.free();
    return started;
  }

  get counts(): QueueCounts {
    return { descriptors: this.#descriptors, waits: this.#waits };
  }

  /** Switches the queue off and on again, empty: whatever was in it is forgotten. */
  restart(): Outcome<undefined> {
    const off = this.stop();
    if (!off.ok) return off;
    this.#registers.write(FSTS, QUEUE_ERRORS);
    this.#tail = 0;
    this.#registers.write(IQT, 0n);
    this.#registers.write(IQA, IQA.encode({ DW: this.#step === 32, IQA: this.#queue })[0]!);
    return this.#registers.command("QIE", "QIES", true);
  }

  stop(): Outcome<undefined> {
    return this.#registers.command("QIE", "QIES", false);
  }

  /**
   * Has the unit carry out descriptors, in order, and waits until it has.
   *
   * @returns EIO when one was not to be had or was not understood, ETIMEDOUT
   *   when a device or the unit did not answer; the queue is empty and works
   *   again then, and what was carried out is unknown
   */
  submit(descriptors: readonly Descriptor[]): Outcome<undefined> {
    const room = QUEUE_BYTES / this.#step - 2;
    for (let at = 0; at < descriptors.length; at += room) {
      const outcome = this.#submitBatch(descriptors.slice(at, at + room));
      if (!outcome.ok) return outcome;
    }
    return DONE;
  }

  #submitBatch(descriptors: readonly Descriptor[]): Outcome<undefined> {
    for (const _ of descriptors) if (this.#faults.shouldFail("descriptor")) return fail("EIO");
    for (const descriptor of descriptors) this.#place(descriptor);
    this.#ticket = (this.#ticket + 1) >>> 0 || 1;
    this.#place(waitFor(this.#status, this.#ticket));
    this.#descriptors += descriptors.length;
    this.#waits += 1;
    this.#registers.write(IQT, BigInt(this.#tail));
    const outcome = this.#wait();
    if (!outcome.ok) this.restart();
    return outcome;
  }

  #place(descriptor: Descriptor): void {
    const words = this.#step / 8;
    for (let i = 0; i < words; i++) {
      this.#memory.write64(this.#queue + BigInt(this.#tail + i * 8), descriptor[i]!);
    }
    this.#tail = (this.#tail + this.#step) % QUEUE_BYTES;
  }

  #wait(): Outcome<undefined> {
    let pause = FIRST_PAUSE_NS;
    this.stuckSource = undefined;
    for (let polls = 0; pause < LONGEST_WAIT_NS; polls++) {
      if (this.#memory.read32(this.#status) === this.#ticket) return DONE;
      const { IQE, ITE } = this.#registers.read(FSTS);
      if (IQE === 1n) return fail("EIO");
      if (ITE === 1n) {
        this.stuckSource = Number(this.#registers.read(IQERCD).ITESID);
        return fail("ETIMEDOUT");
      }
      if (polls < QUICK_POLLS) continue;
      this.#platform.pause(pause);
      pause *= 2n;
    }
    return fail("ETIMEDOUT");
  }

  /** Gives its pages back. The queue must be off. */
  free(): void {
    this.#frames.free(Number(this.#queue >> 12n));
    this.#frames.free(Number(this.#status >> 12n));
  }
}
