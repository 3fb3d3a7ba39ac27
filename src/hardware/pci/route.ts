import { requesterOf } from "./aliases.ts";
import {
  type DmaRequest,
  EXECUTE,
  NO_PASID,
  PRIVILEGED,
  type Translator,
  UNTRANSLATED,
} from "./dma-request.ts";
import { KINDS } from "./function-kind.ts";
import { type PciFault, pciFault } from "./pci-fault.ts";
import {
  ACS_CAPABILITY,
  ATS_CAPABILITY,
  PASID_CAPABILITY,
  PCI_EXPRESS_CAPABILITY,
} from "./spec/capabilities.ts";
import type { PciFunction } from "./topology.ts";

/** What the way from a function to memory looks like, worked out once until something on it changes. */
export interface Route {
  /** Requester ID that arrives at the root complex; 0 when `blocked`. */
  readonly source: number;
  /** What translates there; `undefined` when nothing does. */
  readonly translator: Translator | undefined;
  /** Why every request is refused. */
  readonly blocked: PciFault | undefined;
  /** Why every request with a PASID is refused. */
  readonly pasidBlocked: PciFault | undefined;
  /** The largest PASID. */
  readonly lastPasid: number;
  readonly tooWide: PciFault;
  /** Why every request that asks to execute is refused. */
  readonly executeBlocked: PciFault | undefined;
  /** Why every request with privilege is refused. */
  readonly privilegedBlocked: PciFault | undefined;
  readonly pasidMissing: PciFault;
  /** Why every translation request and every translated one is refused. */
  readonly translationBlocked: PciFault | undefined;
  readonly crossesPage: PciFault;
}

/** The bridges and ports above a function, nearest first. */
const above = (fn: PciFunction): PciFunction[] => {
  const hops: PciFunction[] = [];
  for (let hop = fn.bus.bridge; hop !== undefined; hop = hop.bus.bridge) hops.push(hop);
  return hops;
};

const requesterFault = (fn: PciFunction): PciFault | undefined => {
  if (!fn.removed && requesterOf(fn) !== undefined) return undefined;
  const why = fn.removed ? "it is not in the machine" : "a bus on its way has no number";
  return pciFault("unknown-requester", `${fn.address} cannot send requests: ${why}`);
};

const masterFault = (fn: PciFunction, hops: readonly PciFunction[]): PciFault | undefined => {
  const off = [fn, ...hops].find((hop) => !hop.busMaster);
  if (off === undefined) return undefined;
  return pciFault(
    "bus-master-disabled",
    `${fn.address} cannot reach memory: Bus Master Enable is clear in ${off.address}`,
  );
};

const pasidFault = (fn: PciFunction, hops: readonly PciFunction[]): PciFault | undefined => {
  if (!fn.config.has(PASID_CAPABILITY.layout, "pasidEnable")) {
    return pciFault("pasid-disabled", `${fn.address} has no PASID enabled`);
  }
  const onWay = [fn, ...hops].find(
    ({ config }) =>
      !config.has(PCI_EXPRESS_CAPABILITY.layout, "endEndPrefix") ||
      config.has(PCI_EXPRESS_CAPABILITY.layout, "endEndPrefixBlocking"),
  );
  if (onWay === undefined) return undefined;
  return pciFault(
    "prefix-unsupported",
    `a PASID of ${fn.address} does not pass ${onWay.address}: no end-end TLP prefixes`,
  );
};

const translationFault = (fn: PciFunction, hops: readonly PciFunction[]): PciFault | undefined => {
  if (!fn.config.has(ATS_CAPABILITY.layout, "atsEnable")) {
    return pciFault("ats-disabled", `${fn.address} has ATS not enabled`);
  }
  const port = hops.find(
    (hop) =>
      KINDS[hop.kind].link && hop.config.has(ACS_CAPABILITY.layout, "translationBlockingEnable"),
  );
  if (port === undefined) return undefined;
  return pciFault(
    "translation-blocked",
    `${port.address} blocks requests of ${fn.address} that claim to be translated`,
  );
};

const unless = (
  allowed: boolean,
  reason: "execute-disabled" | "privileged-disabled",
  fn: PciFunction,
) =>
  allowed
    ? undefined
    : pciFault(
        reason,
        `${fn.address} asks for what its PASID capability has not enabled: ${reason}`,
      );

/** Works out the way of a function's requests. */
export const routeFrom = (fn: PciFunction, translator: Translator | undefined): Route => {
  const hops = above(fn);
  const { layout } = PASID_CAPABILITY;
  return {
    source: requesterOf(fn) ?? 0,
    translator,
    blocked: requesterFault(fn) ?? masterFault(fn, hops),
    pasidBlocked: pasidFault(fn, hops),
    lastPasid: 2 ** fn.config.get(layout, "maxPasidWidth") - 1,
    tooWide: pciFault("pasid-too-wide", `${fn.address} sends a PASID wider than it advertises`),
    executeBlocked: unless(
      fn.config.has(layout, "executePermissionEnable"),
      "execute-disabled",
      fn,
    ),
    privilegedBlocked: unless(
      fn.config.has(layout, "privilegedModeEnable"),
      "privileged-disabled",
      fn,
    ),
    pasidMissing: pciFault(
      "pasid-missing",
      `${fn.address} asks to execute or with privilege, without a PASID`,
    ),
    translationBlocked: translationFault(fn, hops),
    crossesPage: pciFault("crosses-page", `${fn.address} sends a request across a 4 KiB boundary`),
  };
};

/** Why `request` does not get to the root complex; `undefined` when it does. */
export const refusalOf = (route: Route, request: DmaRequest): PciFault | undefined => {
  if (route.blocked !== undefined) return route.blocked;
  if ((request.lo & 0xfff) + request.length > 4096) return route.crossesPage;
  if (request.addressType !== UNTRANSLATED && route.translationBlocked !== undefined) {
    return route.translationBlocked;
  }
  const special = request.access & (EXECUTE | PRIVILEGED);
  if (request.pasid === NO_PASID) return special === 0 ? undefined : route.pasidMissing;
  if (route.pasidBlocked !== undefined) return route.pasidBlocked;
  if (request.pasid > route.lastPasid) return route.tooWide;
  if ((special & EXECUTE) !== 0 && route.executeBlocked !== undefined) return route.executeBlocked;
  return (special & PRIVILEGED) !== 0 ? route.privilegedBlocked : undefined;
};
