import { defineLayout, type FieldDeclaration } from "../../struct/layout.ts";

/**
 * The bits of AMD-Vi host ("v1") entries (AMD I/O Virtualization Technology
 * specification 2.2.3). Bits 58:52 of a leaf and 60:52 of a table entry are
 * reserved. The next level, not the place in the tree, makes an entry a leaf.
 */
const SECTION = "AMD-Vi 2.2.3";

const COMMON = {
  present: { at: 0, doc: "the entry is there; when 0 nothing else has a meaning" },
  ignored4to1: { at: 1, width: 4, ignored: true, doc: "left to software" },
  accessed: { at: 5, doc: "set by hardware when it uses the entry, where host accessed is on" },
  read: { at: 61, doc: "reads are allowed, and-ed over all levels" },
  write: { at: 62, doc: "writes are allowed, and-ed over all levels" },
  ignored63: { at: 63, ignored: true, doc: "left to software" },
} as const satisfies Record<string, FieldDeclaration>;

/** An entry that points at a table. */
export const AMD_V1_TABLE_ENTRY = defineLayout({
  name: "AMD v1 table entry",
  bytes: 8,
  section: SECTION,
  fields: {
    ...COMMON,
    ignored8to6: {
      at: 6,
      width: 3,
      ignored: true,
      doc: "left to software; dirty has no meaning in a table entry",
    },
    nextLevel: {
      at: 9,
      width: 3,
      doc: "1 to 6: the level of the table it points at, counted from 1",
    },
    address: { at: 12, width: 40, kind: "address", doc: "the next table" },
  },
});

/** A leaf, of any level and size. */
export const AMD_V1_LEAF_ENTRY = defineLayout({
  name: "AMD v1 leaf",
  bytes: 8,
  section: SECTION,
  fields: {
    ...COMMON,
    dirty: {
      at: 6,
      doc: "set by hardware when it writes through the entry, where host dirty is on",
    },
    ignored8to7: { at: 7, width: 2, ignored: true, doc: "left to software" },
    nextLevel: {
      at: 9,
      width: 3,
      doc: "0: a leaf of its level's size; 7: a leaf whose size is in its address",
    },
    address: {
      at: 12,
      width: 40,
      kind: "address",
      doc: "the page; with next level 7 the first 0 at or above bit 12 has index size log2 - 1",
    },
    untranslated: { at: 59, doc: "the U bit, for devices that translate themselves" },
    forceCoherent: { at: 60, doc: "accesses are snooped whatever the request says" },
  },
});
