import { WORDS_LG2 } from "../../memory/bank.ts";
import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import type { TablePages } from "../../page-table/table-pages.ts";
import type { FallibleResource, FaultInjector } from "../fault-injector.ts";
import { Buddy } from "./buddy.ts";

/** Frames whose counts lie in one array, as a log2. */
const CHUNK_LG2 = 13;
const CHUNK = 1 << CHUNK_LG2;

/** How many frames are in use, and why. */
export interface FrameCounts {
  readonly free: number;
  readonly used: number;
  /** Frames with at least one pin. */
  readonly pinned: number;
  /** All pins together. */
  readonly pins: number;
}

/**
 * The page frames of the machine's RAM. A frame is in use while it has a
 * reference (a process maps it, a file has it cached, a table lies in it) or a
 * pin (hardware may reach it); it is free, and somebody else's next, when the
 * last of both has gone. A pin therefore keeps a frame through unmap, exit and
 * truncation.
 */
export class Frames implements TablePages {
  readonly memory: PhysicalMemory;
  readonly #faults: FaultInjector;
  readonly #buddy = new Buddy();
  /** References and pins, two numbers for each frame. */
  readonly #counts = new Map<number, Int32Array>();
  readonly #total: number;
  #pinned = 0;
  #pins = 0;

  /** @param ranges where RAM is, in bytes, both multiples of 4096 */
  constructor(
    memory: PhysicalMemory,
    ranges: readonly { readonly base: bigint; readonly length: bigint }[],
    faults: FaultInjector,
  ) {
    this.memory = memory;
    this.#faults = faults;
    for (const { base, length } of ranges) {
      this.#buddy.addRange(Number(base >> 12n), Number(length >> 12n));
    }
    this.#total = this.#buddy.count;
  }

  get counts(): FrameCounts {
    const free = this.#buddy.count;
    return { free, used: this.#total - free, pinned: this.#pinned, pins: this.#pins };
  }

  /** A frame of zeros for a table, with one reference; `undefined` when there is none. */
  allocate(): number | undefined {
    return this.allocateBlock(0, "table");
  }

  /** Drops the reference that `allocate` gave. */
  free(pfn: number): void {
    this.put(pfn);
  }

  /**
   * Frames of zeros that lie side by side, each with one reference.
   *
   * @param order log2 of how many; the first is a multiple of it
   * @returns the first, or `undefined` when there are not so many together
   */
  allocateBlock(order = 0, kind: FallibleResource = "frame"): number | undefined {
    if (this.#faults.shouldFail(kind)) return undefined;
    const pfn = this.#buddy.take(order);
    if (pfn === undefined) return undefined;
    for (let i = 0; i < 2 ** order; i++) {
      this.#clear(pfn + i);
      this.#countsOf(pfn + i)[this.#slot(pfn + i)] = 1;
    }
    return pfn;
  }

  /** Adds a reference. */
  get(pfn: number): void {
    this.#countsOf(pfn)[this.#slot(pfn)]! += 1;
  }

  /** Drops a reference. @throws Error when there is none: a bug of ours */
  put(pfn: number): void {
    const counts = this.#countsOf(pfn);
    const at = this.#slot(pfn);
    if (counts[at]! <= 0) throw new Error(`frame 0x${pfn.toString(16)} has no reference to drop`);
    counts[at]! -= 1;
    if (counts[at] === 0 && counts[at + 1] === 0) this.#buddy.giveBack(pfn);
  }

  /** References of a frame. */
  references(pfn: number): number {
    return this.#countsOf(pfn)[this.#slot(pfn)]!;
  }

  /** Pins a frame that is in use; `false` when the machine refuses. */
  pin(pfn: number): boolean {
    if (this.#faults.shouldFail("pin")) return false;
    const counts = this.#countsOf(pfn);
    const at = this.#slot(pfn) + 1;
    counts[at]! += 1;
    if (counts[at] === 1) this.#pinned += 1;
    this.#pins += 1;
    return true;
  }

  /** Drops a pin. @throws Error when there is none: a bug of ours */
  unpin(pfn: number): void {
    const counts = this.#countsOf(pfn);
    const at = this.#slot(pfn);
    if (counts[at + 1]! <= 0) throw new Error(`frame 0x${pfn.toString(16)} is not pinned`);
    counts[at + 1]! -= 1;
    this.#pins -= 1;
    if (counts[at + 1] !== 0) return;
    this.#pinned -= 1;
    if (counts[at] === 0) this.#buddy.giveBack(pfn);
  }

  /** Pins of a frame. */
  pins(pfn: number): number {
    return this.#countsOf(pfn)[this.#slot(pfn) + 1]!;
  }

  /** Copies a whole frame. */
  copy(from: number, to: number): void {
    const bytes = new Uint8Array(4096);
    this.memory.copyInFrame(from, 0, bytes, 0, 4096, false);
    this.memory.copyInFrame(to, 0, bytes, 0, 4096, true);
  }

  #countsOf(pfn: number): Int32Array {
    const chunk = Math.floor(pfn / CHUNK);
    let counts = this.#counts.get(chunk);
    if (counts === undefined) {
      counts = new Int32Array(CHUNK * 2);
      this.#counts.set(chunk, counts);
    }
    return counts;
  }

  #slot(pfn: number): number {
    return (pfn % CHUNK) * 2;
  }

  /** Makes a frame read as zeros. One that was never written does so by itself, and stays free of cost. */
  #clear(pfn: number): void {
    const bank = this.memory.bankOf(pfn);
    const at = (pfn - bank.firstPfn) << WORDS_LG2;
    const end = at + (1 << WORDS_LG2);
    if (bank.frames === 1 && bank.words.subarray(at, end).every((word) => word === 0)) return;
    this.memory.bankToWrite(pfn).words.fill(0, at, end);
    this.memory.wrote(pfn, 0, 4096);
  }
}
