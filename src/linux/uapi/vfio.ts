/** VFIO's structures and numbers: `include/uapi/linux/vfio.h` of Linux 7.3. */
import { defineStruct } from "./c-struct.ts";

export const VFIO_API_VERSION = 0;

export const VFIO_GET_API_VERSION = 0x3b64;
export const VFIO_CHECK_EXTENSION = 0x3b65;
export const VFIO_SET_IOMMU = 0x3b66;
export const VFIO_GROUP_GET_STATUS = 0x3b67;
export const VFIO_GROUP_SET_CONTAINER = 0x3b68;
export const VFIO_GROUP_UNSET_CONTAINER = 0x3b69;
export const VFIO_GROUP_GET_DEVICE_FD = 0x3b6a;
export const VFIO_DEVICE_GET_INFO = 0x3b6b;
export const VFIO_DEVICE_GET_REGION_INFO = 0x3b6c;
export const VFIO_DEVICE_GET_IRQ_INFO = 0x3b6d;
export const VFIO_DEVICE_SET_IRQS = 0x3b6e;
export const VFIO_DEVICE_RESET = 0x3b6f;
export const VFIO_DEVICE_GET_PCI_HOT_RESET_INFO = 0x3b70;
export const VFIO_DEVICE_PCI_HOT_RESET = 0x3b71;
export const VFIO_DEVICE_IOEVENTFD = 0x3b74;
export const VFIO_DEVICE_FEATURE = 0x3b75;
export const VFIO_DEVICE_BIND_IOMMUFD = 0x3b76;
export const VFIO_DEVICE_ATTACH_IOMMUFD_PT = 0x3b77;
export const VFIO_DEVICE_DETACH_IOMMUFD_PT = 0x3b78;
/** Of a container; the numbers are a device's too. */
export const VFIO_IOMMU_GET_INFO = 0x3b70;
export const VFIO_IOMMU_MAP_DMA = 0x3b71;
export const VFIO_IOMMU_UNMAP_DMA = 0x3b72;
export const VFIO_IOMMU_DIRTY_PAGES = 0x3b75;

export const VFIO_TYPE1_IOMMU = 1;
export const VFIO_TYPE1v2_IOMMU = 3;
export const VFIO_DMA_CC_IOMMU = 4;
export const VFIO_TYPE1_NESTING_IOMMU = 6;
export const VFIO_NOIOMMU_IOMMU = 8;
export const VFIO_UNMAP_ALL = 9;
export const VFIO_UPDATE_VADDR = 10;

export const VFIO_GROUP_FLAGS_VIABLE = 1;
export const VFIO_GROUP_FLAGS_CONTAINER_SET = 2;
export const VFIO_DEVICE_FLAGS_RESET = 1;
export const VFIO_DEVICE_FLAGS_PCI = 2;
export const VFIO_DEVICE_FLAGS_CAPS = 0x80;
export const VFIO_DEVICE_BIND_FLAG_TOKEN = 1;
export const VFIO_DEVICE_ATTACH_PASID = 1;
export const VFIO_DEVICE_DETACH_PASID = 1;
export const VFIO_PCI_HOT_RESET_FLAG_DEV_ID = 1;
export const VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED = 2;
export const VFIO_PCI_DEVID_OWNED = 0;
export const VFIO_PCI_DEVID_NOT_OWNED = -1;
export const VFIO_IOMMU_INFO_PGSIZES = 1;
export const VFIO_IOMMU_INFO_CAPS = 2;
export const VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE = 1;
export const VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL = 3;
export const VFIO_DMA_MAP_FLAG_READ = 1;
export const VFIO_DMA_MAP_FLAG_WRITE = 2;
export const VFIO_DMA_UNMAP_FLAG_ALL = 2;

export const VFIO_INFO_CAP_HEADER = defineStruct("vfio_info_cap_header", {
  id: "u16",
  version: "u16",
  next: "u32",
});

export const VFIO_GROUP_STATUS = defineStruct("vfio_group_status", { argsz: "u32", flags: "u32" });

