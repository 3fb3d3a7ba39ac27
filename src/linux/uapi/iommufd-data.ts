/** What iommufd's arguments point at, and what its queues deliver: `include/uapi/linux/iommufd.h` of Linux 7.3. */
import { defineStruct } from "./c-struct.ts";

export const IOMMU_HWPT_VTD_S1 = defineStruct("iommu_hwpt_vtd_s1", {
  flags: "u64",
  pgtbl_addr: "u64",
  addr_width: "u32",
  __reserved: "u32",
});

export const IOMMU_HWPT_ARM_SMMUV3 = defineStruct("iommu_hwpt_arm_smmuv3", { ste: "u64[2]" });

export const IOMMU_HWPT_AMD_GUEST = defineStruct("iommu_hwpt_amd_guest", { dte: "u64[4]" });

export const IOMMU_HW_INFO_VTD = defineStruct("iommu_hw_info_vtd", {
  flags: "u32",
  __reserved: "u32",
  cap_reg: "u64",
  ecap_reg: "u64",
});

export const IOMMU_HW_INFO_ARM_SMMUV3 = defineStruct("iommu_hw_info_arm_smmuv3", {
  flags: "u32",
  __reserved: "u32",
  idr: "u32[6]",
  iidr: "u32",
  aidr: "u32",
});

export const IOMMU_HW_INFO_TEGRA241_CMDQV = defineStruct("iommu_hw_info_tegra241_cmdqv", {
  flags: "u32",
  version: "u8",
  log2vcmdqs: "u8",
  log2vsids: "u8",
  __reserved: "u8",
});

export const IOMMU_HW_INFO_AMD = defineStruct("iommu_hw_info_amd", { efr: "u64", efr2: "u64" });

export const IOMMU_HWPT_VTD_S1_INVALIDATE = defineStruct("iommu_hwpt_vtd_s1_invalidate", {
  addr: "u64",
  npages: "u64",
  flags: "u32",
  __reserved: "u32",
});

export const IOMMU_VIOMMU_ARM_SMMUV3_INVALIDATE = defineStruct(
  "iommu_viommu_arm_smmuv3_invalidate",
  { cmd: "u64[2]" },
);

export const IOMMU_HWPT_PGFAULT = defineStruct("iommu_hwpt_pgfault", {
  flags: "u32",
  dev_id: "u32",
  pasid: "u32",
  grpid: "u32",
  perm: "u32",
  __reserved: "u32",
  addr: "u64",
  length: "u32",
  cookie: "u32",
});

export const IOMMU_HWPT_PAGE_RESPONSE = defineStruct("iommu_hwpt_page_response", {
  cookie: "u32",
  code: "u32",
});

export const IOMMU_VIOMMU_TEGRA241_CMDQV = defineStruct("iommu_viommu_tegra241_cmdqv", {
  out_vintf_mmap_offset: "u64",
  out_vintf_mmap_length: "u64",
});

export const IOMMUFD_VEVENT_HEADER = defineStruct("iommufd_vevent_header", {
  flags: "u32",
  sequence: "u32",
});

export const IOMMU_VEVENT_ARM_SMMUV3 = defineStruct("iommu_vevent_arm_smmuv3", { evt: "u64[4]" });

export const IOMMU_VEVENT_TEGRA241_CMDQV = defineStruct("iommu_vevent_tegra241_cmdqv", {
  lvcmdq_err_map: "u64[2]",
});
