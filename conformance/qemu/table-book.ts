import { ARENA_BASE, ARENA_SIZE } from "./machine-map.ts";
import type { Step } from "./step.ts";

/** An entry of some table: where it is and how many quadwords it has. */
export interface BookEntry {
  readonly what: EntryKind;
  readonly address: bigint;
  readonly quadwords: number;
  /** Of a page-table entry, from 0, the leaf's. */
  readonly level?: number;
}

export type EntryKind = "root" | "context" | "directory" | "pasid" | "table" | "leaf" | "interrupt";

const FRAME = 4096n;
const FRAMES = ARENA_SIZE / 4096;
/** The last frames of the arena hold data; tables come from the others. */
export const DATA_FRAMES = 12;
const ADDRESS = 0xf_ffff_ffff_f000n;

/** The frame in the arena with number `n`. */
export const frameAt = (n: number): bigint => BigInt(ARENA_BASE) + BigInt(n) * FRAME;

/** The data frame with number `n`. */
export const dataFrame = (n: number): bigint => frameAt(FRAMES - DATA_FRAMES + (n % DATA_FRAMES));

/** Tables as they are being written, before any machine has them. */
export class TableBook {
  readonly entries: BookEntry[] = [];
  readonly #words = new Map<bigint, bigint>();
  #next = 0;

  /** A frame that nothing uses yet. */
  frame(): bigint {
    if (this.#next >= FRAMES - DATA_FRAMES) throw new RangeError("the arena has no frame left");
    return frameAt(this.#next++);
  }

  /** Whether `count` more frames are there. */
  hasRoom(count: number): boolean {
    return this.#next + count <= FRAMES - DATA_FRAMES;
  }

  get(address: bigint): bigint {
    return this.#words.get(address) ?? 0n;
  }

  set(address: bigint, word: bigint): void {
    this.#words.set(address, BigInt.asUintN(64, word));
  }

  /** Writes an entry and remembers it. */
  put(entry: BookEntry, words: readonly bigint[]): void {
    words.forEach((word, i) => {
      this.set(entry.address + BigInt(8 * i), word);
    });
    if (!this.entries.some(({ address }) => address === entry.address)) this.entries.push(entry);
  }

  /**
   * Writes the entries that lead to the page of `iova`, making the tables there are not.
   *
   * @param root the top table
   * @param levels of all tables
   * @param leaf the leaf's word; `leafLevel` says where
   * @param tableBits flags of the table entries made
   * @returns the leaf's address; `undefined` when a leaf is in the way or the arena is full
   */
  map(
    root: bigint,
    levels: number,
    iova: bigint,
    leaf: bigint,
    leafLevel: number,
    tableBits: bigint,
  ): bigint | undefined {
    if (!this.hasRoom(levels)) return undefined;
    let table = root;
    for (let level = levels - 1; ; level--) {
      const address = table + ((iova >> BigInt(12 + 9 * level)) & 0x1ffn) * 8n;
      const present = this.get(address);
      if (level === leafLevel) {
        if (present !== 0n) return undefined;
        this.put({ what: "leaf", address, quadwords: 1, level }, [leaf]);
        return address;
      }
      if (present !== 0n && this.entries.some((e) => e.address === address && e.what === "leaf")) {
        return undefined;
      }
      if (present === 0n) {
        this.put({ what: "table", address, quadwords: 1, level }, [this.frame() | tableBits]);
      }
      table = this.get(address) & ADDRESS;
    }
  }

  /** What software has to write for one entry. */
  storeOf({ address, quadwords }: BookEntry): Step {
    const words = Array.from({ length: quadwords }, (_, i) => this.get(address + BigInt(8 * i)));
    return { kind: "store", address, words };
  }

  /** What software has to write for all of it, one step for each run of words. */
  stores(): Step[] {
    const addresses = [...this.#words.keys()].sort((a, b) => (a < b ? -1 : 1));
    const steps: { kind: "store"; address: bigint; words: bigint[] }[] = [];
    for (const address of addresses) {
      const last = steps.at(-1);
      const word = this.#words.get(address)!;
      if (last !== undefined && last.address + BigInt(8 * last.words.length) === address) {
        last.words.push(word);
      } else {
        steps.push({ kind: "store", address, words: [word] });
      }
    }
    return steps;
  }
}
