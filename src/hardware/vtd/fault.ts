import { type Iova, iova } from "../../bits/address.ts";
import { fromHalves } from "../../bits/halves.ts";
import { hex } from "../../bits/hex.ts";
import {
  type DmaFault,
  type DmaRequest,
  EXECUTE,
  NO_PASID,
  PRIVILEGED,
  READ,
  TRANSLATION_REQUEST,
  WRITE,
} from "../pci/dma-request.ts";
import { FAULT_REASONS, type FaultReason } from "./spec/fault-reasons.ts";

/** Why nothing is recorded although a request was refused. */
export type Silence = "fpd" | "recoverable" | SilentRefusal;

/** What refuses requests without a fault reason of its own. */
export type SilentRefusal = "abort-dma" | "protected-memory" | "cached-rights";

/** The entry that refused a request, and where it was read. */
export interface FaultyEntry {
  /** Physical address of the entry. */
  readonly address: bigint;
  /** The entry's first quadword; `undefined` when it could not be read. */
  readonly value: bigint | undefined;
}

/** A request refused by a remapping unit. */
export interface VtdFault extends DmaFault {
  readonly kind: "vtd";
  /** Fault reason, §7.1.3; 0 where the architecture has none: abort-DMA mode, protected memory. */
  readonly code: number;
  readonly message: string;
  /** What would have to change for the request to pass. */
  readonly remedy: string;
  /** Requester ID. */
  readonly source: number;
  /** The request's PASID; `undefined` when it came without one. */
  readonly pasid: number | undefined;
  readonly address: Iova;
  readonly access: {
    readonly read: boolean;
    readonly write: boolean;
    readonly execute: boolean;
    readonly privileged: boolean;
  };
  /** The stage that refused; 0 before any page table was reached. */
  readonly stage: 0 | 1 | 2;
  /** The level of the paging entry, 0 the leaf; `undefined` where none was involved. */
  readonly level: number | undefined;
  readonly entry: FaultyEntry | undefined;
  /** Set when hardware records nothing. */
  readonly silenced: Silence | undefined;
}

/** Where a translation stopped. One object, used again for every translation. */
export class FaultSite {
  /** The stage that refused; 0 before any page table was reached. */
  stage: 0 | 1 | 2 = 0;
  /** Level of the paging entry that refused; -1 where none was involved. */
  level = -1;
  /** FPD in any entry consulted so far. */
  fpd = false;
  entry: FaultyEntry | undefined = undefined;
  /** Qualified reasons that FPD does not silence. */
  readonly alwaysRecorded: readonly number[];

  constructor(alwaysRecorded: readonly number[] = []) {
    this.alwaysRecorded = alwaysRecorded;
  }

  /** Forgets the last translation. */
  clear(): void {
    this.stage = 0;
    this.level = -1;
    this.fpd = false;
    this.entry = undefined;
  }
}

const SILENT_REFUSALS: Readonly<Record<SilentRefusal, Pick<FaultReason, "text" | "remedy">>> = {
  "abort-dma": {
    text: "the unit is in abort-DMA mode",
    remedy: "set the root table with another mode",
  },
  "cached-rights": {
    text: "a cached translation does not permit it",
    remedy: "invalidate the translation when its permissions grow",
  },
  "protected-memory": {
    text: "the output is in a protected memory region",
    remedy: "clear EPM in the protected memory enable register, or map to memory outside",
  },
};

/** Whether FPD in an entry consulted silences a fault with the reason `code`. */
export const isSilencedByFpd = (code: number, { fpd, alwaysRecorded }: FaultSite): boolean =>
  fpd && FAULT_REASONS.get(code)!.qualified && !alwaysRecorded.includes(code);

const silenceOf = (
  reason: FaultReason,
  request: DmaRequest,
  site: FaultSite,
): Silence | undefined => {
  if (reason.recoverable && request.addressType === TRANSLATION_REQUEST) return "recoverable";
  return isSilencedByFpd(reason.code, site) ? "fpd" : undefined;
};

/** Makes the value for the refusal of `request` with the reason `code` at `site`. */
export const createFault = (code: number, request: DmaRequest, site: FaultSite): VtdFault => {
  const reason = FAULT_REASONS.get(code)!;
  return faultOf(
    request,
    site,
    code,
    `fault ${hex(code)}`,
    reason,
    silenceOf(reason, request, site),
  );
};

/** Makes the value for a refusal that has no reason code and is never recorded. */
export const createSilentFault = (why: SilentRefusal, request: DmaRequest): VtdFault =>
  faultOf(request, new FaultSite(), 0, "refused", SILENT_REFUSALS[why], why);

const faultOf = (
  request: DmaRequest,
  site: FaultSite,
  code: number,
  what: string,
  { text, remedy }: Pick<FaultReason, "text" | "remedy">,
  silenced: Silence | undefined,
): VtdFault => {
  const address = iova(fromHalves(request.hi, request.lo));
  return {
    kind: "vtd",
    code,
    message: `${what} at ${hex(address)}: ${text}`,
    remedy,
    source: request.source,
    pasid: request.pasid === NO_PASID ? undefined : request.pasid,
    address,
    access: {
      read: (request.access & READ) !== 0,
      write: (request.access & WRITE) !== 0,
      execute: (request.access & EXECUTE) !== 0,
      privileged: (request.access & PRIVILEGED) !== 0,
    },
    stage: site.stage,
    level: site.level < 0 ? undefined : site.level,
    entry: site.entry,
    silenced,
  };
};
