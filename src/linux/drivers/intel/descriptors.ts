import { lowMask } from "../../../bits/log2.ts";
import {
  CONTEXT_CACHE_DESCRIPTOR,
  DEVICE_TLB_DESCRIPTOR,
  INTERRUPT_ENTRY_DESCRIPTOR,
  IOTLB_DESCRIPTOR,
  PAGE_GROUP_RESPONSE_DESCRIPTOR,
  PASID_CACHE_DESCRIPTOR,
  PASID_DEVICE_TLB_DESCRIPTOR,
  PASID_IOTLB_DESCRIPTOR,
  WAIT_DESCRIPTOR,
} from "../../../hardware/vtd/spec/descriptors.ts";
import type { PageSpan } from "./page-span.ts";

/** A descriptor as it is put into the queue: four quadwords, of which narrow queues take two. */
export type Descriptor = readonly bigint[];

const GLOBAL = 1;
const BY_DOMAIN = 2;
const BY_DEVICE = 3;
const BY_PAGE = 3;
const WHOLE_PASID = 2;

export const contextCacheGlobal = (): Descriptor =>
  CONTEXT_CACHE_DESCRIPTOR.encode({ TYPE: 1, G: GLOBAL });

/** @param domain the domain that the entry had */
export const contextCacheOfDevice = (source: number, domain: number): Descriptor =>
  CONTEXT_CACHE_DESCRIPTOR.encode({ TYPE: 1, G: BY_DEVICE, SID: source, DID: domain });

export const pasidCacheGlobal = (): Descriptor => PASID_CACHE_DESCRIPTOR.encode({ TYPE: 7, G: 3 });

/** @param domain the domain that the entry had */
export const pasidCache = (domain: number, pasid: number): Descriptor =>
  PASID_CACHE_DESCRIPTOR.encode({ TYPE: 7, G: 1, DID: domain, PASID: pasid });

/** What an IOTLB invalidation drains: reads and writes in flight, where the unit can. */
export interface Drains {
  readonly DR: boolean;
  readonly DW: boolean;
}

export const iotlbGlobal = (drains: Drains): Descriptor =>
  IOTLB_DESCRIPTOR.encode({ TYPE: 2, G: GLOBAL, ...drains });

export const iotlbOfDomain = (domain: number, drains: Drains): Descriptor =>
  IOTLB_DESCRIPTOR.encode({ TYPE: 2, G: BY_DOMAIN, DID: domain, ...drains });

/** @param leavesOnly tables above the leaves have stayed as they are */
export const iotlbPages = (
  domain: number,
  span: PageSpan,
  leavesOnly: boolean,
  drains: Drains,
): Descriptor =>
  IOTLB_DESCRIPTOR.encode({
    TYPE: 2,
    G: BY_PAGE,
    DID: domain,
    AM: span.mask,
    IH: leavesOnly,
    ADDR: span.address,
    ...drains,
  });

export const pasidIotlb = (domain: number, pasid: number): Descriptor =>
  PASID_IOTLB_DESCRIPTOR.encode({ TYPE: 6, G: WHOLE_PASID, DID: domain, PASID: pasid });

/** @param leavesOnly tables above the leaves have stayed as they are */
export const pasidIotlbPages = (
  domain: number,
  pasid: number,
  span: PageSpan,
  leavesOnly: boolean,
): Descriptor =>
  PASID_IOTLB_DESCRIPTOR.encode({
    TYPE: 6,
    G: BY_PAGE,
    DID: domain,
    PASID: pasid,
    AM: span.mask,
    IH: leavesOnly,
    ADDR: span.address,
  });

/** A range as ATS writes it: a run of ones below a zero gives the size (PCIe 6.3 §10.2.3.2). */
const atsRange = (span: PageSpan | undefined): { readonly S: boolean; readonly ADDR: bigint } => {
  if (span === undefined) return { S: true, ADDR: lowMask(63) & ~0xfffn };
  if (span.mask === 0) return { S: false, ADDR: span.address };
  return { S: true, ADDR: span.address | (lowMask(span.mask + 11) & ~0xfffn) };
};

/** @param span everything when absent */
export const deviceTlb = (source: number, span: PageSpan | undefined): Descriptor =>
  DEVICE_TLB_DESCRIPTOR.encode({ TYPE: 3, SID: source, ...atsRange(span) });

/** @param span everything when absent */
export const pasidDeviceTlb = (
  source: number,
  pasid: number,
  span: PageSpan | undefined,
): Descriptor =>
  PASID_DEVICE_TLB_DESCRIPTOR.encode({ TYPE: 8, SID: source, PASID: pasid, ...atsRange(span) });

export const interruptEntries = (): Descriptor => INTERRUPT_ENTRY_DESCRIPTOR.encode({ TYPE: 4 });

/** Writes `data` to `address` when everything before has completed. */
export const waitFor = (address: bigint, data: number): Descriptor =>
  WAIT_DESCRIPTOR.encode({ TYPE: 5, SW: 1, FN: 1, STDATA: data, STADDR: address >> 2n });

/** Waits until every page request that devices have sent before is in the page request queue. */
export const drainPageRequests = (): Descriptor =>
  WAIT_DESCRIPTOR.encode({ TYPE: 5, FN: 1, PD: 1 });

/** What a page group response tells a device (PCIe 6.3 §10.4.2.1). */
export const RESPONSE_CODES = { success: 0, invalid: 1, failure: 15 } as const;

/** @param pasid `undefined` for a group of requests without one */
export const pageGroupResponse = (
  source: number,
  pasid: number | undefined,
  group: number,
  code: number,
): Descriptor =>
  PAGE_GROUP_RESPONSE_DESCRIPTOR.encode({
    TYPE: 9,
    PP: pasid !== undefined,
    RC: code,
    RID: source,
    PASID: pasid ?? 0,
    LPIG: 1,
    PRGI: group,
  });
