import { defineLayout, type FieldDeclaration } from "../../../struct/layout.ts";

/**
 * Invalidation queue descriptors (§6.5.2). All are declared in their 256-bit
 * form; in a queue of 128-bit descriptors the upper half does not exist.
 */
const descriptor = <Name extends string>(
  name: string,
  section: string,
  fields: { readonly [N in Name]: FieldDeclaration },
) =>
  defineLayout<Name | "TYPE" | "TYPE_HIGH">({
    name,
    bytes: 32,
    section,
    fields: {
      TYPE: { at: 0, width: 4, doc: "descriptor type" },
      TYPE_HIGH: { at: 9, width: 3, doc: "descriptor type, upper bits: 0" },
      ...fields,
    } as { readonly [N in Name | "TYPE" | "TYPE_HIGH"]: FieldDeclaration },
  });

export const CONTEXT_CACHE_DESCRIPTOR = descriptor("context-cache invalidate", "§6.5.2.1", {
  G: { at: 4, width: 2, doc: "1 global, 2 domain, 3 device" },
  DID: { at: 16, width: 16, doc: "domain" },
  SID: { at: 32, width: 16, doc: "source" },
  FM: { at: 48, width: 2, doc: "function bits not compared" },
});

export const IOTLB_DESCRIPTOR = descriptor("IOTLB invalidate", "§6.5.2.3", {
  G: { at: 4, width: 2, doc: "1 global, 2 domain, 3 page" },
  DW: { at: 6, doc: "drain writes" },
  DR: { at: 7, doc: "drain reads" },
  DID: { at: 16, width: 16, doc: "domain" },
  AM: { at: 64, width: 6, doc: "2^AM pages" },
  IH: { at: 70, doc: "keep paging structures" },
  ADDR: { at: 76, width: 52, kind: "address", doc: "first page" },
});

export const DEVICE_TLB_DESCRIPTOR = descriptor("device-TLB invalidate", "§6.5.2.5", {
  PFSID_LOW: { at: 12, width: 4, needs: "DIT", doc: "source of the physical function, bits 3:0" },
  MIP: { at: 16, width: 5, doc: "invalidations that may be pending" },
  SID: { at: 32, width: 16, doc: "source" },
  PFSID_HIGH: {
    at: 52,
    width: 12,
    needs: "DIT",
    doc: "source of the physical function, bits 15:4",
  },
  S: { at: 64, doc: "the address's trailing ones give the size" },
  ADDR: { at: 76, width: 52, kind: "address", doc: "first page, with the size" },
});

export const INTERRUPT_ENTRY_DESCRIPTOR = descriptor(
  "interrupt entry cache invalidate",
  "§6.5.2.7",
  {
    G: { at: 4, doc: "0 global, 1 by index" },
    IM: { at: 27, width: 5, doc: "2^IM entries" },
    IIDX: { at: 32, width: 16, doc: "first entry" },
  },
);

export const WAIT_DESCRIPTOR = descriptor("invalidation wait", "§6.5.2.8", {
  IF: { at: 4, doc: "raise the completion event" },
  SW: { at: 5, doc: "write the status" },
  FN: { at: 6, doc: "fence: what follows waits" },
  PD: { at: 7, needs: "PDS", doc: "page requests are drained" },
  STDATA: { at: 32, width: 32, doc: "what is written" },
  STADDR: { at: 66, width: 62, doc: "where, in units of 4 bytes" },
});

export const PASID_IOTLB_DESCRIPTOR = descriptor("PASID-based IOTLB invalidate", "§6.5.2.4", {
  G: { at: 4, width: 2, doc: "2 whole PASID, 3 page" },
  DID: { at: 16, width: 16, doc: "domain" },
  PASID: { at: 32, width: 20, doc: "PASID" },
  AM: { at: 64, width: 6, doc: "2^AM pages" },
  IH: { at: 70, doc: "keep paging structures" },
  ADDR: { at: 76, width: 52, kind: "address", doc: "first page" },
});

export const PASID_CACHE_DESCRIPTOR = descriptor("PASID-cache invalidate", "§6.5.2.2", {
  G: { at: 4, width: 2, doc: "0 domain, 1 PASID, 3 global" },
  DID: { at: 16, width: 16, doc: "domain" },
  PASID: { at: 32, width: 20, doc: "PASID" },
});

export const PASID_DEVICE_TLB_DESCRIPTOR = descriptor(
  "PASID-based device-TLB invalidate",
  "§6.5.2.6",
  {
    MIP: { at: 4, width: 5, doc: "invalidations that may be pending" },
    PFSID_LOW: { at: 12, width: 4, needs: "DIT", doc: "source of the physical function, bits 3:0" },
    SID: { at: 16, width: 16, doc: "source" },
    PASID: { at: 32, width: 20, doc: "PASID" },
    PFSID_HIGH: {
      at: 52,
      width: 12,
      needs: "DIT",
      doc: "source of the physical function, bits 15:4",
    },
    G: { at: 64, doc: "global translations too" },
    S: { at: 75, doc: "the address's trailing ones give the size" },
    ADDR: { at: 76, width: 52, kind: "address", doc: "first page, with the size" },
  },
);

export const PAGE_GROUP_RESPONSE_DESCRIPTOR = descriptor("page group response", "§7.7.1", {
  PP: { at: 4, doc: "with a PASID" },
  RC: { at: 12, width: 4, doc: "0 success, 1 invalid, 15 failure" },
  RID: { at: 16, width: 16, doc: "source" },
  PASID: { at: 32, width: 20, doc: "PASID" },
  LPIG: { at: 66, doc: "last of its group" },
  PRGI: { at: 67, width: 9, doc: "group" },
});

/** IQERCD.IQEI: why the queue stopped (§11.4.9.9). */
export const QUEUE_ERRORS = {
  tail: 1,
  fetch: 2,
  type: 3,
  reserved: 4,
  width: 5,
  tailAlignment: 6,
  mode: 7,
} as const;
