import { openBytes } from "./byte-source.ts";
import type { Capture, CapturedMachine, CapturedRegisters, StoredPage } from "./capture.ts";
import { CaptureError, quote } from "./capture-error.ts";
import { readExpectedMappings } from "./expected-mappings.ts";
import { fileMemory } from "./file-region.ts";
import { type FileSource, fileName, findPacked, readUnpacked } from "./file-source.ts";
import { parseJson } from "./json-text.ts";
import { MAX_JSON_BYTES, MAX_PAGES } from "./limits.ts";
import { readMoments } from "./moments.ts";
import { type PageIndex, parsePageIndex } from "./page-index.ts";
import { readRegisters } from "./register-file.ts";
import { amdRegisters } from "./registers.ts";

/** The path of a file of the capture, compressed or not; an error when there is none. */
const requirePacked = (files: FileSource, directory: string, name: string): string => {
  const path = findPacked(files, directory + name);
  if (path !== undefined) return path;
  throw new CaptureError({
    file: fileName(files, directory.replace("/", "")),
    expected: `a capture, with ${name} or ${name}.gz in it`,
    found: "neither",
    hint: "a capture is a folder with regs.json, pages.json and pages.bin; docs/capture-format.md describes it",
  });
};

/** Which folder of the capture to read: `""`, or a moment's with a `/` behind it. */
const directoryOf = (files: FileSource, moment: string | undefined): string => {
  const list = findPacked(files, "moments.json");
  if (moment === undefined) {
    if (list === undefined || findPacked(files, "pages.json") !== undefined) return "";
    const names = readMoments(files, list).join(", ");
    throw new CaptureError({
      file: files.name,
      expected: `one moment of the capture, ${files.name}/MOMENT`,
      found: "several",
      hint: `its moments are ${names}`,
    });
  }
  const names = list === undefined ? [] : readMoments(files, list);
  if (names.includes(moment)) return `${moment}/`;
  throw new CaptureError({
    file: files.name,
    expected: names.length === 0 ? "a capture with moments" : "one of its moments",
    found: names.length === 0 ? "one without" : quote(moment),
    hint: names.length === 0 ? undefined : `its moments are ${names.join(", ")}`,
  });
};

const readMemory = (
  files: FileSource,
  path: string,
  index: PageIndex,
): CapturedMachine["memory"] => {
  const bytes = openBytes(files, path, Math.max(index.pages.length * 4096, 1));
  const expected = index.pages.length * 4096;
  if (bytes.size !== expected) {
    throw new CaptureError({
      file: bytes.file,
      offset: Math.min(bytes.size, expected),
      expected: `${expected} bytes: 4096 for each of the ${index.pages.length} pages of pages.json`,
      found: `${bytes.size} bytes`,
    });
  }
  const extents = index.pages.map(({ pa }, i) => ({
    address: Number(pa),
    length: 4096,
    offset: i * 4096,
  }));
  return fileMemory(bytes, extents, index.ram);
};

/** Kinds of pages that only AMD's IOMMU has. */
const AMD_KIND = /^(devtab|amdpt[1-6]|cmdbuf|evtlog)$/;

/** Bytes of `cmdline.txt` that are looked at. */
const MAX_COMMAND_LINE = 65_536;

/** Whether the machine was started with an AMD IOMMU. */
const startedWithAmd = (files: FileSource): boolean => {
  if (files.size("cmdline.txt") === undefined) return false;
  const line = files.readRange("cmdline.txt", 0, MAX_COMMAND_LINE);
  return /\bamd-iommu\b/.test(new TextDecoder("latin1").decode(line));
};

/** The registers as those of the IOMMU that the rest of the capture speaks of. */
const settleIommu = (
  files: FileSource,
  captured: CapturedRegisters,
  pages: readonly StoredPage[],
): CapturedRegisters => {
  if (captured.iommu === "amd") return captured;
  if (!pages.some(({ kind }) => AMD_KIND.test(kind)) && !startedWithAmd(files)) return captured;
  return { iommu: "amd", registers: amdRegisters(captured.registers.words) };
};

/**
 * Reads a capture out of a folder.
 *
 * @param moment which of several moments; absent for a capture of one
 * @param given registers to use instead of those of `regs.json`
 * @throws CaptureError when anything about it is bad
 */
export const readCaptureDirectory = (
  files: FileSource,
  moment?: string,
  given?: CapturedRegisters,
): Capture => {
  const directory = directoryOf(files, moment);
  const indexPath = requirePacked(files, directory, "pages.json");
  const indexBytes = readUnpacked(files, indexPath, MAX_JSON_BYTES);
  const index = parsePageIndex(parseJson(fileName(files, indexPath), indexBytes), MAX_PAGES);
  const captured = given ?? readRegisters(files, requirePacked(files, directory, "regs.json"));
  const list = findPacked(files, `${directory}mappings.jsonl`);
  return {
    ...settleIommu(files, captured, index.pages),
    name: files.name,
    ...(moment === undefined ? {} : { moment }),
    memory: readMemory(files, requirePacked(files, directory, "pages.bin"), index),
    ram: index.ram,
    storedPages: index.pages,
    ...(list === undefined ? {} : { expected: () => readExpectedMappings(files, list) }),
  };
};
