import { fromHalves, highHalf, lowHalf } from "../bits/halves.ts";
import { hex } from "../bits/hex.ts";
import { CAP, ECAP } from "../hardware/vtd/spec/capability-registers.ts";
import { RTADDR, TTM_LEGACY, TTM_SCALABLE } from "../hardware/vtd/spec/root-table-address.ts";
import { CaptureError } from "./capture-error.ts";

/** Register space as it is read from the hardware: 32-bit words, unsigned, by byte offset. Words that are 0 are left out. */
export type RegisterWords = ReadonlyMap<number, number>;

/** Where a register is: byte offset and width in bytes. */
type RegisterRow = readonly [offset: number, bytes: 4 | 8];
type RegisterTable<Name extends string> = { readonly [N in Name]: RegisterRow };

/** VT-d registers that software can read (VT-d specification 11.4); write-only ones read as 0. */
export const VTD_REGISTERS = {
  ver: [0x00, 4],
  cap: [0x08, 8],
  ecap: [0x10, 8],
  gcmd: [0x18, 4],
  gsts: [0x1c, 4],
  rtaddr: [0x20, 8],
  ccmd: [0x28, 8],
  fsts: [0x34, 4],
  fectl: [0x38, 4],
  fedata: [0x3c, 4],
  feaddr: [0x40, 4],
  feuaddr: [0x44, 4],
  aflog: [0x58, 8],
  pmen: [0x64, 4],
  plmbase: [0x68, 4],
  plmlimit: [0x6c, 4],
  phmbase: [0x70, 8],
  phmlimit: [0x78, 8],
  iqh: [0x80, 8],
  iqt: [0x88, 8],
  iqa: [0x90, 8],
  ics: [0x9c, 4],
  iectl: [0xa0, 4],
  iedata: [0xa4, 4],
  ieaddr: [0xa8, 4],
  ieuaddr: [0xac, 4],
  iqercd: [0xb0, 8],
  irta: [0xb8, 8],
  pqh: [0xc0, 8],
  pqt: [0xc8, 8],
  pqa: [0xd0, 8],
  prs: [0xdc, 4],
  pectl: [0xe0, 4],
  pedata: [0xe4, 4],
  peaddr: [0xe8, 4],
  peuaddr: [0xec, 4],
} as const satisfies RegisterTable<string>;

/** AMD IOMMU registers that software can read (AMD I/O virtualization specification 3.4). */
export const AMD_REGISTERS = {
  dtb: [0x00, 8],
  cmdbase: [0x08, 8],
  evtbase: [0x10, 8],
  control: [0x18, 8],
  exclbase: [0x20, 8],
  excllim: [0x28, 8],
  efr: [0x30, 8],
  pprbase: [0x38, 8],
  cmdhead: [0x2000, 8],
  cmdtail: [0x2008, 8],
  evthead: [0x2010, 8],
  evttail: [0x2018, 8],
  status: [0x2020, 8],
} as const satisfies RegisterTable<string>;

/** The name of a VT-d register, in lower case. */
export type VtdRegisterName = keyof typeof VTD_REGISTERS;
/** The name of an AMD register, in lower case. */
export type AmdRegisterName = keyof typeof AMD_REGISTERS;

/** One fault recording register (VT-d specification 11.4.8). */
export interface FaultRecord {
  readonly lo: bigint;
  readonly hi: bigint;
}

/** Every VT-d register by name, and the words that they were taken from. */
export type VtdRegisters = { readonly [N in VtdRegisterName]: bigint } & {
  /** The fault records, as many as CAP says. */
  readonly frcd: readonly FaultRecord[];
  readonly words: RegisterWords;
};

/** Every AMD register by name, and the words that they were taken from. */
export type AmdRegisters = { readonly [N in AmdRegisterName]: bigint } & {
  readonly words: RegisterWords;
};

/** The register at `offset`, `bytes` wide. */
export const registerAt = (words: RegisterWords, offset: number, bytes: 4 | 8): bigint =>
  fromHalves(bytes === 8 ? (words.get(offset + 4) ?? 0) : 0, words.get(offset) ?? 0);

/** Puts `value` into the register at `offset`, `bytes` wide. */
export const setRegister = (
  words: Map<number, number>,
  offset: number,
  bytes: 4 | 8,
  value: bigint,
): void => {
  setWord(words, offset, lowHalf(value) >>> 0);
  if (bytes === 8) setWord(words, offset + 4, highHalf(value) >>> 0);
};

