import {
  createBufferMemory,
  createSparseMemory,
  type PhysicalMemory,
} from "../src/memory/index.ts";
import type { TablePages } from "../src/page-table/index.ts";

/** The kinds of memory that are measured: one buffer that somebody else holds, and frames made when written. */
export const MEMORY_KINDS = ["buffer", "sparse"] as const;
export type MemoryKind = (typeof MEMORY_KINDS)[number];

/** Odd, so that every frame of a power of two comes up; a kernel's tables lie all over its memory too. */
const STRIDE = 509;

/** Physical memory and the frames of it that tables take. */
export class TableMemory implements TablePages {
  readonly memory: PhysicalMemory;
  readonly #frames: number;
  readonly #freed: number[] = [];
  #given = 0;

  /** @param frames a power of two */
  constructor(kind: MemoryKind, frames: number) {
    const length = BigInt(frames) << 12n;
    this.#frames = frames;
    if (kind === "sparse") {
      this.memory = createSparseMemory([{ base: 0n, length }]);
    } else {
      const bytes = new Uint8Array(frames * 4096);
      this.memory = createBufferMemory({ base: 0n, length, view: () => bytes });
    }
  }

  allocate(): number {
    const freed = this.#freed.pop();
    if (freed !== undefined) return freed;
    this.#given += 1;
    return (this.#given * STRIDE) % this.#frames;
  }

  free(pfn: number): void {
    this.#freed.push(pfn);
  }
}
