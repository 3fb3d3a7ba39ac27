import { fromHalves } from "../../bits/halves.ts";
import type { VtdFault } from "../../hardware/vtd/fault.ts";
import { FRCD } from "../../hardware/vtd/spec/registers.ts";
import { setRegister } from "../registers.ts";
import { compareRegister, type NamedRegister } from "./compare-registers.ts";
import type { DifferenceList } from "./difference-list.ts";
import { type Recorder, recordedPasid, recordedReason } from "./recorders.ts";
import type { ReplayedUnit } from "./replayed-unit.ts";

/** FRCD.F, in its high quadword. */
const F = FRCD.fields.F.mask;

/** What a recorder puts into a record in place of what the unit does. */
interface Rewriting {
  readonly high: bigint;
  /** Why. */
  readonly facts: readonly string[];
}

/** The unit's fault records, as whoever recorded would have written them. */
export class FaultRecords {
  readonly #unit: ReplayedUnit;
  readonly #recorder: Recorder | undefined;
  readonly #list: DifferenceList;
  readonly #rows: readonly NamedRegister[];
  /** The refusal that each record was filled for. */
  readonly #faults = new Map<number, VtdFault>();
  /** Which record each refusal went into, in order. */
  readonly #filled: number[] = [];
  /** Records that were pending when last looked at. */
  #known: readonly number[] = [];

  constructor(
    unit: ReplayedUnit,
    recorder: Recorder | undefined,
    list: DifferenceList,
    registers: readonly NamedRegister[],
  ) {
    this.#unit = unit;
    this.#recorder = recorder;
    this.#list = list;
    this.#rows = registers.filter(({ layout }) => layout === FRCD);
  }

  /** How many records have been filled so far. */
  get filled(): number {
    return this.#filled.length;
  }

  /** How many of those filled after the first `count` are pending still. */
  pendingSince(count: number): number {
    const records = new Set(this.#filled.slice(count));
    return [...records].filter((index) => (this.#high(index) & F) !== 0n).length;
  }

  /** FSTS.PPF. */
  get pending(): boolean {
    return (this.#unit.unit.readRegister(0x34, 4) & 2n) !== 0n;
  }

  #high(index: number): bigint {
    return this.#unit.unit.readRegister(this.#rows[index]!.offset + 8, 8);
  }

  #pendingRecords(): number[] {
    return this.#rows.flatMap((_, index) => ((this.#high(index) & F) === 0n ? [] : [index]));
  }

  /** The unit has refused a request, if it has: finds the record that this has filled. */
  requested(fault: VtdFault | undefined): void {
    const pending = this.#pendingRecords();
    const index = pending.find((each) => !this.#known.includes(each));
    this.#known = pending;
    if (index === undefined || fault === undefined) return;
    this.#faults.set(index, fault);
    this.#filled.push(index);
  }

  #rewriting(index: number, high: bigint): Rewriting {
    const fault = this.#faults.get(index);
    if (fault === undefined) return { high, facts: [] };
    const { FR, PP, PV } = FRCD.fields;
    const facts: string[] = [];
    let result = high;
    const reason = recordedReason(this.#recorder, fault);
    if (reason !== undefined) {
      result = (result & ~FR.mask) | (BigInt(reason.code) << FR.shift);
      facts.push(reason.fact.text);
    }
    const pasid = recordedPasid(this.#recorder, fault, this.#unit.isScalable);
    if (pasid !== undefined) {
      result = (result & ~PP.mask & ~PV.mask) | (pasid.pp << PP.shift) | (pasid.pv << PV.shift);
      facts.push(pasid.fact.text);
    }
    return { high: result, facts };
  }

  /** Compares the record that a trace line shows; F is set only after it. */
  compare(
    line: number,
    { index, low, high }: { readonly index: number; readonly low: bigint; readonly high: bigint },
  ): void {
    const row = this.#rows[index];
    const words = new Map<number, number>();
    const recorded = new Map<number, number>();
    const base = row?.offset ?? 0;
    setRegister(recorded, base, 8, low & ~0xfffn);
    setRegister(recorded, base + 8, 8, high | F);
    if (row !== undefined) {
      setRegister(words, base, 8, this.#unit.unit.readRegister(base, 8));
      setRegister(words, base + 8, 8, this.#rewriting(index, this.#high(index)).high);
    }
    const compared = row ?? { ...this.#rows[0]!, offset: 0, name: `FRCD ${index}` };
    const difference = compareRegister(compared, recorded, words);
    if (difference !== undefined) this.#list.add({ kind: "record", line, ...difference });
  }

  /** Rewrites the records in `words`; what that makes equal to `recorded` is a deviation. */
  asRecorded(
    words: Map<number, number>,
    recorded: ReadonlyMap<number, number>,
    line: number,
  ): void {
    this.#known = this.#pendingRecords();
    this.#rows.forEach((row, index) => {
      const at = row.offset + 8;
      const high = fromHalves(words.get(at + 4) ?? 0, words.get(at) ?? 0);
      const { high: rewritten, facts } = this.#rewriting(index, high);
      if (rewritten === high) return;
      const was = new Map(words);
      setRegister(words, at, 8, rewritten);
      const unlike = compareRegister(row, recorded, was);
      if (unlike === undefined || compareRegister(row, recorded, words) !== undefined) return;
      this.#list.allow({ kind: "register", line, ...unlike, fact: facts.join("; ") });
    });
  }
}
