import { frameOf, fromHalves, highHalf, lowHalf, PAGE_SIZE } from "../bits/halves.ts";
import { type Bank, NO_BANK, WORDS_LG2 } from "./bank.ts";
import type { Region } from "./region.ts";

/** Banks remembered. */
const RECENT = 256;
/** log2 of the frames that share a place among them: those of the smallest bank that sparse memory has. */
const CHUNK_LG2 = 9;

/**
 * Physical memory: regions of frames with holes between them.
 *
 * An access outside every region is a value, `undefined` for a read and `false`
 * for a write, and has no effect. Values are little endian. Single accesses of
 * 8 to 64 bits must be naturally aligned; `read` and `write` copy any range.
 */
export class PhysicalMemory {
  /** The regions, by first frame. */
  readonly regions: readonly Region[];
  /** The banks that reads have found last, by 2 MiB of address; most reads find the next one there again. */
  readonly #recent: Bank[] = new Array<Bank>(RECENT).fill(NO_BANK);
  /** The same for writes: of a bank that is read not every frame need be writable. */
  readonly #recentWritten: Bank[] = new Array<Bank>(RECENT).fill(NO_BANK);
  #recentRegion: Region | undefined;
  /** Whether some region wants to hear of writes. */
  readonly #watched: boolean;

  /** @throws RangeError when two regions overlap or one passes 2^52: a bug in the caller */
  constructor(regions: readonly Region[]) {
    this.regions = [...regions].sort((a, b) => a.firstPfn - b.firstPfn);
    this.#watched = regions.some(({ wrote }) => wrote !== undefined);
    this.regions.forEach((region, i) => {
      const next = this.regions[i + 1];
      if (region.endPfn > 2 ** 40 || (next !== undefined && next.firstPfn < region.endPfn)) {
        throw new RangeError(
          `memory regions overlap or pass 2^52 at frame 0x${region.firstPfn.toString(16)}`,
        );
      }
    });
  }

  /**
   * The bank to read frame `pfn` from, valid until the next call; `NO_BANK`
   * outside memory. The words of the frame start at
   * `(pfn - bank.firstPfn) << WORDS_LG2`; a caller compares that with
   * `bank.words.length`, which is 0 where there is nothing to read.
   */
  bankOf(pfn: number): Bank {
    const recent = this.#recent[(pfn >>> CHUNK_LG2) & (RECENT - 1)]!;
    const offset = pfn - recent.firstPfn;
    if (offset >= 0 && offset < recent.frames && recent.words.length > 0) return recent;
    return this.#findBank(pfn);
  }

