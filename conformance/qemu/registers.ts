/** Offsets in the register page, for the units that are compared: IRO is F, FRO 22, one fault record. */
export const AT = {
  VER: 0x00,
  CAP: 0x08,
  ECAP: 0x10,
  GCMD: 0x18,
  GSTS: 0x1c,
  RTADDR: 0x20,
  CCMD: 0x28,
  FSTS: 0x34,
  FECTL: 0x38,
  FEDATA: 0x3c,
  FEADDR: 0x40,
  FEUADDR: 0x44,
  IQH: 0x80,
  IQT: 0x88,
  IQA: 0x90,
  ICS: 0x9c,
  IECTL: 0xa0,
  IEDATA: 0xa4,
  IEADDR: 0xa8,
  IEUADDR: 0xac,
  IQERCD: 0xb0,
  IRTA: 0xb8,
  IVA: 0xf0,
  IOTLB: 0xf8,
  FRCD: 0x220,
} as const;

/** Bits of GCMD; the level bits are where GSTS has them too. */
export const TE: bigint = 1n << 31n;
export const SRTP: bigint = 1n << 30n;
export const QIE: bigint = 1n << 26n;
export const IRE: bigint = 1n << 25n;
export const SIRTP: bigint = 1n << 24n;

/** Register writes that leave the unit with the smallest interrupt remapping table, at 0. */
export const FORGET_INTERRUPT_TABLE = [
  { offset: AT.GCMD, width: 4, value: 0n },
  { offset: AT.IRTA, width: 8, value: 0n },
  { offset: AT.GCMD, width: 4, value: SIRTP },
] as const;
