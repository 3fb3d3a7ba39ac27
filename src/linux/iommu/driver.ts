import type { Range } from "../../bits/range.ts";
import type { Outcome } from "../errno.ts";
import type {
  InvalidateResult,
  NestedDomain,
  PagingDomain,
  UserData,
  UserDataArray,
  UserDomain,
} from "./domain.ts";

export type Capability =
  | "cache-coherency"
  | "enforce-cache-coherency"
  | "dirty-tracking"
  | "isolated-msi";

export interface ReservedRegion extends Range {
  readonly type: "direct" | "direct-relaxable" | "reserved" | "msi" | "sw-msi";
}

/** What a paging domain is to be able to do. */
export interface PagingRequest {
  readonly nestParent: boolean;
  readonly dirtyTracking: boolean;
  readonly pasid: boolean;
  readonly userData?: UserData;
}

export interface HwInfo {
  readonly type: number;
  readonly bytes: Uint8Array;
}

/** Devices that are attached and detached together. */
export interface Group {
  readonly id: number;
  readonly devices: readonly IommuDevice[];
}

export interface IommuDevice {
  readonly name: string;
  readonly group: Group;
  readonly driver: IommuDriver;
  /** log2 of its PASIDs; 0 without any. */
  readonly pasidLg2: number;
  readonly ats: boolean;
  readonly pasidExec: boolean;
  readonly pasidPrivileged: boolean;
}

/** A vIOMMU as its driver sees it. */
export interface DriverViommu {
  /** What goes back to the client after the driver's own structure. */
  reply?(mmapOffset: bigint): Uint8Array | undefined;
  readonly mmapLength?: bigint | undefined;
  allocNested?(flags: number, data: UserData): Outcome<NestedDomain>;
  invalidate?(array: UserDataArray): InvalidateResult;
  supportsEventQueue?(type: number): boolean;
  initVdevice?(device: IommuDevice, virtualId: bigint): Outcome<() => void>;
  hwQueueType?(type: number): boolean;
  initHwQueue?(index: number, address: bigint, length: bigint): Outcome<() => void>;
  free(): void;
}

export interface ViommuRequest {
  readonly type: number;
  readonly parent: PagingDomain;
  readonly data: UserData | undefined;
}

export interface IommuDriver {
  readonly name: string;
  capable(device: IommuDevice, capability: Capability): boolean;
  reservedRegions(device: IommuDevice): readonly ReservedRegion[];
  hwInfo?(device: IommuDevice, type: number): Outcome<HwInfo>;
  allocPaging(device: IommuDevice, request: PagingRequest): Outcome<PagingDomain>;
  allocNested?(
    device: IommuDevice,
    parent: PagingDomain,
    flags: number,
    data: UserData,
  ): Outcome<NestedDomain>;
  /** Whether vIOMMUs of a type exist here. */
  viommuSupported?(device: IommuDevice, type: number): boolean;
  allocViommu?(device: IommuDevice, request: ViommuRequest): Outcome<DriverViommu>;
  /** Changes what translates a device's requests, in one step. `undefined` blocks them all, and cannot fail. */
  attach(device: IommuDevice, domain: UserDomain | undefined): Outcome<undefined>;
  /** Gives a device back what it has while nobody has claimed it; blocked when absent. */
  restoreDefault?(device: IommuDevice): Outcome<undefined>;
  attachPasid?(
    device: IommuDevice,
    pasid: number,
    domain: UserDomain | undefined,
  ): Outcome<undefined>;
  /** Looks whether a device's page requests can be taken. @returns ENODEV when it cannot make any */
  enablePageFaults?(device: IommuDevice): Outcome<undefined>;
  /** Hands over every page request that a device has made until now. */
  drainPageRequests?(device: IommuDevice): void;
}
