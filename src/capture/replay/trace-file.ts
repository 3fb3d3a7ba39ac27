import { CaptureError } from "../capture-error.ts";
import { type FileSource, fileName, readUnpacked } from "../file-source.ts";
import { MAX_TRACE_BYTES, MAX_TRACE_LINES } from "../limits.ts";
import { parseTraceLine, type TraceEntry } from "./trace-line.ts";

/** A trace line, and where it stands. */
export interface TraceLine {
  /** Counted from 1. */
  readonly number: number;
  /** Byte in the unpacked file where it begins. */
  readonly offset: number;
  readonly entry: TraceEntry;
}

/** One line of a text file, without its newline. */
export interface TextLine {
  readonly number: number;
  readonly offset: number;
  readonly text: string;
}

/**
 * The lines of a text file, compressed or not. A last line without newline is
 * a file that was cut short.
 *
 * @param most lines to read; those behind are not looked at
 * @throws CaptureError when the file cannot be read or was cut short
 */
export function* readLines(
  files: FileSource,
  path: string,
  most: number = MAX_TRACE_LINES,
): Generator<TextLine, void, undefined> {
  const bytes = readUnpacked(files, path, MAX_TRACE_BYTES);
  const file = fileName(files, path);
  const decoder = new TextDecoder("latin1");
  let number = 0;
  for (let offset = 0; offset < bytes.length && number < most; ) {
    const end = bytes.indexOf(0x0a, offset);
    if (end < 0) {
      throw new CaptureError({
        file,
        offset: bytes.length,
        expected: "the rest of a line",
        found: "the end of the file",
        hint: "the file was cut short",
      });
    }
    number++;
    if (number > MAX_TRACE_LINES) {
      throw new CaptureError({
        file,
        offset,
        expected: `at most ${MAX_TRACE_LINES} lines`,
        found: "more",
      });
    }
    yield { number, offset, text: decoder.decode(bytes.subarray(offset, end)) };
    offset = end + 1;
  }
}

/**
 * Reads the first lines of a trace.
 *
 * @param needed how many there must be; every line when absent
 * @throws CaptureError when there are fewer, or one is no trace line
 */
export const readTrace = (files: FileSource, path: string, needed?: number): TraceLine[] => {
  const file = fileName(files, path);
  const lines: TraceLine[] = [];
  for (const { number, offset, text } of readLines(files, path, needed ?? MAX_TRACE_LINES + 1)) {
    lines.push({ number, offset, entry: parseTraceLine(text, file, offset) });
  }
  if (needed === undefined || lines.length >= needed) return lines;
  throw new CaptureError({
    file,
    expected: `at least ${needed} lines: moments.json puts a moment there`,
    found: `${lines.length}`,
    hint: "the file was cut short",
  });
};
