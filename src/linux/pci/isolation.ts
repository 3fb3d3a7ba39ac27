import { ACS_CAPABILITY } from "../../hardware/pci/spec/capabilities.ts";
import { TYPE_0_HEADER } from "../../hardware/pci/spec/config-header.ts";
import { type PciDevice, PORT_TYPES } from "./pci-device.ts";

/** What has to be on for requests to go upstream instead of to a peer (PCIe 6.3 §6.12.1). */
const REDIRECTING = [
  ["sourceValidation", "sourceValidationEnable"],
  ["requestRedirect", "requestRedirectEnable"],
  ["completionRedirect", "completionRedirectEnable"],
  ["upstreamForwarding", "upstreamForwardingEnable"],
] as const;

/** Whether all the services that a function has are on; one that its capability lacks stands for a way that does not exist. */
const redirects = ({ config }: PciDevice): boolean =>
  config.offsetOf(ACS_CAPABILITY) !== undefined &&
  REDIRECTING.every(
    ([service, enable]) =>
      config.get(ACS_CAPABILITY, service) === 0 || config.get(ACS_CAPABILITY, enable) === 1,
  );

const isMultiFunction = ({ config }: PciDevice): boolean =>
  config.header(TYPE_0_HEADER, "multiFunction") === 1;

/** Whether nothing that passes a bridge, or comes from it, can reach what is on the other side of it unseen. */
const isolates = (device: PciDevice): boolean => {
  switch (device.portType) {
    case PORT_TYPES.rootPort:
    case PORT_TYPES.downstreamPort:
      return redirects(device);
    case PORT_TYPES.upstreamPort:
    case PORT_TYPES.endpoint:
    case PORT_TYPES.legacyEndpoint:
    case PORT_TYPES.integratedEndpoint:
      return !isMultiFunction(device) || redirects(device);
    default:
      return false;
  }
};

/**
 * Which functions cannot be told or kept apart, each function in one set:
 * those behind one bridge that takes ownership of their requests, those below
 * a port that lets peers reach each other, and functions of one device without
 * access control.
 */
export const isolationGroups = (devices: readonly PciDevice[]): readonly PciDevice[][] => {
  const parents = new Map<PciDevice, PciDevice>();
  const find = (device: PciDevice): PciDevice => {
    const parent = parents.get(device);
    return parent === undefined ? device : find(parent);
  };
  const unite = (a: PciDevice, b: PciDevice): void => {
    const [first, second] = [find(a), find(b)];
    if (first !== second) parents.set(second, first);
  };
  for (const device of devices) {
    for (let hop = device.parent; hop !== undefined; hop = hop.parent) {
      if (!isolates(hop)) unite(hop, device);
    }
    if (isolates(device)) continue;
    const slot = device.source & ~7;
    for (const other of devices) {
      const peers = other.segment === device.segment && (other.source & ~7) === slot;
      if (peers && !isolates(other)) unite(device, other);
    }
  }
  const groups = new Map<PciDevice, PciDevice[]>();
  for (const device of devices) {
    const head = find(device);
    groups.set(head, [...(groups.get(head) ?? []), device]);
  }
  return [...groups.values()];
};
