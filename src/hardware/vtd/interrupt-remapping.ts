import { frameAddress, frameOf, highHalf, lowHalf } from "../../bits/halves.ts";
import { hex } from "../../bits/hex.ts";
import { decodeCompatibleMessage, type Interrupt, type MsiMessage } from "../interrupt/message.ts";
import type { Deviations } from "./deviations.ts";
import { INTERRUPT_ENTRY, REMAPPABLE_ADDRESS } from "./spec/interrupt-entry.ts";
import { type StructureParts, StructureReader } from "./structure-reader.ts";

/** What became of a message. */
export type Remapped =
  | { readonly ok: true; readonly interrupt: Interrupt; readonly index: number | undefined }
  | {
      readonly ok: false;
      /** Fault reason 20 to 26. */
      readonly code: number;
      readonly index: number | undefined;
      /** The entry says that its faults are not recorded. */
      readonly silenced: boolean;
    };

interface Entry {
  readonly interrupt: Interrupt;
  readonly fpd: boolean;
  readonly sid: number;
  readonly sq: number;
  readonly svt: number;
}

/** What interrupt remapping knows besides the registers. */
export interface InterruptRemappingState {
  readonly enabled: boolean;
  readonly compatible: boolean;
  /** Address of the table in use, as hexadecimal. */
  readonly table: string;
  readonly entries: number;
  readonly extended: boolean;
}

/** Entries kept at once; the oldest goes first. */
const MAX_CACHED_ENTRIES = 1024;

/** Requester ID of nobody. */
const UNKNOWN_SOURCE = 0xffff;

/** SQ: which low bits of the source are not compared (§9.9). */
const QUALIFIERS = [0b000, 0b100, 0b110, 0b111];

/** Interrupt remapping: from a message to an interrupt, through the table and a cache of its entries (§5.1). */
export class InterruptRemapping {
  enabled = false;
  /** Compatibility-format messages pass, where extended interrupt mode is off. */
  compatible = false;
  readonly #reader: StructureReader<keyof typeof INTERRUPT_ENTRY.fields>;
  readonly #cache = new Map<number, Entry>();
  readonly #deviations: Deviations;
  #tablePfn = 0;
  #entries = 0;
  #extended = false;

  constructor(parts: StructureParts) {
    const { deviations } = parts.capabilities;
    this.#deviations = deviations;
    this.#reader = new StructureReader(INTERRUPT_ENTRY, parts);
  }

  /** Uses another table from now on, as GCMD.SIRTP does. */
  setTable(address: bigint, entries: number, extended: boolean): void {
    this.#tablePfn = frameOf(highHalf(address), lowHalf(address));
    this.#entries = entries;
    this.#extended = extended;
  }

