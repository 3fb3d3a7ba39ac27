import type { DmaFault } from "./dma-request.ts";

/** What the fabric itself refuses a request for. */
export type PciFaultReason =
  /** The function is not in the machine, or a bus on the way has no number. */
  | "unknown-requester"
  /** Bus Master Enable is clear in the function or a bridge above it (PCIe 6.3 §7.5.1.1.3). */
  | "bus-master-disabled"
  /** The request crosses a 4 KiB boundary (§2.2.7). */
  | "crosses-page"
  /** A PASID, although the function has none enabled (§6.20.1). */
  | "pasid-disabled"
  /** A PASID with more bits than the function advertises (§7.8.9.2). */
  | "pasid-too-wide"
  /** Execute or privilege without the PASID that would carry it (§6.20.2.3, §6.20.2.4). */
  | "pasid-missing"
  /** Asks to execute, which is not enabled (§7.8.9.3). */
  | "execute-disabled"
  /** Asks with privilege, which is not enabled (§7.8.9.3). */
  | "privileged-disabled"
  /** Something on the way takes no end-end TLP prefix (§2.2.10.4). */
  | "prefix-unsupported"
  /** A translation request or a translated address, although ATS is not enabled (§10.5.1.3). */
  | "ats-disabled"
  /** ACS Translation Blocking at a port on the way (§6.12.1.1). */
  | "translation-blocked"
  /** A translation request, and nothing that translates (§10.2.2). */
  | "no-translation-agent"
  /** A page request, although they are not enabled (§10.5.2.2). */
  | "page-requests-disabled"
  /** A page request after a Response Failure (§10.5.2.3). */
  | "page-requests-failed"
  /** A page request beyond the outstanding ones that the function may have (§10.5.2.5). */
  | "page-requests-exhausted"
  /** A page request, and nobody who serves them. */
  | "no-page-request-service"
  /** An interrupt, and nobody to deliver it to. */
  | "no-interrupt-port"
  /** An interrupt that remapping did not let pass. */
  | "interrupt-blocked"
  /** There is no memory at the physical address. */
  | "no-memory"
  /** The function was reset or removed while the request was in flight. */
  | "aborted";

/** How a completion says that a request failed (PCIe 6.3 §2.2.9). */
export type CompletionStatus = "unsupported-request" | "completer-abort";

const STATUS_CODES: { readonly [S in CompletionStatus]: number } = {
  "unsupported-request": 1,
  "completer-abort": 4,
};

/** A request that the fabric refused. */
export interface PciFault extends DmaFault {
  readonly kind: "pci";
  readonly reason: PciFaultReason;
  readonly status: CompletionStatus;
  /** Completion status: 1 Unsupported Request, 4 Completer Abort. */
  readonly code: number;
}

/** @param message one sentence that says what was wrong, and where */
export const pciFault = (reason: PciFaultReason, message: string): PciFault => {
  // An ACS violation is the one that is answered with Completer Abort (§6.12.5).
  const status = reason === "translation-blocked" ? "completer-abort" : "unsupported-request";
  return Object.freeze({ kind: "pci", reason, status, code: STATUS_CODES[status], message });
};
