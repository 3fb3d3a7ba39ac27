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
  /** An 8-byte write that begins where no register is clears what is in its upper half, FSTS or ICS, and withdraws no event. */
  readonly statusHalfUnheard: boolean;
  /** Bits that software cannot write although the specification has them writable, by register. */
  readonly readOnlyBits: Readonly<Record<string, bigint>>;
  /** IQA reads the address of the queue in use, within the host's width, 0 before one is; its size and width as written. */
  readonly queueAddressLatched: boolean;
  /** The queue can be switched off only when it is empty and the last descriptor was a wait. */
  readonly queueEndsWithWait: boolean;
  /** GCMD.CFI does nothing; messages in compatibility format pass, in extended interrupt mode too. */
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
  /** IQERCD.IQEI stays 0: why the queue has stopped is not told. */
  readonly queueErrorsUnexplained: boolean;
  /** A context-cache invalidation by domain is done, and reported, as one of all. */
  readonly contextDomainAsGlobal: boolean;
  /** Device-TLB descriptors are taken without ECAP.DT, and do nothing. */
  readonly deviceTlbDescriptorsAnywhere: boolean;
  /** Clearing FSTS.IQE does not set the queue going again; writing IQT does. */
  readonly queueResumesByTailOnly: boolean;
  /** Bits that software can write although the specification has them reserved, by register; they do nothing. */
  readonly writableBits: Readonly<Record<string, bigint>>;
  /** The tail counts as it was written: one that is no multiple of 32 in a 256-bit queue is an error at once, on or off, and moves nothing. */
  readonly tailTakenWhenWritten: boolean;
  /** A wait whose status cannot be written stops the queue; its event is raised all the same. */
  readonly statusMustBeWritten: boolean;
  /** An invalidation of a whole PASID drops second-stage translations too, those of PASID 0. */
  readonly pasidInvalidatesSecondStage: boolean;
  /** Of RTADDR.TTM only its low bit counts, and not even that without scalable mode: there is no abort mode, and no wrong one. */
  readonly rootModeIsOneBit: boolean;
  /** The interrupt remapping table in use survives a reset. */
  readonly interruptTableSurvivesReset: boolean;
  /** The source of a message is not compared where it is ffff, which stands for one that nobody knows. */
  readonly unknownSourcePasses: boolean;
  /** IRTA.EIME counts without ECAP.EIM. */
  readonly extendedInterruptsAnywhere: boolean;
  /** A destination beyond 8 bits is cut without extended interrupt mode, not refused. */
  readonly interruptDestinationCut: boolean;
  /** SVT=3 is refused as a source that does not match. */
  readonly badValidationIsMismatch: boolean;
  /** SVT=2 takes the first bus from SID 7:0 and the last from SID 15:8. */
  readonly busRangeReversed: boolean;
  /** A message's upper data is looked at once the entry has been found good, and its fault recorded without an index. */
  readonly messageDataLast: boolean;
  /** Interrupt remapping entries are read anew for each message. */
  readonly interruptEntriesNotKept: boolean;
  /** The sum of handle and subhandle has 16 bits. */
  readonly interruptIndexWraps: boolean;
  /** The mask of an interrupt entry invalidation may be beyond ECAP.MHMV. */
  readonly interruptMaskUnchecked: boolean;
  /** FRCD.PP and PV of a request without a PASID that page tables have refused; 0 and 0 when absent. */
  readonly recordedWithoutPasid: { readonly pp: boolean; readonly pv: number } | undefined;
  /** IQA.DW reads 0, whatever was written. */
  readonly queueWidthHidden: boolean;
  /** Setting the root table and switching translation on or off drop everything cached. */
  readonly rootCommandsFlush: boolean;
  /** Addresses of the root and the interrupt remapping table are cut to the host's width. */
  readonly tableAddressesCut: boolean;
  /** Page group responses with a PASID are taken without ECAP.PRS and in queues of either width, and do nothing. */
  readonly pageResponsesAnywhere: boolean;
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
  statusHalfUnheard: false,
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
  queueErrorsUnexplained: false,
  contextDomainAsGlobal: false,
  deviceTlbDescriptorsAnywhere: false,
  queueResumesByTailOnly: false,
  writableBits: {},
  tailTakenWhenWritten: false,
  statusMustBeWritten: false,
  pasidInvalidatesSecondStage: false,
  rootModeIsOneBit: false,
  interruptTableSurvivesReset: false,
  unknownSourcePasses: false,
  extendedInterruptsAnywhere: false,
  interruptDestinationCut: false,
  badValidationIsMismatch: false,
  busRangeReversed: false,
  messageDataLast: false,
  interruptEntriesNotKept: false,
  interruptIndexWraps: false,
  interruptMaskUnchecked: false,
  recordedWithoutPasid: undefined,
  queueWidthHidden: false,
  rootCommandsFlush: false,
  tableAddressesCut: false,
  pageResponsesAnywhere: false,
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