/** Zeros are left out, so that equal registers have equal words. */
const setWord = (words: Map<number, number>, offset: number, value: number): void => {
  if (value === 0) words.delete(offset);
  else words.set(offset, value);
};

const named = <Name extends string>(
  table: RegisterTable<Name>,
  words: RegisterWords,
): { [N in Name]: bigint } => {
  const rows = Object.entries<RegisterRow>(table);
  return Object.fromEntries(
    rows.map(([name, [offset, bytes]]) => [name, registerAt(words, offset, bytes)]),
  ) as { [N in Name]: bigint };
};

/** Where a unit with this CAP has its fault records, and how many; none where it does not say. */
export const faultRecordsOf = (
  cap: bigint,
): { readonly offset: number; readonly count: number } => {
  const { FRO, NFR } = CAP.decode([cap]);
  return { offset: Number(FRO) * 16, count: FRO === 0n ? 0 : Number(NFR) + 1 };
};

/** VT-d registers by name, out of register space. */
export const vtdRegisters = (words: RegisterWords): VtdRegisters => {
  const values = named<VtdRegisterName>(VTD_REGISTERS, words);
  const { offset, count } = faultRecordsOf(values.cap);
  const frcd = Array.from({ length: count }, (_, i) => ({
    lo: registerAt(words, offset + i * 16, 8),
    hi: registerAt(words, offset + i * 16 + 8, 8),
  }));
  return { ...values, frcd, words };
};

/** AMD registers by name, out of register space. */
export const amdRegisters = (words: RegisterWords): AmdRegisters => ({
  ...named<AmdRegisterName>(AMD_REGISTERS, words),
  words,
});

/** `registers` with some of them replaced. */
export const withVtdRegisters = (
  registers: VtdRegisters,
  changes: { readonly [N in VtdRegisterName]?: bigint },
): VtdRegisters => {
  const words = new Map(registers.words);
  for (const [name, value] of Object.entries<bigint>(changes)) {
    const [offset, bytes] = VTD_REGISTERS[name as VtdRegisterName];
    setRegister(words, offset, bytes, value);
  }
  return vtdRegisters(words);
};

/** CAP of a unit that can do everything about translation. */
const ASSUMED_CAP = {
  ND: 6,
  SAGAW: 0b01110,
  MGAW: 56,
  ZLR: 1,
  FRO: 0x22,
  SSLPS: 3,
  PSI: 1,
  MAMV: 18,
  FS1GP: 1,
  FS5LP: 1,
} as const;

/** ECAP of such a unit. */
const ASSUMED_ECAP = {
  C: 1,
  QI: 1,
  DT: 1,
  IR: 1,
  EIM: 1,
  PT: 1,
  SC: 1,
  IRO: 0xf,
  MHMV: 0xf,
  MTS: 1,
  NEST: 1,
  PRS: 1,
  SRS: 1,
  NWFS: 1,
  EAFS: 1,
  PSS: 19,
  PASID: 1,
  PDS: 1,
  SMTS: 1,
  SSADS: 1,
  SSTS: 1,
  FSTS: 1,
  SMPWCS: 1,
  RPS: 1,
  ADMS: 1,
  RPRIVS: 1,
} as const;

/** GSTS of a unit that translates: TES (31) and RTPS (30). */
const TRANSLATING = 0xc000_0000n;

/**
 * Registers for memory that comes without any: a unit that can do everything
 * and translates with the given root table. CAP and ECAP are assumptions: no
 * entry is taken to be reserved that some unit understands.
 *
 * @param rootTable physical address of the root table
 * @throws CaptureError when `rootTable` is not a multiple of 4096 below 2^52
 */
export const assumedVtdRegisters = (rootTable: bigint, scalable: boolean): VtdRegisters => {
  if (rootTable < 0n || rootTable >> 52n !== 0n || (rootTable & 0xfffn) !== 0n) {
    throw new CaptureError({
      file: "--root-table",
      expected: "a multiple of 4096 below 2^52",
      found: rootTable < 0n ? rootTable.toString() : hex(rootTable),
      hint: "give the address alone; --scalable chooses the mode",
    });
  }
  return withVtdRegisters(vtdRegisters(new Map()), {
    ver: 0x10n,
    cap: CAP.encode(ASSUMED_CAP)[0]!,
    ecap: ECAP.encode(ASSUMED_ECAP)[0]!,
    gsts: TRANSLATING,
    rtaddr: RTADDR.encode({ TTM: scalable ? TTM_SCALABLE : TTM_LEGACY, RTA: rootTable })[0]!,
  });
};
