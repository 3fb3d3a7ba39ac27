import { CaptureError } from "./capture-error.ts";
import { MAX_PACKING_LOSS } from "./limits.ts";

/** Why gzip data could not be unpacked. */
export interface UnpackFailure {
  readonly failed: "corrupt" | "too-large";
  /** Byte of the packed data, where it is known. */
  readonly offset?: number | undefined;
}

/**
 * Where files come from: a disk, or what a web page was given. It is a tree;
 * paths in it are relative and use `/`, and `""` is its root, which is a file
 * when only one was given.
 */
export interface FileSource {
  /** What the user called it: messages name files by it. */
  readonly name: string;
  /**
   * @returns the size of the file in bytes, `undefined` when there is none (a directory is no file)
   * @throws CaptureError when it cannot be looked at, is no ordinary file, or lies outside the tree
   */
  size(path: string): number | undefined;
  /**
   * @returns `length` bytes from `offset`; fewer only where the file ends
   * @throws CaptureError when it cannot be read
   */
  readRange(path: string, offset: number, length: number): Uint8Array;
  /** Unpacks gzip data, never to more than `maxBytes` bytes. */
  gunzip(packed: Uint8Array, maxBytes: number): Uint8Array | UnpackFailure;
}

/** Where written files go. */
export interface FileSink {
  /** Creates or replaces the file. */
  write(path: string, bytes: Uint8Array): void;
}

/** How messages name the file at `path`. */
export const fileName = (files: FileSource, path: string): string =>
  path === "" ? files.name : `${files.name}/${path}`;

/** Whether `bytes` begin as gzip data does (RFC 1952, section 2.3.1). */
export const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

/** The path of `stem` or, where that is missing, of `stem` compressed; `undefined` when both are. */
export const findPacked = (files: FileSource, stem: string): string | undefined => {
  if (files.size(stem) !== undefined) return stem;
  const packed = `${stem}.gz`;
  return files.size(packed) === undefined ? undefined : packed;
};

/**
 * @returns exactly `length` bytes from `offset`
 * @throws CaptureError when the file ends before them
 */
export const readExactly = (
  files: FileSource,
  path: string,
  offset: number,
  length: number,
): Uint8Array => {
  const bytes = files.readRange(path, offset, length);
  if (bytes.length === length) return bytes;
  throw new CaptureError({
    file: fileName(files, path),
    offset: offset + bytes.length,
    expected: `${length - bytes.length} more bytes`,
    found: "the end of the file",
    hint: "the file was cut short, or changes while it is read",
  });
};

/** @throws CaptureError when the file is missing, larger than `maxBytes`, or cannot be read */
export const readWhole = (files: FileSource, path: string, maxBytes: number): Uint8Array => {
  const file = fileName(files, path);
  const size = files.size(path);
  if (size === undefined) throw new CaptureError({ file, expected: "a file", found: "none" });
  if (size > maxBytes) {
    throw new CaptureError({ file, expected: `at most ${maxBytes} bytes`, found: `${size} bytes` });
  }
  return readExactly(files, path, 0, size);
};

/**
 * The contents of a file that may be compressed. One whose name ends in `.gz` must be.
 *
 * @throws CaptureError when it cannot be read, is corrupt, or unpacks to more than `maxBytes`
 */
export const readUnpacked = (files: FileSource, path: string, maxBytes: number): Uint8Array => {
  const bytes = readWhole(files, path, maxBytes + MAX_PACKING_LOSS);
  const file = fileName(files, path);
  if (isGzip(bytes)) return unpack(files, file, bytes, maxBytes);
  if (path.endsWith(".gz")) {
    const start = Array.from(bytes.subarray(0, 2), (b) => b.toString(16).padStart(2, "0")).join(
      " ",
    );
    const found = start === "" ? "an empty file" : `bytes ${start}`;
    throw new CaptureError({ file, offset: 0, expected: "gzip data (bytes 1f 8b)", found });
  }
  if (bytes.length <= maxBytes) return bytes;
  throw new CaptureError({
    file,
    expected: `at most ${maxBytes} bytes`,
    found: `${bytes.length} bytes`,
  });
};

const unpack = (
  files: FileSource,
  file: string,
  packed: Uint8Array,
  maxBytes: number,
): Uint8Array => {
  const result = files.gunzip(packed, maxBytes);
  if (result instanceof Uint8Array) return result;
  if (result.failed === "too-large") {
    throw new CaptureError({
      file,
      expected: `gzip data that unpacks to at most ${maxBytes} bytes`,
      found: "more",
      hint: "a large image or core is read piece by piece when it is unpacked first",
    });
  }
  if (result.offset === packed.length) {
    const expected = "the rest of the gzip data";
    throw new CaptureError({ file, offset: packed.length, expected, found: "the end of the file" });
  }
  throw new CaptureError({
    file,
    offset: result.offset,
    expected: "intact gzip data",
    found: result.offset === undefined ? "damaged data" : "damage at or before this byte",
  });
};
