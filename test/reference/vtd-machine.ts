/** What a reference translation works on: registers and memory as plain values. */

/** What the reference reads an entry for; memory may answer differently by it, as caches do. */
export interface Purpose {
  readonly structure: "root" | "context" | "directory" | "pasid" | "stage-1" | "stage-2";
  /** First byte of the structure that holds the quadword. */
  readonly base: bigint;
  /** The address that is being translated: IOVA in stage 1, IOVA or guest physical in stage 2. */
  readonly input?: bigint;
  /** The tag of what would be cached. */
  readonly domain?: number;
  readonly pasid?: number;
  /** Stage 2 on behalf of a stage-1 table, not of the request's own page. */
  readonly forTable?: boolean;
  /** Level of the page-table entry, 0 the leaf. */
  readonly level?: number;
}

/** Memory as quadwords; addresses are multiples of 8. */
export interface ReferenceMemory {
  /** @returns `undefined` where there is no memory */
  read64(address: bigint, purpose?: Purpose): bigint | undefined;
  /** @returns `false` where nothing can be written */
  write64(address: bigint, value: bigint): boolean;
}

/** A unit and its memory. */
export interface ReferenceMachine {
  readonly cap: bigint;
  readonly ecap: bigint;
  readonly hostAddressWidth: number;
  readonly erratum772415: boolean;
  readonly unsnoopedUpdates: boolean;
  /** Whether translation is on. */
  readonly enabled: boolean;
  readonly rtaddr: bigint;
  readonly memory: ReferenceMemory;
}

export interface Access {
  readonly read: boolean;
  readonly write: boolean;
  readonly execute: boolean;
  readonly privileged: boolean;
}

export interface ReferenceRequest {
  /** Requester ID. */
  readonly source: number;
  readonly pasid: number | undefined;
  readonly address: bigint;
  readonly access: Access;
  readonly type: "untranslated" | "translation-request" | "translated";
}

export interface Granted {
  readonly read: boolean;
  readonly write: boolean;
  readonly execute: boolean;
}

export type Silence = "fpd" | "recoverable" | "abort-dma";

export type ReferenceResult =
  | {
      readonly ok: true;
      /** Physical. */
      readonly address: bigint;
      /** log2 of the page size, of the smaller page when two stages translate; 64 when none does. */
      readonly pageLg2: number;
      readonly granted: Granted;
      /** Page-table entries read, one that is not in memory included: the closed form of VTD-NEST-06. */
      readonly reads: number;
      /** Entries read once more by a unit that translates a stage-1 entry's address again to update its flags. */
      readonly updateReads: number;
    }
  | {
      readonly ok: false;
      readonly code: number;
      readonly silenced: Silence | undefined;
      readonly stage: 0 | 1 | 2;
      readonly level: number | undefined;
      readonly reads: number;
      readonly updateReads: number;
    };

/** A refusal on its way up. Only the reference throws for it: it makes a walk read like its rules. */
export class Refusal {
  readonly code: number;
  readonly stage: 0 | 1 | 2;
  readonly level: number | undefined;
  constructor(code: number, stage: 0 | 1 | 2 = 0, level?: number) {
    this.code = code;
    this.stage = stage;
    this.level = level;
  }
}

/** One translation under way. */
export interface Walk {
  readonly machine: ReferenceMachine;
  readonly request: ReferenceRequest;
  readonly scalable: boolean;
  reads: number;
  updateReads: number;
  /** FPD of any entry consulted until now. */
  fpd: boolean;
  /** What is still asked for; a translation request loses `write` where it is not permitted. */
  asked: { read: boolean; write: boolean; execute: boolean };
}

/** Bits `high` to `low` of `value`. */
export const bits = (value: bigint, high: number, low: number): bigint =>
  (value >> BigInt(low)) & ((1n << BigInt(high - low + 1)) - 1n);

export const bit = (value: bigint, position: number): boolean =>
  bits(value, position, position) === 1n;

/** Whether `address` lies in FEE0_0000 to FEEF_FFFF, where interrupts go. */
export const inInterruptRange = (address: bigint): boolean =>
  address >= 0xfee0_0000n && address <= 0xfeef_ffffn;

/** The quadwords at `base`, or `undefined` when one of them is not in memory. */
export const readStructure = (
  walk: Walk,
  base: bigint,
  quadwords: number,
  purpose: Omit<Purpose, "base">,
): bigint[] | undefined => {
  const values: bigint[] = [];
  for (let i = 0n; i < BigInt(quadwords); i++) {
    const value = walk.machine.memory.read64(base + i * 8n, { ...purpose, base });
    if (value === undefined) return undefined;
    values.push(value);
  }
  return values;
};
