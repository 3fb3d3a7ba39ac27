import { defineLayout } from "../../../struct/layout.ts";

/** Page request descriptor, as the unit writes it (§7.4.1.1). */
export const PAGE_REQUEST_DESCRIPTOR = defineLayout({
  name: "page request",
  bytes: 32,
  section: "§7.4.1.1",
  fields: {
    TYPE: { at: 0, width: 8, doc: "1" },
    PP: { at: 8, doc: "with a PASID" },
    RID: { at: 16, width: 16, doc: "source" },
    PASID: { at: 32, width: 20, doc: "PASID" },
    EXR: { at: 52, doc: "execute" },
    PMR: { at: 53, doc: "privileged" },
    R: { at: 64, doc: "read" },
    W: { at: 65, doc: "write" },
    LPIG: { at: 66, doc: "last of its group" },
    PRGI: { at: 67, width: 9, doc: "group" },
    ADDR: { at: 76, width: 52, kind: "address", doc: "page" },
  },
});
