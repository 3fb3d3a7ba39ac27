import type { PageRequest, PageRequestOutcome } from "./ats.ts";

/** Permissions and properties of a request; or-ed together in `DmaRequest.access`. */
export const READ = 1;
/** Writes memory. A request that reads and writes is an AtomicOp. */
export const WRITE = 2;
/** Asks to execute what it reads; only with a PASID. */
export const EXECUTE = 4;
/** Comes with supervisor privilege; only with a PASID. */
export const PRIVILEGED = 8;

/** An ordinary request: its address is to be translated (PCIe AT 00b). */
export const UNTRANSLATED = 0;
/** An ATS translation request: it wants the translation, not the data (PCIe AT 01b). */
export const TRANSLATION_REQUEST = 1;
/** A request whose address a device has translated before (PCIe AT 10b). */
export const TRANSLATED = 2;

/** What `DmaRequest.pasid` is for a request without a PASID. */
export const NO_PASID = -1;

/** Why a request was refused. Units refine it; a device only learns that it was. */
export interface DmaFault {
  /** The architecture's number for the reason. */
  readonly code: number;
  /** One sentence that says what was wrong. */
  readonly message: string;
}

/**
 * One request on its way to memory, and its answer.
 *
 * A device owns the object and uses it again for the next request, so that
 * translating allocates nothing. Address halves are int32, as in `bits/halves`.
 * A request does not cross a 4 KiB boundary; whoever moves more data splits it.
 */
export class DmaRequest {
  /** Requester ID: bus 15:8, device 7:3, function 2:0. */
  source = 0;
  /** The request's PASID, 20 bits, or `NO_PASID`. */
  pasid: number = NO_PASID;
  /** Bits 63:32 of the address. */
  hi = 0;
  /** Bits 31:0 of the address. */
  lo = 0;
  /** Bytes from the address on; at least 1, and inside one 4 KiB page. */
  length = 1;
  /** `READ`, `WRITE`, `EXECUTE` and `PRIVILEGED`, or-ed. */
  access: number = READ;
  /** `UNTRANSLATED`, `TRANSLATION_REQUEST` or `TRANSLATED`. */
  addressType: number = UNTRANSLATED;

  /** Answer: bits 63:32 of the physical address of the first byte. */
  outHi = 0;
  /** Answer: bits 31:0 of the physical address of the first byte. */
  outLo = 0;
  /** Answer: log2 of the size of the page that holds it, in both spaces alike; 64 when nothing was translated. */
  pageLg2 = 12;
  /** Answer: which of `READ`, `WRITE`, `EXECUTE` the translation grants; what ATS returns. */
  granted = 0;
  /** Answer: why the request was refused; `undefined` when it was not. */
  fault: DmaFault | undefined = undefined;
}

/** What translates requests: a remapping unit, or the absence of one. */
export interface Translator {
  /**
   * Translates `request` and puts the answer into it.
   *
   * @returns `false` when it is refused, with `request.fault` set
   */
  translate(request: DmaRequest): boolean;
  /** Takes a page request; absent where nobody serves page requests. An answer may come before this returns. */
  requestPage?(request: PageRequest): PageRequestOutcome;
}
