import { defineLayout, type FieldDeclaration, type Layout } from "../../../struct/layout.ts";
import { CAP, ECAP } from "./capability-registers.ts";
import { RTADDR } from "./root-table-address.ts";

type Fields<Name extends string> = { readonly [N in Name]: FieldDeclaration };

const register = <Name extends string>(
  name: string,
  bytes: 4 | 8 | 16,
  section: string,
  fields: Fields<Name>,
): Layout<Name> => defineLayout({ name, bytes, section, fields });

const rw = (at: number, width: number, doc: string): FieldDeclaration => ({
  at,
  width,
  access: "rw",
  doc,
});
const ro = (at: number, width: number, doc: string): FieldDeclaration => ({
  at,
  width,
  access: "ro",
  doc,
});
const w1c = (at: number, doc: string): FieldDeclaration => ({ at, access: "w1c", doc });
const wo = (at: number, width: number, doc: string): FieldDeclaration => ({
  at,
  width,
  access: "wo",
  doc,
});
const page = (doc: string): FieldDeclaration => ({
  at: 12,
  width: 52,
  kind: "address",
  access: "rw",
  doc,
});

export const VER = register("VER", 4, "§11.4.1", {
  MINOR: ro(0, 4, "minor version"),
  MAJOR: ro(4, 4, "major version"),
});

/** Commands: level bits keep their state as long as they are written 1, one-shot bits act once. Reads 0. */
export const GCMD = register("GCMD", 4, "§11.4.4.1", {
  CFI: wo(23, 1, "compatibility-format interrupts, level"),
  SIRTP: wo(24, 1, "set the interrupt remapping table, one-shot"),
  IRE: wo(25, 1, "interrupt remapping, level"),
  QIE: wo(26, 1, "invalidation queue, level"),
  WBF: wo(27, 1, "flush write buffers, one-shot"),
  EAFL: wo(28, 1, "advanced fault logging, level"),
  SFL: wo(29, 1, "set the fault log, one-shot"),
  SRTP: wo(30, 1, "set the root table, one-shot"),
  TE: wo(31, 1, "translation, level"),
});

export const GSTS = register("GSTS", 4, "§11.4.4.2", {
  CFIS: ro(23, 1, "compatibility-format interrupts pass"),
  IRTPS: ro(24, 1, "the interrupt remapping table is set"),
  IRES: ro(25, 1, "interrupts are remapped"),
  QIES: ro(26, 1, "the invalidation queue is on"),
  WBFS: ro(27, 1, "write buffers are being flushed"),
  AFLS: ro(28, 1, "advanced fault logging is on"),
  FLS: ro(29, 1, "the fault log is set"),
  RTPS: ro(30, 1, "the root table is set"),
  TES: ro(31, 1, "translation is on"),
});

/** Context-cache invalidation by register. Writing ICC starts it. */
export const CCMD = register("CCMD", 8, "§11.4.6.1", {
  DID: rw(0, 16, "domain"),
  SID: wo(16, 16, "source"),
  FM: wo(32, 2, "function bits not compared"),
  CAIG: ro(59, 2, "granularity performed"),
  CIRG: rw(61, 2, "granularity asked for: 1 global, 2 domain, 3 device"),
  ICC: rw(63, 1, "invalidate; clears when done"),
});

export const FSTS = register("FSTS", 4, "§11.4.7.1", {
  PFO: w1c(0, "a fault was lost"),
  PPF: ro(1, 1, "a fault record is in use"),
  AFO: ro(2, 1, "advanced fault overflow"),
  APF: ro(3, 1, "advanced fault pending"),
  IQE: w1c(4, "the queue stopped at a bad descriptor"),
  ICE: w1c(5, "a device answered an invalidation wrongly"),
  ITE: w1c(6, "a device did not answer in time"),
  FRI: ro(8, 8, "first record in use"),
});

const eventControl = (name: string, section: string) =>
  register(name, 4, section, {
    IP: ro(30, 1, "the event waits for its mask to go"),
    IM: rw(31, 1, "the event is masked"),
  });
const eventData = (name: string, section: string) =>
  register(name, 4, section, {
    DATA: rw(0, 16, "message data"),
    EXTENDED: rw(16, 16, "message data, upper half"),
  });
const eventAddress = (name: string, section: string) =>
  register(name, 4, section, { MA: rw(2, 30, "message address") });
const eventUpper = (name: string, section: string) =>
  register(name, 4, section, {
    MUA: { at: 0, width: 32, access: "rw", needs: "EIM", doc: "message address, upper half" },
  });

