import type { PciFunction } from "./topology.ts";

/**
 * The requester IDs under which memory requests of a function can reach the
 * root complex: its own first, then one for each bridge on the way that puts
 * its own in place, the outermost last. Empty while a bus on the way has no number.
 *
 * A PCI Express to PCI bridge takes ownership of what comes from behind it with
 * its secondary bus, device 0, function 0 (PCI Express to PCI/PCI-X Bridge
 * Specification 1.0 §2.3); a conventional bridge uses its own requester ID.
 * Ports of switches and of the root complex change nothing.
 */
export const aliasesOf = (fn: PciFunction): number[] => {
  const aliases: (number | undefined)[] = [fn.requesterId];
  for (let hop = fn.bus.bridge; hop !== undefined; hop = hop.bus.bridge) {
    const secondary = hop.secondary?.number;
    if (hop.kind === "pci-bridge") aliases.push(hop.requesterId);
    else if (hop.kind === "pcie-to-pci-bridge")
      aliases.push(secondary === undefined ? undefined : secondary << 8);
  }
  return aliases.every((id) => id !== undefined) ? aliases : [];
};

/** The requester ID that the root complex sees; `undefined` while a bus on the way has no number. */
export const requesterOf = (fn: PciFunction): number | undefined => aliasesOf(fn).at(-1);
