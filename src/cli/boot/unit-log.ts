import { hex } from "../../bits/hex.ts";
import { type NamedRegister, namedRegisters } from "../../capture/replay/compare-registers.ts";
import { formatPciAddress } from "../../hardware/pci/index.ts";
import { type Decoded, DescriptorDecoder } from "../../hardware/vtd/descriptor-decoder.ts";
import {
  DESCRIPTOR_FETCHED,
  EVENT_SENT,
  FAULT_REASONS,
  PAGE_REQUESTED,
  REFUSAL_RECORDED,
  REGISTER_READ,
  REGISTER_WRITTEN,
  type RemappingUnit,
  WAIT_COMPLETED,
} from "../../hardware/vtd/index.ts";
import type { EventType, TraceEvent } from "../../trace/index.ts";

/** One thing that software did to a unit, or the unit to software or a device. */
export interface LogEntry {
  readonly event: string;
  /** One line for people, without a newline. */
  readonly text: string;
  readonly payload: unknown;
}

interface Kind {
  readonly word: string;
  readonly text: (payload: never) => string;
}

interface Access {
  readonly offset: number;
  readonly width: number;
  readonly value: bigint;
}

const device = (source: number): string => formatPciAddress({ segment: 0, requesterId: source });

const pasidText = (pasid: number | undefined): string =>
  pasid === undefined || pasid < 0 ? "" : ` PASID ${pasid}`;

/** `name value` for each member that says something. */
const membersText = (value: unknown): string => {
  if (typeof value === "bigint") return hex(value);
  if (typeof value !== "object" || value === null) return String(value);
  return Object.entries(value)
    .filter(([, each]) => each !== undefined && each !== false)
    .map(([name, each]) =>
      each === true ? name : `${name === "what" ? "" : `${name} `}${membersText(each)}`,
    )
    .join(" ");
};

/** What a descriptor asks for. */
const descriptorText = (decoded: Decoded): string => {
  switch (decoded.kind) {
    case "wait": {
      const { status, fence, interrupt } = decoded.wait;
      const writes = status && ` writes ${hex(status.data)} to ${hex(status.address)}`;
      return `wait${fence ? " fence" : ""}${interrupt ? " interrupt" : ""}${writes ?? ""}`;
    }
    case "error":
      return `is refused, queue error ${decoded.info}`;
    case "response": {
      const { destination, pasid, group, code } = decoded.response;
      return `page group response ${device(destination)}${pasidText(pasid)} group ${group} code ${code}`;
    }
    case "invalidate": {
      const { kind, ...more } = decoded.invalidation;
      return `invalidate ${kind} ${membersText(more)}`;
    }
  }
};

/** Listens to a unit and says what happens to it, line by line. */
export class UnitLog {
  readonly #unit: RemappingUnit;
  readonly #registers: readonly NamedRegister[];
  readonly #decoder: DescriptorDecoder;
  readonly #kinds: ReadonlyMap<string, Kind>;

  constructor(unit: RemappingUnit) {
    const { capabilities } = unit;
    this.#unit = unit;
    this.#registers = namedRegisters(capabilities.cap, capabilities.ecap);
    this.#decoder = new DescriptorDecoder(capabilities);
    this.#kinds = new Map([
      this.#kind(REGISTER_READ, "read", (access) => this.#access(access)),
      this.#kind(REGISTER_WRITTEN, "write", (access) => this.#access(access)),
      this.#kind(DESCRIPTOR_FETCHED, "queue", ({ words }) =>
        descriptorText(this.#decoder.decode(words, this.#unit.translation.isScalable)),
      ),
      this.#kind(WAIT_COMPLETED, "done", ({ status }) =>
        status === undefined ? "wait" : `${hex(status.data)} at ${hex(status.address)}`,
      ),
      this.#kind(REFUSAL_RECORDED, "fault", ({ source, pasid, address, access, code }) => {
        const does = (access & 2) === 0 ? "reads" : "writes";
        const reason = FAULT_REASONS.get(code)?.text ?? "";
        return `${device(source)} ${does} ${hex(address)}${pasidText(pasid)}: ${hex(code)} ${reason}`;
      }),
      this.#kind(PAGE_REQUESTED, "page", ({ source, pasid, address, write, group, outcome }) => {
        const wants = write ? "write" : "read";
        const who = `${device(source)}${pasidText(pasid)}`;
        return `${who} wants to ${wants} ${hex(address)}, group ${group}: ${outcome}`;
      }),
      this.#kind(EVENT_SENT, "message", ({ address, data }) => `${hex(data)} to ${hex(address)}`),
    ]);
  }

  #kind<Payload>(
    { name }: EventType<Payload>,
    word: string,
    text: (payload: Payload) => string,
  ): [string, Kind] {
    return [name, { word, text }];
  }

  /** A register access: name, half, value, and the fields that are not 0. */
  #access({ offset, width, value }: Access): string {
    const row = this.#registers.find(
      (each) => each.offset <= offset && offset < each.offset + each.layout.bytes,
    );
    if (row === undefined) return `register ${hex(offset)} ${hex(value)}`;
    const { layout, name } = row;
    const place = offset - row.offset;
    const part = width === layout.bytes ? "" : `[${place * 8 + width * 8 - 1}:${place * 8}]`;
    const words = [0n, 0n];
    words[place >> 3] = value << BigInt(8 * (place & 7));
    const decoded: Readonly<Record<string, bigint>> = layout.decode(words);
    const fields = Object.values(layout.fields).flatMap((field) => {
      const own = decoded[field.name] ?? 0n;
      return own === 0n ? [] : [own === 1n ? field.name : `${field.name}=${hex(own)}`];
    });
    return `${name}${part} ${hex(value)}${fields.length === 0 ? "" : `  ${fields.join(" ")}`}`;
  }

  /**
   * Calls `heard` for each thing that happens.
   *
   * @returns a function that ends it
   */
  listen(heard: (entry: LogEntry) => void): () => void {
    return this.#unit.trace.listen("vtd.*", ({ name, payload }: TraceEvent) => {
      const kind = this.#kinds.get(name);
      if (kind === undefined) return;
      const text = `${kind.word.padEnd(7)} ${kind.text(payload as never)}`.trimEnd();
      heard({ event: name, text, payload });
    });
  }
}