export const FECTL = eventControl("FECTL", "§11.4.7.2");
export const FEDATA = eventData("FEDATA", "§11.4.7.3");
export const FEADDR = eventAddress("FEADDR", "§11.4.7.4");
export const FEUADDR = eventUpper("FEUADDR", "§11.4.7.5");

export const PMEN = register("PMEN", 4, "§11.4.8.1", {
  PRS: ro(0, 1, "protected regions are on"),
  EPM: rw(31, 1, "protected regions"),
});
export const PLMBASE = register("PLMBASE", 4, "§11.4.8.2", {
  BASE: rw(21, 11, "protected low region, 2 MiB granules"),
});
export const PLMLIMIT = register("PLMLIMIT", 4, "§11.4.8.3", {
  LIMIT: rw(21, 11, "its last granule"),
});
export const PHMBASE = register("PHMBASE", 8, "§11.4.8.4", {
  BASE: rw(21, 43, "protected high region, 2 MiB granules"),
});
export const PHMLIMIT = register("PHMLIMIT", 8, "§11.4.8.5", {
  LIMIT: rw(21, 43, "its last granule"),
});

export const IQH = register("IQH", 8, "§11.4.9.1", {
  QH: ro(4, 15, "offset of the next descriptor, 16-byte units"),
});
export const IQT = register("IQT", 8, "§11.4.9.2", {
  QT: rw(4, 15, "offset behind the last descriptor, 16-byte units"),
});
export const IQA = register("IQA", 8, "§11.4.9.3", {
  QS: rw(0, 3, "2^(QS+8) descriptors of 16 bytes"),
  DW: { at: 11, access: "rw", needs: "SMTS", doc: "descriptors have 32 bytes" },
  IQA: page("the queue"),
});
export const ICS = register("ICS", 4, "§11.4.9.4", {
  IWC: w1c(0, "a wait with an interrupt has completed"),
});
export const IECTL = eventControl("IECTL", "§11.4.9.5");
export const IEDATA = eventData("IEDATA", "§11.4.9.6");
export const IEADDR = eventAddress("IEADDR", "§11.4.9.7");
export const IEUADDR = eventUpper("IEUADDR", "§11.4.9.8");
/** Why the queue stopped. */
export const IQERCD = register("IQERCD", 8, "§11.4.9.9", {
  IQEI: ro(0, 4, "what was wrong with the descriptor"),
  ITESID: ro(32, 16, "who did not answer"),
  ICESID: ro(48, 16, "who answered wrongly"),
});

export const IRTA = register("IRTA", 8, "§11.4.10", {
  S: rw(0, 4, "2^(S+1) entries"),
  EIME: rw(11, 1, "destinations have 32 bits"),
  IRTA: page("the interrupt remapping table"),
});

export const PQH = register("PQH", 8, "§11.4.11.1", {
  PQH: rw(5, 14, "offset of the next request, 32-byte units"),
});
export const PQT = register("PQT", 8, "§11.4.11.2", {
  PQT: rw(5, 14, "offset behind the last request, 32-byte units"),
});
export const PQA = register("PQA", 8, "§11.4.11.3", {
  PQS: rw(0, 3, "2^(PQS+7) requests"),
  PQA: page("the page request queue"),
});
export const PRS = register("PRS", 4, "§11.4.11.4", {
  PPR: w1c(0, "page requests are pending"),
  PRO: w1c(1, "a page request found no room"),
});
export const PECTL = eventControl("PECTL", "§11.4.11.5");
export const PEDATA = eventData("PEDATA", "§11.4.11.6");
export const PEADDR = eventAddress("PEADDR", "§11.4.11.7");
export const PEUADDR = eventUpper("PEUADDR", "§11.4.11.8");

/** Invalidation address, at IRO*16. */
export const IVA = register("IVA", 8, "§11.4.6.2.2", {
  AM: wo(0, 6, "2^AM pages"),
  IH: wo(6, 1, "keep paging structures"),
  ADDR: { at: 12, width: 52, kind: "address", access: "wo", doc: "first page" },
});
/** IOTLB invalidation by register, at IRO*16 + 8. Writing IVT starts it. */
export const IOTLB = register("IOTLB", 8, "§11.4.6.2.1", {
  DID: rw(32, 16, "domain"),
  DW: rw(48, 1, "drain writes"),
  DR: rw(49, 1, "drain reads"),
  IAIG: ro(57, 2, "granularity performed"),
  IIRG: rw(60, 2, "granularity asked for: 1 global, 2 domain, 3 page"),
  IVT: rw(63, 1, "invalidate; clears when done"),
});

