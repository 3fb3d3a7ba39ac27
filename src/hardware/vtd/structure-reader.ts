import { frameAddress, fromHalves } from "../../bits/halves.ts";
import { WORDS_LG2 } from "../../memory/bank.ts";
import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import { type Field, fieldAt, type Layout } from "../../struct/layout.ts";
import type { TraceChannel } from "../../trace/channel.ts";
import type { Capabilities } from "./capabilities.ts";
import type { Counters } from "./counters.ts";
import { reservedBits } from "./deviations.ts";
import type { CursorParts } from "./entry-cursor.ts";
import { STRUCTURE_READ } from "./events.ts";

/** What a reader works with. */
export interface StructureParts extends CursorParts {
  readonly capabilities: Capabilities;
}

/** Reads entries of one structure out of tables in memory; holds the one that was read last. */
export class StructureReader<Name extends string> {
  readonly layout: Layout<Name>;
  /** The entry as 32-bit words. */
  readonly words: Int32Array;
  /** Frame of the table the entry is in. */
  pfn = 0;
  /** Offset of the entry in that frame, in bytes. */
  offset = 0;
  /** Whether the entry could be read. */
  readable = false;
  readonly #reserved: Int32Array;
  readonly #memory: PhysicalMemory;
  readonly #counters: Counters;
  readonly #trace: TraceChannel;

  constructor(layout: Layout<Name>, parts: StructureParts) {
    const { capabilities, memory, counters, trace } = parts;
    this.layout = layout;
    this.words = new Int32Array(layout.bytes / 4);
    const qwords = BigUint64Array.from(reservedBits(layout, capabilities, capabilities.deviations));
    this.#reserved = new Int32Array(qwords.buffer);
    this.#memory = memory;
    this.#counters = counters;
    this.#trace = trace;
  }

  /**
   * Reads the entry at byte `offset` of the table at frame `pfn`; `offset` may
   * be in a later frame of it.
   *
   * @returns whether there is memory
   */
  read(pfn: number, offset: number): boolean {
    this.pfn = pfn + (offset >>> 12);
    this.offset = offset & 0xfff;
    const bank = this.#memory.bankOf(this.pfn);
    const at = ((this.pfn - bank.firstPfn) << WORDS_LG2) + (this.offset >>> 2);
    this.readable = at >>> 0 < bank.words.length;
    for (let i = 0; i < this.words.length; i++)
      this.words[i] = this.readable ? bank.words[at + i]! : 0;
    this.#counters.structureReads++;
    if (this.#trace.enabled) {
      this.#trace.emit(STRUCTURE_READ, {
        structure: this.layout.name,
        address: this.address,
        words: this.readable ? this.quadwords : undefined,
      });
    }
    return this.readable;
  }

  /** The entry's physical address. */
  get address(): bigint {
    return frameAddress(this.pfn) + BigInt(this.offset);
  }

  /** The entry as 64-bit words. */
  get quadwords(): bigint[] {
    return Array.from({ length: this.words.length / 2 }, (_, i) =>
      fromHalves(this.words[2 * i + 1]!, this.words[2 * i]!),
    );
  }

  /** The value of a field of at most 32 bits that does not cross a 32-bit word. */
  get(field: Field): number {
    return fieldAt(this.words, 0, field);
  }

  /** Whether the one-bit field is set. */
  has(field: Field): boolean {
    return fieldAt(this.words, 0, field) !== 0;
  }

  /** The frame that an `address` field points to. */
  frame(field: Field): number {
    const dword = field.qword * 2;
    return (this.words[dword + 1]! >>> 0) * 0x10_0000 + (this.words[dword]! >>> 12);
  }

  /** Whether a reserved bit is set. */
  get violatesReserved(): boolean {
    let bad = 0;
    for (let i = 0; i < this.words.length; i++) bad |= this.words[i]! & this.#reserved[i]!;
    return bad !== 0;
  }
}
