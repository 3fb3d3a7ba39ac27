import type { Hpa, Iova } from "../../bits/address.ts";
import type { LeafList, TableMode } from "../../hardware/vtd/enumerate.ts";

/** Version of the report, as a document. */
export const INSPECT_SCHEMA = "softiommu/inspect@1";

/** Why requests are refused. */
export interface Refusal {
  /** Fault reason, as hardware would record it. */
  readonly code: number;
  /** What is wrong. */
  readonly text: string;
  /** What would have to change. */
  readonly remedy: string;
}

/** The top of one stage's tables. */
export interface StageReport {
  readonly levels: number;
  /** Physical address; guest physical for a first stage that is nested. */
  readonly root: bigint;
}

/** How requests are translated; `invalid` where the entry asks for something that does not exist. */
export type TranslationType =
  | "first-stage"
  | "second-stage"
  | "nested"
  | "pass-through"
  | "invalid";

/** What requests of one device with one PASID, or without any, can reach. */
export interface PasidReport {
  /** `null` for requests without a PASID. */
  readonly pasid: number | null;
  readonly type: TranslationType;
  readonly domain: number;
  /** Why every request is refused; `null` when the entries are valid. */
  readonly fault: Refusal | null;
  /** Faults are not recorded. */
  readonly fpd: boolean;
  readonly firstStage: StageReport | null;
  readonly secondStage: StageReport | null;
  /** What the tables map, shared by all that use the same tables. */
  readonly leaves: LeafList;
  /** How many of `leaves` count. */
  readonly mappings: number;
}

/** A device with a context entry. */
export interface DeviceReport {
  readonly bdf: string;
  readonly mode: "legacy" | "scalable";
  /** Where its context entry is. */
  readonly contextEntry: Hpa;
  /** Device TLBs are served. */
  readonly ats: boolean;
  readonly pageRequests: boolean;
  /** Requests with a PASID are served. */
  readonly pasidEnabled: boolean;
  /** The PASID whose entry serves requests without one; `null` in legacy mode. */
  readonly ridPasid: number | null;
  /** Faults are not recorded, whatever the PASID. */
  readonly fpd: boolean;
  /** Why every request without a PASID is refused; `null` when the entries are valid. */
  readonly fault: Refusal | null;
  /** Requests without a PASID first, then by PASID. */
  readonly pasids: readonly PasidReport[];
}

/** What a finding is about, in the order of the report. */
export const FINDING_CODES = [
  "shared-domain",
  "pass-through",
  "ats-with-pass-through",
  "maps-iommu-tables",
  "maps-given-range",
  "msi-window-mapped",
  "reserved-bit",
  "table-outside-ram",
] as const;

/** What a finding is about. */
export type FindingCode = (typeof FINDING_CODES)[number];

/** Something that ought to be looked at. What does not apply is `null`. */
export interface Finding {
  readonly code: FindingCode;
  /** The devices, in order; none where something is wrong above them. */
  readonly bdf: readonly string[];
  readonly pasid: number | null;
  readonly iova: Iova | null;
  /** Where in memory: of a mapping its output, of an entry its place, of a pointer its target. */
  readonly pa: Hpa | null;
  /** In bytes. */
  readonly size: bigint | null;
}

/** Where and why an inspection ended early. */
export interface InspectTruncation {
  /** The bound that was reached: one of `EnumerationLimits`, or `findings`. */
  readonly limit: string;
  /** The bound. */
  readonly most: number;
  /** Whose tables were being looked at, for people. */
  readonly where: string;
}

/** Everything that the tables of a captured machine's IOMMU say. */
export interface InspectReport {
  readonly schema: typeof INSPECT_SCHEMA;
  /** `NAME`, or `NAME/MOMENT`. */
  readonly capture: string;
  readonly iommu: "vtd";
  readonly mode: TableMode;
  /** Whether the unit translates; if not, every request passes, whatever the tables say. */
  readonly translation: boolean;
  /** Why every request of every device is refused; `null` when the root table can be used. */
  readonly fault: Refusal | null;
  /** By bus, device and function. */
  readonly devices: readonly DeviceReport[];
  readonly findings: readonly Finding[];
  /** `null` when nothing was left out. */
  readonly truncated: InspectTruncation | null;
}
