import { openBytes } from "./byte-source.ts";
import type { Capture, CapturedRegisters } from "./capture.ts";
import { readCaptureDirectory } from "./capture-directory.ts";
import { CaptureError } from "./capture-error.ts";
import { isElf, readElfCore } from "./elf-core.ts";
import type { FileSource } from "./file-source.ts";
import { MAX_UNPACKED_IMAGE } from "./limits.ts";
import { readMemoryImage } from "./memory-image.ts";

/** What a file does not say by itself. */
export interface ReadOptions {
  /** Which of a capture's moments. */
  readonly moment?: string;
  /** Registers, for a file of memory alone; instead of its own, for a capture. */
  readonly registers?: CapturedRegisters;
  /** The file is a plain image whose first byte is at this physical address, even if it looks like a core. */
  readonly base?: bigint;
}

/**
 * Reads a machine's memory and registers: a capture when `files` is a folder,
 * else an ELF core or a plain memory image, told apart by its first bytes and
 * compressed or not.
 *
 * Memory is read when it is asked for, so `files` must stay open.
 *
 * @throws CaptureError when there is no such thing, or anything about it is bad
 */
export const readCapture = (files: FileSource, options: ReadOptions = {}): Capture => {
  const { moment, registers, base } = options;
  if (files.size("") === undefined) return readCaptureDirectory(files, moment, registers);
  if (registers === undefined) {
    throw new CaptureError({
      file: files.name,
      expected: "registers beside an image or core",
      found: "none",
      hint: "give --regs FILE, or --root-table 0x… and, in scalable mode, --scalable",
    });
  }
  const bytes = openBytes(files, "", MAX_UNPACKED_IMAGE);
  const memory =
    base === undefined && isElf(bytes) ? readElfCore(bytes) : readMemoryImage(bytes, base);
  return { ...registers, ...memory, name: files.name };
};
