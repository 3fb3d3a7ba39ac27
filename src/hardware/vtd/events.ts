import { defineEvent } from "../../trace/channel.ts";
import type { VtdFault } from "./fault.ts";

/** An entry of the root, context or PASID structures was read. */
export const STRUCTURE_READ = defineEvent<{
  /** The layout's name, for instance `PASID entry`. */
  structure: string;
  address: bigint;
  /** The entry's quadwords; `undefined` when it could not be read. */
  words: readonly bigint[] | undefined;
}>("vtd.structure-read");

/** A page-table entry was read. */
export const ENTRY_READ = defineEvent<{
  stage: 1 | 2;
  /** 0 is the leaf level. */
  level: number;
  address: bigint;
  /** `undefined` when it could not be read. */
  value: bigint | undefined;
  /** What is being translated: an I/O virtual address in stage 1 or alone in stage 2, else a guest physical one. */
  input: bigint;
}>("vtd.entry-read");

/** Accessed, dirty or extended-accessed flags were set in a page-table entry. */
export const FLAGS_SET = defineEvent<{
  stage: 1 | 2;
  level: number;
  address: bigint;
  bits: number;
}>("vtd.flags-set");

/** A request found its translation in the IOTLB. */
export const IOTLB_HIT = defineEvent<{
  source: number;
  pasid: number | undefined;
  iova: bigint;
  address: bigint;
}>("vtd.iotlb-hit");

/** A request was translated by a walk, or without one. */
export const TRANSLATED = defineEvent<{
  source: number;
  pasid: number | undefined;
  iova: bigint;
  address: bigint;
  pageLg2: number;
}>("vtd.translated");

/** A request was refused. */
export const FAULT = defineEvent<VtdFault>("vtd.fault");

/** Caches were invalidated. */
export const INVALIDATED = defineEvent<{
  cache: "context" | "pasid" | "iotlb" | "pasid-iotlb";
  granularity: string;
  domain?: number;
  pasid?: number;
  source?: number;
  address?: bigint;
  mask?: number;
}>("vtd.invalidated");

/** The root table was set. */
export const ROOT_TABLE_SET = defineEvent<{ rtaddr: bigint }>("vtd.root-table-set");

/** Translation was switched on or off. */
export const TRANSLATION_SWITCHED = defineEvent<{ enabled: boolean }>("vtd.translation-switched");

/** The queue has fetched a descriptor: 2 or 4 quadwords. */
export const DESCRIPTOR_FETCHED = defineEvent<{ address: bigint; words: readonly bigint[] }>(
  "vtd.descriptor-fetched",
);

/** An invalidation wait has completed. */
export const WAIT_COMPLETED = defineEvent<{
  status: { address: bigint; data: number } | undefined;
}>("vtd.wait-completed");

/** Software has written a register. */
export const REGISTER_WRITTEN = defineEvent<{ offset: number; width: number; value: bigint }>(
  "vtd.register-written",
);

/** Software has read a register, and found this. */
export const REGISTER_READ = defineEvent<{ offset: number; width: number; value: bigint }>(
  "vtd.register-read",
);

/** A register write, a refusal or a page request has had all the effects that do not wait for others. */
export const SETTLED = defineEvent<Record<string, never>>("vtd.settled");

/** The unit was put into its reset state. */
export const UNIT_RESET = defineEvent<Record<string, never>>("vtd.reset");

/** The unit has sent the message of one of its own events. */
export const EVENT_SENT = defineEvent<{ address: bigint; data: number }>("vtd.event-sent");

/** A page request was put into the queue, or answered by the unit itself. */
export const PAGE_REQUESTED = defineEvent<{
  source: number;
  pasid: number | undefined;
  address: bigint;
  read: boolean;
  write: boolean;
  execute: boolean;
  privileged: boolean;
  group: number;
  last: boolean;
  outcome: string;
}>("vtd.page-requested");

/** A device's request was refused, and the unit records it if it has room; `access` and `addressType` as in `DmaRequest`. */
export const REFUSAL_RECORDED = defineEvent<{
  source: number;
  pasid: number | undefined;
  address: bigint;
  access: number;
  addressType: number;
  code: number;
}>("vtd.refusal-recorded");

/** An interrupt was remapped, passed, or blocked. */
export const INTERRUPT_REMAPPED = defineEvent<{
  source: number;
  address: bigint;
  data: number;
  index: number | undefined;
  code: number;
}>("vtd.interrupt-remapped");
