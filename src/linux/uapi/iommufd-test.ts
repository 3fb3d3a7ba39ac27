/** `IOMMU_TEST_CMD` and the mock IOMMU's data: what Linux 7.3 built with `CONFIG_IOMMUFD_TEST` adds. */
import { type CField, type CStruct, defineStruct } from "./c-struct.ts";

export const IOMMU_TEST_OP = {
  ADD_RESERVED: 1,
  MOCK_DOMAIN: 2,
  MD_CHECK_MAP: 3,
  MD_CHECK_REFS: 4,
  CREATE_ACCESS: 5,
  DESTROY_ACCESS_PAGES: 6,
  ACCESS_PAGES: 7,
  ACCESS_RW: 8,
  SET_TEMP_MEMORY_LIMIT: 9,
  MOCK_DOMAIN_REPLACE: 10,
  ACCESS_REPLACE_IOAS: 11,
  MOCK_DOMAIN_FLAGS: 12,
  DIRTY: 13,
  MD_CHECK_IOTLB: 14,
  TRIGGER_IOPF: 15,
  DEV_CHECK_CACHE: 16,
  TRIGGER_VEVENT: 17,
  PASID_ATTACH: 18,
  PASID_REPLACE: 19,
  PASID_DETACH: 20,
  PASID_CHECK_HWPT: 21,
  DMABUF_GET: 22,
  DMABUF_REVOKE: 23,
} as const;

/** The name of an operation. */
export type TestOperation = keyof typeof IOMMU_TEST_OP;

/** Where the part of an operation begins, and the word behind the largest of them. */
const PART_OFFSET = 16;
const LAST_OFFSET = 64;

/** Bytes of `struct iommu_test_cmd`, and of its part up to the end of `union`, which every call must give. */
export const TEST_CMD_SIZE = 72;
export const TEST_CMD_MIN_SIZE = 68;

/** What all operations begin with. */
export const IOMMU_TEST_CMD_HEAD = defineStruct("iommu_test_cmd", {
  size: "u32",
  op: "u32",
  id: "u32",
  __reserved: "u32",
  part: "u64[6]",
  last: "u32",
});

/** The parts of the union, each behind the head. */
const part = <const Fields extends Record<string, CField>>(
  name: string,
  fields: Fields,
): CStruct<Fields> => defineStruct(`iommu_test_cmd.${name}`, fields);

export const TEST_PARTS = {
  ADD_RESERVED: part("add_reserved", { start: "u64", length: "u64" }),
  MOCK_DOMAIN: part("mock_domain", {
    out_stdev_id: "u32",
    out_hwpt_id: "u32",
    out_idev_id: "u32",
  }),
  MD_CHECK_MAP: part("check_map", { iova: "u64", length: "u64", uptr: "u64" }),
  MD_CHECK_REFS: part("check_refs", { length: "u64", uptr: "u64", refs: "u32" }),
  CREATE_ACCESS: part("create_access", { out_access_fd: "u32", flags: "u32" }),
  DESTROY_ACCESS_PAGES: part("destroy_access_pages", { access_pages_id: "u32" }),
  ACCESS_PAGES: part("access_pages", {
    flags: "u32",
    out_access_pages_id: "u32",
    iova: "u64",
    length: "u64",
    uptr: "u64",
  }),
  ACCESS_RW: part("access_rw", { iova: "u64", length: "u64", uptr: "u64", flags: "u32" }),
  SET_TEMP_MEMORY_LIMIT: part("memory_limit", { limit: "u32" }),
  MOCK_DOMAIN_REPLACE: part("mock_domain_replace", { pt_id: "u32" }),
  ACCESS_REPLACE_IOAS: part("access_replace_ioas", { ioas_id: "u32" }),
  MOCK_DOMAIN_FLAGS: part("mock_domain_flags", {
    out_stdev_id: "u32",
    out_hwpt_id: "u32",
    out_idev_id: "u32",
    dev_flags: "u32",
  }),
  DIRTY: part("dirty", {
    flags: "u32",
    iova: "u64",
    length: "u64",
    page_size: "u64",
    uptr: "u64",
    out_nr_dirty: "u64",
  }),
  MD_CHECK_IOTLB: part("check_iotlb", { id: "u32", iotlb: "u32" }),
  TRIGGER_IOPF: part("trigger_iopf", {
    dev_id: "u32",
    pasid: "u32",
    grpid: "u32",
    perm: "u32",
    addr: "u64",
  }),
  DEV_CHECK_CACHE: part("check_dev_cache", { id: "u32", cache: "u32" }),
  TRIGGER_VEVENT: part("trigger_vevent", { dev_id: "u32" }),
  PASID_ATTACH: part("pasid_attach", { pasid: "u32", pt_id: "u32" }),
  PASID_REPLACE: part("pasid_replace", { pasid: "u32", pt_id: "u32" }),
  PASID_DETACH: part("pasid_detach", { pasid: "u32" }),
  PASID_CHECK_HWPT: part("pasid_check", { pasid: "u32", hwpt_id: "u32" }),
  DMABUF_GET: part("dmabuf_get", { length: "u64", open_flags: "u32" }),
  DMABUF_REVOKE: part("dmabuf_revoke", { dmabuf_fd: "s32", revoked: "u32" }),
} as const;

