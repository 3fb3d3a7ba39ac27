import { defineLayout, type FieldDeclaration, type Layout } from "../../struct/layout.ts";

/**
 * The bits of VT-d second-stage entries (VT-d specification 9.8).
 *
 * Bit 7 of an entry of levels 1 and 2 tells a leaf from a table; of levels 3
 * and 4 it is reserved, and a table entry has no field there. Transient
 * mapping, bit 62, is reserved throughout, as it is since version 3.2.
 */
const SECTION = "VT-d 9.8";

const COMMON = {
  read: {
    at: 0,
    doc: "reads are allowed, and-ed over all levels; an entry with neither read nor write is not present",
  },
  write: { at: 1, doc: "writes are allowed, and-ed over all levels" },
  accessed: {
    at: 8,
    doc: "set by hardware when it uses the entry, where second-stage accessed/dirty is on",
  },
  ignored10: { at: 10, ignored: true, doc: "left to software" },
  ignored61to52: { at: 52, width: 10, ignored: true, doc: "left to software" },
  ignored63: { at: 63, ignored: true, doc: "left to software" },
} as const satisfies Record<string, FieldDeclaration>;

const LEAF = {
  ...COMMON,
  execute: { at: 2, ignored: true, doc: "execute permission, ignored without execute requests" },
  memoryType: { at: 3, width: 3, doc: "extended memory type" },
  ignorePat: { at: 6, doc: "the first stage's memory type is overruled" },
  dirty: {
    at: 9,
    doc: "set by hardware when it writes through the entry, where second-stage accessed/dirty is on",
  },
  snoop: { at: 11, needs: "snoopControl", doc: "accesses are snooped whatever the request says" },
} as const satisfies Record<string, FieldDeclaration>;

/** An entry that points at the table of the next level down. */
export const SECOND_STAGE_TABLE_ENTRY = defineLayout({
  name: "second-stage table entry",
  bytes: 8,
  section: SECTION,
  fields: {
    ...COMMON,
    ignored6to2: {
      at: 2,
      width: 5,
      ignored: true,
      doc: "execute and memory type have no meaning in a table entry",
    },
    ignored9: { at: 9, ignored: true, doc: "dirty has no meaning in a table entry" },
    address: { at: 12, width: 40, kind: "address", doc: "the next table" },
  },
});

/** A leaf of level 0. */
export const SECOND_STAGE_LEAF_4K = defineLayout({
  name: "second-stage 4K leaf",
  bytes: 8,
  section: SECTION,
  fields: {
    ...LEAF,
    ignored7: { at: 7, ignored: true, doc: "page size has no meaning at level 0" },
    address: { at: 12, width: 40, kind: "address", doc: "the page" },
  },
});

/** A leaf of level 1. */
export const SECOND_STAGE_LEAF_2M = defineLayout({
  name: "second-stage 2M leaf",
  bytes: 8,
  section: SECTION,
  fields: {
    ...LEAF,
    pageSize: { at: 7, needs: "secondStage2M", doc: "1: the entry is a leaf" },
    address: { at: 21, width: 31, kind: "address", doc: "the page" },
  },
});

/** A leaf of level 2. */
export const SECOND_STAGE_LEAF_1G = defineLayout({
  name: "second-stage 1G leaf",
  bytes: 8,
  section: SECTION,
  fields: {
    ...LEAF,
    pageSize: { at: 7, needs: "secondStage1G", doc: "1: the entry is a leaf" },
    address: { at: 30, width: 22, kind: "address", doc: "the page" },
  },
});

/** The leaf layouts by level. */
export const SECOND_STAGE_LEAF_ENTRIES: readonly Layout<string>[] = [
  SECOND_STAGE_LEAF_4K,
  SECOND_STAGE_LEAF_2M,
  SECOND_STAGE_LEAF_1G,
];
