import { frameAddress } from "../../bits/halves.ts";
import { hex } from "../../bits/hex.ts";
import { enumerateUnit } from "../../hardware/vtd/enumerate.ts";
import {
  DESCRIPTOR_FETCHED,
  EVENT_SENT,
  PAGE_REQUESTED,
  REFUSAL_RECORDED,
  REGISTER_READ,
  REGISTER_WRITTEN,
  SETTLED,
  UNIT_RESET,
  WAIT_COMPLETED,
} from "../../hardware/vtd/events.ts";
import type { RemappingUnit } from "../../hardware/vtd/remapping-unit.ts";
import { IQA, PQA } from "../../hardware/vtd/spec/registers.ts";
import { createSparseMemory, type PhysicalMemory } from "../../memory/index.ts";
import type { SavedWords } from "../../struct/saved-state.ts";
import type { EventType, TraceEvent } from "../../trace/channel.ts";
import type { RamRange, StoredPage } from "../capture.ts";
import type { FileSink } from "../file-source.ts";
import { MAX_MOMENTS } from "../limits.ts";
import { vtdRegisters } from "../registers.ts";
import { type WriteOptions, writeCapture } from "../write-capture.ts";
import { descriptorName, traceText } from "./trace-text.ts";

/** What is recorded. */
export interface RecorderOptions {
  /** In its reset state: a recording begins there. */
  readonly unit: RemappingUnit;
  readonly memory: PhysicalMemory;
  /** Where RAM is, by address and apart. */
  readonly ram: readonly RamRange[];
  /** The most moments that are kept, besides those of refusals and the last one; 256 when absent. */
  readonly moments?: number;
}

const DEFAULT_MOMENTS = 256;

/** The state of unit and memory behind a line of the trace. */
interface Moment {
  readonly name: string;
  /** Lines of the trace up to here. */
  readonly line: number;
  readonly words: SavedWords;
  readonly pages: readonly (StoredPage & { readonly bytes: Uint8Array })[];
}

/** Why a moment is taken, and its name. */
type Reason = "invalidation" | "refusal" | "page-request" | "end";

/** GSTS and IQA (VT-d §11.4.4.2, §11.4.9.3). */
const STATUS = 0x1c;
const QUEUE_ON = 1 << 26;
const COMMAND = 0x18;
const QUEUE_ADDRESS = 0x90;
const PAGE_QUEUE_ADDRESS = 0xd0;
const INVALIDATION_WAIT = 5n;

const encoder = new TextEncoder();

/**
 * Records what happens to a unit from its reset state on: every register
 * access, descriptor, refusal and message as a line, and registers and tables
 * at each invalidation, refusal and page request. What comes of it is a capture
 * that `replay` takes.
 */
