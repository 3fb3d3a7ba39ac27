import { highHalf, lowHalf } from "../../bits/halves.ts";
import {
  SECOND_STAGE_LEAF_ENTRIES,
  SECOND_STAGE_TABLE_ENTRY,
} from "../../page-table/formats/vtd-second-stage-entry.ts";
import { X86_64_LEAF_ENTRIES, X86_64_TABLE_ENTRY } from "../../page-table/formats/x86-64-entry.ts";
import type { Layout } from "../../struct/layout.ts";
import { READ, WRITE } from "../pci/dma-request.ts";
import type { Capabilities } from "./capabilities.ts";
import { reservedBits } from "./deviations.ts";
import { EXECUTE_DISABLE, USER, WRITABLE } from "./entry-bits.ts";

/** Levels at which an entry may be a leaf: 0, 1 and 2. */
export const LEAF_LEVELS = 3;

/** Where an entry has its address: bits 51:12, in halves. */
export const ADDRESS_HI = 0x000f_ffff;
export const ADDRESS_LO: number = ~0xfff;

/** The reserved bits of a stage's entries, in halves. */
export interface EntryChecks {
  readonly tableHi: number;
  readonly tableLo: number;
  /** By level. */
  readonly leafHi: Int32Array;
  readonly leafLo: Int32Array;
  /** The permissions that entries take away, and the one bit that they add; as a walk gathers them. */
  readonly all: number;
  readonly disable: number;
}

const checksOf = (
  table: Layout<string>,
  leaves: readonly Layout<string>[],
  capabilities: Capabilities,
  gathered: Pick<EntryChecks, "all" | "disable">,
): EntryChecks => {
  const tableMask = reservedBits(table, capabilities, capabilities.deviations)[0]!;
  const leafMasks = leaves.map(
    (leaf) => reservedBits(leaf, capabilities, capabilities.deviations)[0]!,
  );
  return {
    tableHi: highHalf(tableMask),
    tableLo: lowHalf(tableMask),
    leafHi: Int32Array.from(leafMasks, highHalf),
    leafLo: Int32Array.from(leafMasks, lowHalf),
    ...gathered,
  };
};

/** What a unit with these capabilities refuses in first-stage entries. */
export const firstStageChecks = (capabilities: Capabilities): EntryChecks =>
  checksOf(X86_64_TABLE_ENTRY, X86_64_LEAF_ENTRIES, capabilities, {
    all: USER | WRITABLE,
    disable: EXECUTE_DISABLE,
  });

/** What a unit with these capabilities refuses in second-stage entries. */
export const secondStageChecks = (capabilities: Capabilities): EntryChecks =>
  checksOf(SECOND_STAGE_TABLE_ENTRY, SECOND_STAGE_LEAF_ENTRIES, capabilities, {
    all: READ | WRITE,
    disable: 0,
  });

/** The index of the entry for address `(hi, lo)` in a table of `level`, 512 entries a table. */
export const tableIndex = (level: number, hi: number, lo: number): number => {
  if (level < 2) return (lo >>> (12 + 9 * level)) & 511;
  return (level === 2 ? (hi << 2) | (lo >>> 30) : hi >>> (9 * level - 20)) & 511;
};

/** Whether the page at `(hi, lo)` is in FEE0_0000 to FEEF_FFFF, where interrupts go. */
export const inInterruptRange = (hi: number, lo: number): boolean =>
  hi === 0 && lo >>> 20 === 0xfee;

/** Whether the page of `level` around `(hi, lo)` has a part of that range. */
export const pageHoldsInterrupts = (hi: number, lo: number, level: number): boolean => {
  if (hi !== 0) return false;
  if (level === 0) return lo >>> 20 === 0xfee;
  return level === 1 ? lo >>> 21 === 0x7f7 : lo >>> 30 === 3;
};
