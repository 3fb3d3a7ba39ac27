import { fromHalves } from "../../bits/halves.ts";
import type { Layout } from "../../struct/layout.ts";
import type { TraceChannel } from "../../trace/channel.ts";
import { decodeCompatibleMessage, type InterruptSink } from "../interrupt/message.ts";
import { EVENT_SENT } from "./events.ts";
import type { RegisterFile } from "./register-file.ts";

/** The four registers of one of the unit's own events. */
export interface EventRegisters {
  readonly control: Layout<"IP" | "IM">;
  readonly data: Layout<"DATA" | "EXTENDED">;
  readonly address: Layout<"MA">;
  readonly upper: Layout<"MUA">;
}

/** Where the messages of a unit go, and in whose name. */
export interface EventOutlet {
  readonly sink: InterruptSink;
  /** Requester ID of the unit. */
  readonly source: number;
  readonly trace: TraceChannel;
}

/**
 * One of the unit's events, fault, completion or page request: a message that
 * can be masked. While it is, IP remembers it; unmasking sends it (§7.3).
 */
export class EventMessage {
  readonly #registers: RegisterFile;
  readonly #at: EventRegisters;
  readonly #outlet: EventOutlet;

  constructor(registers: RegisterFile, at: EventRegisters, outlet: EventOutlet) {
    this.#registers = registers;
    this.#at = at;
    this.#outlet = outlet;
    registers.onWrite(at.control, () => this.#sendIfPossible());
  }

  /** The event has happened. */
  raise(): void {
    this.#registers.set(this.#at.control, "IP", 1);
    this.#sendIfPossible();
  }

  /** Software has seen to every condition behind the event: a message not yet sent is not sent any more. */
  withdraw(): void {
    this.#registers.set(this.#at.control, "IP", 0);
  }

  #sendIfPossible(): void {
    const registers = this.#registers;
    const { control, data, address, upper } = this.#at;
    if (!registers.has(control, "IP") || registers.has(control, "IM")) return;
    registers.set(control, "IP", 0);
    const { sink, source, trace } = this.#outlet;
    const high = Number(registers.get(upper, "MUA"));
    const message = {
      source,
      address: fromHalves(high | 0, Number(registers.get(address, "MA")) << 2),
      data: Number(registers.get(data, "DATA")),
    };
    if (trace.enabled) {
      trace.emit(EVENT_SENT, { address: message.address, data: message.data });
    }
    // Its own messages are in compatibility format and never remapped; the upper half extends the destination (§7.3).
    sink.deliver(decodeCompatibleMessage(message, high >>> 8));
  }
}
