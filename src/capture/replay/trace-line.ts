import type { PageRequest } from "../../hardware/pci/ats.ts";
import { NO_PASID, WRITE } from "../../hardware/pci/dma-request.ts";
import type { RegisterWidth } from "../../hardware/vtd/register-file.ts";
import { CaptureError, quote } from "../capture-error.ts";

/** More about a request, as in `DmaRequest`. */
export interface RequestDetails {
  readonly access: number;
  readonly addressType: number;
  readonly pasid: number;
}

/** What one line of a trace says, as far as replaying needs it. */
export type TraceEntry =
  /** The unit was put into its reset state. */
  | { readonly kind: "reset" }
  /** Software wrote a register. */
  | {
      readonly kind: "write";
      readonly offset: number;
      readonly width: RegisterWidth;
      readonly value: bigint;
    }
  | { readonly kind: "read"; readonly offset: number; readonly width: RegisterWidth }
  /** GSTS before a write of GCMD. */
  | { readonly kind: "status"; readonly before: bigint }
  /** Which descriptor is fetched next: its number in the queue. */
  | { readonly kind: "head"; readonly slot: number }
  /** The descriptor that was fetched: its first two quadwords. */
  | {
      readonly kind: "descriptor";
      readonly type: string;
      readonly low: bigint;
      readonly high: bigint;
    }
  /** A wait wrote its status. */
  | { readonly kind: "wait"; readonly address: bigint; readonly data: number }
  /** A request of a device was refused. */
  | {
      readonly kind: "fault";
      readonly source: number;
      readonly code: number;
      readonly address: bigint;
      readonly write: boolean;
      /** What only our own trace says: absent, it reads or writes, untranslated and without a PASID. */
      readonly request?: RequestDetails;
    }
  /** A device asked for a page. */
  | { readonly kind: "page"; readonly request: PageRequest }
  /** A fault record was filled; F is not set yet. */
  | {
      readonly kind: "record";
      readonly index: number;
      readonly low: bigint;
      readonly high: bigint;
    }
  /** FSTS.PPF became this. */
  | { readonly kind: "pending"; readonly set: boolean }
  /** The unit sent a message of its own. */
  | { readonly kind: "message"; readonly address: bigint; readonly data: number }
  /** Says nothing that a replay needs. */
  | { readonly kind: "other"; readonly name: string };

/** The kinds of values in a line. */
type Value = "hex" | "number" | "pasid";

interface EventFormat {
  /** What stands behind the event's name; `%` is a value. */
  readonly text: string;
  readonly values: readonly Value[];
  readonly entry: (values: readonly bigint[], word: string) => TraceEntry | undefined;
}

const WIDTHS: readonly number[] = [1, 2, 4, 8];

const access = (
  values: readonly bigint[],
): { readonly offset: number; readonly width: RegisterWidth } | undefined => {
  const [offset = 0n, size = 0n] = values;
  const width = Number(size);
  if (!WIDTHS.includes(width) || offset >= 4096n) return undefined;
  return { offset: Number(offset), width: width as RegisterWidth };
};

const below = (value: bigint | undefined, bits: number): number | undefined =>
  value === undefined || value >> BigInt(bits) !== 0n ? undefined : Number(value);

/** A PASID's place in a line: `none`, or the number. */
const pasidOf = (value: bigint | undefined): number =>
  value === undefined || value < 0n ? NO_PASID : Number(value);

