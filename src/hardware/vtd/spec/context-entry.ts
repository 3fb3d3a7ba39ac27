import { defineLayout } from "../../../struct/layout.ts";

/** Legacy context entry, one for each device and function (§9.3). */
export const CONTEXT_ENTRY = defineLayout({
  name: "context entry",
  bytes: 16,
  section: "§9.3",
  fields: {
    P: { at: 0, doc: "present" },
    FPD: { at: 1, doc: "faults are not recorded" },
    TT: { at: 2, width: 2, doc: "00 translate, 01 with device TLB, 10 pass through" },
    SSPTPTR: { at: 12, width: 52, kind: "address", doc: "second-stage table" },
    AW: { at: 64, width: 3, doc: "width: 1 39, 2 48, 3 57 bits" },
    IGN: { at: 67, width: 4, ignored: true, doc: "ignored" },
    DID: { at: 72, width: 16, doc: "domain" },
  },
});

/** CONTEXT_ENTRY.TT: translate untranslated requests. */
export const TT_TRANSLATE = 0;
/** CONTEXT_ENTRY.TT: translate, and serve a device TLB. */
export const TT_DEVICE_TLB = 1;
/** CONTEXT_ENTRY.TT: pass untranslated requests through. */
export const TT_PASS_THROUGH = 2;

/** Scalable context entry (§9.4). */
export const SCALABLE_CONTEXT_ENTRY = defineLayout({
  name: "scalable context entry",
  bytes: 32,
  section: "§9.4",
  fields: {
    P: { at: 0, doc: "present" },
    FPD: { at: 1, doc: "faults are not recorded" },
    DTE: { at: 2, needs: "DT", doc: "device TLB" },
    PASIDE: { at: 3, needs: "PASID", doc: "requests with a PASID" },
    PRE: { at: 4, needs: "PRS", doc: "page requests" },
    PDTS: { at: 9, width: 3, doc: "directory of 2^(PDTS+7) entries" },
    PASIDDIRPTR: { at: 12, width: 52, kind: "address", doc: "PASID directory" },
    RID_PASID: { at: 64, width: 20, needs: "RPS", doc: "PASID of requests without one" },
    RID_PRIV: { at: 84, needs: "RPRIVS", doc: "requests without a PASID are privileged" },
  },
});