  #findBank(pfn: number): Bank {
    const region = this.#regionOf(pfn);
    if (region === undefined) return NO_BANK;
    const bank = region.bankToRead(pfn);
    // A bank of one frame may be the zeros that stand for an unwritten frame: not to be remembered.
    if (bank.frames > 1) this.#recent[(pfn >>> CHUNK_LG2) & (RECENT - 1)] = bank;
    return bank;
  }

  #regionOf(pfn: number): Region | undefined {
    const recent = this.#recentRegion;
    if (recent !== undefined && pfn >= recent.firstPfn && pfn < recent.endPfn) return recent;
    // A loop and no closure: one that captures `pfn` would cost an allocation at every call.
    for (const region of this.regions) {
      if (pfn >= region.firstPfn && pfn < region.endPfn) {
        this.#recentRegion = region;
        return region;
      }
    }
    return undefined;
  }

  /** The bank to write frame `pfn` to, `NO_BANK` outside memory. Who writes words into it calls `wrote`. */
  bankToWrite(pfn: number): Bank {
    const recent = this.#recentWritten[(pfn >>> CHUNK_LG2) & (RECENT - 1)]!;
    const offset = pfn - recent.firstPfn;
    if (offset >= 0 && offset < recent.frames && recent.words.length > 0) return recent;
    return this.#findBankToWrite(pfn);
  }

  #findBankToWrite(pfn: number): Bank {
    const bank = this.#regionOf(pfn)?.bankToWrite(pfn) ?? NO_BANK;
    if (bank.frames > 1) this.#recentWritten[(pfn >>> CHUNK_LG2) & (RECENT - 1)] = bank;
    return bank;
  }

  /** Tells whoever must know that `length` bytes at `offset` in frame `pfn` have been written. */
  wrote(pfn: number, offset: number, length: number): void {
    if (!this.#watched) return;
    const region = this.#regionOf(pfn);
    if (region?.wrote !== undefined) region.wrote(pfn, offset, length);
  }

  /** Whether `length` bytes from `address` lie in memory, in one region or several side by side. */
  covers(address: bigint, length: bigint): boolean {
    const last = (address + (length > 0n ? length - 1n : 0n)) >> 12n;
    let pfn = Number(address >> 12n);
    while (BigInt(pfn) <= last) {
      const region = this.#regionOf(pfn);
      if (region === undefined) return false;
      pfn = region.endPfn;
    }
    return true;
  }

  /**
   * Compares the quadword at word `word` (even, below 1024) of frame `pfn` with
   * `(hi, lo)` and, when equal, replaces it by `(newHi, newLo)`, atomically.
   *
   * @returns whether it was replaced; `false` outside memory
   */
  compareAndSwap(
    pfn: number,
    word: number,
    hi: number,
    lo: number,
    newHi: number,
    newLo: number,
  ): boolean {
    const bank = this.bankToWrite(pfn);
    const at = ((pfn - bank.firstPfn) << WORDS_LG2) + word;
    const { words } = bank;
    if (at < 0 || at >= words.length) return false;
    if (words.buffer instanceof ArrayBuffer) {
      // Nobody else can run between these lines: the buffer belongs to this thread.
      if (words[at] !== lo || words[at + 1] !== hi) return false;
      words[at] = newLo;
      words[at + 1] = newHi;
    } else {
      const shared = new BigInt64Array(words.buffer, words.byteOffset + at * 4, 1);
      const expected = BigInt.asIntN(64, fromHalves(hi, lo));
      const next = BigInt.asIntN(64, fromHalves(newHi, newLo));
      if (Atomics.compareExchange(shared, 0, expected, next) !== expected) return false;
    }
    this.wrote(pfn, word * 4, 8);
    return true;
  }

  /** `compareAndSwap` with whole values; `address` is a multiple of 8. */
  compareAndSwap64(address: bigint, expected: bigint, next: bigint): boolean {
    const hi = highHalf(address);
    const lo = lowHalf(address);
    requireAligned(address, 8);
    return this.compareAndSwap(
      frameOf(hi, lo),
      (lo & 0xfff) >>> 2,
      highHalf(expected),
      lowHalf(expected),
      highHalf(next),
      lowHalf(next),
    );
  }

  /**
   * Copies bytes out of memory, across pages and regions.
   *
   * @returns whether all of `into` was filled; nothing beyond the first hole is copied
   */
  read(address: bigint, into: Uint8Array): boolean {
    return this.#copy(address, into, false);
  }

  /**
   * Copies bytes into memory, across pages and regions.
   *
   * @returns whether all of `from` was written; nothing is written when a part lies outside memory
   */
  write(address: bigint, from: Uint8Array): boolean {
    if (!this.covers(address, BigInt(from.length))) return false;
    return this.#copy(address, from, true);
  }

  #copy(address: bigint, bytes: Uint8Array, toMemory: boolean): boolean {
    let pfn = Number(address >> 12n);
    let offset = Number(address & 0xfffn);
    for (let done = 0; done < bytes.length; offset = 0, pfn++) {
      const count = Math.min(PAGE_SIZE - offset, bytes.length - done);
      if (!this.copyInFrame(pfn, offset, bytes, done, count, toMemory)) return false;
      done += count;
    }
    return true;
  }

  /**
   * Copies `count` bytes between `bytes` from `start` and frame `pfn` from
   * `offset`; both stay inside the frame.
   */
  copyInFrame(
    pfn: number,
    offset: number,
    bytes: Uint8Array,
    start: number,
    count: number,
    toMemory: boolean,
  ): boolean {
    const bank = toMemory ? this.bankToWrite(pfn) : this.bankOf(pfn);
    const at = (pfn - bank.firstPfn) * PAGE_SIZE + offset;
    if (at < 0 || at + count > bank.bytes.length) return false;
    if (toMemory) {
      copyBytes(bytes, start, bank.bytes, at, count);
      this.wrote(pfn, offset, count);
    } else {
      copyBytes(bank.bytes, at, bytes, start, count);
    }
    return true;
  }

  /** The byte at `address`. */
  read8(address: bigint): number | undefined {
    return this.#load(address, 1)?.getUint8(0);
  }

  /** The 16-bit value at `address`, a multiple of 2. */
  read16(address: bigint): number | undefined {
    return this.#load(address, 2)?.getUint16(0, true);
  }

  /** The 32-bit value at `address`, a multiple of 4. */
  read32(address: bigint): number | undefined {
    return this.#load(address, 4)?.getUint32(0, true);
  }

  /** The 64-bit value at `address`, a multiple of 8. */
  read64(address: bigint): bigint | undefined {
    return this.#load(address, 8)?.getBigUint64(0, true);
  }

  /** Writes the low 8 bits of `value` to `address`. */
  write8(address: bigint, value: number): boolean {
    return this.#store(address, 1, BigInt(value));
  }

  /** Writes the low 16 bits of `value` to `address`, a multiple of 2. */
  write16(address: bigint, value: number): boolean {
    return this.#store(address, 2, BigInt(value));
  }

  /** Writes the low 32 bits of `value` to `address`, a multiple of 4. */
  write32(address: bigint, value: number): boolean {
    return this.#store(address, 4, BigInt(value));
  }

  /** Writes `value` modulo 2^64 to `address`, a multiple of 8. */
  write64(address: bigint, value: bigint): boolean {
    return this.#store(address, 8, value);
  }

  #load(address: bigint, size: 1 | 2 | 4 | 8): DataView | undefined {
    requireAligned(address, size);
    const bytes = new Uint8Array(size);
    return this.read(address, bytes) ? new DataView(bytes.buffer) : undefined;
  }

  #store(address: bigint, size: 1 | 2 | 4 | 8, value: bigint): boolean {
    requireAligned(address, size);
    const view = new DataView(new ArrayBuffer(8));
    view.setBigUint64(0, value, true);
    return this.write(address, new Uint8Array(view.buffer, 0, size));
  }
}

/** From this many bytes on a call of `set` is faster than a loop, although it needs a view. */
const BULK = 48;

const copyBytes = (
  from: Uint8Array,
  start: number,
  to: Uint8Array,
  at: number,
  count: number,
): void => {
  if (count >= BULK) to.set(from.subarray(start, start + count), at);
  else for (let i = 0; i < count; i++) to[at + i] = from[start + i]!;
};

const requireAligned = (address: bigint, size: number): void => {
  if ((address & BigInt(size - 1)) !== 0n) {
    throw new RangeError(
      `0x${address.toString(16)} is not a multiple of ${size}: use read or write`,
    );
  }
};
