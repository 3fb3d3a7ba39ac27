import { defineLayout } from "../../../struct/layout.ts";

/** Root table address register, offset 20 (§11.4.5). */
export const RTADDR = defineLayout({
  name: "RTADDR",
  bytes: 8,
  section: "§11.4.5",
  fields: {
    TTM: { at: 10, width: 2, access: "rw", doc: "00 legacy, 01 scalable, 11 abort DMA" },
    RTA: { at: 12, width: 52, kind: "address", access: "rw", doc: "root table" },
  },
});

/** RTADDR.TTM: context entries of 16 bytes. */
export const TTM_LEGACY = 0;
/** RTADDR.TTM: context entries of 32 bytes and PASID tables. */
export const TTM_SCALABLE = 1;
/** RTADDR.TTM: every request is aborted. */
export const TTM_ABORT = 3;
