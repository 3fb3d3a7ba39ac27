/** Version of the report, as a document. */
export const REPLAY_SCHEMA = "softiommu/replay@1";

/** What the unit and the recording disagree about. */
export type DifferenceKind =
  | "register"
  | "fault"
  | "record"
  | "descriptor"
  | "queue"
  | "wait"
  | "message"
  | "status"
  | "mapping"
  | "entry";

/** A field of a register that differs. */
export interface FieldDifference {
  readonly name: string;
  readonly recorded: bigint;
  readonly replayed: bigint;
}

/** Something that the recording has and the unit has otherwise. */
export interface Difference {
  readonly kind: DifferenceKind;
  /** The trace line, counted from 1; that of the moment for its registers. */
  readonly line: number;
  /** What is compared, such as `FRCD 0` or `0000:00:07.0 writes 0x10000`. */
  readonly what: string;
  readonly recorded: string;
  readonly replayed: string;
  /** Of a register. */
  readonly fields: readonly FieldDifference[];
}

/** A difference that is known of whoever recorded. */
export interface Deviation extends Difference {
  /** What is known, one line. */
  readonly fact: string;
}

/** A descriptor that software submitted. */
export interface ReplayedDescriptor {
  readonly line: number;
  readonly slot: number;
  /** Such as `iotlb page`, or `error` with the queue error's number. */
  readonly kind: string;
  readonly words: readonly bigint[];
}

/** A request that was refused. */
export interface ReplayedFault {
  readonly line: number;
  readonly bdf: string;
  /** `null` for a request without a PASID. */
  readonly pasid: number | null;
  readonly address: bigint;
  readonly write: boolean;
  /** What was recorded. */
  readonly recorded: number;
  /** The specification's code; 0 when the unit lets the request pass. */
  readonly code: number;
  /** Why the unit refuses it. */
  readonly text: string;
}

/** What came and went inside a window, so that neither moment shows it. */
export interface Unseen {
  /** Page invalidations for addresses that are mapped at neither end. */
  readonly pages: number;
  /** Domains that were invalidated and that no device has at either end. */
  readonly domains: readonly number[];
  /** Devices whose context was invalidated and that have none at either end. */
  readonly devices: readonly string[];
  /** Fault records that were filled and cleared again. */
  readonly records: number;
  /** Descriptors that others have overwritten in the queue. */
  readonly descriptors: number;
}

/** The trace between two moments. */
export interface ReplayedWindow {
  /** The moment that ends it; `null` in a capture of one. */
  readonly moment: string | null;
  readonly firstLine: number;
  readonly lastLine: number;
  readonly writes: number;
  readonly descriptors: readonly ReplayedDescriptor[];
  readonly faults: readonly ReplayedFault[];
  /** Registers compared at its end that hold something. */
  readonly registers: number;
  /** Mappings of the moment's list that were translated; 0 without one. */
  readonly mappings: number;
  /** Entries of the moment's other lists that were compared: contexts, PASIDs, interrupts. */
  readonly entries: number;
  /**
   * Requests to pages of this moment or the one before that a unit with warm
   * caches answers as before: their invalidation is still to come.
   */
  readonly stale: number;
  readonly unseen: Unseen;
}

/** What came of a replay. */
export interface ReplayReport {
  readonly schema: typeof REPLAY_SCHEMA;
  readonly capture: string;
  /** Who recorded it, where that is known and allowed for. */
  readonly recorder: string | null;
  readonly windows: readonly ReplayedWindow[];
  readonly differences: readonly Difference[];
  /** Differences that are not listed, beyond a bound. */
  readonly more: number;
  readonly deviations: readonly Deviation[];
}
