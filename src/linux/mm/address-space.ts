/**
 * A process's memory as the rest of the kernel uses it. `Mm` is the kernel's
 * own; another implementation may stand for memory that is somebody else's.
 */
export interface AddressSpace {
  /** Whether the process still lives. Nothing of one that is gone can be pinned any more. */
  readonly alive: boolean;
  /** Pages counted as locked, against the limit of the process. */
  lockedVm: number;
  /** Pages pinned, whoever accounts for them: `VmPin`. */
  pinnedVm: number;
  /** @returns whether all of `into` could be read */
  read(address: bigint, into: Uint8Array): boolean;
  /** @returns whether all of `from` could be written */
  write(address: bigint, from: Uint8Array): boolean;
  /**
   * Pins pages for hardware that will keep them: what is not there yet is made,
   * and what is shared with another process is made the process's own.
   *
   * @param page the address divided by 4096
   * @param write whether hardware will write; needs a mapping that may be written
   * @param pfns takes the page frames
   * @returns how many pages from the first are pinned; less than `count` where
   *   nothing is mapped, permission is lacking or memory has run out
   */
  pin(page: number, count: number, write: boolean, pfns: Float64Array): number;
}
