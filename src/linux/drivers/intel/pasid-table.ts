import { frameAddress } from "../../../bits/halves.ts";
import { PASID_DIRECTORY_ENTRY } from "../../../hardware/vtd/spec/pasid-entry.ts";
import { fail, type Outcome, ok } from "../../errno.ts";
import type { Frames } from "../../mm/frames.ts";
import { writeEntry } from "./table-entry.ts";

const ENTRY_BYTES = 64;
/** Entries of one table, as a log2: what one directory entry stands for. */
const TABLE_LG2 = 6;
/** Directory entries in a page, as a log2. No directory is smaller, since it takes a page anyway. */
const DIRECTORY_PAGE_LG2 = 9;
/** PDTS counts from 2^7 entries on. */
const SIZE_CODE_BASE = 7;

/** The PASID directory of a requester and the tables below it, in memory. Tables stay once they have been made. */
export class PasidTable {
  /** SCALABLE_CONTEXT_ENTRY.PDTS: the directory has 2^(PDTS+7) entries. */
  readonly sizeCode: number;
  readonly address: bigint;
  readonly #frames: Frames;
  /** log2 of the directory's pages. */
  readonly #order: number;
  /** Tables by directory index. */
  readonly #tables = new Map<number, number>();

  private constructor(frames: Frames, pfn: number, sizeCode: number, order: number) {
    this.#frames = frames;
    this.address = frameAddress(pfn);
    this.sizeCode = sizeCode;
    this.#order = order;
  }

  /** @param pasidLg2 it has room for 2^`pasidLg2` PASIDs, or more. @returns ENOMEM */
  static create(frames: Frames, pasidLg2: number): Outcome<PasidTable> {
    const directoryLg2 = Math.max(DIRECTORY_PAGE_LG2, pasidLg2 - TABLE_LG2);
    const sizeCode = directoryLg2 - SIZE_CODE_BASE;
    const order = directoryLg2 - DIRECTORY_PAGE_LG2;
    const pfn = frames.allocateBlock(order, "table");
    return pfn === undefined ? fail("ENOMEM") : ok(new PasidTable(frames, pfn, sizeCode, order));
  }

  /** Address of a PASID's entry, whose table is made if need be. @returns ENOMEM */
  entryAddress(pasid: number): Outcome<bigint> {
    const index = pasid >>> TABLE_LG2;
    let pfn = this.#tables.get(index);
    if (pfn === undefined) {
      pfn = this.#frames.allocate();
      if (pfn === undefined) return fail("ENOMEM");
      this.#tables.set(index, pfn);
      const entry = PASID_DIRECTORY_ENTRY.encode({ P: 1, SMPTBLPTR: frameAddress(pfn) })[0]!;
      this.#frames.memory.write64(this.address + BigInt(index * 8), entry);
    }
    const at = (pasid & ((1 << TABLE_LG2) - 1)) * ENTRY_BYTES;
    return ok(frameAddress(pfn) + BigInt(at));
  }

  write(address: bigint, words: readonly bigint[]): void {
    writeEntry(this.#frames.memory, address, words);
  }

  /** Gives all tables back. No hardware may read them any more. */
  free(): void {
    for (const pfn of this.#tables.values()) this.#frames.free(pfn);
    const first = Number(this.address >> 12n);
    for (let i = 0; i < 2 ** this.#order; i++) this.#frames.free(first + i);
  }
}
