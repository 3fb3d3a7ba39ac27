import { hex } from "../../bits/hex.ts";
import type { Decoded } from "../../hardware/vtd/descriptor-decoder.ts";
import type { VtdCapture } from "../capture.ts";
import { CaptureError } from "../capture-error.ts";
import type { DifferenceList } from "./difference-list.ts";
import type { Recording } from "./recording.ts";
import type { ReplayedUnit } from "./replayed-unit.ts";

/** What a descriptor asks for, in two words. */
export const descriptorKind = (decoded: Decoded): string => {
  switch (decoded.kind) {
    case "wait":
      return "wait";
    case "response":
      return "page group response";
    case "error":
      return `error ${decoded.info}`;
    case "invalidate": {
      const { invalidation } = decoded;
      if (invalidation.kind === "interrupt-entry") {
        return `interrupt entry ${invalidation.index === undefined ? "global" : "index"}`;
      }
      if (invalidation.kind === "device-tlb") return "device TLB";
      return `${invalidation.kind} ${invalidation.what.granularity}`;
    }
  }
};

/** A descriptor of the recording, in the queue. */
export interface PlacedDescriptor {
  readonly line: number;
  readonly slot: number;
  /** Two quadwords or four, as the queue has them. */
  readonly words: readonly bigint[];
}

const wordsText = (words: readonly bigint[] | undefined): string =>
  words === undefined ? "none" : words.map(hex).join(" ");

/** The recorded descriptors, put into the queue before they are submitted. */
export class RecordedQueue {
  readonly #recording: Recording;
  readonly #unit: ReplayedUnit;
  readonly #list: DifferenceList;
  /** What was put last into each slot, by its address. */
  readonly #slots = new Map<bigint, PlacedDescriptor>();
  /** Lines whose descriptors have been submitted. */
  #submitted = new Set<number>();
  #overwritten = 0;

  constructor(recording: Recording, unit: ReplayedUnit, list: DifferenceList) {
    this.#recording = recording;
    this.#unit = unit;
    this.#list = list;
  }

  /** Forgets what is in the queue, as a reset of the machine does. */
  forget(): void {
    this.#slots.clear();
  }

  /**
   * Puts the descriptors that the unit fetched after the write in line `write`
   * into the queue: those of the lines up to the next write.
   *
   * @throws CaptureError when one lies beyond the queue or its lines contradict each other
   */
  place(write: number, lastLine: number): PlacedDescriptor[] {
    const { lines } = this.#recording;
    const placed: PlacedDescriptor[] = [];
    let slot: number | undefined;
    for (let number = write + 1; number <= lastLine; number++) {
      const { entry, offset } = lines[number - 1]!;
      if (entry.kind === "write" || entry.kind === "reset") break;
      if (entry.kind === "head") slot = entry.slot;
      if (entry.kind !== "descriptor") continue;
      placed.push(this.#placeOne(number, offset, slot, [entry.low, entry.high]));
      slot = undefined;
    }
    this.#submitted = new Set(placed.map(({ line }) => line));
    return placed;
  }

  #placeOne(
    line: number,
    offset: number,
    shown: number | undefined,
    pair: readonly [bigint, bigint],
  ): PlacedDescriptor {
    const { base, count, step } = this.#unit.queue;
    const listed = this.#recording.descriptors?.get(line);
    const slot = shown ?? listed?.slot;
    const file = this.#recording.traceFile;
    if (slot === undefined) {
      const expected = "vtd_inv_qi_head before a descriptor, to say where it is";
      throw new CaptureError({ file, offset, expected, found: "none" });
    }
    if (slot >= count) {
      const expected = `a descriptor inside the queue, below ${count}`;
      throw new CaptureError({ file, offset, expected, found: `number ${slot}` });
    }
    const all = [...pair, ...(listed?.words.slice(2) ?? [0n, 0n])];
    const words = all.slice(0, step / 8);
    if (this.#recording.descriptors !== undefined) this.#compareListed(line, slot, pair);
    const address = base + BigInt(slot * step);
    this.#unit.memory.write(address, new Uint8Array(BigUint64Array.from(words).buffer));
    if (this.#slots.has(address)) this.#overwritten++;
    const placed = { line, slot, words };
    this.#slots.set(address, placed);
    return placed;
  }

  /** The list and the trace tell of the same descriptor. */
  #compareListed(line: number, slot: number, pair: readonly [bigint, bigint]): void {
    const listed = this.#recording.descriptors?.get(line);
    const text = (number: number | undefined, words: readonly bigint[] | undefined): string =>
      `${number ?? "-"}: ${wordsText(words)}`;
    const inTrace = text(slot, pair);
    const inList = text(listed?.slot, listed?.words.slice(0, 2));
    if (inTrace === inList) return;
    const what = "descriptor in the list and in the trace";
    this.#list.add({
      kind: "descriptor",
      line,
      what,
      recorded: inList,
      replayed: inTrace,
      fields: [],
    });
  }

  /** A descriptor of a line that no write has submitted. */
  checkSubmitted(line: number, offset: number): void {
    if (this.#submitted.has(line)) return;
    throw new CaptureError({
      file: this.#recording.traceFile,
      offset,
      expected: "a register write before the first descriptor",
      found: "none since the last reset",
    });
  }

  /** Holds what the unit has fetched against what was submitted. */
  compareFetched(line: number, submitted: readonly PlacedDescriptor[]): void {
    const { fetched } = this.#unit;
    const most = Math.max(fetched.length, submitted.length);
    for (let i = 0; i < most; i++) {
      const recorded = wordsText(submitted[i]?.words);
      const replayed = wordsText(fetched[i]?.words);
      if (recorded === replayed) continue;
      const at = submitted[i]?.line ?? line;
      const what = "descriptor fetched";
      this.#list.add({ kind: "descriptor", line: at, what, recorded, replayed, fields: [] });
      // All that follow are behind by as much.
      return;
    }
  }

  /**
   * Holds the queue in a moment's memory against what was put there, as far
   * as the moment has kept it.
   *
   * @returns how many descriptors others have overwritten since it was last called
   */
  compareWith(capture: VtdCapture, line: number): number {
    const kept = new Set(capture.storedPages?.map(({ pa }) => pa));
    const bytes = new Uint8Array(16);
    const pair = new BigUint64Array(bytes.buffer);
    for (const [address, { slot, words }] of this.#slots) {
      if (!kept.has(address & ~0xfffn) || !capture.memory.read(address, bytes)) continue;
      const recorded = wordsText([...pair]);
      const replayed = wordsText(words.slice(0, 2));
      if (recorded === replayed) continue;
      const what = `queue entry ${slot}`;
      this.#list.add({ kind: "queue", line, what, recorded, replayed, fields: [] });
    }
    const overwritten = this.#overwritten;
    this.#overwritten = 0;
    return overwritten;
  }
}
