import type { SharedFile } from "./shared-file.ts";

/** A mapping may be read, written, executed: bits as `mmap(2)` has them. */
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const PROT_EXEC = 4;

/** Part of a process's address space that is of one kind: the kernel's VMA. Pages are addresses divided by 4096. */
export interface Mapping {
  readonly startPage: number;
  readonly endPage: number;
  readonly prot: number;
  /** Writes are seen by everybody who maps the same, and by a child. */
  readonly shared: boolean;
  /** What is mapped; absent for anonymous memory. */
  readonly file?: SharedFile;
  /** The file's page at `startPage`. */
  readonly filePage: number;
  /** Registers of a device: can be used by the processor, never pinned. */
  readonly device: boolean;
  /** log2 of the pages that come and are copied together. */
  readonly hugeLg2: number;
}

/** The part of `mapping` between two pages, which lie in it. */
export const cutMapping = (mapping: Mapping, startPage: number, endPage: number): Mapping => ({
  ...mapping,
  startPage,
  endPage,
  filePage: mapping.filePage + (startPage - mapping.startPage),
});

/** The mappings of one address space, by address, none over another. */
export class MappingList {
  #mappings: Mapping[] = [];

  get all(): readonly Mapping[] {
    return this.#mappings;
  }

  /** The index of the first mapping that ends behind `page`. */
  #lowerBound(page: number): number {
    let low = 0;
    let high = this.#mappings.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#mappings[middle]!.endPage <= page) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The mapping that `page` is in. */
  at(page: number): Mapping | undefined {
    const mapping = this.#mappings[this.#lowerBound(page)];
    return mapping !== undefined && mapping.startPage <= page ? mapping : undefined;
  }

  /** Adds a mapping where there is none. */
  add(mapping: Mapping): void {
    this.#mappings.splice(this.#lowerBound(mapping.startPage), 0, mapping);
  }

  /**
   * Takes everything between two pages out, cutting what lies across an end.
   * Each mapping holds its file once: parts that stay take references of their
   * own, and those of what is returned are the caller's.
   */
  remove(startPage: number, endPage: number): readonly Mapping[] {
    const first = this.#lowerBound(startPage);
    const removed: Mapping[] = [];
    const kept: Mapping[] = [];
    let end = first;
    for (; end < this.#mappings.length; end++) {
      const mapping = this.#mappings[end]!;
      if (mapping.startPage >= endPage) break;
      const from = Math.max(mapping.startPage, startPage);
      const to = Math.min(mapping.endPage, endPage);
      removed.push(cutMapping(mapping, from, to));
      if (mapping.startPage < from) kept.push(cutMapping(mapping, mapping.startPage, from));
      if (to < mapping.endPage) kept.push(cutMapping(mapping, to, mapping.endPage));
    }
    for (const { file } of kept) file?.get();
    this.#mappings.splice(first, end - first, ...kept);
    return removed;
  }

  /** The first hole of `count` pages from `from` on, at a multiple of 2^`alignLg2`. */
  hole(from: number, count: number, alignLg2: number): number {
    const align = 2 ** alignLg2;
    let at = Math.ceil(from / align) * align;
    for (const { startPage, endPage } of this.#mappings) {
      if (endPage <= at) continue;
      if (startPage >= at + count) break;
      at = Math.ceil(endPage / align) * align;
    }
    return at;
  }
}
