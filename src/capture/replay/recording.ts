import type { VtdCapture } from "../capture.ts";
import { readCaptureDirectory } from "../capture-directory.ts";
import { CaptureError } from "../capture-error.ts";
import { type FileSource, fileName, findPacked, readUnpacked } from "../file-source.ts";
import { parseJson } from "../json-text.ts";
import { MAX_JSON_BYTES, MAX_MOMENTS, MAX_TRACE_LINES } from "../limits.ts";
import { readMoments } from "../moments.ts";
import { type ListedDescriptor, readDescriptors } from "./descriptor-file.ts";
import {
  type ListedEntry,
  type ListedMapping,
  listedEntries,
  listedMappings,
} from "./listed-entries.ts";
import { readTrace, type TraceLine } from "./trace-file.ts";

/** A moment of a recording: the machine's state after a line of the trace. */
export interface RecordedMoment {
  /** Absent in a capture of one moment. */
  readonly name?: string;
  /** The last trace line before it, counted from 1. */
  readonly lastLine: number;
  /** @throws CaptureError when its files are bad */
  open(): VtdCapture;
  /**
   * The entries that its lists have, and where they are.
   *
   * @throws CaptureError when a list is bad
   */
  entries(capture: VtdCapture): Iterable<ListedEntry>;
  /**
   * The mappings that its list has.
   *
   * @throws CaptureError when the list is bad
   */
  mappings(): readonly ListedMapping[];
}

/** What happened to a unit, and its state at one moment or several. */
export interface Recording {
  /** What the user called it. */
  readonly name: string;
  /** The trace file as messages call it. */
  readonly traceFile: string;
  /** Every line up to the last moment. */
  readonly lines: readonly TraceLine[];
  /** By trace line; absent where only the trace shows them. */
  readonly descriptors?: ReadonlyMap<number, ListedDescriptor>;
  /** In the order of time, at least one. */
  readonly moments: readonly RecordedMoment[];
  /** Version of the QEMU that recorded it, as `regs.json` has it. */
  readonly recorder?: string;
}

/** A moment's place in the trace. */
interface Mark {
  readonly name?: string;
  readonly lastLine: number;
}

/** Where each moment of `moments.json` is in the trace. */
const readMarks = (files: FileSource, path: string): { name: string; lastLine: number }[] => {
  const names = readMoments(files, path);
  const json = parseJson(fileName(files, path), readUnpacked(files, path, MAX_JSON_BYTES));
  let last = 0;
  return json
    .field("moments")
    .items(MAX_MOMENTS)
    .map((item, i) => {
      const line = item.field("trace_line");
      const lastLine = line.integer(1, MAX_TRACE_LINES);
      if (lastLine < last)
        throw line.wrong(`a line at or behind that of the moment before, ${last}`);
      last = lastLine;
      return { name: names[i]!, lastLine };
    });
};

const openVtd = (files: FileSource, moment: string | undefined): VtdCapture => {
  const capture = readCaptureDirectory(files, moment);
  if (capture.iommu === "vtd") return capture;
  throw new CaptureError({
    file: files.name,
    expected: "a capture of a VT-d unit",
    found: "one of an AMD IOMMU",
    hint: "only recordings of Intel VT-d units can be replayed",
  });
};

/** Which QEMU wrote the registers of a moment. */
const readRecorder = (files: FileSource, moment: string | undefined): string | undefined => {
  const path = findPacked(files, `${moment === undefined ? "" : `${moment}/`}regs.json`);
  if (path === undefined) return undefined;
  const json = parseJson(fileName(files, path), readUnpacked(files, path, MAX_JSON_BYTES));
  return json.optional("qemu")?.text(/^[ -~]{1,128}$/, "a version of QEMU");
};

/** The moments up to the one asked for; one without a name where the capture has no list. */
const chooseMoments = (files: FileSource, until: string | undefined): Mark[] | undefined => {
  const list = findPacked(files, "moments.json");
  if (
    list === undefined ||
    (until === undefined && findPacked(files, "pages.json") !== undefined)
  ) {
    return undefined;
  }
  const marks = readMarks(files, list);
  if (until === undefined) return marks;
  const at = marks.findIndex(({ name }) => name === until);
  // Reading it says what its moments are.
  if (at < 0) openVtd(files, until);
  return marks.slice(0, at + 1);
};

/**
 * Reads a recording: a capture with `regtrace.txt` beside it.
 *
 * @param until the moment to stop at; the last when absent
 * @throws CaptureError when there is no trace, or anything about it is bad
 */
export const readRecording = (files: FileSource, until?: string): Recording => {
  const marks = chooseMoments(files, until);
  const path = files.size("") === undefined ? findPacked(files, "regtrace.txt") : undefined;
  if (path === undefined) {
    if (files.size("") === undefined && marks === undefined) openVtd(files, undefined);
    throw new CaptureError({
      file: files.name,
      expected: "a capture with a trace, regtrace.txt or regtrace.txt.gz",
      found: "none",
      hint: "docs/capture-format.md says how a trace is recorded",
    });
  }
  const first = marks?.[0]?.name;
  // Of an AMD IOMMU the trace has other events: say what is wrong before reading it.
  openVtd(files, first);
  const lines = readTrace(files, path, marks?.at(-1)?.lastLine);
  const list = findPacked(files, "descs.txt");
  const recorder = readRecorder(files, first);
  const chosen: readonly Mark[] = marks ?? [{ lastLine: lines.length }];
  return {
    name: files.name,
    traceFile: fileName(files, path),
    lines,
    moments: chosen.map((mark) => ({
      ...mark,
      open: () => openVtd(files, mark.name),
      entries: (capture) => listedEntries(files, mark.name, capture),
      mappings: () => listedMappings(files, mark.name),
    })),
    ...(list === undefined ? {} : { descriptors: readDescriptors(files, list) }),
    ...(recorder === undefined ? {} : { recorder }),
  };
};