export const VFIO_DEVICE_INFO = defineStruct("vfio_device_info", {
  argsz: "u32",
  flags: "u32",
  num_regions: "u32",
  num_irqs: "u32",
  cap_offset: "u32",
  pad: "u32",
});

export const VFIO_REGION_INFO = defineStruct("vfio_region_info", {
  argsz: "u32",
  flags: "u32",
  index: "u32",
  cap_offset: "u32",
  size: "u64",
  offset: "u64",
});

export const VFIO_IRQ_INFO = defineStruct("vfio_irq_info", {
  argsz: "u32",
  flags: "u32",
  index: "u32",
  count: "u32",
});

export const VFIO_IRQ_SET = defineStruct("vfio_irq_set", {
  argsz: "u32",
  flags: "u32",
  index: "u32",
  start: "u32",
  count: "u32",
  data: "u8[0]",
});

export const VFIO_PCI_DEPENDENT_DEVICE = defineStruct("vfio_pci_dependent_device", {
  group_id: "u32",
  devid: { type: "u32", over: "group_id" },
  segment: "u16",
  bus: "u8",
  devfn: "u8",
});

export const VFIO_PCI_HOT_RESET_INFO = defineStruct("vfio_pci_hot_reset_info", {
  argsz: "u32",
  flags: "u32",
  count: "u32",
});

export const VFIO_PCI_HOT_RESET = defineStruct("vfio_pci_hot_reset", {
  argsz: "u32",
  flags: "u32",
  count: "u32",
  group_fds: "s32[0]",
});

export const VFIO_DEVICE_IOEVENTFD_ARGS = defineStruct("vfio_device_ioeventfd", {
  argsz: "u32",
  flags: "u32",
  offset: "u64",
  data: "u64",
  fd: "s32",
  reserved: "u32",
});

export const VFIO_DEVICE_FEATURE_ARGS = defineStruct("vfio_device_feature", {
  argsz: "u32",
  flags: "u32",
  data: "u8[0]",
});

export const VFIO_DEVICE_BIND_IOMMUFD_ARGS = defineStruct("vfio_device_bind_iommufd", {
  argsz: "u32",
  flags: "u32",
  iommufd: "s32",
  out_devid: "u32",
  token_uuid_ptr: "u64",
});

export const VFIO_DEVICE_ATTACH_IOMMUFD_PT_ARGS = defineStruct("vfio_device_attach_iommufd_pt", {
  argsz: "u32",
  flags: "u32",
  pt_id: "u32",
  pasid: "u32",
});

export const VFIO_DEVICE_DETACH_IOMMUFD_PT_ARGS = defineStruct("vfio_device_detach_iommufd_pt", {
  argsz: "u32",
  flags: "u32",
  pasid: "u32",
});

export const VFIO_IOMMU_TYPE1_INFO = defineStruct("vfio_iommu_type1_info", {
  argsz: "u32",
  flags: "u32",
  iova_pgsizes: "u64",
  cap_offset: "u32",
  pad: "u32",
});

export const VFIO_IOVA_RANGE = defineStruct("vfio_iova_range", { start: "u64", end: "u64" });

export const VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE_HEAD = defineStruct(
  "vfio_iommu_type1_info_cap_iova_range",
  {
    id: "u16",
    version: "u16",
    next: "u32",
    nr_iovas: "u32",
    reserved: "u32",
    iova_ranges: "u64[0]",
  },
);

export const VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL_CAP = defineStruct("vfio_iommu_type1_info_dma_avail", {
  id: "u16",
  version: "u16",
  next: "u32",
  avail: "u32",
});

export const VFIO_IOMMU_TYPE1_DMA_MAP = defineStruct("vfio_iommu_type1_dma_map", {
  argsz: "u32",
  flags: "u32",
  vaddr: "u64",
  iova: "u64",
  size: "u64",
});

export const VFIO_IOMMU_TYPE1_DMA_UNMAP = defineStruct("vfio_iommu_type1_dma_unmap", {
  argsz: "u32",
  flags: "u32",
  iova: "u64",
  size: "u64",
  data: "u8[0]",
});
