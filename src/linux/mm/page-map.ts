/** Pages of one table, as a log2. */
const TABLE_LG2 = 9;
const TABLE_PAGES = 1 << TABLE_LG2;

/** A page that is not there. */
export const ABSENT = -1;

/**
 * Which frame each page of an address space is in, for pages that are the
 * process's own: anonymous ones, and private copies of a file's. A page is
 * exclusive when no other process has the same frame.
 */
export class PageMap {
  /** By table: for each page `frame * 2 + exclusive + 1`, 0 when absent. */
  readonly #tables = new Map<number, Float64Array>();

  #entry(page: number): number {
    return this.#tables.get(Math.floor(page / TABLE_PAGES))?.[page % TABLE_PAGES] ?? 0;
  }

  /** The frame, or `ABSENT`. */
  frame(page: number): number {
    const entry = this.#entry(page);
    return entry === 0 ? ABSENT : Math.floor((entry - 1) / 2);
  }

  isExclusive(page: number): boolean {
    const entry = this.#entry(page);
    return entry !== 0 && (entry - 1) % 2 === 1;
  }

  set(page: number, frame: number, exclusive: boolean): void {
    const index = Math.floor(page / TABLE_PAGES);
    let table = this.#tables.get(index);
    if (table === undefined) {
      table = new Float64Array(TABLE_PAGES);
      this.#tables.set(index, table);
    }
    table[page % TABLE_PAGES] = frame * 2 + (exclusive ? 1 : 0) + 1;
  }

  /** Forgets the pages from `startPage` to before `endPage`, after `visit` has seen each that was there. */
  clear(startPage: number, endPage: number, visit: (frame: number) => void): void {
    for (const [index, table] of this.#tables) {
      const base = index * TABLE_PAGES;
      if (base >= endPage || base + TABLE_PAGES <= startPage) continue;
      const from = Math.max(startPage, base);
      const to = Math.min(endPage, base + TABLE_PAGES);
      for (let page = from; page < to; page++) {
        const frame = this.frame(page);
        if (frame !== ABSENT) visit(frame);
      }
      if (from === base && to === base + TABLE_PAGES) this.#tables.delete(index);
      else table.fill(0, from - base, to - base);
    }
  }

  /** Calls `visit` with each page that is there. */
  forEach(visit: (page: number, frame: number) => void): void {
    for (const [index, table] of this.#tables) {
      for (let i = 0; i < TABLE_PAGES; i++) {
        if (table[i] !== 0) visit(index * TABLE_PAGES + i, Math.floor((table[i]! - 1) / 2));
      }
    }
  }
}