  /** Drops cached entries: 2^`mask` around `index`, or all. */
  invalidate(index: number | undefined, mask: number): void {
    if (index === undefined) this.#cache.clear();
    else
      for (const key of this.#cache.keys())
        if ((key ^ index) >>> mask === 0) this.#cache.delete(key);
  }

  /** Puts everything into its reset state: no table, nothing remapped. */
  reset(): void {
    this.enabled = false;
    this.compatible = false;
    if (!this.#deviations.interruptTableSurvivesReset) this.setTable(0n, 0, false);
    this.#cache.clear();
  }

  /** What it remaps with; cached entries are left out. */
  save(): InterruptRemappingState {
    return {
      enabled: this.enabled,
      compatible: this.compatible,
      table: hex(frameAddress(this.#tablePfn)),
      entries: this.#entries,
      extended: this.#extended,
    };
  }

  restore(state: InterruptRemappingState): void {
    this.reset();
    this.enabled = state.enabled;
    this.compatible = state.compatible;
    this.setTable(BigInt(state.table), state.entries, state.extended);
  }

  /** Indices of the cached entries. */
  cachedIndices(): number[] {
    return [...this.#cache.keys()];
  }

  /** Remaps a message. */
  remap(message: MsiMessage): Remapped {
    if (!this.enabled)
      return { ok: true, interrupt: decodeCompatibleMessage(message), index: undefined };
    const address = REMAPPABLE_ADDRESS.decode([message.address & 0xffff_ffffn]);
    if (address.FORMAT === 0n) {
      const anyway = this.#deviations.compatibleInterruptsPass;
      return anyway || (this.compatible && !this.#extended)
        ? { ok: true, interrupt: decodeCompatibleMessage(message), index: undefined }
        : { ok: false, code: 0x25, index: undefined, silenced: false };
    }
    const handle = Number(address.HANDLE | (address.HANDLE_15 << 15n));
    const withSubhandle = address.SHV === 1n;
    const sum = handle + (withSubhandle ? message.data & 0xffff : 0);
    const index = this.#deviations.interruptIndexWraps ? sum & 0xffff : sum;
    // Without a subhandle the data is not looked at: an I/O APIC leaves its vector there.
    const badData = withSubhandle && message.data >>> 16 !== 0;
    const dataLast = this.#deviations.messageDataLast;
    if (badData && !dataLast) return { ok: false, code: 0x20, index, silenced: false };
    if (index >= this.#entries) return { ok: false, code: 0x21, index, silenced: false };
    const remapped = this.#throughEntry(index, message.source);
    if (!badData || !remapped.ok) return remapped;
    return { ok: false, code: 0x20, index: undefined, silenced: false };
  }

  #throughEntry(index: number, source: number): Remapped {
    const entry = this.#cache.get(index) ?? this.#readEntry(index);
    if (typeof entry === "number") {
      const silenced = entry !== 0x23 && this.#reader.has(INTERRUPT_ENTRY.fields.FPD);
      return { ok: false, code: entry, index, silenced };
    }
    const known = source !== UNKNOWN_SOURCE || !this.#deviations.unknownSourcePasses;
    if (known && !permits(entry, source, this.#deviations.busRangeReversed))
      return { ok: false, code: 0x26, index, silenced: entry.fpd };
    return { ok: true, interrupt: entry.interrupt, index };
  }

  /** @returns the entry, kept in the cache, or the fault's code */
  #readEntry(index: number): Entry | number {
    const reader = this.#reader;
    const { fields } = INTERRUPT_ENTRY;
    if (!reader.read(this.#tablePfn, index * 16)) return 0x23;
    if (!reader.has(fields.P)) return 0x22;
    const svt = reader.get(fields.SVT);
    const destination = reader.words[1]! >>> 0;
    const narrowDestination = !this.#extended && (destination & ~0xff00) !== 0;
    const { interruptDestinationCut, badValidationIsMismatch } = this.#deviations;
    if (reader.violatesReserved || (narrowDestination && !interruptDestinationCut)) return 0x24;
    if (svt === 3 && !badValidationIsMismatch) return 0x24;
    const entry: Entry = {
      fpd: reader.has(fields.FPD),
      sid: reader.get(fields.SID),
      sq: reader.get(fields.SQ),
      svt,
      interrupt: {
        vector: reader.get(fields.V),
        destination: this.#extended ? destination : (destination >>> 8) & 0xff,
        destinationMode: reader.has(fields.DM) ? "logical" : "physical",
        redirectionHint: reader.has(fields.RH),
        deliveryMode: reader.get(fields.DLM),
        triggerMode: reader.has(fields.TM) ? "level" : "edge",
      },
    };
    if (this.#cache.size >= MAX_CACHED_ENTRIES)
      this.#cache.delete(this.#cache.keys().next().value!);
    if (!this.#deviations.interruptEntriesNotKept) this.#cache.set(index, entry);
    return entry;
  }
}

/** Whether the entry may be used by `source`: SVT, SID and SQ (§9.9). */
const permits = ({ svt, sid, sq }: Entry, source: number, reversed: boolean): boolean => {
  if (svt === 0) return true;
  if (svt === 1) return ((source ^ sid) & ~QUALIFIERS[sq]!) === 0;
  if (svt === 3) return false;
  const bus = source >>> 8;
  const [first, last] = reversed ? [sid & 0xff, sid >>> 8] : [sid >>> 8, sid & 0xff];
  return bus >= first && bus <= last;
};
