import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import type { DmaFault } from "./dma-request.ts";

/** A transfer that did not end well. */
export interface TransferFailure {
  readonly ok: false;
  readonly fault: DmaFault;
  /** Bytes that reached their destination before the fault. */
  readonly transferred: number;
}

/** What became of a transfer. */
export type TransferResult = { readonly ok: true } | TransferFailure;

/** The result of every transfer that ended well. */
export const TRANSFERRED: TransferResult = Object.freeze({ ok: true });

interface Waiter {
  /** The first ticket that the waiter does not wait for. */
  readonly before: number;
  readonly callback: () => void;
}

/** Requests that have been translated and have not touched memory yet. */
export class InFlightRequests {
  #next = 0;
  /** Tickets of what is in flight, oldest first: a set keeps the order of insertion. */
  readonly #tickets = new Set<number>();
  readonly #waiters: Waiter[] = [];
  #notifying = false;

  /** How many there are. */
  get count(): number {
    return this.#tickets.size;
  }

  /** Adds a request and returns its ticket. */
  enter(): number {
    const ticket = this.#next++;
    this.#tickets.add(ticket);
    return ticket;
  }

  /** The request with this ticket has touched memory, or never will. */
  leave(ticket: number): void {
    if (this.#tickets.delete(ticket)) this.#notify();
  }

  /**
   * Calls `callback` once each request that is in flight now has touched memory
   * or been aborted: before returning when there is none. Callbacks come in the
   * order in which they were given.
   */
  whenEarlierDone(callback: () => void): void {
    if (this.#tickets.size === 0 && this.#waiters.length === 0) {
      callback();
      return;
    }
    this.#waiters.push({ before: this.#next, callback });
    this.#notify();
  }

  #notify(): void {
    // A callback may finish more requests or wait again; the loop that called it goes on from there.
    if (this.#notifying) return;
    this.#notifying = true;
    try {
      for (let first = this.#waiters[0]; first !== undefined; first = this.#waiters[0]) {
        const oldest = this.#tickets.values().next();
        if (oldest.done !== true && oldest.value < first.before) return;
        this.#waiters.shift();
        first.callback();
      }
    } finally {
      this.#notifying = false;
    }
  }
}

/** The 32-bit value at `at`, little endian, unsigned. */
export const dwordAt = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;

/** One piece of a transfer: bytes of one page frame. */
export interface TransferPiece {
  readonly pfn: number;
  /** First byte in the frame. */
  readonly offset: number;
  /** Bytes. */
  readonly count: number;
  /** Set when the piece is no memory but an interrupt: sends it, and tells why it did not arrive. */
  readonly interrupt: ((data: number) => DmaFault | undefined) | undefined;
}

/** What a transfer in flight needs of the port it came from. */
export interface InFlightContext {
  readonly memory: PhysicalMemory;
  /** Where it is counted. */
  readonly counted: readonly InFlightRequests[];
  /** The fault for an address without memory. */
  readonly noMemory: (pfn: number) => DmaFault;
  /** Called when it is over, before anybody who waits for it. */
  readonly ended: (transfer: InFlight, result: TransferResult) => void;
}

/**
 * A transfer whose addresses have been translated and which has not touched
 * memory yet. What the tables say from now on makes no difference to it: the
 * window in which a page that has been unmapped can still be hit.
 */
export class InFlight {
  /** Bytes asked for. */
  readonly length: number;
  /** Bytes that could be translated; the rest begins with the one that `fault` is about. */
  readonly translated: number;
  /** Whether it writes memory. */
  readonly writes: boolean;
  /** Why the rest could not be translated. */
  readonly fault: DmaFault | undefined;
  readonly #pieces: readonly TransferPiece[];
  readonly #context: InFlightContext;
  readonly #tickets: readonly number[];
  #aborted: DmaFault | undefined;
  #over = false;

  constructor(
    pieces: readonly TransferPiece[],
    asked: {
      readonly length: number;
      readonly writes: boolean;
      readonly fault: DmaFault | undefined;
    },
    context: InFlightContext,
  ) {
    this.#pieces = pieces;
    this.#context = context;
    this.length = asked.length;
    this.writes = asked.writes;
    this.fault = asked.fault;
    this.translated = pieces.reduce((sum, piece) => sum + piece.count, 0);
    // What was refused altogether never reaches memory, so that nobody needs to wait for it.
    this.#tickets = pieces.length === 0 ? [] : context.counted.map((requests) => requests.enter());
  }

  /** Whether it has not been finished or aborted yet. */
  get pending(): boolean {
    return !this.#over;
  }

  /**
   * Touches memory: stores `bytes`, or fills them when the transfer reads.
   *
   * @param bytes exactly `length` of them
   * @throws RangeError when there are more or fewer, Error when it was finished before: bugs in the caller
   */
  finish(bytes: Uint8Array): TransferResult {
    if (bytes.length !== this.length) {
      throw new RangeError(
        `a transfer of ${this.length} bytes cannot be finished with ${bytes.length}`,
      );
    }
    if (this.#aborted !== undefined) return { ok: false, fault: this.#aborted, transferred: 0 };
    if (this.#over) throw new Error("the transfer has been finished before");
    const result = this.#move(bytes);
    this.#end(result);
    return result;
  }

  /** Gives it up without touching memory; nothing happens when it is over. */
  abort(fault: DmaFault): void {
    if (this.#over) return;
    this.#aborted = fault;
    this.#end({ ok: false, fault, transferred: 0 });
  }

  #move(bytes: Uint8Array): TransferResult {
    let transferred = 0;
    for (const piece of this.#pieces) {
      const fault = this.#movePiece(piece, bytes, transferred);
      if (fault !== undefined) return { ok: false, fault, transferred };
      transferred += piece.count;
    }
    return this.fault === undefined ? TRANSFERRED : { ok: false, fault: this.fault, transferred };
  }

  #movePiece(piece: TransferPiece, bytes: Uint8Array, at: number): DmaFault | undefined {
    const { pfn, offset, count, interrupt } = piece;
    if (interrupt !== undefined) return interrupt(dwordAt(bytes, at));
    const { memory, noMemory } = this.#context;
    return memory.copyInFrame(pfn, offset, bytes, at, count, this.writes)
      ? undefined
      : noMemory(pfn);
  }

  #end(result: TransferResult): void {
    this.#over = true;
    this.#context.ended(this, result);
    this.#context.counted.forEach((requests, i) => {
      const ticket = this.#tickets[i];
      if (ticket !== undefined) requests.leave(ticket);
    });
  }
}
