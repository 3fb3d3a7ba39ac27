import { frameAddress } from "../bits/halves.ts";
import { hex } from "../bits/hex.ts";
import { defineEvent, type EventType } from "../trace/channel.ts";
import { protText } from "./format.ts";
import type { PageTable } from "./page-table.ts";

/** Pages that a table began or ceased to map. */
export interface MappingChange {
  /** The top table's address. */
  readonly root: string;
  readonly iova: string;
  /** In bytes. */
  readonly length: string;
}

/** Some range became mapped, all of what was asked for or its beginning. */
export const PAGES_MAPPED: EventType<
  MappingChange & { readonly pa: string; readonly prot: string }
> = defineEvent("page-table.mapped");
/** Some range is no longer mapped; hardware may still have it cached. */
export const PAGES_UNMAPPED: EventType<MappingChange> = defineEvent("page-table.unmapped");
/** A level was put above the top. */
export const TABLE_GREW: EventType<{ readonly root: string; readonly levels: number }> =
  defineEvent("page-table.grew");

/** Tells that `count` frames from `vfn` are mapped from now on. */
export const traceMapped = (
  table: PageTable,
  vfn: number,
  count: number,
  pfn: number,
  prot: number,
): void => {
  table.trace.emit(PAGES_MAPPED, {
    root: hex(frameAddress(table.rootPfn)),
    iova: hex(frameAddress(vfn)),
    length: hex(frameAddress(count)),
    pa: hex(frameAddress(pfn)),
    prot: protText(prot),
  });
};

/** Tells that `count` frames from `vfn` are mapped no longer. */
export const traceUnmapped = (table: PageTable, vfn: number, count: number): void => {
  table.trace.emit(PAGES_UNMAPPED, {
    root: hex(frameAddress(table.rootPfn)),
    iova: hex(frameAddress(vfn)),
    length: hex(frameAddress(count)),
  });
};
