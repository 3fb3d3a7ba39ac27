import { defineEvent, type EventType } from "../trace/channel.ts";

/** Pages that a table began or ceased to map. */
export interface MappingChange {
  /** The top table's address. */
  readonly root: string;
  readonly iova: string;
  /** In bytes. */
  readonly length: string;
}

/** Some range became mapped, all of what was asked for or its beginning. */
export const PAGES_MAPPED: EventType<MappingChange & { readonly pa: string; readonly prot: string }> =
  defineEvent("page-table.mapped");
/** Some range is no longer mapped; hardware may still have it cached. */
export const PAGES_UNMAPPED: EventType<MappingChange> = defineEvent("page-table.unmapped");
/** A level was put above the top. */
export const TABLE_GREW: EventType<{ readonly root: string; readonly levels: number }> =
  defineEvent("page-table.grew");
