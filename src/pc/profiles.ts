import { CAP, type Capabilities, createCapabilities, ECAP } from "../hardware/vtd/index.ts";

/** What a PC's unit has in every mode: 4 levels, 48 bits, large pages, page invalidation, draining. */
const COMMON_CAP = {
  ND: 6,
  SAGAW: 0b0110,
  MGAW: 47,
  ZLR: true,
  FRO: 0x22,
  SSLPS: 3,
  PSI: true,
  MAMV: 18,
  DWD: true,
  DRD: true,
} as const;

const COMMON_ECAP = { C: true, QI: true, PT: true, SC: true, IRO: 0xf } as const;

/** Coherent walks in scalable mode: without it Linux flushes caches. */
const SCALABLE = { ...COMMON_ECAP, SMTS: true, SMPWCS: true } as const;

/** What goes with requests that carry PASIDs. */
const PASIDS = { PASID: true, PSS: 19 } as const;

/** What goes with devices that translate and ask for pages themselves. */
const DEVICE_TRANSLATION = { DT: true, PRS: true, PDS: true } as const;

type CapValues = Parameters<typeof CAP.encode>[0];
type EcapValues = Parameters<typeof ECAP.encode>[0];

const unit = (ecap: EcapValues, cap: CapValues = {}): Capabilities =>
  createCapabilities({
    cap: CAP.encode({ ...COMMON_CAP, ...cap })[0]!,
    ecap: ECAP.encode(ecap)[0]!,
    hostAddressWidth: 48,
  });

/** The units that a PC is tried with, by what Linux makes of them. */
export const PC_UNITS = {
  /** Legacy mode. */
  legacy: unit(COMMON_ECAP),
  /** Scalable mode, with a first stage alone. */
  "scalable-fs": unit({ ...SCALABLE, ...PASIDS, FSTS: true }, { FS1GP: true }),
  /** Scalable mode, with a second stage alone. */
  "scalable-ss": unit({ ...SCALABLE, ...PASIDS, SSTS: true, SSADS: true }),
  /** Scalable mode with both stages, nesting, PASIDs, and devices that ask for pages. */
  nested: unit(
    {
      ...SCALABLE,
      ...PASIDS,
      ...DEVICE_TRANSLATION,
      FSTS: true,
      SSTS: true,
      SSADS: true,
      NEST: true,
    },
    { FS1GP: true },
  ),
} as const satisfies Record<string, Capabilities>;

/** A name in `PC_UNITS`. */
export type PcUnitName = keyof typeof PC_UNITS;

/** The same unit in caching mode: software must tell it of new mappings too, as a virtual one wants it. */
export const inCachingMode = (capabilities: Capabilities): Capabilities => {
  const { cap, ecap, hostAddressWidth } = capabilities;
  return createCapabilities({ cap: cap | CAP.fields.CM.mask, ecap, hostAddressWidth });
};
