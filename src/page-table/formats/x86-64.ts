import type { Layout } from "../../struct/layout.ts";
import { type PageTableFormat, PROT_READ, PROT_USER, PROT_WRITE } from "../format.ts";
import { X86_64_LEAF_ENTRIES, X86_64_TABLE_ENTRY } from "./x86-64-entry.ts";

const PRESENT = 0x1n;
const WRITABLE = 0x2n;
const USER = 0x4n;
const ACCESSED = 0x20n;
const DIRTY = 0x40n;
const PAGE_SIZE_BIT = 0x80n;

/**
 * The processor's format: VT-d first stage and AMD guest ("v2") tables.
 *
 * Accessed, and dirty where writes are allowed, are set when a leaf is made, so
 * that hardware has nothing to update; who wrote a page cannot be learnt from it.
 */
export const X86_64: PageTableFormat = Object.freeze({
  name: "x86-64",
  minLevels: 4,
  maxLevels: 5,
  maxInputLg2: 57,
  maxOutputLg2: 52,
  pageSizes: (1n << 12n) | (1n << 21n) | (1n << 30n),
  canForceSnoop: false,
  canSignExtend: true,
  canGrow: false,
  usedLo: 1,
  usedHi: 0,
  tableMask: 0x81,
  tableValue: 0x01,
  tableStep: 0,
  leafMask: Int32Array.of(0x01, 0x81, 0x81, -1, -1),
  leafValue: Int32Array.of(0x01, 0x81, 0x81, 0, 0),
  encodedSizeLo: 0,
  dirtyLo: 0,
  tableAttributes: () => PRESENT | WRITABLE | USER | ACCESSED,
  leafAttributes: (level: number, prot: number) =>
    PRESENT |
    USER |
    ACCESSED |
    (prot & PROT_WRITE ? WRITABLE | DIRTY : 0n) |
    (level > 0 ? PAGE_SIZE_BIT : 0n),
  permissions: (_hi: number, lo: number) =>
    (lo & 1 ? PROT_READ | (lo & 2 ? PROT_WRITE : 0) : 0) | (lo & 4 ? PROT_USER : 0),
  encodedSizeLg2: () => 0,
  encodedSizeFrames: () => 0,
  layoutOf: (level: number, leaf: boolean): Layout<string> =>
    leaf ? X86_64_LEAF_ENTRIES[level]! : X86_64_TABLE_ENTRY,
});
