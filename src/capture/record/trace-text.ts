import { hex } from "../../bits/hex.ts";
import { READ, UNTRANSLATED, WRITE } from "../../hardware/pci/dma-request.ts";

/** A refused request, as `REFUSAL_RECORDED` tells of it. */
export interface RefusedRequest {
  readonly source: number;
  readonly pasid: number | undefined;
  readonly address: bigint;
  readonly access: number;
  readonly addressType: number;
  readonly code: number;
}

/** A page request, as `PAGE_REQUESTED` tells of it. */
export interface RequestedPage {
  readonly source: number;
  readonly pasid: number | undefined;
  readonly address: bigint;
  readonly read: boolean;
  readonly write: boolean;
  readonly execute: boolean;
  readonly privileged: boolean;
  readonly group: number;
  readonly last: boolean;
}

const NAMES = ["none", "context", "iotlb", "device-tlb", "interrupt-entry", "wait"];
const SCALABLE_NAMES = ["pasid-iotlb", "pasid-cache", "pasid-device-tlb", "page-response"];

/** What a descriptor is called: bits 11:9 and 3:0 of its first quadword are its type (VT-d §6.5.2). */
export const descriptorName = (low: bigint): string => {
  const type = Number(((low >> 9n) & 7n) << 4n) | Number(low & 0xfn);
  return [...NAMES, ...SCALABLE_NAMES][type] ?? `type-${type}`;
};

/** What the lines of a trace say, without their newlines. The events of QEMU where it has one, else our own. */
export const traceText = {
  reset: (): string => "vtd_reset_exit ",
  read: (offset: number, width: number): string =>
    `vtd_reg_read addr ${hex(offset)} size ${hex(width)}`,
  write: (offset: number, width: number, value: bigint): string =>
    `vtd_reg_write addr ${hex(offset)} size ${hex(width)} value ${hex(value)}`,
  command: (status: number, value: bigint): string =>
    `vtd_reg_write_gcmd status ${hex(status)} value ${hex(value)}`,
  head: (slot: number): string => `vtd_inv_qi_head read head ${slot}`,
  descriptor: (words: readonly bigint[]): string =>
    `vtd_inv_desc invalidate desc type ${descriptorName(words[0]!)} high ${hex(words[1]!)} low ${hex(words[0]!)}`,
  wait: (address: bigint, data: number): string =>
    `vtd_inv_desc_wait_sw wait invalidate status write addr ${hex(address)} data ${hex(data)}`,
  message: (address: bigint, data: number): string =>
    `vtd_irq_generate addr ${hex(address)} data ${hex(data)}`,
  refused: (request: RefusedRequest): string => {
    const { source, pasid, address, access, addressType, code } = request;
    const isPlain = pasid === undefined && addressType === UNTRANSLATED;
    if (isPlain && (access === READ || access === WRITE)) {
      const writes = access === WRITE ? 1 : 0;
      return `vtd_dmar_fault sid ${hex(source)} fault ${code} addr ${hex(address)} write ${writes}`;
    }
    const tag = pasid === undefined ? "none" : hex(pasid);
    return (
      `unit_refused sid ${hex(source)} fault ${code} addr ${hex(address)} ` +
      `access ${access} type ${addressType} pasid ${tag}`
    );
  },
  page: (request: RequestedPage): string => {
    const { source, pasid, address, read, write, execute, privileged, group, last } = request;
    const bits = [read, write, execute, privileged, last];
    const flags = bits.reduce((sum, bit, i) => sum | (bit ? 1 << i : 0), 0);
    const tag = pasid === undefined ? "none" : hex(pasid);
    return (
      `unit_page_request sid ${hex(source)} addr ${hex(address)} flags ${hex(flags)} ` +
      `group ${group} pasid ${tag}`
    );
  },
} as const;
