import { CaptureError } from "./capture-error.ts";
import { type FileSource, fileName, readUnpacked } from "./file-source.ts";
import { type Json, parseJson } from "./json-text.ts";
import { MAX_LIST_BYTES, MAX_MAPPINGS } from "./limits.ts";

/** One leaf of one device, as an expected list has it. Sizes and addresses in bytes. */
export interface ExpectedMapping {
  /** Bus, device and function, such as `00:03.0`. */
  readonly bdf: string;
  /** The PASID in whose table the leaf is; `null` where the mode has none. */
  readonly pasid: number | null;
  readonly iova: bigint;
  readonly pa: bigint;
  readonly size: bigint;
  /** `r` or `-`, `w` or `-`, and `u` where a first-stage leaf is for users too. */
  readonly perms: string;
}

const BDF = /^([0-9a-f]{4}:)?[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/;
const PERMS = /^[r-][w-]u?$/;

/** Reads one line of an expected list. */
export const parseMapping = (json: Json): ExpectedMapping => {
  const pasid = json.field("pasid");
  const size = json.field("size");
  return {
    bdf: json.field("bdf").text(BDF, 'bus:device.function, such as "00:03.0"'),
    pasid: pasid.value === null ? null : pasid.integer(0, 0xf_ffff),
    iova: json.field("iova").hex(64),
    pa: json.field("pa").hex(64),
    size: typeof size.value === "string" ? size.hex(64) : BigInt(size.integer(1, 2 ** 52)),
    perms: json.field("perms").text(PERMS, 'permissions, such as "rw", "r-" or "rwu"'),
  };
};

/**
 * Reads an expected list: one JSON object a line, compressed or not.
 *
 * @throws CaptureError when the file is missing or a line bad
 */
export const readExpectedMappings = (files: FileSource, path: string): ExpectedMapping[] =>
  readJsonLines(files, path, parseMapping);

/**
 * Reads a list of one JSON object a line, compressed or not.
 *
 * @throws CaptureError when the file is missing or a line bad
 */
export const readJsonLines = <T>(
  files: FileSource,
  path: string,
  parse: (json: Json) => T,
): T[] => {
  const bytes = readUnpacked(files, path, MAX_LIST_BYTES);
  const file = fileName(files, path);
  const items: T[] = [];
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(0x0a, start);
    const end = newline === -1 ? bytes.length : newline;
    if (items.length >= MAX_MAPPINGS) {
      throw new CaptureError({
        file,
        offset: start,
        expected: `at most ${MAX_MAPPINGS} lines`,
        found: "more",
      });
    }
    items.push(parse(parseJson(file, bytes, start, end)));
    start = end + 1;
  }
  return items;
};
