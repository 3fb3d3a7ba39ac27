import type { Layout } from "../../struct/layout.ts";
import { type EntryFlags, type PageTableFormat, PROT_READ, PROT_WRITE } from "../format.ts";
import { SECOND_STAGE_LEAF_ENTRIES, SECOND_STAGE_TABLE_ENTRY } from "./vtd-second-stage-entry.ts";

const READ = 0x1n;
const WRITE = 0x2n;
const PAGE_SIZE_BIT = 0x80n;
const SNOOP = 0x800n;

/**
 * VT-d's second stage. There is no present bit: software takes an entry for
 * empty only when all of it is 0, hardware when neither read nor write is set.
 */
export const VTD_SECOND_STAGE: PageTableFormat = Object.freeze({
  name: "vtd-second-stage",
  minLevels: 3,
  maxLevels: 5,
  maxInputLg2: 57,
  maxOutputLg2: 52,
  pageSizes: (1n << 12n) | (1n << 21n) | (1n << 30n),
  canForceSnoop: true,
  canSignExtend: false,
  canGrow: false,
  usedLo: -1,
  usedHi: -1,
  tableMask: 0x80,
  tableValue: 0,
  tableStep: 0,
  leafMask: Int32Array.of(0, 0x80, 0x80, -1, -1),
  leafValue: Int32Array.of(0, 0x80, 0x80, 0, 0),
  encodedSizeLo: 0,
  dirtyLo: 0x200,
  tableAttributes: () => READ | WRITE,
  leafAttributes: (level: number, prot: number, flags: EntryFlags) =>
    (prot & PROT_READ ? READ : 0n) |
    (prot & PROT_WRITE ? WRITE : 0n) |
    (level > 0 ? PAGE_SIZE_BIT : 0n) |
    (flags.forceSnoop ? SNOOP : 0n),
  permissions: (_hi: number, lo: number) => lo & (PROT_READ | PROT_WRITE),
  encodedSizeLg2: () => 0,
  encodedSizeFrames: () => 0,
  layoutOf: (level: number, leaf: boolean): Layout<string> =>
    leaf ? SECOND_STAGE_LEAF_ENTRIES[level]! : SECOND_STAGE_TABLE_ENTRY,
});
