import { DONE, fail, type Outcome, ok } from "../errno.ts";
import type { NestedDomain, PagingDomain, UserData, UserDomain } from "../iommu/index.ts";
import * as uapi from "../uapi/index.ts";
import type { IommufdContext } from "./context.ts";
import type { Device } from "./device.ts";
import type { FaultQueue } from "./fault.ts";
import type { Ioas } from "./ioas.ts";
import { IommufdObject } from "./object.ts";
import type { Viommu } from "./viommu.ts";

/** A hardware page table: a domain that devices can be attached to. */
export abstract class HwPagetable extends IommufdObject {
  abstract override readonly kind: "hwpt-paging" | "hwpt-nested";
  abstract readonly domain: UserDomain;
  /** Where I/O page faults of devices attached to it go. */
  fault: FaultQueue | undefined = undefined;
  /** PASIDs may use it, and a device that uses PASIDs. */
  readonly pasidCompatible: boolean;

  constructor(pasidCompatible: boolean) {
    super();
    this.pasidCompatible = pasidCompatible;
  }

  /** Sends faults to `fault` from now on, which it holds. */
  useFaults(fault: FaultQueue): void {
    fault.get();
    this.fault = fault;
  }
}

/** A page table that an I/O address space fills. */
export class HwptPaging extends HwPagetable {
  override readonly kind = "hwpt-paging";
  override readonly domain: PagingDomain;
  readonly ioas: Ioas;
  /** Made for an attachment to the address space, and gone with the last one. */
  autoDomain = false;
  readonly nestParent: boolean;
  enforcesCoherency = false;
  #seesIoas = false;

  constructor(ioas: Ioas, domain: PagingDomain, flags: number) {
    super((flags & uapi.IOMMU_HWPT_ALLOC_PASID) !== 0);
    this.ioas = ioas.get();
    this.domain = domain;
    this.nestParent = (flags & uapi.IOMMU_HWPT_ALLOC_NEST_PARENT) !== 0;
  }

  /** Makes what is mapped in the address space appear in the domain. */
  fill(): Outcome<undefined> {
    const added = this.ioas.iopt.addDomain(this.domain);
    if (!added.ok) return added;
    this.#seesIoas = true;
    this.ioas.hwpts.add(this);
    return DONE;
  }

  override destroy(): void {
    if (this.#seesIoas) {
      this.ioas.hwpts.delete(this);
      this.ioas.iopt.removeDomain(this.domain);
    }
    this.domain.free();
    this.ioas.put();
    this.fault?.put();
  }
}

/** A page table of the client's own over a nesting parent. */
export class HwptNested extends HwPagetable {
  override readonly kind = "hwpt-nested";
  override readonly domain: NestedDomain;
  /** What it was made from: the parent, or a vIOMMU that stands for it. */
  readonly base: HwptPaging | Viommu;

  constructor(base: HwptPaging | Viommu, domain: NestedDomain, flags: number) {
    super((flags & uapi.IOMMU_HWPT_ALLOC_PASID) !== 0);
    this.base = base.get();
    this.domain = domain;
  }

  override destroy(): void {
    this.domain.free();
    this.base.put();
    this.fault?.put();
  }
}

const PAGING_FLAGS =
  uapi.IOMMU_HWPT_ALLOC_NEST_PARENT |
  uapi.IOMMU_HWPT_ALLOC_DIRTY_TRACKING |
  uapi.IOMMU_HWPT_FAULT_ID_VALID |
  uapi.IOMMU_HWPT_ALLOC_PASID;

/**
 * Makes a page table for an address space.
 *
 * @returns EOPNOTSUPP for flags that do not exist, do not go together, or that
 *   the hardware lacks; then what the driver and the filling answer
 */
