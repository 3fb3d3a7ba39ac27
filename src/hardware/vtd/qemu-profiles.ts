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

/** QEMU 11.1 without `scalable-mode`. */
export const QEMU_11_1_LEGACY: Partial<Deviations> = {
  wholeDwordsOnly: true,
  eventControlAlone: true,
  readOnlyBits: { FEDATA: 0xffff_0000n },
  queueAddressLatched: true,
  queueEndsWithWait: true,
  scalableDescriptorsAnywhere: true,
  compatibleInterruptsPass: true,
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
  reasons: { 56: 0x08, 57: 0x01, 58: 0x0a, 64: 0x09, 65: 0x02, 66: 0x0b },
  legacySecondStageReasons: true,
  rootHalvesTogether: true,
  validityBeforePresence: true,
  pasidFpdNeedsValidity: true,
  notReserved: {
    ...SCALABLE_STRUCTURES,
    "second-stage 4K leaf": [SNOOP],
    "second-stage 2M leaf": [SNOOP],
    "second-stage 1G leaf": [SNOOP],
  },
  canonicalBySecondStageWidth: true,
  dirtyWithAccessedOnly: true,
  marksBeforeOutput: true,
};
