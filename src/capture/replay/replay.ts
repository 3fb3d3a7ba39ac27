import { hex } from "../../bits/hex.ts";
import { NO_PASID } from "../../hardware/pci/dma-request.ts";
import { formatPciAddress } from "../../hardware/pci/requester-id.ts";
import { DescriptorDecoder } from "../../hardware/vtd/descriptor-decoder.ts";
import { FAULT_REASONS } from "../../hardware/vtd/spec/fault-reasons.ts";
import type { VtdCapture } from "../capture.ts";
import { CaptureError } from "../capture-error.ts";
import { compareRegisters, type NamedRegister, namedRegisters } from "./compare-registers.ts";
import { DifferenceList } from "./difference-list.ts";
import { FaultRecords } from "./fault-records.ts";
import type { ListedMapping } from "./listed-entries.ts";
import { checkMappings } from "./mapping-check.ts";
import { layIn } from "./recorded-memory.ts";
import { descriptorKind, RecordedQueue } from "./recorded-queue.ts";
import { type Recorder, recordedReason, recorderOf } from "./recorders.ts";
import type { RecordedMoment, Recording } from "./recording.ts";
import { ReplayedUnit } from "./replayed-unit.ts";
import {
  REPLAY_SCHEMA,
  type ReplayedDescriptor,
  type ReplayedFault,
  type ReplayedWindow,
  type ReplayReport,
} from "./report.ts";
import type { TraceLine } from "./trace-file.ts";
import { EMPTY_INVENTORY, type Inventory, takeInventory, UnseenCount } from "./unseen.ts";

/** How a recording is replayed. */
export interface ReplayOptions {
  /** Nothing is allowed for that whoever recorded is known to do otherwise. */
  readonly specification?: boolean;
}

/** What is collected in one window. */
interface WindowNotes {
  readonly descriptors: ReplayedDescriptor[];
  readonly faults: ReplayedFault[];
  readonly unseen: UnseenCount;
  writes: number;
}

/** One replay, from the first line to the last moment. */
class Replay {
  readonly #recording: Recording;
  readonly #recorder: Recorder | undefined;
  readonly #unit: ReplayedUnit;
  readonly #decoder: DescriptorDecoder;
  readonly #registers: readonly NamedRegister[];
  readonly #records: FaultRecords;
  readonly #queue: RecordedQueue;
  readonly #list = new DifferenceList();
  /** GSTS before the last write. */
  #status = 0n;
  #inventory: Inventory = EMPTY_INVENTORY;
  /** The list of the moment before. */
  #gone: readonly ListedMapping[] = [];

  constructor(recording: Recording, first: VtdCapture, options: ReplayOptions) {
    this.#recording = recording;
    this.#recorder = options.specification === true ? undefined : recorderOf(recording.recorder);
    this.#unit = new ReplayedUnit(first);
    const { cap, ecap } = first.registers;
    this.#decoder = new DescriptorDecoder(this.#unit.capabilities);
    this.#registers = namedRegisters(cap, ecap);
    this.#records = new FaultRecords(this.#unit, this.#recorder, this.#list, this.#registers);
    this.#queue = new RecordedQueue(recording, this.#unit, this.#list);
  }

