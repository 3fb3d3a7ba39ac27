import { DONE, fail, type Outcome, ok } from "../../errno.ts";
import type {
  DriverViommu,
  InvalidateResult,
  IommuDevice,
  NestedDomain,
  PagingDomain,
  UserData,
  UserDataArray,
} from "../../iommu/index.ts";
import * as uapi from "../../uapi/index.ts";
import type { MockDevice } from "./mock-device.ts";
import { MockNestedDomain } from "./mock-domain.ts";

/** Bytes of a vIOMMU that a client may map. */
const MMAP_LENGTH = 2n * 4096n;

/** The mock IOMMU's vIOMMU: caches of devices by their virtual ids, events and two queues. */
export class MockViommu implements DriverViommu {
  readonly mmapLength: bigint | undefined;
  readonly #driver: object;
  readonly #parent: PagingDomain;
  readonly #devices = new Map<bigint, MockDevice>();
  readonly #queues = new Set<number>();
  readonly #input: number | undefined;

  constructor(driver: object, parent: PagingDomain, input: number | undefined) {
    this.#driver = driver;
    this.#parent = parent;
    this.#input = input;
    this.mmapLength = input === undefined ? undefined : MMAP_LENGTH;
  }

  reply(offset: bigint): Uint8Array | undefined {
    if (this.#input === undefined) return undefined;
    return uapi.IOMMU_VIOMMU_SELFTEST.encode({
      in_data: this.#input,
      out_data: this.#input,
      out_mmap_offset: offset,
      out_mmap_length: MMAP_LENGTH,
    });
  }

  /** The id by which the guest knows a device; `undefined` without one. */
  virtualIdOf(device: IommuDevice): bigint | undefined {
    for (const [id, known] of this.#devices) if (known === device) return id;
    return undefined;
  }

  allocNested(flags: number, data: UserData): Outcome<NestedDomain> {
    return allocMockNested(this.#driver, this.#parent, flags, data, this);
  }

  supportsEventQueue(type: number): boolean {
    return type === uapi.IOMMU_VEVENTQ_TYPE_SELFTEST;
  }

  initVdevice(device: IommuDevice, virtualId: bigint): Outcome<() => void> {
    this.#devices.set(virtualId, device as MockDevice);
    return ok(() => {
      this.#devices.delete(virtualId);
    });
  }

  /** Every entry is read before any is done. */
  invalidate(array: UserDataArray): InvalidateResult {
    const struct = uapi.IOMMU_VIOMMU_INVALIDATE_SELFTEST;
    const refused = (outcome: Outcome<undefined>): InvalidateResult => ({ done: 0, outcome });
    if (array.type !== uapi.IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST) return refused(fail("EINVAL"));
    if (array.count > 0 && array.entryLength !== struct.size) return refused(fail("EINVAL"));
    const entries: Uint8Array[] = [];
    for (let i = 0; i < array.count; i++) {
      const bytes = array.read(i, struct.size);
      if (!bytes.ok) return refused(bytes);
      entries.push(bytes.value);
    }
    for (const [done, bytes] of entries.entries()) {
      const outcome = this.#invalidateOne(struct.decode(bytes));
      if (!outcome.ok) return { done, outcome };
    }
    return { done: entries.length, outcome: DONE };
  }

  #invalidateOne(
    entry: uapi.ValuesOf<typeof uapi.IOMMU_VIOMMU_INVALIDATE_SELFTEST>,
  ): Outcome<undefined> {
    if ((entry.flags & ~uapi.IOMMU_TEST_INVALIDATE_FLAG_ALL) !== 0) return fail("EOPNOTSUPP");
    const device = this.#devices.get(BigInt(entry.vdev_id));
    if (entry.cache_id >= uapi.MOCK_CACHE_ENTRIES || device === undefined) return fail("EINVAL");
    if (entry.flags !== 0) device.cache.fill(0);
    else device.cache[entry.cache_id] = 0;
    return DONE;
  }

  hwQueueType(type: number): boolean {
    return type === uapi.IOMMU_HW_QUEUE_TYPE_SELFTEST;
  }

  initHwQueue(index: number): Outcome<() => void> {
    if (index >= uapi.IOMMU_TEST_HW_QUEUE_MAX) return fail("EINVAL");
    if (this.#queues.has(index)) return fail("EEXIST");
    if (index > 0 && !this.#queues.has(index - 1)) return fail("EIO");
    this.#queues.add(index);
    return ok(() => {
      this.#queues.delete(index);
    });
  }

  free(): void {}
}

/** A nested domain from a client's structure. @returns EOPNOTSUPP for another type of data or a flag; EINVAL, EFAULT */
export const allocMockNested = (
  driver: object,
  parent: PagingDomain,
  flags: number,
  data: UserData,
  viommu?: MockViommu,
): Outcome<NestedDomain> => {
  const struct = uapi.IOMMU_HWPT_SELFTEST;
  if (data.type !== uapi.IOMMU_HWPT_DATA_SELFTEST) return fail("EOPNOTSUPP");
  if ((flags & ~uapi.IOMMU_HWPT_ALLOC_PASID) !== 0) return fail("EOPNOTSUPP");
  const bytes = data.read(struct.size, struct.members.iotlb.offset + 4);
  if (!bytes.ok) return bytes;
  return ok(new MockNestedDomain(driver, parent, struct.decode(bytes.value).iotlb, viommu));
};
