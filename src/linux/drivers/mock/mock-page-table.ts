import { trailingZeros } from "../../../bits/log2.ts";
import { MOCK_IO_PAGE_SIZE } from "../../uapi/index.ts";

/** An address as a whole number of granules, the smallest page. */
const GRANULE_LG2 = BigInt(trailingZeros(MOCK_IO_PAGE_SIZE));
/** Entries of a table, as a log2: from here on a page is one entry of the next level. */
const TABLE_LG2 = 9;

/** A page that has been mapped. Granules are addresses divided by 2 KiB. */
interface Leaf {
  readonly granule: number;
  /** log2 of its granules. */
  readonly lg2: number;
  readonly output: number;
  dirty: boolean;
}

/** How many entries of one table make up a page. */
const entriesOf = (lg2: number): number => 2 ** (lg2 % TABLE_LG2);

/**
 * The mock IOMMU's page table: no format in memory, but the page sizes of one
 * with 512 entries a table and 2 KiB as its smallest page.
 */
export class MockPageTable {
  /** By every granule of a page. */
  readonly #leaves = new Map<number, Leaf>();
  readonly #sizes: bigint;

  /** @param sizes bit n for pages of 2^n bytes */
  constructor(sizes: bigint) {
    this.#sizes = sizes;
  }

  get isEmpty(): boolean {
    return this.#leaves.size === 0;
  }

  /** Bytes that are mapped. */
  get mappedBytes(): bigint {
    return BigInt(this.#leaves.size) << GRANULE_LG2;
  }

  /** @returns `false`, with nothing changed, when something is mapped there or no page size fits */
  map(iova: bigint, pa: bigint, length: bigint): boolean {
    const first = Number(iova >> GRANULE_LG2);
    const end = first + Number(length >> GRANULE_LG2);
    const output = Number(pa >> GRANULE_LG2);
    for (let granule = first; granule < end; granule++) {
      if (this.#leaves.has(granule)) return false;
    }
    for (let granule = first; granule < end; ) {
      const lg2 = this.#pageLg2(granule, output + granule - first, end - granule);
      if (lg2 < 0) {
        this.unmap(iova, BigInt(granule - first) << GRANULE_LG2);
        return false;
      }
      const leaf = { granule, lg2, output: output + granule - first, dirty: false };
      for (let i = 0; i < 2 ** lg2; i++) this.#leaves.set(granule + i, leaf);
      granule += 2 ** lg2;
    }
    return true;
  }

  /** log2 of the granules of the largest page that both addresses and the rest allow; -1 without one. */
  #pageLg2(granule: number, output: number, rest: number): number {
    let found = -1;
    for (let lg2 = 0; 2 ** lg2 <= rest; lg2++) {
      if (granule % 2 ** lg2 !== 0 || output % 2 ** lg2 !== 0) break;
      if ((this.#sizes >> (GRANULE_LG2 + BigInt(lg2))) & 1n) found = lg2;
    }
    return found;
  }

  /** Unmaps whole pages. @returns the bytes that were mapped, more than asked for where the range ends in a page */
  unmap(iova: bigint, length: bigint): bigint {
    const first = Number(iova >> GRANULE_LG2);
    const end = first + Number(length >> GRANULE_LG2);
    let at = first;
    while (at < end) {
      const leaf = this.#leaves.get(at);
      if (leaf === undefined || leaf.granule !== at) break;
      for (let i = 0; i < 2 ** leaf.lg2; i++) this.#leaves.delete(at + i);
      at += 2 ** leaf.lg2;
    }
    return BigInt(at - first) << GRANULE_LG2;
  }

  iovaToPhys(iova: bigint): bigint | undefined {
    const granule = Number(iova >> GRANULE_LG2);
    const leaf = this.#leaves.get(granule);
    if (leaf === undefined) return undefined;
    const page = BigInt(leaf.output + granule - leaf.granule) << GRANULE_LG2;
    return page | (iova & (MOCK_IO_PAGE_SIZE - 1n));
  }

  /** Marks the page at an address as written. @returns whether there is one */
  setDirty(iova: bigint): boolean {
    const leaf = this.#leaves.get(Number(iova >> GRANULE_LG2));
    if (leaf !== undefined) leaf.dirty = true;
    return leaf !== undefined;
  }

  /**
   * Visits what has been written. A page of several entries is reported one
   * entry short, as the kernel's own tests expect of it.
   */
  readAndClear(
    iova: bigint,
    length: bigint,
    clear: boolean,
    visit: ((iova: bigint, length: bigint) => void) | undefined,
  ): void {
    const first = Number(iova >> GRANULE_LG2);
    const end = first + Number(length >> GRANULE_LG2);
    for (let at = first; at < end; ) {
      const leaf = this.#leaves.get(at);
      if (leaf === undefined) {
        at += 1;
        continue;
      }
      const entries = entriesOf(leaf.lg2);
      const reported = entries === 1 ? 2 ** leaf.lg2 : (2 ** leaf.lg2 / entries) * (entries - 1);
      if (leaf.dirty) {
        visit?.(BigInt(leaf.granule) << GRANULE_LG2, BigInt(reported) << GRANULE_LG2);
      }
      if (clear) leaf.dirty = false;
      at = leaf.granule + 2 ** leaf.lg2;
    }
  }
}
