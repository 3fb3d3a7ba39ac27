import type { Interrupt, InterruptSink } from "../hardware/interrupt/index.ts";
import { defineEvent, type EventType, type TraceChannel } from "../trace/channel.ts";
import type { V86Cpu } from "./v86.ts";

/** An interrupt has come to the local APIC. */
export const PC_INTERRUPT: EventType<{
  readonly vector: number;
  /** Whether the processor will see it: fixed or lowest priority, to its own APIC ID. */
  readonly accepted: boolean;
}> = defineEvent("pc.interrupt");

/** Where the registers are in v86's local APIC, in 32-bit words. */
const REQUESTED = 16;
const LEVEL_TRIGGERED = 32;
const LOGICAL_DESTINATION = 42;
const WORDS = 46;

const FIXED = 0;
const LOWEST_PRIORITY = 1;
const BROADCAST = 0xff;

/**
 * The processor's local APIC as a place where messages arrive: v86 has no
 * messages, so a bit is set in its interrupt request register.
 *
 * v86 looks there between blocks of code. It must not be told while it runs
 * one, as a callback of a register would: that is left to a microtask, which
 * comes when WebAssembly has returned, and wakes a processor that halts.
 */
export class LocalApic implements InterruptSink {
  readonly #cpu: V86Cpu;
  readonly #trace: TraceChannel;
  readonly #isRunning: () => boolean;
  #waking = false;

  constructor(cpu: V86Cpu, trace: TraceChannel, isRunning: () => boolean) {
    this.#cpu = cpu;
    this.#trace = trace;
    this.#isRunning = isRunning;
  }

  deliver(interrupt: Interrupt): void {
    const { vector, deliveryMode, triggerMode } = interrupt;
    const words = this.#words();
    // Vectors below 16 are refused by any local APIC (Intel SDM volume 3, 11.5.2).
    const accepted =
      (deliveryMode === FIXED || deliveryMode === LOWEST_PRIORITY) &&
      vector >= 16 &&
      isFor(interrupt, words[LOGICAL_DESTINATION]! >>> 24);
    if (this.#trace.enabled) this.#trace.emit(PC_INTERRUPT, { vector, accepted });
    if (!accepted) return;
    const bit = 1 << (vector & 31);
    words[REQUESTED + (vector >>> 5)]! |= bit;
    if (triggerMode === "edge") words[LEVEL_TRIGGERED + (vector >>> 5)]! &= ~bit;
    else words[LEVEL_TRIGGERED + (vector >>> 5)]! |= bit;
    this.wake();
  }

  /** Has the processor look for interrupts once it runs no code. */
  wake(): void {
    if (this.#waking) return;
    this.#waking = true;
    queueMicrotask(() => {
      this.#waking = false;
      if (this.#isRunning()) this.#cpu.handle_irqs();
    });
  }

  #words(): Int32Array {
    const { buffer } = this.#cpu.wasm_memory;
    return new Int32Array(buffer, this.#cpu.get_apic_addr(), WORDS);
  }
}

/** Whether the one processor, APIC ID 0, is among the destinations. */
const isFor = ({ destination, destinationMode }: Interrupt, logicalId: number): boolean =>
  destinationMode === "physical"
    ? destination === 0 || destination === BROADCAST
    : destination === BROADCAST || (destination & logicalId) !== 0;
