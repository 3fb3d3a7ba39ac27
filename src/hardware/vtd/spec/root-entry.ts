import { defineLayout } from "../../../struct/layout.ts";

/** Legacy root entry, one for each bus (§9.1). */
export const ROOT_ENTRY = defineLayout({
  name: "root entry",
  bytes: 16,
  section: "§9.1",
  fields: {
    P: { at: 0, doc: "present" },
    CTP: { at: 12, width: 52, kind: "address", doc: "context table" },
  },
});

/** Half of a scalable root entry: the lower for devices 0 to 15, the upper for 16 to 31 (§9.2). */
export const SCALABLE_ROOT_HALF = defineLayout({
  name: "scalable root entry",
  bytes: 8,
  section: "§9.2",
  fields: {
    P: { at: 0, doc: "present" },
    CTP: { at: 12, width: 52, kind: "address", doc: "context table" },
  },
});
