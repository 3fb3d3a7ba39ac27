import { frameAddress } from "../../../bits/halves.ts";
import { CONTEXT_ENTRY, SCALABLE_CONTEXT_ENTRY } from "../../../hardware/vtd/spec/context-entry.ts";
import { ROOT_ENTRY, SCALABLE_ROOT_HALF } from "../../../hardware/vtd/spec/root-entry.ts";
import { fail, type Outcome, ok } from "../../errno.ts";
import type { Frames } from "../../mm/frames.ts";
import { writeEntry } from "./table-entry.ts";

/** The root table of a unit and the context tables below it, in memory. Tables stay once they have been made. */
export class RootTable {
  readonly scalable: boolean;
  readonly address: bigint;
  readonly #frames: Frames;
  /** Context tables by their place in the root table. */
  readonly #tables = new Map<bigint, number>();

  private constructor(frames: Frames, pfn: number, scalable: boolean) {
    this.#frames = frames;
    this.scalable = scalable;
    this.address = frameAddress(pfn);
  }

  /** An empty table: it blocks every request. @returns ENOMEM */
  static create(frames: Frames, scalable: boolean): Outcome<RootTable> {
    const pfn = frames.allocate();
    return pfn === undefined ? fail("ENOMEM") : ok(new RootTable(frames, pfn, scalable));
  }

  /** Where a root entry, or the half of one, is that leads to a requester. */
  #rootAt(source: number): bigint {
    const bus = this.address + BigInt((source >>> 8) * 16);
    return this.scalable ? bus + BigInt(((source >>> 7) & 1) * 8) : bus;
  }

  /** Address of a requester's context entry, whose table is made if need be. @returns ENOMEM */
  entryAddress(source: number): Outcome<bigint> {
    const root = this.#rootAt(source);
    let pfn = this.#tables.get(root);
    if (pfn === undefined) {
      pfn = this.#frames.allocate();
      if (pfn === undefined) return fail("ENOMEM");
      this.#tables.set(root, pfn);
      const layout = this.scalable ? SCALABLE_ROOT_HALF : ROOT_ENTRY;
      this.#frames.memory.write64(root, layout.encode({ P: 1, CTP: frameAddress(pfn) })[0]!);
    }
    const { bytes } = this.scalable ? SCALABLE_CONTEXT_ENTRY : CONTEXT_ENTRY;
    const index = source & (this.scalable ? 0x7f : 0xff);
    return ok(frameAddress(pfn) + BigInt(index * bytes));
  }

  /** Writes a requester's context entry; its table is there. */
  write(address: bigint, words: readonly bigint[]): void {
    writeEntry(this.#frames.memory, address, words);
  }

  /** Makes every request blocked for which hardware reads the table. */
  blockAll(): void {
    this.#frames.memory.write(this.address, new Uint8Array(4096));
  }

  /** Gives all tables back. No hardware may read them any more. */
  free(): void {
    for (const pfn of this.#tables.values()) this.#frames.free(pfn);
    this.#frames.free(Number(this.address >> 12n));
  }
}