  run(): ReplayReport {
    const windows: ReplayedWindow[] = [];
    let firstLine = 1;
    for (const moment of this.#recording.moments) {
      windows.push(this.#window(moment, firstLine));
      firstLine = moment.lastLine + 1;
    }
    const { differences, more, deviations } = this.#list;
    return {
      schema: REPLAY_SCHEMA,
      capture: this.#recording.name,
      recorder: this.#recorder?.name ?? null,
      windows,
      differences,
      more,
      deviations,
    };
  }

  #window(moment: RecordedMoment, firstLine: number): ReplayedWindow {
    const capture = moment.open();
    const { lastLine } = moment;
    layIn(this.#unit.memory, capture);
    const inventory = takeInventory(capture);
    const unseen = new UnseenCount(this.#inventory, inventory, this.#unit.capabilities.has("CM"));
    this.#inventory = inventory;
    const notes: WindowNotes = { descriptors: [], faults: [], unseen, writes: 0 };
    const before = this.#records.filled;
    for (let number = firstLine; number <= lastLine; number++) {
      this.#line(this.#recording.lines[number - 1]!, lastLine, notes);
    }
    this.#settle(lastLine);
    const overwritten = this.#queue.compareWith(capture, lastLine);
    this.#compareRegisters(capture, lastLine);
    const check = this.#checkMappings(moment, capture, lastLine);
    const entries = this.#checkEntries(moment, capture, lastLine);
    return {
      moment: moment.name ?? null,
      firstLine,
      lastLine,
      writes: notes.writes,
      descriptors: notes.descriptors,
      faults: notes.faults,
      registers: capture.registers.words.size,
      ...check,
      entries,
      unseen: {
        ...unseen.result,
        records: this.#records.filled - before - this.#records.pendingSince(before),
        descriptors: overwritten,
      },
    };
  }

  #line({ number, offset, entry }: TraceLine, lastLine: number, notes: WindowNotes): void {
    switch (entry.kind) {
      case "reset":
        this.#settle(number);
        this.#unit.reset();
        this.#queue.forget();
        return;
      case "write":
        notes.writes++;
        this.#settle(number);
        this.#write(number, lastLine, entry, notes);
        return;
      case "fault":
        this.#settle(number);
        notes.faults.push(this.#fault(number, entry));
        return;
      case "page":
        this.#settle(number);
        this.#unit.requestPage(entry.request);
        return;
      case "record":
        this.#records.compare(number, entry);
        return;
      case "pending":
        this.#expect(number, "FSTS.PPF", entry.set ? "1" : "0", this.#records.pending ? "1" : "0");
        return;
      case "status":
        this.#expect(number, "GSTS", hex(entry.before), hex(this.#status), "status");
        return;
      case "wait": {
        const done = this.#unit.waits.shift();
        this.#expect(number, "wait status", statusText(entry), statusText(done), "wait");
        return;
      }
      case "message": {
        const sent = JSON.stringify(this.#unit.messages.shift() ?? "no message");
        const wanted = JSON.stringify(this.#unit.messageOf(entry.address, entry.data));
        this.#expect(number, "event message", wanted, sent, "message");
        return;
      }
      case "descriptor":
        this.#queue.checkSubmitted(number, offset);
        return;
      case "read":
      case "head":
      case "other":
        return;
    }
  }

  #expect(
    line: number,
    what: string,
    recorded: string,
    replayed: string,
    kind: "register" | "status" | "wait" | "message" = "register",
  ): void {
    if (recorded === replayed) return;
    this.#list.add({ kind, line, what, recorded, replayed, fields: [] });
  }

  /** What the unit has done and the recording does not show by now. */
  #settle(line: number): void {
    const { waits, messages } = this.#unit;
    for (const wait of waits.splice(0)) {
      this.#expect(line, "wait status", statusText(undefined), statusText(wait), "wait");
    }
    for (const message of messages.splice(0)) {
      this.#expect(line, "event message", '"no message"', JSON.stringify(message), "message");
    }
  }

  #write(
    number: number,
    lastLine: number,
    entry: Extract<TraceLine["entry"], { kind: "write" }>,
    notes: WindowNotes,
  ): void {
    const unit = this.#unit;
    this.#status = unit.unit.readRegister(0x1c, 4);
    const submitted = this.#queue.place(number, lastLine);
    unit.fetched.length = 0;
    unit.write(entry.offset, entry.width, entry.value);
    this.#queue.compareFetched(number, submitted);
    for (const { line, slot, words } of submitted) {
      const decoded = this.#decoder.decode(words, unit.isScalable);
      if (decoded.kind === "invalidate") notes.unseen.add(decoded.invalidation);
      notes.descriptors.push({ line, slot, kind: descriptorKind(decoded), words });
    }
  }

  #fault(line: number, entry: Extract<TraceLine["entry"], { kind: "fault" }>): ReplayedFault {
    const { source, address, write } = entry;
    const fault = this.#unit.request(entry);
    const bdf = formatPciAddress({ segment: 0, requesterId: source });
    const code = fault?.code ?? 0;
    const text = FAULT_REASONS.get(code)?.text ?? fault?.message ?? "the request passes";
    const reason = fault && recordedReason(this.#recorder, fault);
    const tag = entry.request?.pasid ?? NO_PASID;
    const pasid = tag === NO_PASID ? null : tag;
    const who = pasid === null ? bdf : `${bdf} with PASID ${pasid}`;
    const what = `${who} ${write ? "writes" : "reads"} ${hex(address)}`;
    const recorded = `fault ${hex(entry.code)}`;
    const replayed = fault === undefined ? "the request passes" : `fault ${hex(code)}, ${text}`;
    const difference = { kind: "fault", line, what, recorded, replayed, fields: [] } as const;
    if ((reason?.code ?? code) !== entry.code || fault === undefined) this.#list.add(difference);
    else if (reason !== undefined) this.#list.allow({ ...difference, fact: reason.fact.text });
    this.#records.requested(fault);
    return { line, bdf, pasid, address, write, recorded: entry.code, code, text };
  }

  #compareRegisters(capture: VtdCapture, line: number): void {
    const { words } = this.#unit;
    const recorded = capture.registers.words;
    this.#records.asRecorded(words, recorded, line);
    for (const difference of compareRegisters(this.#registers, recorded, words)) {
      this.#list.add({ kind: "register", line, ...difference });
    }
  }

  #checkMappings(
    moment: RecordedMoment,
    capture: VtdCapture,
    line: number,
  ): { readonly mappings: number; readonly stale: number } {
    const units = this.#unit.translations;
    // With translation off the tables say nothing about requests.
    const list = units.cold.enabled ? moment.mappings() : [];
    const { differences, stale } = checkMappings(units, list, this.#gone, capture.memory);
    for (const difference of differences) this.#list.add({ line, ...difference, fields: [] });
    this.#gone = list;
    return { mappings: list.length, stale };
  }

  #checkEntries(moment: RecordedMoment, capture: VtdCapture, line: number): number {
    const entries = [...moment.entries(capture)];
    for (const { what, address, raw } of entries) {
      const got = raw.map((_, i) => capture.memory.read64(address + BigInt(8 * i)) ?? 0n);
      const [recorded, replayed] = [raw.map(hex).join(" "), got.map(hex).join(" ")];
      if (recorded === replayed) continue;
      this.#list.add({ kind: "entry", line, what, recorded, replayed, fields: [] });
    }
    return entries.length;
  }
}

const statusText = (
  status: { readonly address: bigint; readonly data: number } | undefined,
): string => (status === undefined ? "none" : `${hex(status.data)} to ${hex(status.address)}`);

/**
 * Replays a recording: its register writes and descriptors, in order, on a
 * unit over its memory. At each moment the unit's registers are held against
 * those that were recorded.
 *
 * @throws CaptureError when the recording is bad
 */
export const replayRecording = (
  recording: Recording,
  options: ReplayOptions = {},
): ReplayReport => {
  const [first] = recording.moments;
  if (first === undefined) {
    const expected = "at least one moment";
    throw new CaptureError({ file: recording.name, expected, found: "none" });
  }
  return new Replay(recording, first.open(), options).run();
};
