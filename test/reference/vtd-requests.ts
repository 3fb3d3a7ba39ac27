/** Between the reference's requests and those that devices make. */
import {
  type DmaRequest,
  EXECUTE,
  NO_PASID,
  PRIVILEGED,
  READ,
  TRANSLATED,
  TRANSLATION_REQUEST,
  UNTRANSLATED,
  WRITE,
} from "../../src/hardware/pci/dma-request.ts";
import type { ReferenceRequest } from "./vtd-machine.ts";

const TYPES = {
  untranslated: UNTRANSLATED,
  "translation-request": TRANSLATION_REQUEST,
  translated: TRANSLATED,
} as const;

/** Puts `request` into a device's request, and traces of an older answer with it. */
export const fillRequest = (into: DmaRequest, request: ReferenceRequest): void => {
  const { access } = request;
  into.source = request.source;
  into.pasid = request.pasid ?? NO_PASID;
  into.hi = Number(request.address >> 32n) | 0;
  into.lo = Number(request.address & 0xffff_ffffn) | 0;
  into.length = 1;
  into.access =
    (access.read ? READ : 0) |
    (access.write ? WRITE : 0) |
    (access.execute ? EXECUTE : 0) |
    (access.privileged ? PRIVILEGED : 0);
  into.addressType = TYPES[request.type];
  into.outHi = 0x5a5a;
  into.outLo = 0x5a5a;
  into.pageLg2 = 99;
  into.granted = 0xff;
  into.fault = undefined;
};

/** The physical address of the answer. */
export const answeredAddress = (request: DmaRequest): bigint =>
  (BigInt(request.outHi >>> 0) << 32n) | BigInt(request.outLo >>> 0);

export const describeRequest = (request: ReferenceRequest): string => {
  const { access } = request;
  const letters = `${access.read ? "r" : ""}${access.write ? "w" : ""}${access.execute ? "x" : ""}${access.privileged ? "p" : ""}`;
  const pasid = request.pasid === undefined ? "none" : `0x${request.pasid.toString(16)}`;
  return `${request.type} ${letters} source 0x${request.source.toString(16)} pasid ${pasid} address 0x${request.address.toString(16)}`;
};
