import { defineLayout, type FieldDeclaration, type Layout } from "../../struct/layout.ts";

/**
 * The bits of x86-64 page-table entries, as VT-d reads them in the first stage
 * (VT-d specification 9.7) and AMD-Vi in guest tables.
 *
 * Bit 7 of an entry of levels 1 and 2 tells a leaf from a table; of levels 3
 * and 4 it is reserved, and a table entry has no field there.
 */
const SECTION = "VT-d 9.7";

const COMMON = {
  present: { at: 0, doc: "the entry is there; when 0 nothing else has a meaning" },
  writable: { at: 1, doc: "writes are allowed, and-ed over all levels" },
  user: { at: 2, doc: "requests without supervisor privilege are allowed, and-ed over all levels" },
  writeThrough: { at: 3, doc: "part of the memory type" },
  cacheDisable: { at: 4, doc: "part of the memory type" },
  accessed: { at: 5, doc: "set by hardware when it uses the entry" },
  ignored9: { at: 9, ignored: true, doc: "left to software" },
  extendedAccessed: {
    at: 10,
    doc: "set by hardware when it uses the entry with extended-accessed flags on; else ignored",
  },
  ignored11: { at: 11, ignored: true, doc: "left to software" },
  ignored62to52: { at: 52, width: 11, ignored: true, doc: "left to software" },
  executeDisable: {
    at: 63,
    doc: "instruction fetches are refused where execute requests exist; else ignored",
  },
} as const satisfies Record<string, FieldDeclaration>;

const LEAF = {
  ...COMMON,
  dirty: { at: 6, doc: "set by hardware when it writes through the entry" },
  global: { at: 8, doc: "the translation is the same in every address space" },
} as const satisfies Record<string, FieldDeclaration>;

/** An entry that points at the table of the next level down. */
export const X86_64_TABLE_ENTRY = defineLayout({
  name: "x86-64 table entry",
  bytes: 8,
  section: SECTION,
  fields: {
    ...COMMON,
    ignored6: { at: 6, ignored: true, doc: "dirty has no meaning in a table entry" },
    ignored8: { at: 8, ignored: true, doc: "global has no meaning in a table entry" },
    address: { at: 12, width: 40, kind: "address", doc: "the next table" },
  },
});

/** A leaf of level 0. */
export const X86_64_LEAF_4K = defineLayout({
  name: "x86-64 4K leaf",
  bytes: 8,
  section: SECTION,
  fields: {
    ...LEAF,
    pat: { at: 7, doc: "part of the memory type" },
    address: { at: 12, width: 40, kind: "address", doc: "the page" },
  },
});

/** A leaf of level 1. */
export const X86_64_LEAF_2M = defineLayout({
  name: "x86-64 2M leaf",
  bytes: 8,
  section: SECTION,
  fields: {
    ...LEAF,
    pageSize: { at: 7, doc: "1: the entry is a leaf" },
    pat: { at: 12, doc: "part of the memory type" },
    address: { at: 21, width: 31, kind: "address", doc: "the page" },
  },
});

/** A leaf of level 2. */
export const X86_64_LEAF_1G = defineLayout({
  name: "x86-64 1G leaf",
  bytes: 8,
  section: SECTION,
  fields: {
    ...LEAF,
    pageSize: { at: 7, needs: "firstStage1G", doc: "1: the entry is a leaf" },
    pat: { at: 12, doc: "part of the memory type" },
    address: { at: 30, width: 22, kind: "address", doc: "the page" },
  },
});

/** The leaf layouts by level. */
export const X86_64_LEAF_ENTRIES: readonly Layout<string>[] = [
  X86_64_LEAF_4K,
  X86_64_LEAF_2M,
  X86_64_LEAF_1G,
];