/** A whole command: head, the operation's part in its place, nothing behind it. */
export const encodeTestCommand = (
  op: number,
  id: number,
  body: Uint8Array,
): Uint8Array<ArrayBuffer> => {
  const bytes = IOMMU_TEST_CMD_HEAD.encode({ size: TEST_CMD_SIZE, op, id });
  bytes.set(body.subarray(0, LAST_OFFSET - PART_OFFSET), PART_OFFSET);
  return bytes;
};

/** The operation's part of a whole command. */
export const testPartOf = (command: Uint8Array): Uint8Array =>
  command.subarray(PART_OFFSET, LAST_OFFSET);

export const MOCK_APERTURE_START = 0x100_0000n;
export const MOCK_APERTURE_LAST = 0x7fff_ffffn;
/** The mock domain's smallest page. */
export const MOCK_IO_PAGE_SIZE = 2048n;
export const MOCK_HUGE_PAGE_SIZE = 512n * MOCK_IO_PAGE_SIZE;
export const MOCK_PASID_WIDTH = 20;
export const IOMMU_TEST_PASID_RESERVED = 1024;

export const MOCK_FLAGS_DEVICE_NO_DIRTY = 1;
export const MOCK_FLAGS_DEVICE_PASID = 4;
export const MOCK_FLAGS_ACCESS_WRITE = 1;
export const MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES = 1;
export const MOCK_ACCESS_RW_WRITE = 1;
export const MOCK_ACCESS_RW_SLOW_PATH = 4;

export const IOMMU_HW_INFO_TYPE_SELFTEST = 0xfeed_beef;
export const IOMMU_HW_INFO_SELFTEST_REGVAL = 0xdead_beef;
export const IOMMU_HWPT_DATA_SELFTEST = 0xdead;
export const IOMMU_TEST_IOTLB_DEFAULT = 0xbad_beef;
export const IOMMU_TEST_DEV_CACHE_DEFAULT = 0xba_ddad;
/** Entries of a nested mock domain's IOTLB, and of a mock device's cache. */
export const MOCK_CACHE_ENTRIES = 4;
export const IOMMU_HWPT_INVALIDATE_DATA_SELFTEST = 0xdead_beef;
export const IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST = 0xdead_beef;
export const IOMMU_TEST_INVALIDATE_FLAG_ALL = 1;
export const IOMMU_VIOMMU_TYPE_SELFTEST = 0xdead_beef;
export const IOMMU_VEVENTQ_TYPE_SELFTEST = 0xbeef_beef;
export const IOMMU_HW_QUEUE_TYPE_SELFTEST = 0xdead_beef;
export const IOMMU_TEST_HW_QUEUE_MAX = 2;
/** Values of `iommu_hwpt_selftest.pagetable_type`. */
export const MOCK_IOMMUPT_DEFAULT = 0;
export const MOCK_IOMMUPT_HUGE = 1;

export const IOMMU_TEST_HW_INFO = defineStruct("iommu_test_hw_info", {
  flags: "u32",
  test_reg: "u32",
});

export const IOMMU_HWPT_SELFTEST = defineStruct("iommu_hwpt_selftest", {
  iotlb: "u32",
  pagetable_type: "u32",
});

export const IOMMU_HWPT_INVALIDATE_SELFTEST = defineStruct("iommu_hwpt_invalidate_selftest", {
  flags: "u32",
  iotlb_id: "u32",
});

export const IOMMU_VIOMMU_SELFTEST = defineStruct("iommu_viommu_selftest", {
  in_data: "u32",
  out_data: "u32",
  out_mmap_offset: "u64",
  out_mmap_length: "u64",
});

export const IOMMU_VIOMMU_INVALIDATE_SELFTEST = defineStruct("iommu_viommu_invalidate_selftest", {
  flags: "u32",
  vdev_id: "u32",
  cache_id: "u32",
});

export const IOMMU_VIOMMU_EVENT_SELFTEST = defineStruct("iommu_viommu_event_selftest", {
  virt_id: "u32",
});
