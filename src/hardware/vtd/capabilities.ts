import type { ReservedBy } from "../../struct/layout.ts";
import { type Deviations, NO_DEVIATIONS } from "./deviations.ts";
import { CAP, ECAP } from "./spec/capability-registers.ts";

/** What a unit can do: its two capability registers decoded, and what they do not say. */
export interface Capabilities extends ReservedBy {
  /** CAP as software reads it. */
  readonly cap: bigint;
  /** ECAP as software reads it. */
  readonly ecap: bigint;
  /** Number of physical address bits. */
  readonly hostAddressWidth: number;
  /** Number of guest address bits, CAP.MGAW + 1. */
  readonly guestAddressWidth: number;
  /** Second-stage widths as in CAP.SAGAW: bit n stands for n + 2 levels. */
  readonly secondStageWidths: number;
  /** PASIDs the unit accepts: below 2^`pasidBits`. */
  readonly pasidBits: number;
  /** Fault records, CAP.NFR + 1. */
  readonly faultRecords: number;
  /** The largest address mask of a page invalidation, CAP.MAMV. */
  readonly largestAddressMask: number;
  /** The largest index mask of an interrupt entry invalidation, ECAP.MHMV. */
  readonly largestHandleMask: number;
  /** Erratum 772415: accessed and dirty updates of nested first-stage entries skip the second stage's write permission. */
  readonly erratum772415: boolean;
  /** Accessed and dirty flags are updated even where page walks are not snooped, as QEMU does. */
  readonly unsnoopedUpdates: boolean;
  /** What it does otherwise than the specification. */
  readonly deviations: Deviations;
  /** Whether a one-bit field of CAP or ECAP, or a feature that one of them announces, is there. */
  has(capability: string): boolean;
}

/** What makes up a unit's capabilities. */
export interface CapabilityOptions {
  readonly cap: bigint;
  readonly ecap: bigint;
  /** Physical address bits; that of the guest address when absent, for the registers do not say. */
  readonly hostAddressWidth?: number;
  readonly erratum772415?: boolean;
  readonly unsnoopedUpdates?: boolean;
  readonly deviations?: Partial<Deviations>;
}

/** Features that are part of a wider field, or that page-table formats name in their own words. */
const features = (
  cap: ReturnType<typeof CAP.decode>,
  ecap: ReturnType<typeof ECAP.decode>,
): Readonly<Record<string, boolean>> => ({
  snoopControl: ecap.SC === 1n,
  firstStage1G: cap.FS1GP === 1n,
  secondStage2M: (cap.SSLPS & 1n) !== 0n,
  secondStage1G: (cap.SSLPS & 2n) !== 0n,
  protectedMemory: cap.PLMR === 1n || cap.PHMR === 1n,
});

/** Decodes a unit's capability registers. */
export const createCapabilities = (options: CapabilityOptions): Capabilities => {
  const cap = CAP.decode([options.cap]);
  const ecap = ECAP.decode([options.ecap]);
  const flags: Readonly<Record<string, boolean>> = {
    ...Object.fromEntries(Object.entries(cap).map(([name, value]) => [name, value === 1n])),
    ...Object.fromEntries(Object.entries(ecap).map(([name, value]) => [name, value === 1n])),
    ...features(cap, ecap),
  };
  const guestAddressWidth = Number(cap.MGAW) + 1;
  return Object.freeze({
    cap: options.cap,
    ecap: options.ecap,
    guestAddressWidth,
    hostAddressWidth: options.hostAddressWidth ?? guestAddressWidth,
    secondStageWidths: Number(cap.SAGAW),
    faultRecords: Number(cap.NFR) + 1,
    largestAddressMask: Number(cap.MAMV),
    largestHandleMask: Number(ecap.MHMV),
    pasidBits: ecap.PASID === 1n ? Number(ecap.PSS) + 1 : 20,
    erratum772415: options.erratum772415 ?? false,
    unsnoopedUpdates: options.unsnoopedUpdates ?? false,
    deviations: Object.freeze({ ...NO_DEVIATIONS, ...options.deviations }),
    has: (capability: string) => flags[capability] ?? false,
  });
};
