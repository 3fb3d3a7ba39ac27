/** The arguments of iommufd's ioctls: `include/uapi/linux/iommufd.h` of Linux 7.3. */
import { defineStruct } from "./c-struct.ts";

export const IOMMU_DESTROY_ARGS = defineStruct("iommu_destroy", { size: "u32", id: "u32" });

export const IOMMU_IOAS_ALLOC_ARGS = defineStruct("iommu_ioas_alloc", {
  size: "u32",
  flags: "u32",
  out_ioas_id: "u32",
});

export const IOMMU_IOVA_RANGE = defineStruct("iommu_iova_range", { start: "u64", last: "u64" });

export const IOMMU_IOAS_IOVA_RANGES_ARGS = defineStruct("iommu_ioas_iova_ranges", {
  size: "u32",
  ioas_id: "u32",
  num_iovas: "u32",
  __reserved: "u32",
  allowed_iovas: "u64",
  out_iova_alignment: "u64",
});

export const IOMMU_IOAS_ALLOW_IOVAS_ARGS = defineStruct("iommu_ioas_allow_iovas", {
  size: "u32",
  ioas_id: "u32",
  num_iovas: "u32",
  __reserved: "u32",
  allowed_iovas: "u64",
});

export const IOMMU_IOAS_MAP_ARGS = defineStruct("iommu_ioas_map", {
  size: "u32",
  flags: "u32",
  ioas_id: "u32",
  __reserved: "u32",
  user_va: "u64",
  length: "u64",
  iova: "u64",
});

export const IOMMU_IOAS_NOIOMMU_GET_PA_ARGS = defineStruct("iommu_ioas_noiommu_get_pa", {
  size: "u32",
  flags: "u32",
  ioas_id: "u32",
  __reserved: "u32",
  iova: "u64",
  length: "u64",
  out_phys: "u64",
});

export const IOMMU_IOAS_MAP_FILE_ARGS = defineStruct("iommu_ioas_map_file", {
  size: "u32",
  flags: "u32",
  ioas_id: "u32",
  fd: "s32",
  start: "u64",
  length: "u64",
  iova: "u64",
});

export const IOMMU_IOAS_COPY_ARGS = defineStruct("iommu_ioas_copy", {
  size: "u32",
  flags: "u32",
  dst_ioas_id: "u32",
  src_ioas_id: "u32",
  length: "u64",
  dst_iova: "u64",
  src_iova: "u64",
});

export const IOMMU_IOAS_UNMAP_ARGS = defineStruct("iommu_ioas_unmap", {
  size: "u32",
  ioas_id: "u32",
  iova: "u64",
  length: "u64",
});

export const IOMMU_IOAS_CHANGE_PROCESS_ARGS = defineStruct("iommu_ioas_change_process", {
  size: "u32",
  __reserved: "u32",
});

export const IOMMU_OPTION_ARGS = defineStruct("iommu_option", {
  size: "u32",
  option_id: "u32",
  op: "u16",
  __reserved: "u16",
  object_id: "u32",
  val64: "u64",
});

export const IOMMU_VFIO_IOAS_ARGS = defineStruct("iommu_vfio_ioas", {
  size: "u32",
  ioas_id: "u32",
  op: "u16",
  __reserved: "u16",
});

export const IOMMU_HWPT_ALLOC_ARGS = defineStruct("iommu_hwpt_alloc", {
  size: "u32",
  flags: "u32",
  dev_id: "u32",
  pt_id: "u32",
  out_hwpt_id: "u32",
  __reserved: "u32",
  data_type: "u32",
  data_len: "u32",
  data_uptr: "u64",
  fault_id: "u32",
  __reserved2: "u32",
});

export const IOMMU_GET_HW_INFO_ARGS = defineStruct("iommu_hw_info", {
  size: "u32",
  flags: "u32",
  dev_id: "u32",
  data_len: "u32",
  data_uptr: "u64",
  in_data_type: "u32",
  out_data_type: { type: "u32", over: "in_data_type" },
  out_max_pasid_log2: "u8",
  __reserved: "u8[3]",
  out_capabilities: "u64",
});

export const IOMMU_HWPT_SET_DIRTY_TRACKING_ARGS = defineStruct("iommu_hwpt_set_dirty_tracking", {
  size: "u32",
  flags: "u32",
  hwpt_id: "u32",
  __reserved: "u32",
});

export const IOMMU_HWPT_GET_DIRTY_BITMAP_ARGS = defineStruct("iommu_hwpt_get_dirty_bitmap", {
  size: "u32",
  hwpt_id: "u32",
  flags: "u32",
  __reserved: "u32",
  iova: "u64",
  length: "u64",
  page_size: "u64",
  data: "u64",
});

export const IOMMU_HWPT_INVALIDATE_ARGS = defineStruct("iommu_hwpt_invalidate", {
  size: "u32",
  hwpt_id: "u32",
  data_uptr: "u64",
  data_type: "u32",
  entry_len: "u32",
  entry_num: "u32",
  __reserved: "u32",
});

export const IOMMU_FAULT_QUEUE_ALLOC_ARGS = defineStruct("iommu_fault_alloc", {
  size: "u32",
  flags: "u32",
  out_fault_id: "u32",
  out_fault_fd: "u32",
});

export const IOMMU_VIOMMU_ALLOC_ARGS = defineStruct("iommu_viommu_alloc", {
  size: "u32",
  flags: "u32",
  type: "u32",
  dev_id: "u32",
  hwpt_id: "u32",
  out_viommu_id: "u32",
  data_len: "u32",
  __reserved: "u32",
  data_uptr: "u64",
});

export const IOMMU_VDEVICE_ALLOC_ARGS = defineStruct("iommu_vdevice_alloc", {
  size: "u32",
  viommu_id: "u32",
  dev_id: "u32",
  out_vdevice_id: "u32",
  virt_id: "u64",
});

export const IOMMU_VEVENTQ_ALLOC_ARGS = defineStruct("iommu_veventq_alloc", {
  size: "u32",
  flags: "u32",
  viommu_id: "u32",
  type: "u32",
  veventq_depth: "u32",
  out_veventq_id: "u32",
  out_veventq_fd: "u32",
  __reserved: "u32",
});

export const IOMMU_HW_QUEUE_ALLOC_ARGS = defineStruct("iommu_hw_queue_alloc", {
  size: "u32",
  flags: "u32",
  viommu_id: "u32",
  type: "u32",
  index: "u32",
  out_hw_queue_id: "u32",
  nesting_parent_iova: "u64",
  length: "u64",
});
