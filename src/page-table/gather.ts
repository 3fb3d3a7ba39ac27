import { frameAddress } from "../bits/halves.ts";
import type { Range } from "../bits/range.ts";
import type { TablePages } from "./table-pages.ts";

/**
 * What has to be flushed from hardware before memory can be used again: the
 * range of input addresses whose entries changed, and the table pages taken
 * out of the tree, which hardware may still read. The caller flushes `range`,
 * and then, not before, calls `release`.
 */
export class Gather {
  readonly #pages: TablePages;
  readonly #tables: number[] = [];
  #startVfn = Number.POSITIVE_INFINITY;
  #endVfn = 0;

  /** @param pages where the tables came from */
  constructor(pages: TablePages) {
    this.#pages = pages;
  }

  /** The smallest range that holds every change; gaps between changes are in it. */
  get range(): Range | undefined {
    if (this.#startVfn >= this.#endVfn) return undefined;
    return { start: frameAddress(this.#startVfn), last: frameAddress(this.#endVfn) - 1n };
  }

  /** How many table pages wait for the flush. While some do, cached tables have to be flushed too, not leaves alone. */
  get tableCount(): number {
    return this.#tables.length;
  }

  /** Whether there is nothing to flush. */
  get isEmpty(): boolean {
    return this.#startVfn >= this.#endVfn && this.#tables.length === 0;
  }

  /** Adds `count` page frames from input frame `vfn`. */
  add(vfn: number, count: number): void {
    if (vfn < this.#startVfn) this.#startVfn = vfn;
    if (vfn + count > this.#endVfn) this.#endVfn = vfn + count;
  }

  /** Adds a table page that no entry points at any more. */
  addTable(pfn: number): void {
    this.#tables.push(pfn);
  }

  /** Gives the table pages back and forgets the range. Only after the flush has completed. */
  release(): void {
    for (let pfn = this.#tables.pop(); pfn !== undefined; pfn = this.#tables.pop()) {
      this.#pages.free(pfn);
    }
    this.#startVfn = Number.POSITIVE_INFINITY;
    this.#endVfn = 0;
  }
}
