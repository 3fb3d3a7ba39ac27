import { type DmaRequest, NO_PASID, type Translator, UNTRANSLATED, WRITE } from "./dma-request.ts";

/** A write into the interrupt range, as it arrives at the root complex. */
export interface InterruptRequest {
  /** Requester ID at the root complex. */
  readonly source: number;
  /** FEE0_0000 to FEEF_FFFC, a multiple of 4. */
  readonly address: bigint;
  /** The DWORD that was written. */
  readonly data: number;
}

/**
 * Where interrupt requests go.
 *
 * @param translator what translates the sender's memory requests: the unit that
 *   remaps its interrupts too, where there are several
 * @returns `false` when the interrupt is blocked
 */
export type InterruptPort = (
  request: InterruptRequest,
  translator: Translator | undefined,
) => boolean;

/** Whether `(hi, lo)` is in FEE0_0000 to FEEF_FFFF. */
const inInterruptRange = (hi: number, lo: number): boolean => hi === 0 && lo >>> 20 === 0xfee;

/** Whether `request` is no memory request but an interrupt: a DWORD written into the range without a PASID (VT-d 4.1 §3.14). */
export const isInterruptRequest = (request: DmaRequest): boolean =>
  inInterruptRange(request.hi, request.lo) &&
  request.access === WRITE &&
  request.length === 4 &&
  (request.lo & 3) === 0 &&
  request.pasid === NO_PASID &&
  request.addressType === UNTRANSLATED;
