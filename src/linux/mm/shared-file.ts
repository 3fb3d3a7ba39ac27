import { fail, type Outcome, ok } from "../errno.ts";
import { File } from "./file.ts";
import type { Frames } from "./frames.ts";

/**
 * A file whose pages are memory: memfd, shmem, hugetlbfs. Pages come into being
 * when they are first used, and belong to the file until it is cut off or gone;
 * who pins one keeps the frame beyond that.
 */
export class SharedFile extends File {
  /** log2 of the pages of which the file is made: 0, or 9 and 18 for hugetlbfs. */
  readonly hugeLg2: number;
  readonly #frames: Frames;
  readonly #pages = new Map<number, number>();
  #size: bigint;

  /** @param size in bytes */
  constructor(frames: Frames, size: bigint, hugeLg2 = 0) {
    super();
    this.#frames = frames;
    this.#size = size;
    this.hugeLg2 = hugeLg2;
  }

  /** In bytes. */
  get size(): bigint {
    return this.#size;
  }

  /** Changes the size; pages beyond the new end leave the file. */
  truncate(size: bigint): void {
    this.#size = size;
    const end = Number((size + 4095n) >> 12n);
    for (const [index, pfn] of this.#pages) {
      if (index < end) continue;
      this.#pages.delete(index);
      this.#frames.put(pfn);
    }
  }

  /**
   * The frame of page `index`, made if need be.
   *
   * @returns EFAULT beyond the end of the file, ENOMEM
   */
  page(index: number): Outcome<number> {
    if (index < 0 || BigInt(index) << 12n >= this.#size) return fail("EFAULT");
    const known = this.#pages.get(index);
    if (known !== undefined) return ok(known);
    const first = index - (index % 2 ** this.hugeLg2);
    const block = this.#frames.allocateBlock(this.hugeLg2);
    if (block === undefined) return fail("ENOMEM");
    for (let i = 0; i < 2 ** this.hugeLg2; i++) this.#pages.set(first + i, block + i);
    return ok(block + index - first);
  }

  /** Whether page `index` is there already. */
  has(index: number): boolean {
    return this.#pages.has(index);
  }

  protected override release(): void {
    this.truncate(0n);
  }
}
