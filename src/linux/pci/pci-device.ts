import {
  ATS_CAPABILITY,
  PAGE_REQUEST_CAPABILITY,
  PASID_CAPABILITY,
  PCI_EXPRESS_CAPABILITY,
} from "../../hardware/pci/spec/capabilities.ts";
import { TYPE_0_HEADER } from "../../hardware/pci/spec/config-header.ts";
import { DONE, fail, type Outcome } from "../errno.ts";
import type { FunctionConfig } from "./function-config.ts";

/** Device/port types of the PCI Express capability (PCIe 6.3 §7.5.3.2). */
export const PORT_TYPES = {
  endpoint: 0,
  legacyEndpoint: 1,
  rootPort: 4,
  upstreamPort: 5,
  downstreamPort: 6,
  expressToPci: 7,
  pciToExpress: 8,
  integratedEndpoint: 9,
} as const;

/** Bits of the command register (PCIe 6.3 §7.5.1.1.3), and where it is. */
const COMMAND = 4;
const MEMORY_SPACE = 2;
const BUS_MASTER = 4;

const hexDigits = (value: number, width: number): string => value.toString(16).padStart(width, "0");

/** A function as the kernel has found it. */
export class PciDevice {
  readonly segment: number;
  /** Requester ID. */
  readonly source: number;
  /** The bridge in front of it. */
  readonly parent: PciDevice | undefined;
  readonly config: FunctionConfig;
  /** `undefined` for a conventional function. */
  readonly portType: number | undefined;
  readonly isBridge: boolean;
  /** The bus behind a bridge. */
  readonly secondaryBus: number;

  constructor(config: FunctionConfig, parent: PciDevice | undefined, secondaryBus: number) {
    this.config = config;
    this.segment = config.segment;
    this.source = config.source;
    this.parent = parent;
    this.isBridge = config.header(TYPE_0_HEADER, "headerType") === 1;
    this.secondaryBus = this.isBridge ? secondaryBus : 0;
    const express = config.offsetOf(PCI_EXPRESS_CAPABILITY);
    this.portType =
      express === undefined ? undefined : config.get(PCI_EXPRESS_CAPABILITY, "portType");
  }

  /** `ssss:bb:dd.f` */
  get name(): string {
    const { segment, source } = this;
    return `${hexDigits(segment, 4)}:${hexDigits(source >>> 8, 2)}:${hexDigits((source >>> 3) & 31, 2)}.${source & 7}`;
  }

  /**
   * Requester IDs under which its requests can arrive: its own, then that of
   * each bridge on the way that puts its own in place, the outermost last.
   */
  get aliases(): readonly number[] {
    const aliases = [this.source];
    for (let hop = this.parent; hop !== undefined; hop = hop.parent) {
      if (hop.portType === PORT_TYPES.expressToPci) aliases.push(hop.secondaryBus << 8);
      else if (hop.portType === undefined) aliases.push(hop.source);
    }
    return aliases;
  }

  /** Bits of its largest PASID; 0 without the capability, or where a port on the way drops such requests. */
  get pasidWidth(): number {
    for (let hop: PciDevice | undefined = this; hop !== undefined; hop = hop.parent) {
      if (hop.config.get(PCI_EXPRESS_CAPABILITY, "endEndPrefix") === 0) return 0;
    }
    return this.config.get(PASID_CAPABILITY, "maxPasidWidth");
  }

  /** Lets it answer memory accesses and do DMA, bridges on the way included. */
  enable(): void {
    for (let hop: PciDevice | undefined = this; hop !== undefined; hop = hop.parent) {
      hop.config.enable(MEMORY_SPACE | BUS_MASTER);
    }
  }

  /**
   * Resets the function. What it may do afterwards is what it was allowed before;
   * what it had cached or waited for is gone.
   *
   * @returns ENOTTY without such a reset
   */
  reset(): Outcome<undefined> {
    const { config } = this;
    if (config.get(PCI_EXPRESS_CAPABILITY, "functionLevelReset") === 0) return fail("ENOTTY");
    const command = config.read(COMMAND) & 0xffff;
    const sendsPasids = config.get(PASID_CAPABILITY, "pasidEnable") === 1;
    const caches = config.get(ATS_CAPABILITY, "atsEnable") === 1;
    const requestsPages = config.get(PAGE_REQUEST_CAPABILITY, "pageRequestEnable") === 1;
    const allocation = config.get(PAGE_REQUEST_CAPABILITY, "allocation");
    config.set(PCI_EXPRESS_CAPABILITY, { initiateReset: 1 });
    if (sendsPasids) this.enablePasid();
    if (caches) this.enableAts();
    if (requestsPages) this.enablePageRequests(allocation);
    config.enable(command);
    return DONE;
  }

  /**
   * Lets it send PASIDs, and ask to execute and with privilege where it can.
   *
   * @returns EINVAL without the capability; EBUSY while ATS is enabled, when a change has no defined meaning
   */
  enablePasid(): Outcome<undefined> {
    if (this.pasidWidth === 0) return fail("EINVAL");
    if (this.config.get(ATS_CAPABILITY, "atsEnable") === 1) return fail("EBUSY");
    this.config.set(PASID_CAPABILITY, {
      pasidEnable: 1,
      executePermissionEnable: this.config.get(PASID_CAPABILITY, "executePermission"),
      privilegedModeEnable: this.config.get(PASID_CAPABILITY, "privilegedMode"),
    });
    return DONE;
  }

  /** Lets it cache translations of 4 KiB and more. @returns EINVAL without the capability, EBUSY when it may already */
  enableAts(): Outcome<undefined> {
    if (this.config.offsetOf(ATS_CAPABILITY) === undefined) return fail("EINVAL");
    if (this.config.get(ATS_CAPABILITY, "atsEnable") === 1) return fail("EBUSY");
    this.config.set(ATS_CAPABILITY, { smallestTranslationUnit: 0, atsEnable: 1 });
    return DONE;
  }

  /** Ends its caching: what it has cached is worth nothing from now on. */
  disableAts(): void {
    this.config.set(ATS_CAPABILITY, { atsEnable: 0 });
  }

  /**
   * Lets it ask for pages, after forgetting what it had asked for.
   *
   * @returns EINVAL without the capability or without ATS, EBUSY when it may
   *   already or still waits for answers
   */
  enablePageRequests(limit: number): Outcome<undefined> {
    const { config } = this;
    if (config.offsetOf(PAGE_REQUEST_CAPABILITY) === undefined) return fail("EINVAL");
    if (config.get(ATS_CAPABILITY, "atsEnable") === 0) return fail("EINVAL");
    if (config.get(PAGE_REQUEST_CAPABILITY, "pageRequestEnable") === 1) return fail("EBUSY");
    if (config.get(PAGE_REQUEST_CAPABILITY, "stopped") === 0) return fail("EBUSY");
    config.set(PAGE_REQUEST_CAPABILITY, { pageRequestReset: 1 });
    const allocation = Math.min(limit, config.get(PAGE_REQUEST_CAPABILITY, "capacity"));
    config.set(PAGE_REQUEST_CAPABILITY, { allocation });
    config.set(PAGE_REQUEST_CAPABILITY, { pageRequestEnable: 1 });
    return DONE;
  }

  /** Has it ask for no more pages; those that it waits for are still to be answered. */
  disablePageRequests(): void {
    this.config.set(PAGE_REQUEST_CAPABILITY, { pageRequestEnable: 0 });
  }
}
