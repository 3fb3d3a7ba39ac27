import { CaptureError } from "./capture-error.ts";
import type { FileSink, FileSource } from "./file-source.ts";

/** Files held in memory, read and written: what a web page was given, or a capture on its way elsewhere. */
export interface MemoryFiles extends FileSource, FileSink {
  readonly contents: Map<string, Uint8Array>;
}

/**
 * @param name what messages call the whole
 * @param contents each file by its path; one at `""` is the only one
 * @param gunzip as in `FileSource`
 */
export const memoryFiles = (
  name: string,
  contents: Map<string, Uint8Array>,
  gunzip: FileSource["gunzip"],
): MemoryFiles => ({
  name,
  contents,
  gunzip,
  size: (path) => contents.get(path)?.length,
  readRange(path, offset, length) {
    const bytes = contents.get(path);
    if (bytes !== undefined) return bytes.subarray(offset, offset + length);
    throw new CaptureError({ file: `${name}/${path}`, expected: "a file", found: "none" });
  },
  write(path, bytes) {
    contents.set(path, bytes);
  },
});
