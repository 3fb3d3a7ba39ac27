import type { Group, IommuDevice, IommuDriver } from "../../iommu/index.ts";
import {
  IOMMU_TEST_DEV_CACHE_DEFAULT,
  MOCK_CACHE_ENTRIES,
  MOCK_FLAGS_DEVICE_NO_DIRTY,
  MOCK_FLAGS_DEVICE_PASID,
  MOCK_PASID_WIDTH,
} from "../../uapi/index.ts";

/** A group of mock devices. */
class MockGroup implements Group {
  readonly id: number;
  readonly devices: MockDevice[] = [];

  constructor(id: number) {
    this.id = id;
  }
}

/** A device behind the mock IOMMU, alone in its group unless it is put beside another. */
export class MockDevice implements IommuDevice {
  readonly name: string;
  readonly driver: IommuDriver;
  readonly group: MockGroup;
  readonly pasidLg2: number;
  readonly pasidExec = false;
  readonly pasidPrivileged = false;
  readonly ats = false;
  readonly tracksDirty: boolean;
  /** Four words that a guest's invalidation clears. */
  readonly cache: Uint32Array = new Uint32Array(MOCK_CACHE_ENTRIES).fill(
    IOMMU_TEST_DEV_CACHE_DEFAULT,
  );
  /** The next attachment of PASID 1024 fails, for tests of the way back. */
  failsNextPasid = false;

  constructor(driver: IommuDriver, number: number, flags: number, beside?: MockDevice) {
    this.driver = driver;
    this.name = `iommufd_mock${number}`;
    this.group = beside?.group ?? new MockGroup(number);
    this.group.devices.push(this);
    this.tracksDirty = (flags & MOCK_FLAGS_DEVICE_NO_DIRTY) === 0;
    this.pasidLg2 = (flags & MOCK_FLAGS_DEVICE_PASID) !== 0 ? MOCK_PASID_WIDTH : 0;
  }
}
