import { CaptureError } from "./capture-error.ts";
import { type FileSource, fileName, isGzip, readExactly, readUnpacked } from "./file-source.ts";

/** The bytes of one file, unpacked where it is compressed. */
export interface ByteSource {
  /** What messages call it. */
  readonly file: string;
  /** Size in bytes. */
  readonly size: number;
  /**
   * @returns exactly `length` bytes from `offset`
   * @throws CaptureError when they are not there or cannot be read
   */
  read(offset: number, length: number): Uint8Array;
}

const overBytes = (file: string, bytes: Uint8Array): ByteSource => ({
  file,
  size: bytes.length,
  read(offset, length) {
    if (offset + length <= bytes.length) return bytes.subarray(offset, offset + length);
    throw new CaptureError({
      file,
      offset: bytes.length,
      expected: `${offset + length - bytes.length} more bytes`,
      found: "the end of the data",
    });
  },
});

/**
 * Opens a file for reading in pieces. A compressed one is unpacked into memory
 * first; any other is left where it is, so its size does not matter.
 *
 * @param maxUnpacked bytes that a compressed file may unpack to
 * @throws CaptureError when the file is missing or its compressed data bad
 */
export const openBytes = (files: FileSource, path: string, maxUnpacked: number): ByteSource => {
  const file = fileName(files, path);
  const size = files.size(path);
  if (size === undefined) throw new CaptureError({ file, expected: "a file", found: "none" });
  if (path.endsWith(".gz") || (size >= 2 && isGzip(readExactly(files, path, 0, 2)))) {
    return overBytes(file, readUnpacked(files, path, maxUnpacked));
  }
  return {
    file,
    size,
    read: (offset, length) => readExactly(files, path, offset, length),
  };
};
