import { DONE, fail, type Outcome, ok } from "../../errno.ts";
import type { FaultInjector } from "../../fault-injector.ts";
import type {
  Capability,
  DriverViommu,
  HwInfo,
  IommuDevice,
  IommuDriver,
  NestedDomain,
  PagingDomain,
  PagingRequest,
  ReservedRegion,
  UserData,
  UserDomain,
  ViommuRequest,
} from "../../iommu/index.ts";
import * as uapi from "../../uapi/index.ts";
import { MockDevice } from "./mock-device.ts";
import { MockDomain, type MockNestedDomain } from "./mock-domain.ts";
import { allocMockNested, MockViommu } from "./mock-viommu.ts";

/** The IOMMU that the kernel's own tests of iommufd use: no hardware, every feature, fixed numbers. */
export class MockIommu implements IommuDriver {
  readonly name = "mock";
  readonly #faults: FaultInjector;
  #devices = 0;

  constructor(faults: FaultInjector) {
    this.#faults = faults;
  }

  /**
   * A new device.
   *
   * @param beside a device whose group it joins; one of its own when absent
   * @returns EINVAL for flags that do not exist
   */
  createDevice(flags: number, beside?: MockDevice): Outcome<MockDevice> {
    if ((flags & ~(uapi.MOCK_FLAGS_DEVICE_NO_DIRTY | uapi.MOCK_FLAGS_DEVICE_PASID)) !== 0) {
      return fail("EINVAL");
    }
    return ok(new MockDevice(this, this.#devices++, flags, beside));
  }

  capable(device: IommuDevice, capability: Capability): boolean {
    if (capability === "dirty-tracking") return (device as MockDevice).tracksDirty;
    return capability === "cache-coherency" || capability === "isolated-msi";
  }

  reservedRegions(): readonly ReservedRegion[] {
    return [];
  }

  hwInfo(_device: IommuDevice, type: number): Outcome<HwInfo> {
    const own = uapi.IOMMU_HW_INFO_TYPE_SELFTEST;
    if (type !== uapi.IOMMU_HW_INFO_TYPE_DEFAULT && type !== own) return fail("EOPNOTSUPP");
    const bytes = uapi.IOMMU_TEST_HW_INFO.encode({ test_reg: uapi.IOMMU_HW_INFO_SELFTEST_REGVAL });
    return ok({ type: own, bytes });
  }

  allocPaging(device: IommuDevice, request: PagingRequest): Outcome<PagingDomain> {
    const { userData, dirtyTracking } = request;
    if (dirtyTracking && !(device as MockDevice).tracksDirty) return fail("EOPNOTSUPP");
    let type = uapi.MOCK_IOMMUPT_DEFAULT;
    if (userData !== undefined) {
      const struct = uapi.IOMMU_HWPT_SELFTEST;
      if (userData.type !== uapi.IOMMU_HWPT_DATA_SELFTEST) return fail("EOPNOTSUPP");
      const bytes = userData.read(struct.size, struct.members.iotlb.offset + 4);
      if (!bytes.ok) return bytes;
      type = struct.decode(bytes.value).pagetable_type;
    }
    if (type !== uapi.MOCK_IOMMUPT_DEFAULT && type !== uapi.MOCK_IOMMUPT_HUGE) {
      return fail("EOPNOTSUPP");
    }
    const huge = type === uapi.MOCK_IOMMUPT_HUGE;
    return ok(new MockDomain(this, huge, dirtyTracking, this.#faults));
  }

  allocNested(
    _device: IommuDevice,
    parent: PagingDomain,
    flags: number,
    data: UserData,
  ): Outcome<NestedDomain> {
    return allocMockNested(this, parent, flags, data);
  }

  viommuSupported(_device: IommuDevice, type: number): boolean {
    return type === uapi.IOMMU_VIOMMU_TYPE_SELFTEST;
  }

  allocViommu(_device: IommuDevice, { parent, data }: ViommuRequest): Outcome<DriverViommu> {
    if (data === undefined) return ok(new MockViommu(this, parent, undefined));
    const struct = uapi.IOMMU_VIOMMU_SELFTEST;
    const bytes = data.read(struct.size, struct.members.out_data.offset + 4);
    if (!bytes.ok) return bytes;
    return ok(new MockViommu(this, parent, struct.decode(bytes.value).in_data));
  }

  attach(device: IommuDevice, domain: UserDomain | undefined): Outcome<undefined> {
    if (domain === undefined) return DONE;
    if (domain.kind === "paging") {
      return domain.dirty !== undefined && !(device as MockDevice).tracksDirty
        ? fail("EINVAL")
        : DONE;
    }
    const { viommu } = domain as MockNestedDomain;
    return viommu !== undefined && viommu.virtualIdOf(device) === undefined ? fail("ENOENT") : DONE;
  }

  attachPasid(
    device: IommuDevice,
    pasid: number,
    domain: UserDomain | undefined,
  ): Outcome<undefined> {
    const mock = device as MockDevice;
    if (pasid === uapi.IOMMU_TEST_PASID_RESERVED) {
      const fails = domain !== undefined && mock.failsNextPasid;
      mock.failsNextPasid = domain !== undefined && !fails;
      if (fails) return fail("ENOMEM");
    }
    return this.attach(device, domain);
  }
}
