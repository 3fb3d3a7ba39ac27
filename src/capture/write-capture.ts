import { hex } from "../bits/hex.ts";
import type { PhysicalMemory } from "../memory/physical-memory.ts";
import type { CapturedRegisters, RamRange, StoredPage } from "./capture.ts";
import type { FileSink } from "./file-source.ts";
import { MAX_PAGES } from "./limits.ts";
import { CAPTURE_SCHEMA } from "./page-index.ts";
import { formatRegisterFile } from "./register-file.ts";

/** What a capture is made of; a `Capture` that has stored pages is one. */
export type CaptureContents = CapturedRegisters & {
  readonly memory: PhysicalMemory;
  /** Where RAM is, by address and apart. */
  readonly ram: readonly RamRange[];
  /** The pages to keep, in the order in which they are written. */
  readonly storedPages: readonly StoredPage[];
};

/** How a capture is written. */
export interface WriteOptions {
  /** Compresses to gzip data; without it, files are written as they are. */
  readonly gzip?: (bytes: Uint8Array) => Uint8Array;
}

const FORMAT = "pages.bin = concatenated 4096-byte pages in this order";

const formatPageIndex = (contents: CaptureContents): string => {
  const { ram, storedPages } = contents;
  const fromZero = ram.length === 1 && ram[0]!.base === 0n;
  const ranges = ram.map(({ base, length }) => ({ base: hex(base), length: hex(length) }));
  return `${JSON.stringify({
    schema: CAPTURE_SCHEMA,
    format: FORMAT,
    ram_size: Number(ram.reduce((sum, { length }) => sum + length, 0n)),
    ...(fromZero ? {} : { ram: ranges }),
    pages: storedPages.map(({ pa, kind }) => ({ pa: hex(pa), kind })),
  })}\n`;
};

const collectPages = ({ memory, storedPages }: CaptureContents): Uint8Array => {
  if (storedPages.length > MAX_PAGES)
    throw new RangeError(`a capture has at most ${MAX_PAGES} pages`);
  const bytes = new Uint8Array(storedPages.length * 4096);
  const seen = new Set<bigint>();
  storedPages.forEach(({ pa }, i) => {
    const page = bytes.subarray(i * 4096, (i + 1) * 4096);
    if ((pa & 0xfffn) !== 0n || seen.has(pa) || !memory.read(pa, page)) {
      throw new RangeError(`${hex(pa)} is not one page of memory, listed once`);
    }
    seen.add(pa);
  });
  return bytes;
};

/**
 * Writes a capture: `regs.json`, `pages.json` and `pages.bin`, the last two
 * with `.gz` behind their names when they are compressed.
 *
 * @throws RangeError when a page is not in memory or listed twice: a bug in the caller
 */
export const writeCapture = (
  contents: CaptureContents,
  sink: FileSink,
  options: WriteOptions = {},
): void => {
  const { gzip } = options;
  const encoder = new TextEncoder();
  const write = (path: string, bytes: Uint8Array): void => {
    if (gzip === undefined) sink.write(path, bytes);
    else sink.write(`${path}.gz`, gzip(bytes));
  };
  const pages = collectPages(contents);
  sink.write("regs.json", encoder.encode(formatRegisterFile(contents)));
  write("pages.json", encoder.encode(formatPageIndex(contents)));
  write("pages.bin", pages);
};
