import { frameAddress } from "../../../bits/halves.ts";
import {
  CONTEXT_ENTRY,
  TT_DEVICE_TLB,
  TT_TRANSLATE,
} from "../../../hardware/vtd/spec/context-entry.ts";
import { PASID_ENTRY, PGTT_SECOND_STAGE } from "../../../hardware/vtd/spec/pasid-entry.ts";
import type { PageTable } from "../../../page-table/index.ts";
import type { IntelDevice } from "./intel-device.ts";
import type { IntelUnit } from "./intel-unit.ts";

const PAGE_4K = 1n << 12n;
const PAGE_2M = 1n << 21n;
const PAGE_1G = 1n << 30n;
/** Levels of the narrowest second stage that a unit can have. */
const FEWEST_LEVELS = 3;
const MOST_LEVELS = 5;

/** Whether a unit has a second stage of so many levels. */
export const hasSecondStageLevels = ({ registers }: IntelUnit, levels: number): boolean =>
  ((registers.capFields.SAGAW >> BigInt(levels - 2)) & 1n) === 1n;

/** The most levels that a unit's second stage can have; 0 without any. */
export const secondStageLevels = (unit: IntelUnit): number => {
  for (let levels = MOST_LEVELS; levels >= FEWEST_LEVELS; levels--) {
    if (hasSecondStageLevels(unit, levels)) return levels;
  }
  return 0;
};

/** The width code of entries that have no second stage of their own to take it from: the unit's widest. */
export const widestCode = (unit: IntelUnit): number => Math.max(1, secondStageLevels(unit) - 2);

/** Bits of the addresses that a unit's second stage translates. */
export const guestAddressWidth = ({ registers }: IntelUnit): number =>
  Number(registers.capFields.MGAW) + 1;

/** The page sizes of a unit's second stage, bit n for 2^n bytes. */
export const secondStageSizes = ({ registers }: IntelUnit): bigint => {
  const large = registers.capFields.SSLPS;
  return PAGE_4K | ((large & 1n) !== 0n ? PAGE_2M : 0n) | ((large & 2n) !== 0n ? PAGE_1G : 0n);
};

/** The page sizes of a unit's first stage. */
export const firstStageSizes = (unit: IntelUnit): bigint =>
  PAGE_4K | PAGE_2M | (unit.has("FS1GP") ? PAGE_1G : 0n);

/** Whether a unit can tell what has been written through its second stage. */
export const tracksDirty = (unit: IntelUnit): boolean =>
  unit.scalable && unit.has("SSTS") && unit.has("SSADS");

/** What an entry for a second stage says besides the table. */
export interface SecondStageState {
  readonly tracking: boolean;
  readonly coherent: boolean;
}

/** The fields of a PASID entry that are about the second stage. */
export const secondStageFields = (
  unit: IntelUnit,
  table: PageTable,
  { tracking, coherent }: SecondStageState,
) =>
  ({
    AW: table.levels - 2,
    SSPTPTR: frameAddress(table.rootPfn),
    SSADE: tracking,
    PWSNP: unit.has("SMPWCS"),
    PGSNP: coherent,
  }) as const;

/** The entry that has a device's requests translated by a second stage: context entry in legacy mode, else PASID entry. */
export const secondStageEntry = (
  device: IntelDevice,
  table: PageTable,
  DID: number,
  state: SecondStageState,
): readonly bigint[] => {
  if (device.unit.scalable) {
    const fields = secondStageFields(device.unit, table, state);
    return PASID_ENTRY.encode({ P: 1, PGTT: PGTT_SECOND_STAGE, DID, ...fields });
  }
  return CONTEXT_ENTRY.encode({
    P: 1,
    TT: device.ats ? TT_DEVICE_TLB : TT_TRANSLATE,
    SSPTPTR: frameAddress(table.rootPfn),
    AW: table.levels - 2,
    DID,
  });
};
