import { frameOf, highHalf, lowHalf } from "../../bits/halves.ts";
import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import type { Capabilities } from "./capabilities.ts";
import {
  DeviceScan,
  type FoundDevice,
  type FoundSpace,
  type StructureProblem,
} from "./enumerate-devices.ts";
import { LeafList } from "./enumerate-leaves.ts";
import {
  Budget,
  ENUMERATION_LIMITS,
  type EnumerationLimits,
  type Truncation,
} from "./enumerate-limits.ts";
import { PageEnumerator } from "./enumerate-pages.ts";
import { RTADDR, TTM_ABORT, TTM_LEGACY, TTM_SCALABLE } from "./spec/root-table-address.ts";
import { PASS_THROUGH } from "./target.ts";

export type { FoundDevice, FoundSpace, StructureProblem } from "./enumerate-devices.ts";
export { LeafList, type PagingProblem, type ProblemKind } from "./enumerate-leaves.ts";
export {
  ENUMERATION_LIMITS,
  type EnumerationLimits,
  type Truncation,
} from "./enumerate-limits.ts";

/** RTADDR.TTM in words; `invalid` for what the unit does not have. */
export type TableMode = "legacy" | "scalable" | "abort" | "invalid";

/** Whose tables to look at, and how much of them. */
export interface EnumerateOptions {
  readonly capabilities: Capabilities;
  /** Only read; it must not change meanwhile. */
  readonly memory: PhysicalMemory;
  /** The root table address register. */
  readonly rtaddr: bigint;
  /** Bounds other than `ENUMERATION_LIMITS`. */
  readonly limits?: Partial<EnumerationLimits>;
}

/** An address space of a device, and what its page tables map. */
export interface EnumeratedSpace extends FoundSpace {
  /** The code of the fault that every request meets, because of an entry or an unreadable top table; 0 when there is none. */
  readonly fault: number;
  /** Shared by all spaces with the same page tables. */
  readonly leaves: LeafList;
  /** How many of `leaves` are within the bounds: all, unless the enumeration was truncated. */
  readonly leafCount: number;
}

/** A device, and everything that its requests can reach. */
export interface EnumeratedDevice extends Omit<FoundDevice, "spaces"> {
  readonly spaces: readonly EnumeratedSpace[];
}

/** Everything that a unit's tables say. */
export interface UnitEnumeration {
  readonly mode: TableMode;
  /** The code of the fault that every request meets; 0 when there is none. In abort-DMA mode that is 0 too. */
  readonly fault: number;
  /** By requester ID. */
  readonly devices: readonly EnumeratedDevice[];
  readonly problems: readonly StructureProblem[];
  /** The frames of all tables that the unit reads. */
  readonly tablePfns: ReadonlySet<number>;
  /** Which bound ended the enumeration; `undefined` when none did. */
  readonly truncation: Truncation | undefined;
}

const modeOf = (capabilities: Capabilities, ttm: number): TableMode => {
  if (ttm === TTM_LEGACY) return "legacy";
  if (ttm === TTM_SCALABLE && capabilities.has("SMTS")) return "scalable";
  return ttm === TTM_ABORT && capabilities.has("ADMS") ? "abort" : "invalid";
};

/**
 * Lists every device, PASID and leaf in a unit's tables, as the unit would read
 * them for a request: what it would refuse leads nowhere and is a problem.
 * Nothing is written, and whatever the tables say it ends soon.
 */
export const enumerateUnit = (options: EnumerateOptions): UnitEnumeration => {
  const { capabilities, memory, rtaddr } = options;
  const budget = new Budget({ ...ENUMERATION_LIMITS, ...options.limits });
  const tablePfns = new Set<number>();
  const { RTA, TTM } = RTADDR.decode([rtaddr]);
  const mode = modeOf(capabilities, Number(TTM));
  if (mode === "abort" || mode === "invalid") {
    const fault = mode === "invalid" ? 0x30 : 0;
    return { mode, fault, devices: [], problems: [], tablePfns, truncation: undefined };
  }
  const parts = { memory, budget, tablePfns };
  const rootPfn = frameOf(highHalf(RTA), lowHalf(RTA));
  const scan = new DeviceScan(capabilities, parts, rootPfn, mode === "legacy");
  const unreadable = mode === "legacy" ? 0x08 : 0x38;
  const fault = scan.run() ? 0 : unreadable;
  const pages = new PageEnumerator(capabilities, parts);
  const nothing = new LeafList(budget);
  const devices = scan.devices.map((device): EnumeratedDevice => {
    const spaces = device.spaces.map((space): EnumeratedSpace => {
      budget.enter(device.source, space.pasid);
      const { target } = space;
      const mapped = target !== undefined && target.type !== PASS_THROUGH && !budget.exhausted;
      const left = budget.left("mappings");
      const leaves = mapped ? pages.enumerate(target) : nothing;
      budget.spend("mappings", leaves.count);
      const leafCount = Math.min(leaves.count, left);
      return { ...space, fault: space.code || leaves.fault, leaves, leafCount };
    });
    const rid = spaces.find(({ pasid }) => pasid === null);
    return { ...device, code: device.code || (rid?.fault ?? 0), spaces };
  });
  return {
    mode,
    fault,
    devices,
    problems: scan.problems,
    tablePfns,
    truncation: budget.truncation,
  };
};
