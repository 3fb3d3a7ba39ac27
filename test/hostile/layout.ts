/** Where the hostile guest has its things. Nothing keeps it from putting one onto another. */
export const AT = {
  /** 16 pages, the largest queue that it uses on purpose. */
  queue: 0x0_0000,
  requests: 0x1_0000,
  status: 0x2_0000,
  root: 0x2_1000,
  contexts: 0x2_2000,
  upperContexts: 0x2_3000,
  directory: 0x2_4000,
  pasids: 0x2_5000,
  legacyRoot: 0x2_6000,
  legacyContexts: 0x2_7000,
  /** Four tables one after another, the top one first; the same of `first`. */
  second: 0x2_8000,
  first: 0x2_c000,
  interrupts: 0x3_0000,
  data: 0x4_0000,
} as const;

/** An address without memory. */
export const NOWHERE = 0x2000_0000;

/** Pages that tables map one by one, from I/O virtual address 0 on. */
export const MAPPED_PAGES = 32;

/** PASIDs and what their entries are. */
export const PASIDS = { firstStage: 5, nested: 6, passThrough: 7 } as const;

/** Domains of the second stage, of the first, of the nested one. */
export const DOMAINS = [1, 2, 3] as const;

/** Offsets of the unit's registers that software of any kind names by itself. */
export const REGISTER = {
  GCMD: 0x18,
  GSTS: 0x1c,
  RTADDR: 0x20,
  CCMD: 0x28,
  FSTS: 0x34,
  FECTL: 0x38,
  FEDATA: 0x3c,
  FEADDR: 0x40,
  PMEN: 0x64,
  PLMBASE: 0x68,
  PLMLIMIT: 0x6c,
  PHMBASE: 0x70,
  PHMLIMIT: 0x78,
  IQH: 0x80,
  IQT: 0x88,
  IQA: 0x90,
  ICS: 0x9c,
  IECTL: 0xa0,
  IEDATA: 0xa4,
  IEADDR: 0xa8,
  IQERCD: 0xb0,
  IRTA: 0xb8,
  PQH: 0xc0,
  PQT: 0xc8,
  PQA: 0xd0,
  PRS: 0xdc,
  PECTL: 0xe0,
  PEDATA: 0xe4,
  PEADDR: 0xe8,
} as const;

export const TE = 1n << 31n;
export const SRTP = 1n << 30n;
export const QIE = 1n << 26n;
export const IRE = 1n << 25n;
export const SIRTP = 1n << 24n;
export const CFI = 1n << 23n;