export const allocPaging = (
  context: IommufdContext,
  ioas: Ioas,
  device: Device,
  flags: number,
  userData?: UserData,
): Outcome<HwptPaging> => {
  const { device: hardware } = device;
  const dirtyTracking = (flags & uapi.IOMMU_HWPT_ALLOC_DIRTY_TRACKING) !== 0;
  const nestParent = (flags & uapi.IOMMU_HWPT_ALLOC_NEST_PARENT) !== 0;
  if ((flags & ~PAGING_FLAGS) !== 0) return fail("EOPNOTSUPP");
  if (dirtyTracking && !hardware.driver.capable(hardware, "dirty-tracking")) {
    return fail("EOPNOTSUPP");
  }
  if (nestParent && (flags & uapi.IOMMU_HWPT_FAULT_ID_VALID) !== 0) return fail("EOPNOTSUPP");
  const pasid = (flags & uapi.IOMMU_HWPT_ALLOC_PASID) !== 0;
  const domain = hardware.driver.allocPaging(hardware, {
    nestParent,
    dirtyTracking,
    pasid,
    ...(userData === undefined ? {} : { userData }),
  });
  if (!domain.ok) return domain;
  const hwpt = context.objects.add(new HwptPaging(ioas, domain.value, flags));
  if (!hwpt.ok) {
    domain.value.free();
    ioas.put();
    return hwpt;
  }
  const ready = prepare(hwpt.value, device);
  if (ready.ok) return hwpt;
  context.objects.remove(hwpt.value);
  return ready;
};

const prepare = (hwpt: HwptPaging, device: Device): Outcome<undefined> => {
  if (device.enforcesCoherency) {
    // Before anything is mapped: some hardware has a bit for it in every entry.
    hwpt.enforcesCoherency = hwpt.domain.enforceCacheCoherency?.() ?? false;
    if (!hwpt.enforcesCoherency) return fail("EINVAL");
  }
  return hwpt.fill();
};

const NESTED_FLAGS = uapi.IOMMU_HWPT_FAULT_ID_VALID | uapi.IOMMU_HWPT_ALLOC_PASID;

/** @returns EOPNOTSUPP for flags or without data or driver support, EINVAL for another kind of parent; the driver's errors */
export const allocNested = (
  context: IommufdContext,
  parent: HwptPaging,
  device: Device,
  flags: number,
  userData: UserData | undefined,
): Outcome<HwptNested> => {
  const { device: hardware } = device;
  const { driver } = hardware;
  if ((flags & ~NESTED_FLAGS) !== 0 || userData === undefined) return fail("EOPNOTSUPP");
  if (driver.allocNested === undefined) return fail("EOPNOTSUPP");
  if (parent.autoDomain || !parent.nestParent || parent.domain.driver !== driver) {
    return fail("EINVAL");
  }
  const driverFlags = flags & ~uapi.IOMMU_HWPT_FAULT_ID_VALID;
  const domain = driver.allocNested(hardware, parent.domain, driverFlags, userData);
  return domain.ok ? addNested(context, new HwptNested(parent, domain.value, flags)) : domain;
};

/** @returns as `allocNested`; EINVAL for a device that is not behind the vIOMMU */
export const allocViommuNested = (
  context: IommufdContext,
  viommu: Viommu,
  device: Device,
  flags: number,
  userData: UserData | undefined,
): Outcome<HwptNested> => {
  if ((flags & ~NESTED_FLAGS) !== 0 || userData === undefined) return fail("EOPNOTSUPP");
  const { driver } = viommu;
  if (driver.allocNested === undefined) return fail("EOPNOTSUPP");
  if (device.device.driver !== viommu.hardware.driver) return fail("EINVAL");
  const domain = driver.allocNested(flags & ~uapi.IOMMU_HWPT_FAULT_ID_VALID, userData);
  return domain.ok ? addNested(context, new HwptNested(viommu, domain.value, flags)) : domain;
};

const addNested = (context: IommufdContext, nested: HwptNested): Outcome<HwptNested> => {
  const added = context.objects.add(nested);
  if (!added.ok) nested.destroy();
  return added.ok ? ok(nested) : added;
};
