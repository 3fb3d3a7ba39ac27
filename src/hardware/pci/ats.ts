import { LAST_ADDRESS } from "../../bits/address.ts";
import { alignDown, lowMask, trailingZeros } from "../../bits/log2.ts";
import { NO_PASID } from "./dma-request.ts";

/** A naturally aligned range of addresses, as ATS names it. */
export interface AtsRange {
  /** First address; a multiple of the size. */
  readonly address: bigint;
  /** log2 of the size in bytes, 12 to 64; 64 is every address. */
  readonly sizeLg2: number;
}

/** A range as it is on the wire and in descriptors: bits 63:12 of an address field, and the S bit. */
export interface AtsRangeEncoding {
  readonly address: bigint;
  /** Whether the range is larger than 4 KiB. */
  readonly s: boolean;
}

/**
 * Encodes a range: with S set, the lowest 0 bit from bit 12 up ends a run of
 * ones, and the range has twice the size that its position stands for
 * (PCIe 6.3 §10.2.3.2).
 *
 * @param range `sizeLg2` is 12 to 64; address bits below the size are ignored
 */
export const encodeAtsRange = ({ address, sizeLg2 }: AtsRange): AtsRangeEncoding => {
  const base = alignDown(address, sizeLg2) & LAST_ADDRESS;
  if (sizeLg2 === 12) return { address: base, s: false };
  return { address: base | (lowMask(sizeLg2 - 1) & ~0xfffn), s: true };
};

/**
 * Decodes a range. Ones from bit 12 to 63 name no range in the specification;
 * they are taken as every address, so that nothing stale survives.
 */
export const decodeAtsRange = ({ address, s }: AtsRangeEncoding): AtsRange => {
  if (!s) return { address: alignDown(address, 12), sizeLg2: 12 };
  const firstZero = trailingZeros(~(address | 0xfffn) & LAST_ADDRESS);
  const sizeLg2 = Math.min(firstZero + 1, 64);
  return { address: alignDown(address, sizeLg2), sizeLg2 };
};

/** What a device's cache of translations has to drop (PCIe 6.3 §10.3). */
export interface AtsInvalidation extends AtsRange {
  /** Translations of requests with this PASID, or `NO_PASID` for those without. */
  readonly pasid: number;
  /** Whatever the PASID; only for devices that advertise Global Invalidate. */
  readonly global: boolean;
}

/** A device's cache of translations, as a remapping unit sees it. */
export interface AtsTarget {
  /**
   * Drops what `invalidation` covers. `completed` is called once no request in
   * flight uses a dropped translation any more: at once, or later, exactly once
   * (§10.3.3), with `false` by a device whose answer names another invalidation.
   * A device that does not answer never calls it.
   */
  invalidate(invalidation: AtsInvalidation, completed: (right?: boolean) => void): void;
  /** Takes the answer to a group of page requests; absent where the device has no page request interface. */
  respond?(response: PageGroupResponse): void;
}

/** A page request message (PCIe 6.3 §10.4.1). */
export interface PageRequest {
  /** Requester ID. */
  readonly source: number;
  /** The PASID, or `NO_PASID`. */
  readonly pasid: number;
  /** First address of the page. */
  readonly address: bigint;
  readonly read: boolean;
  readonly write: boolean;
  readonly execute: boolean;
  readonly privileged: boolean;
  /** Page request group index, 9 bits. */
  readonly group: number;
  /** Whether it is the last one of its group, so that a response is due. */
  readonly last: boolean;
}

/**
 * Whether a page request is a Stop Marker: one with a PASID that asks neither to
 * read nor to write, and has the last-request bit. It says that the requests
 * before it were the last ones with the PASID, and nobody answers it (PCIe 6.3
 * §10.4.1.2).
 */
export const isStopMarker = ({ pasid, read, write, last }: Omit<PageRequest, "source">): boolean =>
  pasid !== NO_PASID && !read && !write && last;

/** What became of a page request: software has it, the unit answered it itself, or it was refused. */
export type PageRequestOutcome = "queued" | "overflow" | "refused";

/** Every request of the group was served (PCIe 6.3 §10.4.2.1). */
export const PAGE_RESPONSE_SUCCESS = 0;
/** A page of the group is not there, or not with that permission. */
export const PAGE_RESPONSE_INVALID_REQUEST = 1;
/** Something is broken; the function may ask no more. */
export const PAGE_RESPONSE_FAILURE = 15;

/** The answer to a group of page requests (PCIe 6.3 §10.4.2). */
export interface PageGroupResponse {
  /** Requester ID that the group came from. */
  readonly destination: number;
  /** The PASID, or `NO_PASID`. */
  readonly pasid: number;
  /** Page request group index, 9 bits. */
  readonly group: number;
  /** `PAGE_RESPONSE_SUCCESS`, `PAGE_RESPONSE_INVALID_REQUEST` or `PAGE_RESPONSE_FAILURE`; hardware takes others as failure. */
  readonly code: number;
}
