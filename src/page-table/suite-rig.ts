import { expect } from "vitest";
import type { PhysicalMemory } from "../memory/index.ts";
import { createSparseMemory } from "../memory/index.ts";
import {
  createPageTable,
  Gather,
  type PageTable,
  type PageTableOptions,
  protText,
  type TableLeaf,
  type TablePages,
} from "./index.ts";

/** Frames for tables, high in the 52-bit space, which count what is out and can be made to run out. */
export class CountedPages implements TablePages {
  readonly out: Set<number> = new Set();
  /** How many more may be had. */
  left: number = Number.POSITIVE_INFINITY;
  #next: number;
  readonly #memory: PhysicalMemory;

  constructor(memory: PhysicalMemory, firstPfn = 0xab_cd00_0000) {
    this.#memory = memory;
    this.#next = firstPfn;
  }

  allocate(): number | undefined {
    if (this.left <= 0) return undefined;
    this.left -= 1;
    const pfn = this.#next;
    this.#next += 3;
    // A frame comes with what its last owner left in it.
    this.#memory.write(BigInt(pfn) << 12n, new Uint8Array(4096).fill(0xff));
    this.out.add(pfn);
    return pfn;
  }

  free(pfn: number): void {
    if (!this.out.delete(pfn)) throw new Error(`frame 0x${pfn.toString(16)} is freed twice`);
    this.#memory.write(BigInt(pfn) << 12n, new Uint8Array(4096).fill(0xff));
  }
}

/** A table, and what the tests of it need. */
export interface Rig {
  readonly options: PageTableOptions;
  readonly table: PageTable;
  readonly memory: PhysicalMemory;
  readonly pages: CountedPages;
  readonly gather: Gather;
}

/** A new table in new memory. */
export const createRig = (
  shape: Omit<PageTableOptions, "memory" | "pages">,
  memory: PhysicalMemory = createSparseMemory(),
  firstPfn?: number,
): Rig => {
  const pages = new CountedPages(memory, firstPfn);
  const options = { ...shape, memory, pages };
  const made = createPageTable(options);
  if (!made.ok) throw new Error(`no page table: ${made.errno}`);
  return { options, table: made.table, memory, pages, gather: new Gather(pages) };
};

/** A leaf as the tests compare it. */
export const leafLine = ({ iova, pa, size, prot }: TableLeaf): string =>
  `${iova.toString(16)} ${pa.toString(16)} ${size.toString(16)} ${protText(prot & 3)}`;

/** All leaves of a table, a line each. */
export const leafLines = (table: PageTable): readonly string[] =>
  Array.from(table.leaves(), leafLine);

/** Unmaps all that a table maps, releases and frees it, and sees that no frame is out. */
export const expectNoLeak = ({ table, pages, gather }: Rig): void => {
  gather.release();
  table.free();
  expect([...pages.out]).toEqual([]);
};
