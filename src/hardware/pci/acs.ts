import { KINDS } from "./function-kind.ts";
import { ACS_CAPABILITY } from "./spec/capabilities.ts";
import type { PciFunction } from "./topology.ts";

/** The services that decide where a request may go without passing the root complex (PCIe 6.3 §6.12.1). */
export const ACS_SERVICES = [
  "sourceValidation",
  "translationBlocking",
  "requestRedirect",
  "completionRedirect",
  "upstreamForwarding",
  "egressControl",
  "directTranslated",
] as const;

/** One access control service. */
export type AcsService = (typeof ACS_SERVICES)[number];

/** A place on the way to the root complex where requests could turn off towards a peer. */
export interface AcsHop {
  readonly function: PciFunction;
  /** The services it has; `undefined` when it has no ACS capability. */
  readonly supported: ReadonlySet<AcsService> | undefined;
  /** The services that are enabled. */
  readonly enabled: ReadonlySet<AcsService>;
  /**
   * Whether peer-to-peer requests and completions are sent towards the root
   * complex: the capability is there, and every redirecting service that it has
   * is enabled. A service that an ACS capability lacks stands for a way that
   * does not exist (§6.12.1.1).
   */
  readonly redirects: boolean;
}

const hopOf = (fn: PciFunction): AcsHop => {
  const { config } = fn;
  if (config.offsetOf(ACS_CAPABILITY.layout) === undefined) {
    return { function: fn, supported: undefined, enabled: new Set(), redirects: false };
  }
  const supported = new Set(
    ACS_SERVICES.filter((service) => config.has(ACS_CAPABILITY.layout, service)),
  );
  const enabled = new Set(
    ACS_SERVICES.filter((service) => config.has(ACS_CAPABILITY.layout, `${service}Enable`)),
  );
  const redirecting: AcsService[] = ["requestRedirect", "completionRedirect"];
  if (KINDS[fn.kind].link) redirecting.push("upstreamForwarding");
  const redirects = redirecting.every((service) => !supported.has(service) || enabled.has(service));
  return { function: fn, supported, enabled, redirects };
};

/**
 * The hops of a function's requests, from the function up. The function itself
 * and a switch's upstream port count only where their device has other
 * functions; ports that a link ends in and bridges always do.
 */
export const acsPath = (fn: PciFunction): AcsHop[] => {
  const hops: AcsHop[] = [];
  for (let at: PciFunction | undefined = fn; at !== undefined; at = at.bus.bridge) {
    const bridgesPeers = at !== fn && at.kind !== "upstream-port";
    if (bridgesPeers || at.peers.length > 0) hops.push(hopOf(at));
  }
  return hops;
};
