import { frameAddress, fromHalves } from "../../bits/halves.ts";
import { WORDS_LG2 } from "../../memory/bank.ts";
import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import type { TraceChannel } from "../../trace/channel.ts";
import type { Counters } from "./counters.ts";
import { ENTRY_READ, FLAGS_SET } from "./events.ts";

/** An entry changed between reading and marking it: walk again. Not a fault code. */
export const CHANGED = -1;

/** How often a walk begins again because somebody else changed an entry, before the update counts as refused. */
export const MAX_RETRIES = 64;

/** What a cursor works with. */
export interface CursorParts {
  readonly memory: PhysicalMemory;
  readonly counters: Counters;
  readonly trace: TraceChannel;
}

/**
 * The page-table entry that a walk has stopped at: to mark it, to finish at it,
 * or because it refuses. A walk that goes on keeps the entry in local variables.
 */
export class EntryCursor {
  readonly stage: 1 | 2;
  /** Level of the table the entry is in, 0 the leaf; -1 when no entry has been read. */
  level = -1;
  /** Frame of the table; -1 when it could not be found. */
  pfn = -1;
  /** Index of the entry's first 32-bit word in the table. */
  word = 0;
  /** Bits 63:32 of the entry. */
  hi = 0;
  /** Bits 31:0 of the entry. */
  lo = 0;
  /** Whether there was memory where the entry should be. */
  readable = false;
  readonly #memory: PhysicalMemory;
  readonly #counters: Counters;
  readonly #trace: TraceChannel;

  constructor(stage: 1 | 2, parts: CursorParts) {
    this.stage = stage;
    this.#memory = parts.memory;
    this.#counters = parts.counters;
    this.#trace = parts.trace;
  }

  /** Forgets the last walk. */
  clear(): void {
    this.level = -1;
    this.pfn = -1;
  }

  /** Notes that the table of `level` could not be found. */
  lose(level: number): void {
    this.level = level;
    this.pfn = -1;
  }

  /** The entry's physical address. */
  get address(): bigint {
    return frameAddress(this.pfn) + BigInt(this.word * 4);
  }

  /** Notes the entry whose first 32-bit word is `word` of the table of `level` at frame `pfn`. */
  at(level: number, pfn: number, word: number, hi: number, lo: number, readable: boolean): void {
    this.level = level;
    this.pfn = pfn;
    this.word = word;
    this.hi = hi;
    this.lo = lo;
    this.readable = readable;
  }

  /** Tells listeners that the entry under the cursor has been read for address `(hi, lo)`. */
  traceRead(hi: number, lo: number): void {
    this.#trace.emit(ENTRY_READ, {
      stage: this.stage,
      level: this.level,
      address: this.address,
      value: this.readable ? fromHalves(this.hi, this.lo) : undefined,
      input: fromHalves(hi, lo),
    });
  }

  /**
   * Sets flags in the entry, all at once and only if it still is what was read.
   *
   * @param bits in the low half
   * @returns 0, `CHANGED`, or the fault code 91 when memory refuses
   */
  mark(bits: number): number {
    const { pfn, word, hi, lo } = this;
    if (this.#memory.compareAndSwap(pfn, word, hi, lo, hi, lo | bits)) {
      this.lo = lo | bits;
      this.#counters.flagUpdates++;
      if (this.#trace.enabled) {
        this.#trace.emit(FLAGS_SET, {
          stage: this.stage,
          level: this.level,
          address: this.address,
          bits,
        });
      }
      return 0;
    }
    const bank = this.#memory.bankOf(pfn);
    const at = ((pfn - bank.firstPfn) << WORDS_LG2) + word;
    return bank.words[at] === lo && bank.words[at + 1] === hi ? 0x91 : CHANGED;
  }
}
