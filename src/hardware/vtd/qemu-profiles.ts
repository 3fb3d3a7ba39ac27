import type { Deviations } from "./deviations.ts";

const ALL = 0xffff_ffff_ffff_ffffn;
/** Bit 11 of a leaf, the snoop bit. */
const SNOOP = 0x800n;

/** Reserved bits that QEMU 11.1 takes in the structures of scalable mode. */
const SCALABLE_STRUCTURES = {
  // DTE, PASIDE, PRE; RID_PASID and RID_PRIV
  "scalable context entry": [0x1cn, 0x1f_ffffn],
  "PASID directory entry": [ALL],
  "PASID entry": [ALL, ALL, ALL, ALL, ALL, ALL, ALL, ALL],
} as const;

/** The entry's IM, which would ask for a posted interrupt. */
const INTERRUPT_ENTRIES = { "interrupt remapping entry": [0x8000n] } as const;

/** QEMU 11.1 without `scalable-mode`. */
export const QEMU_11_1_LEGACY: Partial<Deviations> = {
  wholeDwordsOnly: true,
  eventControlAlone: true,
  statusHalfUnheard: true,
  readOnlyBits: { FEDATA: 0xffff_0000n },
  queueAddressLatched: true,
  queueEndsWithWait: true,
  scalableDescriptorsAnywhere: true,
  queueErrorsUnexplained: true,
  contextDomainAsGlobal: true,
  queueResumesByTailOnly: true,
  tailTakenWhenWritten: true,
  statusMustBeWritten: true,
  writableBits: { IQA: 0x800n },
  deviceTlbDescriptorsAnywhere: true,
  pageResponsesAnywhere: true,
  compatibleInterruptsPass: true,
  rootModeIsOneBit: true,
  rootCommandsFlush: true,
  tableAddressesCut: true,
  interruptTableSurvivesReset: true,
  unknownSourcePasses: true,
  extendedInterruptsAnywhere: true,
  interruptDestinationCut: true,
  badValidationIsMismatch: true,
  busRangeReversed: true,
  messageDataLast: true,
  interruptEntriesNotKept: true,
  interruptIndexWraps: true,
  interruptMaskUnchecked: true,
  notReserved: INTERRUPT_ENTRIES,
  faultEventKept: true,
  alwaysRecorded: [0x0b],
  permissionBeforeReserved: true,
  interruptRangeByLeaf: true,
  passThroughUnlimited: true,
  cachedRefusalSilent: true,
};

/** QEMU 11.1 with `scalable-mode=on`, with or without `fsts=on`. */
export const QEMU_11_1_SCALABLE: Partial<Deviations> = {
  ...QEMU_11_1_LEGACY,
  reasons: { 56: 0x08, 57: 0x01, 58: 0x0a, 64: 0x09, 65: 0x02, 66: 0x0b, 67: 0x03 },
  legacySecondStageReasons: true,
  rootHalvesTogether: true,
  validityBeforePresence: true,
  pasidFpdNeedsValidity: true,
  notReserved: {
    ...INTERRUPT_ENTRIES,
    ...SCALABLE_STRUCTURES,
    "second-stage 4K leaf": [SNOOP],
    "second-stage 2M leaf": [SNOOP],
    "second-stage 1G leaf": [SNOOP],
  },
  canonicalBySecondStageWidth: true,
  dirtyWithAccessedOnly: true,
  marksBeforeOutput: true,
  pasidInvalidatesSecondStage: true,
};

/** QEMU 7.2 without `x-scalable-mode`. */
const QEMU_7_2_LEGACY: Partial<Deviations> = {
  ...QEMU_11_1_LEGACY,
  pageResponsesAnywhere: false,
  recordedWithoutPasid: { pp: false, pv: 0xffff },
  queueWidthHidden: true,
};

/** QEMU 7.2 with `x-scalable-mode=on`: every fault of the PASID structures is 58. */
const QEMU_7_2_SCALABLE: Partial<Deviations> = {
  ...QEMU_11_1_SCALABLE,
  reasons: {
    ...QEMU_11_1_SCALABLE.reasons,
    80: 0x58,
    81: 0x58,
    82: 0x58,
    89: 0x58,
    90: 0x58,
    91: 0x58,
  },
  recordedWithoutPasid: { pp: true, pv: 0 },
  pasidInvalidatesSecondStage: false,
  queueWidthHidden: true,
};

/** What a version of QEMU does otherwise than the specification, without and with scalable mode. */
export interface QemuProfile {
  readonly name: string;
  /** The versions it stands for, as QEMU writes them. */
  readonly versions: RegExp;
  readonly legacy: Partial<Deviations>;
  readonly scalable: Partial<Deviations>;
}

/** Every version that is known. */
export const QEMU_PROFILES: readonly QemuProfile[] = [
  {
    name: "QEMU 7.2",
    versions: /^7\./,
    legacy: QEMU_7_2_LEGACY,
    scalable: QEMU_7_2_SCALABLE,
  },
  {
    name: "QEMU 11.1",
    versions: /^(10|11)\./,
    legacy: QEMU_11_1_LEGACY,
    scalable: QEMU_11_1_SCALABLE,
  },
];

/** The profile of a version; `undefined` for one that nothing is known about. */
export const qemuProfile = (version: string): QemuProfile | undefined =>
  QEMU_PROFILES.find(({ versions }) => versions.test(version));
