import type { Layout, ReservedBy } from "../../struct/layout.ts";

/**
 * What an implementation does otherwise than the specification. Each field is
 * one fact; all of them `false`, or empty, is the specification.
 */
export interface Deviations {
  /** Registers answer accesses of 4 and 8 bytes at multiples of their width; others read 0 and write nothing. */
  readonly wholeDwordsOnly: boolean;
  /** The event control registers take the low half of an 8-byte write; the data register behind them gets nothing. */
  readonly eventControlAlone: boolean;
  /** Bits that software cannot write although the specification has them writable, by register. */
  readonly readOnlyBits: Readonly<Record<string, bigint>>;
  /** IQA reads the address of the queue in use, 0 before one is; its size and width as written. */
  readonly queueAddressLatched: boolean;
  /** The queue can be switched off only when it is empty and the last descriptor was a wait. */
  readonly queueEndsWithWait: boolean;
  /** GCMD.CFI does nothing; messages in compatibility format pass. */
  readonly compatibleInterruptsPass: boolean;
  /** A fault event that waits for its mask is withdrawn by writing FSTS only, not by freeing the last record. */
  readonly faultEventKept: boolean;
  /** Pass-through passes addresses beyond the host width. */
  readonly passThroughUnlimited: boolean;
  /** Reasons that FPD does not silence although they are qualified. */
  readonly alwaysRecorded: readonly number[];
  /** Both stages check at each level the permission, then reserved bits. */
  readonly permissionBeforeReserved: boolean;
  /** A request that a cached translation does not permit is refused without a record, whatever the tables say by now. */
  readonly cachedRefusalSilent: boolean;
  /** A leaf whose page reaches into the interrupt range is refused, wherever in it the request goes. */
  readonly interruptRangeByLeaf: boolean;
  /** Reasons recorded in place of others, by code. */
  readonly reasons: Readonly<Record<number, number>>;
  /** A second stage in scalable mode is recorded with the reasons of legacy mode, but for 87. */
  readonly legacySecondStageReasons: boolean;
  /** Reserved bits that are not looked at, by structure and quadword. */
  readonly notReserved: Readonly<Record<string, readonly bigint[]>>;
  /** A PASID entry is checked for its type before P. */
  readonly validityBeforePresence: boolean;
  /** Descriptors of scalable mode are taken in legacy mode too. */
  readonly scalableDescriptorsAnywhere: boolean;
  /** FPD of a PASID directory entry or a PASID entry counts only once the PASID entry is found to be valid. */
  readonly pasidFpdNeedsValidity: boolean;
  /** Reserved bits are looked at in both halves of a scalable root entry. */
  readonly rootHalvesTogether: boolean;
  /** A first-stage leaf is marked dirty only by a write that marks it accessed too, and is not looked at again for it. */
  readonly dirtyWithAccessedOnly: boolean;
  /** First-stage addresses must be canonical for the width in the PASID entry's AW. */
  readonly canonicalBySecondStageWidth: boolean;
  /** The first stage marks a leaf before it looks where the output is. */
  readonly marksBeforeOutput: boolean;
}

/** The specification's unit. */
export const NO_DEVIATIONS: Deviations = Object.freeze({
  wholeDwordsOnly: false,
  eventControlAlone: false,
  readOnlyBits: {},
  queueAddressLatched: false,
  queueEndsWithWait: false,
  compatibleInterruptsPass: false,
  faultEventKept: false,
  passThroughUnlimited: false,
  alwaysRecorded: [],
  permissionBeforeReserved: false,
  cachedRefusalSilent: false,
  interruptRangeByLeaf: false,
  reasons: {},
  legacySecondStageReasons: false,
  notReserved: {},
  validityBeforePresence: false,
  scalableDescriptorsAnywhere: false,
  pasidFpdNeedsValidity: false,
  rootHalvesTogether: false,
  dirtyWithAccessedOnly: false,
  canonicalBySecondStageWidth: false,
  marksBeforeOutput: false,
});

/** The bits of `layout` that the unit refuses, by quadword. */
export const reservedBits = (
  layout: Layout<string>,
  by: ReservedBy,
  { notReserved }: Deviations,
): bigint[] => {
  const spared = notReserved[layout.name] ?? [];
  return layout.reservedMask(by).map((mask, i) => mask & ~(spared[i] ?? 0n));
};
