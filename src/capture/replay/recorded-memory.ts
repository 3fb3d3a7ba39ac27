import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import type { ByteSource } from "../byte-source.ts";
import type { RamRange, VtdCapture } from "../capture.ts";
import { CaptureError } from "../capture-error.ts";
import { fileMemory } from "../file-region.ts";
import { CACHED_FRAMES, MAX_PAGES } from "../limits.ts";

/** Frames that a replay may write besides a moment's pages. */
const FURTHER_FRAMES = 2 ** 16;

const NOTHING: ByteSource = {
  file: "",
  size: 0,
  read: () => new Uint8Array(0),
};

/** Memory of which no page was recorded: it reads as zeros and takes writes, up to a bound. */
export const emptyMemory = (ram: readonly RamRange[]): PhysicalMemory =>
  fileMemory(NOTHING, [], ram, { cached: CACHED_FRAMES, written: MAX_PAGES + FURTHER_FRAMES });

/**
 * Lays a moment's pages over memory; others keep what was written.
 *
 * @throws CaptureError when they do not fit or can no longer be read
 */
export const layIn = (memory: PhysicalMemory, capture: VtdCapture): void => {
  const page = new Uint8Array(4096);
  for (const { pa } of capture.storedPages ?? []) {
    if (capture.memory.read(pa, page) && memory.write(pa, page)) continue;
    throw new CaptureError({
      file: capture.name,
      expected: `at most ${MAX_PAGES} pages in all moments together, all in the first one's RAM`,
      found: "one that does not fit",
    });
  }
};