/** Fault record, at FRO*16 + 16n. */
export const FRCD = register("FRCD", 16, "§11.4.7.6", {
  FI: {
    at: 12,
    width: 52,
    kind: "address",
    access: "ro",
    doc: "page of the address, or the interrupt's index",
  },
  SID: ro(64, 16, "source"),
  T2: ro(92, 1, "with T1: 00 write, 10 read, 01 page request, 11 atomic"),
  PRIV: ro(93, 1, "privileged"),
  EXE: ro(94, 1, "execute"),
  PP: ro(95, 1, "with a PASID"),
  FR: ro(96, 8, "reason"),
  PV: ro(104, 20, "PASID"),
  AT: ro(124, 2, "address type"),
  T1: ro(126, 1, "see T2"),
  F: w1c(127, "the record is in use"),
});

/** The registers of the fault event. */
export const FAULT_EVENT = {
  control: FECTL,
  data: FEDATA,
  address: FEADDR,
  upper: FEUADDR,
} as const;
/** The registers of the completion event. */
export const COMPLETION_EVENT = {
  control: IECTL,
  data: IEDATA,
  address: IEADDR,
  upper: IEUADDR,
} as const;
/** The registers of the page request event. */
export const PAGE_REQUEST_EVENT = {
  control: PECTL,
  data: PEDATA,
  address: PEADDR,
  upper: PEUADDR,
} as const;

/** A register as one row: where it is, what it is, what it holds at reset. */
export interface RegisterRow {
  readonly layout: Layout<string>;
  readonly offset: number;
  /** Value at reset, low quadword first. */
  readonly reset: bigint;
  /** Capability without which the register reads 0 and ignores writes. */
  readonly needs?: string;
}

const row = (offset: number, layout: Layout<string>, reset = 0n, needs?: string): RegisterRow =>
  needs === undefined ? { layout, offset, reset } : { layout, offset, reset, needs };

/** What an event control register holds at reset: masked. */
const MASKED = 1n << 31n;

/** Every register of a unit with these values of CAP and ECAP, which say where some of them are. */
export const registerRows = (cap: bigint, ecap: bigint): readonly RegisterRow[] => {
  const { FRO, NFR } = CAP.decode([cap]);
  const iotlb = Number(ECAP.decode([ecap]).IRO) * 16;
  const records = Number(FRO) * 16;
  const recordCount = Number(NFR) + 1;
  return [
    row(0x00, VER, 0x10n),
    row(0x08, CAP, cap),
    row(0x10, ECAP, ecap),
    row(0x18, GCMD),
    row(0x1c, GSTS),
    row(0x20, RTADDR),
    row(0x28, CCMD),
    row(0x34, FSTS),
    row(0x38, FECTL, MASKED),
    row(0x3c, FEDATA),
    row(0x40, FEADDR),
    row(0x44, FEUADDR),
    row(0x64, PMEN, 0n, "protectedMemory"),
    row(0x68, PLMBASE, 0n, "PLMR"),
    row(0x6c, PLMLIMIT, 0n, "PLMR"),
    row(0x70, PHMBASE, 0n, "PHMR"),
    row(0x78, PHMLIMIT, 0n, "PHMR"),
    row(0x80, IQH, 0n, "QI"),
    row(0x88, IQT, 0n, "QI"),
    row(0x90, IQA, 0n, "QI"),
    row(0x9c, ICS, 0n, "QI"),
    row(0xa0, IECTL, MASKED, "QI"),
    row(0xa4, IEDATA, 0n, "QI"),
    row(0xa8, IEADDR, 0n, "QI"),
    row(0xac, IEUADDR, 0n, "QI"),
    row(0xb0, IQERCD, 0n, "QI"),
    row(0xb8, IRTA, 0n, "IR"),
    row(0xc0, PQH, 0n, "PRS"),
    row(0xc8, PQT, 0n, "PRS"),
    row(0xd0, PQA, 0n, "PRS"),
    row(0xdc, PRS, 0n, "PRS"),
    row(0xe0, PECTL, MASKED, "PRS"),
    row(0xe4, PEDATA, 0n, "PRS"),
    row(0xe8, PEADDR, 0n, "PRS"),
    row(0xec, PEUADDR, 0n, "PRS"),
    row(iotlb, IVA),
    row(iotlb + 8, IOTLB),
    ...Array.from({ length: recordCount }, (_, n) => row(records + 16 * n, FRCD)),
  ];
};