export class UnitRecorder {
  readonly #options: RecorderOptions;
  readonly #lines: string[] = [traceText.reset()];
  readonly #descriptors: string[] = [];
  readonly #moments: Moment[] = [];
  readonly #most: number;
  /** Where the messages begin that have gone out behind the last line of another kind. */
  #messagesFrom = 1;
  #due: Reason | undefined;
  #stop: () => void;

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#most = Math.min(options.moments ?? DEFAULT_MOMENTS, MAX_MOMENTS - 1);
    const { trace } = options.unit;
    const handlers = this.#handlers();
    this.#stop = trace.listen("vtd.*", ({ name, payload }: TraceEvent) =>
      handlers.get(name)?.(payload as never),
    );
  }

  #handlers(): ReadonlyMap<string, (payload: never) => void> {
    const on = <Payload>(
      { name }: EventType<Payload>,
      handler: (payload: Payload) => void,
    ): [string, (payload: never) => void] => [name, handler];
    const line = (text: string): void => this.#line(text);
    return new Map([
      on(UNIT_RESET, () => line(traceText.reset())),
      on(REGISTER_READ, ({ offset, width }) => line(traceText.read(offset, width))),
      on(REGISTER_WRITTEN, ({ offset, width, value }) => {
        line(traceText.write(offset, width, value));
        if (offset === COMMAND && width === 4) line(traceText.command(this.#word(STATUS), value));
      }),
      on(DESCRIPTOR_FETCHED, ({ address, words }) => this.#descriptor(address, words)),
      on(WAIT_COMPLETED, ({ status }) => {
        if (status !== undefined) line(traceText.wait(status.address, status.data));
      }),
      on(
        EVENT_SENT,
        ({ address, data }) => void this.#lines.push(traceText.message(address, data)),
      ),
      on(REFUSAL_RECORDED, (request) => {
        line(traceText.refused(request));
        this.#due = "refusal";
      }),
      on(PAGE_REQUESTED, (request) => {
        // Told of when it has been dealt with: its message has gone out before.
        this.#lines.splice(this.#messagesFrom, 0, traceText.page(request));
        this.#messagesFrom = this.#lines.length;
        this.#due = "page-request";
      }),
      on(SETTLED, () => this.#settled()),
    ]);
  }

  #line(...texts: readonly string[]): void {
    this.#lines.push(...texts);
    this.#messagesFrom = this.#lines.length;
  }

  #word(offset: number): number {
    return new Map(this.#options.unit.registerWords).get(offset) ?? 0;
  }

  #register(offset: number): bigint {
    return (BigInt(this.#word(offset + 4)) << 32n) | BigInt(this.#word(offset));
  }

  #descriptor(address: bigint, words: readonly bigint[]): void {
    const base = IQA.decode([this.#register(QUEUE_ADDRESS)]).IQA;
    const slot = Number(address - base) / (words.length * 8);
    this.#line(traceText.head(slot), traceText.descriptor(words));
    const upper = words.length === 4 ? words.slice(2).map(hex) : ["-", "-"];
    const whole = [...words.slice(0, 2).map(hex), ...upper].join(" ");
    this.#descriptors.push(`${this.#lines.length} ${slot} ${descriptorName(words[0]!)} ${whole}`);
    if ((words[0]! & 0xfn) !== INVALIDATION_WAIT) this.#due ??= "invalidation";
  }

  #settled(): void {
    const reason = this.#due;
    if (reason === undefined) return;
    this.#due = undefined;
    const room = reason === "refusal" ? MAX_MOMENTS - 1 : this.#most;
    if (this.#moments.length < room) this.#take(reason);
  }

  #take(reason: Reason): void {
    const number = String(this.#moments.length + 1).padStart(3, "0");
    this.#moments.push({
      name: `${number}_${reason}`,
      line: this.#lines.length,
      words: this.#options.unit.registerWords,
      pages: this.#pages().map((page) => ({ ...page, bytes: this.#bytes(page.pa) })),
    });
  }

  #bytes(pa: bigint): Uint8Array {
    const bytes = new Uint8Array(4096);
    this.#options.memory.read(pa, bytes);
    return bytes;
  }

  /** Every page with tables that the unit reads, and its queues. */
  #pages(): StoredPage[] {
    const { unit, memory } = this.#options;
    const { rootTableAddress } = unit.translation;
    const pages = new Map<bigint, string>();
    const add = (base: bigint, length: bigint, kind: string): void => {
      for (let pa = base; pa < base + length; pa += 4096n) pages.set(pa, kind);
    };
    if (rootTableAddress !== 0n) {
      const { capabilities } = unit;
      const found = enumerateUnit({ capabilities, memory, rtaddr: rootTableAddress });
      for (const pfn of found.tablePfns) pages.set(frameAddress(pfn), "table");
      pages.set(rootTableAddress & ~0xfffn, "root");
    }
    if ((this.#word(STATUS) & QUEUE_ON) !== 0) {
      const { IQA: base, QS } = IQA.decode([this.#register(QUEUE_ADDRESS)]);
      add(base, 4096n << QS, "iq");
    }
    const { PQA: base, PQS } = PQA.decode([this.#register(PAGE_QUEUE_ADDRESS)]);
    if (base !== 0n) add(base, 4096n << PQS, "prq");
    return [...pages]
      .filter(([pa]) => memory.read(pa, new Uint8Array(1)))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([pa, kind]) => ({ pa, kind }));
  }

  /** Ends the recording with a last moment, as it is now. */
  close(): void {
    this.#stop();
    this.#stop = () => {};
    this.#take("end");
  }

  /** How much there is. */
  get counts(): { readonly lines: number; readonly descriptors: number; readonly moments: number } {
    return {
      lines: this.#lines.length,
      descriptors: this.#descriptors.length,
      moments: this.#moments.length,
    };
  }

  /**
   * Writes the recording: `regtrace.txt`, `descs.txt`, `moments.json`, and a
   * folder for each moment.
   */
  write(sink: FileSink, options: WriteOptions = {}): void {
    const { gzip } = options;
    const put = (path: string, text: string): void => {
      const bytes = encoder.encode(text);
      if (gzip === undefined) sink.write(path, bytes);
      else sink.write(`${path}.gz`, gzip(bytes));
    };
    put("regtrace.txt", this.#lines.map((text) => `${text}\n`).join(""));
    put("descs.txt", this.#descriptors.map((text) => `${text}\n`).join(""));
    const moments = this.#moments.map(({ name, line }) => ({ name, trace_line: line }));
    sink.write("moments.json", encoder.encode(`${JSON.stringify({ moments })}\n`));
    for (const moment of this.#moments) {
      writeCapture(this.#contents(moment), inFolder(sink, moment.name, gzip), options);
    }
  }

  #contents({ words, pages }: Moment): Parameters<typeof writeCapture>[0] {
    const { ram } = this.#options;
    const memory = createSparseMemory(ram);
    for (const { pa, bytes } of pages) memory.write(pa, bytes);
    const registers = vtdRegisters(new Map(words));
    return { iommu: "vtd", registers, memory, ram, storedPages: pages };
  }
}

/** A moment's folder. Many moments make many registers, so these are compressed too. */
const inFolder = (sink: FileSink, folder: string, gzip: WriteOptions["gzip"]): FileSink => ({
  write(path, bytes) {
    const target = `${folder}/${path}`;
    if (gzip === undefined || path.endsWith(".gz")) sink.write(target, bytes);
    else sink.write(`${target}.gz`, gzip(bytes));
  },
});
