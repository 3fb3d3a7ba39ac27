import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { type MemoryFiles, memoryFiles } from "../src/capture/memory-files.ts";
import { readRecording } from "../src/capture/replay/recording.ts";
import { type ReplayOptions, replayRecording } from "../src/capture/replay/replay.ts";
import type { ReplayReport } from "../src/capture/replay/report.ts";

/** Real recordings, held in memory so that tests can change them. */

const CAPTURES = fileURLToPath(new URL("../captures/", import.meta.url));

const NEEDED = /^(regs|pages|moments)\.json$|^pages\.bin$|\.jsonl$|^(regtrace|descs)\.txt$/;

/** The files of a capture that a replay reads, unpacked. */
export const recordedFiles = (name: string): MemoryFiles => {
  const contents = new Map<string, Uint8Array>();
  for (const path of readdirSync(CAPTURES + name, { recursive: true, encoding: "utf8" })) {
    const plain = path.replace(/\.gz$/, "");
    if (!NEEDED.test(plain.split("/").at(-1)!)) continue;
    const bytes = readFileSync(join(CAPTURES, name, path));
    // A copy of its own: slices of a Buffer share its bytes.
    contents.set(plain, new Uint8Array(path === plain ? bytes : gunzipSync(bytes)));
  }
  return memoryFiles(name, contents, () => ({ failed: "corrupt" }));
};

/** The same files, one of them changed. */
export const withFile = (
  files: MemoryFiles,
  path: string,
  change: (bytes: Uint8Array) => Uint8Array,
): MemoryFiles => {
  const contents = new Map(files.contents);
  contents.set(path, change(files.contents.get(path)!));
  return memoryFiles(files.name, contents, files.gunzip);
};

/** The same files, one of them changed as text. */
export const withText = (
  files: MemoryFiles,
  path: string,
  change: (text: string) => string,
): MemoryFiles =>
  withFile(files, path, (bytes) =>
    new TextEncoder().encode(change(new TextDecoder("latin1").decode(bytes))),
  );

/** Reads and replays. */
export const replay = (files: MemoryFiles, options: ReplayOptions = {}): ReplayReport =>
  replayRecording(readRecording(files), options);
