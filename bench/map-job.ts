import {
  AMD_V1,
  createPageTable,
  Gather,
  type PageTableFormat,
  PROT_READ,
  PROT_WRITE,
  VTD_SECOND_STAGE,
  X86_64,
} from "../src/page-table/index.ts";
import { nowNs, type RunRound } from "./round.ts";
import { createRandom, FIRST_VFN } from "./stream.ts";
import { type MemoryKind, TableMemory } from "./table-memory.ts";

/** The formats in the order in which the C program numbers them. */
export const FORMATS: readonly PageTableFormat[] = [X86_64, VTD_SECOND_STAGE, AMD_V1];

export interface MapOptions {
  readonly memory: MemoryKind;
  readonly format: PageTableFormat;
  /** log2 of the page size. */
  readonly pageLg2: number;
  /** Pages to an operation. */
  readonly count: number;
  readonly repeat: number;
}

const PLACES = 1024;
/** Frames over which the places lie, by the page size's log2. */
const SPANS: Readonly<Record<number, number>> = { 12: 2 ** 14, 21: 2 ** 18, 30: 2 ** 26 };
const PROT = PROT_READ | PROT_WRITE;

/** A range mapped and unmapped again, in tables that are there. */
export const mapJob = ({ memory, format, pageLg2, count, repeat }: MapOptions): RunRound => {
  const tables = new TableMemory(memory, 1 << 14);
  const made = createPageTable({ format, memory: tables.memory, pages: tables, levels: 4 });
  if (!made.ok) throw new Error(`no page table: ${made.errno}`);
  const { table } = made;
  const gather = new Gather(tables);
  const page = 2 ** (pageLg2 - 12);
  const frames = page * count;
  const span = SPANS[pageLg2]!;
  // A page of the size in every other place keeps the tables there.
  for (let at = 0; at < span; at += 2 * frames) {
    table.mapFrames(FIRST_VFN + at + frames, at, page, PROT, gather);
  }
  const random = createRandom();
  const places = Float64Array.from(
    { length: PLACES },
    () => FIRST_VFN + random(span / (2 * frames)) * 2 * frames,
  );
  // Many pages of 4 KiB: output that is not aligned to anything larger.
  const shift = count === 256 ? 1 - FIRST_VFN : -FIRST_VFN;
  const pass = (): number => {
    let mapped = 0;
    for (let i = 0; i < PLACES; i++) {
      const vfn = places[i]!;
      mapped += table.mapFrames(vfn, vfn + shift, frames, PROT, gather);
      mapped += table.unmapFrames(vfn, frames, gather);
      gather.release();
    }
    return mapped;
  };
  return () => {
    let mapped = 0;
    let ns = Number.POSITIVE_INFINITY;
    for (let n = 0; n < repeat; n++) {
      const start = nowNs();
      mapped += pass();
      ns = Math.min(ns, (nowNs() - start) / PLACES);
    }
    if (table.failure !== undefined) throw new Error(`map or unmap failed: ${table.failure}`);
    return { ns, sum: Math.floor(mapped / PLACES / repeat), reads: 0 };
  };
};
