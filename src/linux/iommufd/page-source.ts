import type { AddressSpace } from "../mm/address-space.ts";
import type { Frames } from "../mm/frames.ts";
import type { Process } from "../mm/process.ts";
import type { SharedFile } from "../mm/shared-file.ts";

/** Pages pinned in one call of the memory they come from. */
const BATCH = 512;

/** Where an area's pages come from. */
export interface PageSource {
  /** Whether the pages are a file's, and thus nobody's in particular. */
  readonly isFile: boolean;
  /** The address of page 0, which alignment is chosen by; 0 for a file's first page. */
  readonly start: bigint;
  /**
   * Pins `count` pages from page `index`.
   *
   * @param visit called with each pinned page's frame, in order
   * @returns `undefined` when all are pinned; those that were visited stay pinned on failure
   */
  pin(
    index: number,
    count: number,
    write: boolean,
    visit: (frame: number) => void,
  ): "EFAULT" | "EINVAL" | undefined;
  /** Gives up what the source holds of process or file. */
  release(): void;
}

/** Memory of the process that called; of that one even after a fork. */
export class UserPages implements PageSource {
  readonly #mm: AddressSpace;
  readonly #first: number;

  constructor(mm: AddressSpace, address: bigint) {
    this.#mm = mm;
    this.#first = Number(address >> 12n);
  }

  get isFile(): boolean {
    return false;
  }

  get start(): bigint {
    return BigInt(this.#first) << 12n;
  }

  pin(
    index: number,
    count: number,
    write: boolean,
    visit: (frame: number) => void,
  ): "EFAULT" | undefined {
    const frames = new Float64Array(Math.min(BATCH, count));
    for (let done = 0; done < count; ) {
      const wanted = Math.min(BATCH, count - done);
      const pinned = this.#mm.pin(this.#first + index + done, wanted, write, frames);
      for (let i = 0; i < pinned; i++) visit(frames[i]!);
      if (pinned < wanted) return "EFAULT";
      done += pinned;
    }
    return undefined;
  }

  release(): void {}
}

/** Pages of a file, from byte `start` on; holds the file open. */
export class FilePages implements PageSource {
  readonly #file: SharedFile;
  readonly #first: number;
  readonly #frames: Frames;

  constructor(file: SharedFile, start: bigint, frames: Frames) {
    this.#file = file.get();
    this.#first = Number(start >> 12n);
    this.#frames = frames;
  }

  get isFile(): boolean {
    return true;
  }

  get start(): bigint {
    return BigInt(this.#first) << 12n;
  }

  pin(
    index: number,
    count: number,
    _write: boolean,
    visit: (frame: number) => void,
  ): "EINVAL" | undefined {
    for (let i = 0; i < count; i++) {
      const frame = this.#file.page(this.#first + index + i);
      if (!frame.ok || !this.#frames.pin(frame.value)) return "EINVAL";
      visit(frame.value);
    }
    return undefined;
  }

  release(): void {
    this.#file.put();
  }
}

/** Who pays for pinned pages: nobody, the user, or the process's memory. */
export type AccountingMode = "none" | "user" | "mm";

/** Whose limits a pin is counted against: that of the process which asked for the mapping. */
export class PinAccount {
  readonly process: Process;
  readonly mode: AccountingMode;

  constructor(process: Process, mode: AccountingMode) {
    this.process = process;
    this.mode = mode;
  }

  /** @returns whether `pages` more are within the limit; counts them if so */
  charge(pages: number): boolean {
    const { process, mode } = this;
    const limit = Number(process.memlock >> 12n);
    if (mode === "user") {
      if (process.user.lockedVm + pages > limit) return false;
      process.user.lockedVm += pages;
    } else if (mode === "mm") {
      if (process.mm.lockedVm + pages > limit) return false;
      process.mm.lockedVm += pages;
    }
    process.mm.pinnedVm += pages;
    return true;
  }

  /** Takes `pages` off again. */
  uncharge(pages: number): void {
    const { process, mode } = this;
    if (mode === "user") process.user.lockedVm -= pages;
    else if (mode === "mm") process.mm.lockedVm -= pages;
    process.mm.pinnedVm -= pages;
  }
}
