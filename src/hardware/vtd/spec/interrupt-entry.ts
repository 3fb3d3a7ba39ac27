import { defineLayout } from "../../../struct/layout.ts";

/** Interrupt remapping table entry (§9.9). Posted interrupts are not offered: IM is reserved. */
export const INTERRUPT_ENTRY = defineLayout({
  name: "interrupt remapping entry",
  bytes: 16,
  section: "§9.9",
  fields: {
    P: { at: 0, doc: "present" },
    FPD: { at: 1, doc: "faults are not recorded" },
    DM: { at: 2, doc: "0 physical, 1 logical destination" },
    RH: { at: 3, doc: "redirection hint" },
    TM: { at: 4, doc: "0 edge, 1 level" },
    DLM: { at: 5, width: 3, doc: "delivery mode" },
    AVAIL: { at: 8, width: 4, ignored: true, doc: "left to software" },
    V: { at: 16, width: 8, doc: "vector" },
    DST: { at: 32, width: 32, doc: "destination; 8 bits at 40 without extended interrupt mode" },
    SID: { at: 64, width: 16, doc: "who may use the entry" },
    SQ: { at: 80, width: 2, doc: "bits of SID not compared" },
    SVT: { at: 82, width: 2, doc: "0 anybody, 1 SID, 2 bus range" },
  },
});

/** Address of a message in remappable format (§5.1.2.2). */
export const REMAPPABLE_ADDRESS = defineLayout({
  name: "remappable interrupt address",
  bytes: 4,
  section: "§5.1.2.2",
  fields: {
    IGN: { at: 0, width: 2, ignored: true, doc: "ignored" },
    HANDLE_15: { at: 2, doc: "bit 15 of the handle" },
    SHV: { at: 3, doc: "the data's subhandle is added to the handle" },
    FORMAT: { at: 4, doc: "1: remappable" },
    HANDLE: { at: 5, width: 15, doc: "bits 14:0 of the handle" },
    RANGE: { at: 20, width: 12, doc: "FEE" },
  },
});
