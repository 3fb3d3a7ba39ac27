import { type Capabilities, createCapabilities } from "./capabilities.ts";
import { CAP, ECAP } from "./spec/capability-registers.ts";

/** QEMU 7.2 `intel-iommu` as it comes: legacy mode, 39 bits. */
export const QEMU_7_2: Capabilities = createCapabilities({
  cap: 0x00d2_008c_2226_0206n,
  ecap: 0x0000_0000_00f0_0f4an,
  unsnoopedUpdates: true,
});

/** QEMU 11.1 with `scalable-mode=on`: second stage only, 48 bits. */
export const QEMU_11_1_SECOND_STAGE: Capabilities = createCapabilities({
  cap: 0x80d2_008c_222f_0606n,
  ecap: 0x0000_4800_80f0_0f4an,
  unsnoopedUpdates: true,
});

/** QEMU 11.1 with `scalable-mode=on,fsts=on`: first stage only, 48 bits. */
export const QEMU_11_1_FIRST_STAGE: Capabilities = createCapabilities({
  cap: 0x81d2_008c_222f_0606n,
  ecap: 0x0000_8800_00f0_0f4an,
  unsnoopedUpdates: true,
});

const SERVER_CAP = {
  ND: 6,
  SAGAW: 0b01100,
  MGAW: 56,
  ZLR: true,
  FRO: 0x22,
  SSLPS: 3,
  PSI: true,
  MAMV: 18,
  DWD: true,
  DRD: true,
  FS1GP: true,
  FS5LP: true,
  ESRTPS: true,
  ESIRTPS: true,
} as const;

const SERVER_ECAP = {
  C: true,
  QI: true,
  DT: true,
  IR: true,
  EIM: true,
  PT: true,
  SC: true,
  IRO: 0xf,
  MHMV: 15,
  NEST: true,
  PRS: true,
  SRS: true,
  NWFS: true,
  EAFS: true,
  PSS: 19,
  PASID: true,
  PDS: true,
  SMTS: true,
  SSADS: true,
  SSTS: true,
  FSTS: true,
  SMPWCS: true,
  RPS: true,
  ADMS: true,
  RPRIVS: true,
} as const;

/** A server's unit: every translation type, 5 levels in both stages, 20-bit PASIDs, 52-bit physical addresses. */
export const SERVER: Capabilities = createCapabilities({
  cap: CAP.encode(SERVER_CAP)[0]!,
  ecap: ECAP.encode(SERVER_ECAP)[0]!,
  hostAddressWidth: 52,
});

/** The server's unit with erratum 772415, as Sapphire Rapids has it. */
export const SERVER_ERRATUM_772415: Capabilities = createCapabilities({
  cap: SERVER.cap,
  ecap: SERVER.ecap,
  hostAddressWidth: 52,
  erratum772415: true,
});
