/** A function, or a bridge with everything behind it, as firmware names it. */
export interface DeviceScope {
  /** Requester ID. */
  readonly source: number;
  /** What is behind it belongs to it too. */
  readonly subtree: boolean;
}

/** A remapping unit as firmware describes it (VT-d 4.1 §8.3). */
export interface UnitDescription {
  /** Address of its registers. */
  readonly base: bigint;
  readonly segment: number;
  /** What it serves; `all` is what no other unit of the segment names. */
  readonly scope: "all" | readonly DeviceScope[];
}

/** Memory that devices use without being told: it must stay mapped to itself for them (§8.4). */
export interface ReservedMemory {
  readonly segment: number;
  readonly start: bigint;
  /** Its last address. */
  readonly last: bigint;
  readonly devices: readonly DeviceScope[];
}

/** What firmware tells an operating system of remapping and of PCI: DMAR and the host bridges. */
export interface FirmwareTables {
  /** Buses of the root complex. */
  readonly rootBuses: readonly { readonly segment: number; readonly number: number }[];
  readonly units: readonly UnitDescription[];
  readonly reservedMemory: readonly ReservedMemory[];
  /** Root ports whose devices may use ATS (§8.5), by segment; `all` for every one. */
  readonly atsRootPorts: "all" | readonly { readonly segment: number; readonly source: number }[];
}