/** Every event that is looked into, by name: QEMU's hw/i386/trace-events, then our own. `@` is a word. */
const FORMATS: Readonly<Record<string, EventFormat>> = {
  vtd_reset_exit: { text: "", values: [], entry: () => ({ kind: "reset" }) },
  vtd_reg_write: {
    text: "addr % size % value %",
    values: ["hex", "hex", "hex"],
    entry: (values) => {
      const place = access(values);
      const value = values[2]!;
      if (place === undefined || value >> BigInt(8 * place.width) !== 0n) return undefined;
      return { kind: "write", ...place, value };
    },
  },
  vtd_reg_read: {
    text: "addr % size %",
    values: ["hex", "hex"],
    entry: (values) => {
      const place = access(values);
      return place && { kind: "read", ...place };
    },
  },
  vtd_reg_write_gcmd: {
    text: "status % value %",
    values: ["hex", "hex"],
    entry: ([before]) => ({ kind: "status", before: before! }),
  },
  vtd_inv_qi_head: {
    text: "read head %",
    values: ["number"],
    entry: ([head]) => {
      const slot = below(head, 15);
      return slot === undefined ? undefined : { kind: "head", slot };
    },
  },
  vtd_inv_desc: {
    text: "invalidate desc type @ high % low %",
    values: ["hex", "hex"],
    entry: ([high, low], type) => ({ kind: "descriptor", type, low: low!, high: high! }),
  },
  vtd_inv_desc_wait_sw: {
    text: "wait invalidate status write addr % data %",
    values: ["hex", "hex"],
    entry: ([address, data]) => {
      const value = below(data, 32);
      return value === undefined ? undefined : { kind: "wait", address: address!, data: value };
    },
  },
  vtd_dmar_fault: {
    text: "sid % fault % addr % write %",
    values: ["hex", "number", "hex", "number"],
    entry: ([sid, fault, address, write]) => {
      const source = below(sid, 16);
      const code = below(fault, 8);
      const writes = below(write, 1);
      if (source === undefined || code === undefined || writes === undefined) return undefined;
      return { kind: "fault", source, code, address: address!, write: writes === 1 };
    },
  },
  vtd_frr_new: {
    text: "index % high % low %",
    values: ["number", "hex", "hex"],
    entry: ([at, high, low]) => {
      const index = below(at, 8);
      return index === undefined ? undefined : { kind: "record", index, low: low!, high: high! };
    },
  },
  vtd_fsts_ppf: {
    text: "FSTS PPF bit set to %",
    values: ["number"],
    entry: ([bit]) => {
      const set = below(bit, 1);
      return set === undefined ? undefined : { kind: "pending", set: set === 1 };
    },
  },
  vtd_irq_generate: {
    text: "addr % data %",
    values: ["hex", "hex"],
    entry: ([address, data]) => {
      const value = below(data, 32);
      return value === undefined ? undefined : { kind: "message", address: address!, data: value };
    },
  },
  unit_refused: {
    text: "sid % fault % addr % access % type % pasid %",
    values: ["hex", "number", "hex", "number", "number", "pasid"],
    entry: ([sid, fault, address, accessBits, type, tag]) => {
      const source = below(sid, 16);
      const code = below(fault, 8);
      const bits = below(accessBits, 4);
      const addressType = below(type, 2);
      if (source === undefined || code === undefined) return undefined;
      if (bits === undefined || addressType === undefined) return undefined;
      const request = { access: bits, addressType, pasid: pasidOf(tag) };
      const write = (bits & WRITE) !== 0;
      return { kind: "fault", source, code, address: address!, write, request };
    },
  },
  unit_page_request: {
    text: "sid % addr % flags % group % pasid %",
    values: ["hex", "hex", "hex", "number", "pasid"],
    entry: ([sid, address, flags, number, tag]) => {
      const source = below(sid, 16);
      const bits = below(flags, 5);
      const group = below(number, 9);
      if (source === undefined || bits === undefined || group === undefined) return undefined;
      const [read, write, execute, privileged, last] = [1, 2, 4, 8, 16].map(
        (bit) => (bits & bit) !== 0,
      ) as [boolean, boolean, boolean, boolean, boolean];
      const asks = { read, write, execute, privileged, group, last };
      const request = { source, pasid: pasidOf(tag), address: address!, ...asks };
      return { kind: "page", request };
    },
  },
};

const VALUES: Readonly<Record<Value, string>> = {
  hex: "0x([0-9a-f]{1,16})",
  number: "([0-9]{1,9})",
  pasid: "(none|0x[0-9a-f]{1,5})",
};

/** Each event's format as the expression that its lines match. */
const PATTERNS: ReadonlyMap<string, RegExp> = new Map(
  Object.entries(FORMATS).map(([name, { text, values }]) => {
    const pieces = text.replace("@", "(?<word>[a-z0-9-]{1,32})").split("%");
    const source = pieces.map((piece, i) => piece + (i < values.length ? VALUES[values[i]!] : ""));
    return [name, new RegExp(`^${source.join("")} ?$`)];
  }),
);

const numberIn = (text: string, kind: Value): bigint => {
  if (text === "none") return -1n;
  return BigInt(kind === "hex" ? `0x${text}` : text);
};

/** A line begins with an event's name. */
const NAME = /^([a-z][a-z0-9_]{0,63})(?: |$)/;

/**
 * Reads one line, without its newline.
 *
 * @param file and `offset`: where it stands, for the error
 * @throws CaptureError when it is no trace line, or one of a known event with something else in it
 */
export const parseTraceLine = (line: string, file: string, offset: number): TraceEntry => {
  const name = NAME.exec(line)?.[1];
  if (name === undefined) {
    const expected = "an event of a QEMU trace, such as vtd_reg_write";
    throw new CaptureError({ file, offset, expected, found: quote(line) });
  }
  const format = FORMATS[name];
  if (format === undefined) return { kind: "other", name };
  const match = PATTERNS.get(name)!.exec(line.slice(name.length + 1));
  const word = match?.groups?.["word"];
  const texts = match?.slice(1).filter((_, i) => word === undefined || i > 0);
  const values = texts?.map((text, i) => numberIn(text, format.values[i]!));
  const entry = values && format.entry(values, word ?? "");
  if (entry !== undefined) return entry;
  const expected = `${name} ${format.text.replaceAll(/[%@]/g, "…")}`.trimEnd();
  throw new CaptureError({ file, offset, expected, found: quote(line) });
};
