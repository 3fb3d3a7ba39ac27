import { type Bank, bankOver, MAX_BANK_FRAMES, NO_BANK } from "./bank.ts";
import type { Region } from "./region.ts";

/** Memory that somebody else holds: an emulator's RAM, the bytes of a file. */
export interface ExternalBuffer {
  /** Physical address of the first byte; a multiple of 4096. */
  readonly base: bigint;
  /** Size in bytes; a multiple of 4096. What the view does not cover is not there yet. */
  readonly length: bigint;
  /**
   * The buffer's current view, its first byte the one at `base`. Asked again
   * whenever the last one has been taken away, as WebAssembly does when a
   * memory grows. Its offset in the buffer must be a multiple of 4.
   */
  readonly view: () => Uint8Array;
  /** Called after each write, with the physical address of the first byte and the count of bytes. */
  readonly onWrite?: (address: bigint, length: number) => void;
}

/** The frames of `view` that fall in bank `index` of a region that begins at `firstPfn`. */
const bankOfView = (view: Uint8Array, firstPfn: number, frames: number, index: number): Bank => {
  const skipped = index * MAX_BANK_FRAMES;
  const present = Math.min(frames, Math.floor(view.byteLength / 4096)) - skipped;
  if (present <= 0) return NO_BANK;
  return bankOver(
    view.buffer,
    view.byteOffset + skipped * 4096,
    firstPfn + skipped,
    Math.min(present, MAX_BANK_FRAMES),
  );
};

/** @throws RangeError when `base` or `length` is not page aligned, or the view not word aligned */
export const bufferRegion = (external: ExternalBuffer): Region => {
  const { base, length, view, onWrite } = external;
  if (base % 4096n !== 0n || length % 4096n !== 0n || length <= 0n) {
    throw new RangeError(`memory over a buffer: base and length must be whole pages`);
  }
  const firstPfn = Number(base >> 12n);
  const frames = Number(length >> 12n);
  const banks: Bank[] = [];
  const bank = (pfn: number): Bank => {
    const index = Math.floor((pfn - firstPfn) / MAX_BANK_FRAMES);
    const known = banks[index];
    if (known !== undefined && pfn < known.firstPfn + known.frames && known.words.length > 0)
      return known;
    const fresh = bankOfView(view(), firstPfn, frames, index);
    banks[index] = fresh;
    return pfn < fresh.firstPfn + fresh.frames ? fresh : NO_BANK;
  };
  const region: Region = {
    firstPfn,
    endPfn: firstPfn + frames,
    bankToRead: bank,
    bankToWrite: bank,
  };
  if (onWrite === undefined) return region;
  return {
    ...region,
    wrote: (pfn, offset, count) => onWrite((BigInt(pfn) << 12n) + BigInt(offset), count),
  };
};
