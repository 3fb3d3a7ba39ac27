import { LAST_ADDRESS } from "../../../bits/address.ts";
import type { Range } from "../../../bits/range.ts";
import { DONE, fail, type Outcome } from "../../errno.ts";
import type { FaultInjector } from "../../fault-injector.ts";
import type {
  DirtyOps,
  InvalidateResult,
  NestedDomain,
  PagingDomain,
  UserDataArray,
} from "../../iommu/index.ts";
import * as uapi from "../../uapi/index.ts";
import { MockPageTable } from "./mock-page-table.ts";
import type { MockViommu } from "./mock-viommu.ts";

const HUGE_SIZES = uapi.MOCK_HUGE_PAGE_SIZE | 4096n;
const ALL_SIZES = LAST_ADDRESS & ~(uapi.MOCK_IO_PAGE_SIZE - 1n);

/** The mock IOMMU's paging domain. */
export class MockDomain implements PagingDomain {
  readonly kind = "paging";
  readonly driver: object;
  readonly aperture: Range;
  readonly pageSizes: bigint;
  readonly table: MockPageTable;
  readonly dirty?: DirtyOps;
  readonly #faults: FaultInjector;
  tracking = false;

  constructor(driver: object, huge: boolean, dirtyTracking: boolean, faults: FaultInjector) {
    this.driver = driver;
    this.#faults = faults;
    this.aperture = huge
      ? { start: 0n, last: (1n << 56n) - 1n }
      : { start: uapi.MOCK_APERTURE_START, last: uapi.MOCK_APERTURE_LAST };
    this.pageSizes = huge ? HUGE_SIZES : ALL_SIZES;
    this.table = new MockPageTable(this.pageSizes);
    if (dirtyTracking) {
      this.dirty = {
        set: (enabled) => {
          this.tracking = enabled;
          return DONE;
        },
        readAndClear: (iova, length, clear, visit) => {
          this.table.readAndClear(iova, length, clear, visit);
          return DONE;
        },
      };
    }
  }

  map(iova: bigint, pa: bigint, length: bigint): Outcome<undefined> {
    if (this.#faults.shouldFail("table")) return fail("ENOMEM");
    return this.table.map(iova, pa, length) ? DONE : fail("EADDRINUSE");
  }

  unmap(iova: bigint, length: bigint): bigint {
    return this.table.unmap(iova, length);
  }

  iovaToPhys(iova: bigint): bigint | undefined {
    return this.table.iovaToPhys(iova);
  }

  free(): void {
    if (!this.table.isEmpty) throw new Error("a mock domain goes with something mapped in it");
  }
}

/** A nested mock domain: nothing but an IOTLB of four words, which invalidation clears. */
export class MockNestedDomain implements NestedDomain {
  readonly kind = "nested";
  readonly driver: object;
  readonly parent: PagingDomain;
  readonly iotlb: Uint32Array;
  readonly viommu: MockViommu | undefined;

  constructor(driver: object, parent: PagingDomain, iotlb: number, viommu?: MockViommu) {
    this.driver = driver;
    this.parent = parent;
    this.viommu = viommu;
    this.iotlb = new Uint32Array(uapi.MOCK_CACHE_ENTRIES).fill(iotlb);
  }

  invalidate(array: UserDataArray): InvalidateResult {
    if (array.type !== uapi.IOMMU_HWPT_INVALIDATE_DATA_SELFTEST) {
      return { done: 0, outcome: fail("EINVAL") };
    }
    for (let done = 0; done < array.count; done++) {
      const outcome = this.#invalidateOne(array, done);
      if (!outcome.ok) return { done, outcome };
    }
    return { done: array.count, outcome: DONE };
  }

  #invalidateOne(array: UserDataArray, index: number): Outcome<undefined> {
    const struct = uapi.IOMMU_HWPT_INVALIDATE_SELFTEST;
    const bytes = array.read(index, struct.size);
    if (!bytes.ok) return bytes;
    const { flags, iotlb_id: id } = struct.decode(bytes.value);
    if ((flags & ~uapi.IOMMU_TEST_INVALIDATE_FLAG_ALL) !== 0) return fail("EOPNOTSUPP");
    if (id >= this.iotlb.length) return fail("EINVAL");
    if (flags !== 0) this.iotlb.fill(0);
    else this.iotlb[id] = 0;
    return DONE;
  }

  free(): void {}
}
