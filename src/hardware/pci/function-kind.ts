/**
 * What a function is, and where it may sit. The PCI Express kinds are the
 * device/port types of PCIe 6.3 §7.5.3.2; the conventional ones have no PCI
 * Express capability and 256 bytes of configuration space.
 */
export type FunctionKind =
  /** Endpoint on a link. */
  | "endpoint"
  /** Legacy endpoint on a link. */
  | "legacy-endpoint"
  /** Endpoint that is part of the root complex. */
  | "integrated-endpoint"
  /** Port of the root complex. */
  | "root-port"
  /** Port of a switch towards the root. */
  | "upstream-port"
  /** Port of a switch away from the root. */
  | "downstream-port"
  /** Bridge from a link to a conventional bus. */
  | "pcie-to-pci-bridge"
  /** Conventional function: a host bridge, a device of an old chipset, a card on a conventional bus. */
  | "conventional"
  /** Conventional PCI-to-PCI bridge. */
  | "pci-bridge";

/** The facts of one kind. */
export interface KindFacts {
  /** Device/port type; `undefined` for conventional kinds. */
  readonly portType: number | undefined;
  /** Whether there is a bus behind it. */
  readonly bridge: boolean;
  /** What the bus it sits on may belong to; `root` is a bus of the root complex. */
  readonly below: readonly (FunctionKind | "root")[];
  /** Whether what is behind it is a link, which ends in device 0 only. */
  readonly link: boolean;
}

const LINK_ENDS: readonly FunctionKind[] = ["root-port", "downstream-port"];

/** Facts of every kind (PCIe 6.3 §1.3, §7.5.3.2). */
export const KINDS: { readonly [K in FunctionKind]: KindFacts } = {
  endpoint: { portType: 0, bridge: false, below: LINK_ENDS, link: false },
  "legacy-endpoint": { portType: 1, bridge: false, below: LINK_ENDS, link: false },
  "root-port": { portType: 4, bridge: true, below: ["root"], link: true },
  "upstream-port": { portType: 5, bridge: true, below: LINK_ENDS, link: false },
  "downstream-port": { portType: 6, bridge: true, below: ["upstream-port"], link: true },
  "pcie-to-pci-bridge": { portType: 7, bridge: true, below: ["root", ...LINK_ENDS], link: false },
  "integrated-endpoint": { portType: 9, bridge: false, below: ["root"], link: false },
  conventional: {
    portType: undefined,
    bridge: false,
    below: ["root", "pcie-to-pci-bridge", "pci-bridge"],
    link: false,
  },
  "pci-bridge": {
    portType: undefined,
    bridge: true,
    below: ["root", "pcie-to-pci-bridge", "pci-bridge"],
    link: false,
  },
};
