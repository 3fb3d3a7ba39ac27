import { CaptureError, quote } from "../capture-error.ts";
import { type FileSource, fileName } from "../file-source.ts";
import { readLines } from "./trace-file.ts";

/** A descriptor as `descs.txt` has it. */
export interface ListedDescriptor {
  /** Its number in the queue. */
  readonly slot: number;
  readonly type: string;
  /** Four quadwords; those that were never seen are 0. */
  readonly words: readonly [bigint, bigint, bigint, bigint];
}

const LINE =
  /^([0-9]{1,9}) ([0-9]{1,5}) ([a-z0-9-]{1,32}) 0x([0-9a-f]{1,16}) 0x([0-9a-f]{1,16}) (0x[0-9a-f]{1,16}|[?-]) (0x[0-9a-f]{1,16}|[?-])$/;

/** `?` was never seen, `-` is not there: both are 0. */
const seen = (text: string): bigint => (text.startsWith("0x") ? BigInt(text) : 0n);

/**
 * Reads `descs.txt`: `trace_line slot type qw0 qw1 qw2 qw3`, a line each.
 *
 * @returns the descriptors by the number of their trace line
 * @throws CaptureError when a line is something else, or two have one trace line
 */
export const readDescriptors = (
  files: FileSource,
  path: string,
): ReadonlyMap<number, ListedDescriptor> => {
  const file = fileName(files, path);
  const found = new Map<number, ListedDescriptor>();
  for (const { offset, text } of readLines(files, path)) {
    if (text.startsWith("#")) continue;
    const [, line, slot, type, low, high, third, fourth] = LINE.exec(text) ?? [];
    if (line === undefined || found.has(Number(line))) {
      const expected = "a descriptor: trace line (each once), slot, type and four quadwords";
      throw new CaptureError({ file, offset, expected, found: quote(text) });
    }
    found.set(Number(line), {
      slot: Number(slot),
      type: type!,
      words: [BigInt(`0x${low}`), BigInt(`0x${high}`), seen(third!), seen(fourth!)],
    });
  }
  return found;
};
