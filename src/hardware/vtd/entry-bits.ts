import { EXECUTE, READ, WRITE } from "../pci/dma-request.ts";
import { firstStageRights } from "./rights.ts";
import type { Target } from "./target.ts";

/** Bits of entries that walkers look at, in the low half (§9.7, §9.8). */
export const PRESENT: number = 1 << 0;
export const WRITABLE: number = 1 << 1;
export const USER: number = 1 << 2;
export const ACCESSED: number = 1 << 5;
export const DIRTY: number = 1 << 6;
export const EXTENDED_ACCESSED: number = 1 << 10;
export const SECOND_ACCESSED: number = 1 << 8;
export const SECOND_DIRTY: number = 1 << 9;
/** The entry above level 0 is a leaf; in both stages. */
export const PAGE_SIZE_BIT: number = 1 << 7;
/** XD is bit 63; among the rights that a walk gathers it takes a place of its own. */
export const EXECUTE_DISABLE: number = 1 << 3;

/** What an entry adds to `EXECUTE_DISABLE`: set once any entry has it. */
export const executeDisable = (entryHi: number): number => (entryHi < 0 ? EXECUTE_DISABLE : 0);

/**
 * What the IOTLB may keep of a first-stage translation.
 *
 * @param rights what all entries on the way permit
 * @param dirty the leaf is dirty, so that a write has nothing more to mark
 */
export const keptRights = (
  target: Target,
  rights: number,
  dirty: boolean,
  executable: boolean,
): number => {
  const common = READ | (executable ? EXECUTE : 0);
  const writable = (rights & WRITABLE) !== 0;
  const user = (rights & USER) === 0 ? 0 : common | (dirty && writable ? WRITE : 0);
  const supervisor = common | (dirty && (writable || !target.writeProtect) ? WRITE : 0);
  return firstStageRights(user, target.supervisorRequests ? supervisor : 0);
};
