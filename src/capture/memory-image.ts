import type { PhysicalMemory } from "../memory/physical-memory.ts";
import type { ByteSource } from "./byte-source.ts";
import type { RamRange } from "./capture.ts";
import { CaptureError } from "./capture-error.ts";
import { type Extent, fileMemory } from "./file-region.ts";
import { MAX_RAM } from "./limits.ts";

/** Memory out of a file, and where it is. */
export interface FileMemory {
  readonly memory: PhysicalMemory;
  readonly ram: readonly RamRange[];
}

/** Formats that are neither an image nor a core, by their first bytes, and what turns them into one. */
const FOREIGN: readonly { readonly magic: string; readonly what: string; readonly hint: string }[] =
  [
    { magic: "KDUMP   ", what: "a compressed kdump", hint: "dump without -z, -l and -s" },
    { magic: "makedumpfile", what: "a flattened kdump", hint: "dump without -z, -l and -s" },
    { magic: "PAGEDU64", what: "a Windows crash dump", hint: "dump without -w" },
    { magic: "\xfd7zXZ\0", what: "xz data", hint: "unpack it first, with xz -dk" },
    { magic: "\x28\xb5\x2f\xfd", what: "zstd data", hint: "unpack it first, with zstd -dk" },
    {
      magic: "QFI\xfb",
      what: "a qcow2 disk image",
      hint: "write the memory with dump-guest-memory",
    },
  ];

const refuseForeign = (bytes: ByteSource): void => {
  const start = String.fromCharCode(...bytes.read(0, Math.min(bytes.size, 16)));
  const foreign = FOREIGN.find(({ magic }) => start.startsWith(magic));
  if (foreign === undefined) return;
  throw new CaptureError({
    file: bytes.file,
    offset: 0,
    expected: "a memory image or an ELF core",
    found: foreign.what,
    hint: foreign.hint,
  });
};

/**
 * Memory out of a plain image: the file's bytes are RAM from `base` on.
 *
 * @param base physical address of the first byte, a multiple of 4096
 * @throws CaptureError when the file cannot be one
 */
export const readMemoryImage = (bytes: ByteSource, base = 0n): FileMemory => {
  const { file, size } = bytes;
  if ((base & 0xfffn) !== 0n || base < 0n) {
    throw new CaptureError({
      file: "--base",
      expected: "a multiple of 4096",
      found: base.toString(),
    });
  }
  if (size === 0)
    throw new CaptureError({ file, expected: "a memory image", found: "an empty file" });
  refuseForeign(bytes);
  if (size % 4096 !== 0) {
    throw new CaptureError({
      file,
      offset: size,
      expected: `${4096 - (size % 4096)} more bytes: an image is whole pages of 4096`,
      found: "the end of the file",
    });
  }
  if (base + BigInt(size) > MAX_RAM) {
    throw new CaptureError({
      file,
      expected: "an image that ends at or below 2^52",
      found: "a longer one",
    });
  }
  const extents: Extent[] = [{ address: Number(base), length: size, offset: 0 }];
  const ram = [{ base, length: BigInt(size) }];
  return { memory: fileMemory(bytes, extents, ram), ram };
};
