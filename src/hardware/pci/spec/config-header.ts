import { defineLayout, type FieldDeclaration } from "../../../struct/layout.ts";

/** Command, Status and what else both header types begin with (PCIe 6.3 §7.5.1.1). */
const COMMON = {
  vendorId: { at: 0, width: 16, access: "ro", doc: "vendor" },
  deviceId: { at: 16, width: 16, access: "ro", doc: "device" },
  ioSpaceEnable: { at: 32, access: "rw", doc: "answers I/O accesses" },
  memorySpaceEnable: { at: 33, access: "rw", doc: "answers memory accesses" },
  busMasterEnable: { at: 34, access: "rw", doc: "issues, or passes on upstream, memory requests" },
  parityErrorResponse: {
    at: 38,
    access: "rw",
    doc: "poisoned requests set Master Data Parity Error",
  },
  serrEnable: { at: 40, access: "rw", doc: "reports errors" },
  interruptDisable: { at: 42, access: "rw", doc: "no INTx" },
  interruptStatus: { at: 51, access: "ro", doc: "INTx pending" },
  capabilitiesList: { at: 52, access: "ro", doc: "there is a capability list" },
  masterDataParityError: { at: 56, access: "w1c", doc: "a poisoned request or completion" },
  signaledTargetAbort: { at: 59, access: "w1c", doc: "answered with Completer Abort" },
  receivedTargetAbort: { at: 60, access: "w1c", doc: "was answered with Completer Abort" },
  receivedMasterAbort: { at: 61, access: "w1c", doc: "was answered with Unsupported Request" },
  signaledSystemError: { at: 62, access: "w1c", doc: "reported an error" },
  detectedParityError: { at: 63, access: "w1c", doc: "received something poisoned" },
  revisionId: { at: 64, width: 8, access: "ro", doc: "revision" },
  classCode: { at: 72, width: 24, access: "ro", doc: "base class, sub-class, interface" },
  cacheLineSize: { at: 96, width: 8, access: "rw", doc: "no effect" },
  latencyTimer: { at: 104, width: 8, access: "ro", doc: "0" },
  headerType: { at: 112, width: 7, access: "ro", doc: "0 or 1" },
  multiFunction: { at: 119, access: "ro", doc: "the device has more functions than this" },
  bist: { at: 120, width: 8, access: "ro", doc: "self test: none" },
  capabilitiesPointer: { at: 416, width: 8, access: "ro", doc: "offset of the first capability" },
  interruptLine: { at: 480, width: 8, access: "rw", doc: "for software" },
  interruptPin: { at: 488, width: 8, access: "ro", doc: "0 none, 1 to 4 INTA to INTD" },
} as const satisfies Record<string, FieldDeclaration>;

/** Header of an endpoint (PCIe 6.3 §7.5.1.2). Base address registers differ in size and are declared by the function. */
export const TYPE_0_HEADER = defineLayout({
  name: "type 0 header",
  bytes: 64,
  section: "§7.5.1.2",
  fields: {
    ...COMMON,
    subsystemVendorId: { at: 352, width: 16, access: "ro", doc: "vendor of the board" },
    subsystemId: { at: 368, width: 16, access: "ro", doc: "board" },
  },
});

/** Header of a bridge, which every port of a root complex or switch is too (PCIe 6.3 §7.5.1.3). */
export const TYPE_1_HEADER = defineLayout({
  name: "type 1 header",
  bytes: 64,
  section: "§7.5.1.3",
  fields: {
    ...COMMON,
    primaryBus: { at: 192, width: 8, access: "rw", doc: "bus the bridge sits on; for software" },
    secondaryBus: { at: 200, width: 8, access: "rw", doc: "bus behind the bridge" },
    subordinateBus: { at: 208, width: 8, access: "rw", doc: "last bus behind the bridge" },
    ioBase: { at: 228, width: 4, access: "rw", doc: "I/O window, bits 15:12 of the first address" },
    ioLimit: { at: 236, width: 4, access: "rw", doc: "I/O window, bits 15:12 of the last address" },
    secondaryStatus: {
      at: 240,
      width: 16,
      access: "ro",
      doc: "errors on the secondary side: none recorded",
    },
    memoryBase: {
      at: 260,
      width: 12,
      access: "rw",
      doc: "memory window, bits 31:20 of the first address",
    },
    memoryLimit: {
      at: 276,
      width: 12,
      access: "rw",
      doc: "memory window, bits 31:20 of the last address",
    },
    prefetchable64: {
      at: 288,
      width: 4,
      access: "ro",
      doc: "1: the prefetchable window has 64 bits",
    },
    prefetchableBase: {
      at: 292,
      width: 12,
      access: "rw",
      doc: "prefetchable window, bits 31:20 of the first address",
    },
    prefetchableLimit64: { at: 304, width: 4, access: "ro", doc: "as prefetchable64" },
    prefetchableLimit: {
      at: 308,
      width: 12,
      access: "rw",
      doc: "prefetchable window, bits 31:20 of the last address",
    },
    prefetchableBaseUpper: {
      at: 320,
      width: 32,
      access: "rw",
      doc: "bits 63:32 of the first address",
    },
    prefetchableLimitUpper: {
      at: 352,
      width: 32,
      access: "rw",
      doc: "bits 63:32 of the last address",
    },
    bridgeParityErrorResponse: {
      at: 496,
      access: "rw",
      doc: "as parityErrorResponse, on the secondary side",
    },
    bridgeSerrEnable: { at: 497, access: "rw", doc: "passes errors on" },
    isaEnable: { at: 498, access: "rw", doc: "ISA addresses are not passed on" },
    vgaEnable: { at: 499, access: "rw", doc: "VGA addresses are passed on" },
    secondaryBusReset: { at: 502, access: "rw", doc: "resets everything behind the bridge" },
  },
});
