import { defineLayout } from "../../../struct/layout.ts";

/** PASID directory entry: one for 64 PASIDs (§9.5). */
export const PASID_DIRECTORY_ENTRY = defineLayout({
  name: "PASID directory entry",
  bytes: 8,
  section: "§9.5",
  fields: {
    P: { at: 0, doc: "present" },
    FPD: { at: 1, doc: "faults are not recorded" },
    SMPTBLPTR: { at: 12, width: 52, kind: "address", doc: "PASID table" },
  },
});

/** PASID table entry (§9.6). */
export const PASID_ENTRY = defineLayout({
  name: "PASID entry",
  bytes: 64,
  section: "§9.6",
  fields: {
    P: { at: 0, doc: "present" },
    FPD: { at: 1, doc: "faults are not recorded" },
    // Not reserved without SSTS, although §9.6 says so: Linux sets it on units with a first stage only.
    AW: { at: 2, width: 3, doc: "second-stage width: 1 39, 2 48, 3 57 bits" },
    PGTT: { at: 6, width: 3, doc: "1 first stage, 2 second stage, 3 nested, 4 pass through" },
    SSADE: { at: 9, needs: "SSADS", doc: "second-stage accessed and dirty" },
    SSPTPTR: { at: 12, width: 52, kind: "address", needs: "SSTS", doc: "second-stage table" },
    DID: { at: 64, width: 16, doc: "domain" },
    PWSNP: { at: 87, needs: "SMPWCS", doc: "page walks are snooped" },
    PGSNP: { at: 88, needs: "SC", doc: "accesses are snooped" },
    CD: { at: 89, needs: "MTS", doc: "cache disable" },
    EMTE: { at: 90, needs: "MTS", doc: "extended memory types" },
    PAT: { at: 96, width: 32, needs: "MTS", doc: "page attribute table" },
    SRE: { at: 128, needs: "SRS", doc: "supervisor requests" },
    FSPM: { at: 130, width: 2, needs: "FSTS", doc: "0 4 levels, 1 5 levels" },
    WPE: { at: 132, needs: "FSTS", doc: "supervisor writes obey R/W" },
    NXE_SMEP: { at: 133, width: 2, ignored: true, doc: "ignored" },
    EAFE: { at: 135, needs: "EAFS", doc: "extended accessed flag" },
    FSPTPTR: { at: 140, width: 52, kind: "address", needs: "FSTS", doc: "first-stage table" },
  },
});

/** PASID_ENTRY.PGTT: stage 1 alone. */
export const PGTT_FIRST_STAGE = 1;
/** PASID_ENTRY.PGTT: stage 2 alone. */
export const PGTT_SECOND_STAGE = 2;
/** PASID_ENTRY.PGTT: stage 1 over stage 2. */
export const PGTT_NESTED = 3;
/** PASID_ENTRY.PGTT: no translation. */
export const PGTT_PASS_THROUGH = 4;
