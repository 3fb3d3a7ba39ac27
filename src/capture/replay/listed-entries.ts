import { PciAddressError, parsePciAddress } from "../../hardware/pci/requester-id.ts";
import type { VtdCapture } from "../capture.ts";
import { type ExpectedMapping, parseMapping, readJsonLines } from "../expected-mappings.ts";
import { type FileSource, findPacked } from "../file-source.ts";
import { inspectCapture } from "../inspect/inspect-capture.ts";
import type { Json } from "../json-text.ts";

/** An entry of a root, context, PASID or interrupt table, as a moment's list has it. */
export interface ListedEntry {
  /** What it is, for people. */
  readonly what: string;
  /** Where it is in memory. */
  readonly address: bigint;
  /** Its quadwords. */
  readonly raw: readonly bigint[];
}

/** Quadwords of the longest entry. */
const MAX_QUADWORDS = 8;

const rawOf = (json: Json | undefined): bigint[] | undefined =>
  json?.items(MAX_QUADWORDS).map((word) => word.hex(64));

interface ListedContext {
  readonly bdf: string;
  readonly source: Json;
  readonly pasid: number | null;
  readonly raw: readonly bigint[];
  readonly context: readonly bigint[] | undefined;
}

const parseContext = (json: Json): ListedContext => {
  const source = json.field("bdf");
  const pasid = json.field("pasid");
  return {
    source,
    bdf: source.text(/^[0-9a-f:.]{7,12}$/, "bus:device.function"),
    pasid: pasid.value === null ? null : pasid.integer(0, 0xf_ffff),
    raw: rawOf(json.field("raw"))!,
    context: rawOf(json.optional("raw_ctx")),
  };
};

const requesterOf = ({ bdf, source }: ListedContext): number => {
  try {
    return parsePciAddress(bdf).requesterId;
  } catch (error) {
    if (error instanceof PciAddressError) throw source.wrong("bus:device.function");
    throw error;
  }
};

/** Where a device's PASID entry is: two tables below its context entry (VT-d §9.4 to §9.6). */
const pasidEntryAt = ({ memory }: VtdCapture, context: bigint, pasid: number): bigint => {
  const page = (entry: bigint | undefined): bigint => (entry ?? 0n) & 0xf_ffff_ffff_f000n;
  const directory = page(memory.read64(context));
  const table = page(memory.read64(directory + BigInt(pasid >> 6) * 8n));
  return table + BigInt(pasid & 63) * 64n;
};

function* contextEntries(
  files: FileSource,
  path: string,
  capture: VtdCapture,
): Generator<ListedEntry, void, undefined> {
  const { devices } = inspectCapture(capture);
  const places = new Map(
    devices.map(({ bdf, contextEntry }) => [parsePciAddress(bdf).requesterId, contextEntry]),
  );
  for (const listed of readJsonLines(files, path, parseContext)) {
    const { bdf, pasid, raw, context } = listed;
    // A device that the tables do not have is nowhere: what the list has cannot be there.
    const place: bigint = places.get(requesterOf(listed)) ?? 1n << 52n;
    const contextRaw = pasid === null ? raw : context;
    if (contextRaw !== undefined) {
      yield { what: `context entry of ${bdf}`, address: place, raw: contextRaw };
    }
    if (pasid === null) continue;
    yield {
      what: `PASID entry ${pasid} of ${bdf}`,
      address: pasidEntryAt(capture, place, pasid),
      raw,
    };
  }
}

/** Entries of the interrupt remapping table, 16 bytes each. */
const interruptEntries = (files: FileSource, path: string, capture: VtdCapture): ListedEntry[] => {
  const base = capture.registers.irta & ~0xfffn;
  return readJsonLines(files, path, (json) => {
    const index = json.field("index").integer(0, 0xffff);
    return {
      what: `interrupt remapping entry ${index}`,
      address: base + BigInt(index) * 16n,
      raw: rawOf(json.field("raw"))!,
    };
  });
};

/**
 * The entries in `contexts.jsonl` and `irtes.jsonl` of a moment; none where
 * there are no such files.
 *
 * @throws CaptureError when one is bad
 */
export function* listedEntries(
  files: FileSource,
  moment: string | undefined,
  capture: VtdCapture,
): Generator<ListedEntry, void, undefined> {
  const directory = moment === undefined ? "" : `${moment}/`;
  const contexts = findPacked(files, `${directory}contexts.jsonl`);
  const interrupts = findPacked(files, `${directory}irtes.jsonl`);
  if (contexts !== undefined) yield* contextEntries(files, contexts, capture);
  if (interrupts !== undefined) yield* interruptEntries(files, interrupts, capture);
}

/** A mapping of a moment's list, and its leaf entry where the list has it. */
export interface ListedMapping extends ExpectedMapping {
  readonly raw: bigint | undefined;
}

/**
 * The mappings in `mappings.jsonl` of a moment; none where there is no such file.
 *
 * @throws CaptureError when it is bad
 */
export const listedMappings = (files: FileSource, moment: string | undefined): ListedMapping[] => {
  const path = findPacked(files, `${moment === undefined ? "" : `${moment}/`}mappings.jsonl`);
  if (path === undefined) return [];
  return readJsonLines(files, path, (json) => ({
    ...parseMapping(json),
    raw: json.optional("raw")?.hex(64),
  }));
};
