/* The structures of iommufd, and its ioctls. Names the headers lack are left out. */
#include "layout.h"

#if __has_include(<linux/iommufd.h>)
#include <linux/iommufd.h>

#define LAYOUT(NAME, FIELDS) \
  static const struct layout NAME = {#NAME, sizeof(struct NAME), FIELDS, LENGTH_OF(FIELDS), "tail", NULL}

/* Structures that pointers lead to. */

#define S struct iommu_iova_range
static const struct field iova_range_fields[] = {NUMBER(S, start), NUMBER(S, last)};
LAYOUT(iommu_iova_range, iova_range_fields);
#undef S

#ifdef IOMMU_HWPT_ALLOC
#define S struct iommu_hwpt_vtd_s1
static const struct field hwpt_vtd_s1_fields[] = {NUMBER(S, flags), NUMBER(S, pgtbl_addr),
                                                  NUMBER(S, addr_width), NUMBER(S, __reserved)};
LAYOUT(iommu_hwpt_vtd_s1, hwpt_vtd_s1_fields);
#undef S
#endif

#ifdef IOMMU_GET_HW_INFO
#define S struct iommu_hw_info_vtd
static const struct field hw_info_vtd_fields[] = {NUMBER(S, flags), NUMBER(S, __reserved),
                                                  NUMBER(S, cap_reg), NUMBER(S, ecap_reg)};
LAYOUT(iommu_hw_info_vtd, hw_info_vtd_fields);
#undef S
#endif

#ifdef IOMMU_HWPT_INVALIDATE
#define S struct iommu_hwpt_vtd_s1_invalidate
static const struct field hwpt_vtd_s1_invalidate_fields[] = {
    NUMBER(S, addr), NUMBER(S, npages), NUMBER(S, flags), NUMBER(S, __reserved)};
LAYOUT(iommu_hwpt_vtd_s1_invalidate, hwpt_vtd_s1_invalidate_fields);
#undef S
#endif

#ifdef IOMMU_FAULT_QUEUE_ALLOC
#define S struct iommu_hwpt_pgfault
static const struct field hwpt_pgfault_fields[] = {
    NUMBER(S, flags), NUMBER(S, dev_id), NUMBER(S, pasid),  NUMBER(S, grpid), NUMBER(S, perm),
    NUMBER(S, __reserved), NUMBER(S, addr), NUMBER(S, length), NUMBER(S, cookie)};
LAYOUT(iommu_hwpt_pgfault, hwpt_pgfault_fields);
#undef S

#define S struct iommu_hwpt_page_response
static const struct field hwpt_page_response_fields[] = {NUMBER(S, cookie), NUMBER(S, code)};
LAYOUT(iommu_hwpt_page_response, hwpt_page_response_fields);
#undef S
#endif

#ifdef IOMMU_VIOMMU_ALLOC
#define S struct iommu_hwpt_arm_smmuv3
static const struct field hwpt_arm_smmuv3_fields[] = {LIST(S, ste)};
LAYOUT(iommu_hwpt_arm_smmuv3, hwpt_arm_smmuv3_fields);
#undef S

#define S struct iommu_hw_info_arm_smmuv3
static const struct field hw_info_arm_smmuv3_fields[] = {
    NUMBER(S, flags), NUMBER(S, __reserved), LIST(S, idr), NUMBER(S, iidr), NUMBER(S, aidr)};
LAYOUT(iommu_hw_info_arm_smmuv3, hw_info_arm_smmuv3_fields);
#undef S

#define S struct iommu_viommu_arm_smmuv3_invalidate
static const struct field viommu_arm_smmuv3_invalidate_fields[] = {LIST(S, cmd)};
LAYOUT(iommu_viommu_arm_smmuv3_invalidate, viommu_arm_smmuv3_invalidate_fields);
#undef S
#endif

#ifdef IOMMU_VEVENTQ_ALLOC
#define S struct iommufd_vevent_header
static const struct field vevent_header_fields[] = {NUMBER(S, flags), NUMBER(S, sequence)};
LAYOUT(iommufd_vevent_header, vevent_header_fields);
#undef S

#define S struct iommu_vevent_arm_smmuv3
static const struct field vevent_arm_smmuv3_fields[] = {LIST(S, evt)};
LAYOUT(iommu_vevent_arm_smmuv3, vevent_arm_smmuv3_fields);
#undef S
#endif

#ifdef IOMMU_HW_QUEUE_ALLOC
#define S struct iommu_hw_info_tegra241_cmdqv
static const struct field hw_info_tegra241_cmdqv_fields[] = {
    NUMBER(S, flags), NUMBER(S, version), NUMBER(S, log2vcmdqs), NUMBER(S, log2vsids),
    NUMBER(S, __reserved)};
LAYOUT(iommu_hw_info_tegra241_cmdqv, hw_info_tegra241_cmdqv_fields);
#undef S

#define S struct iommu_viommu_tegra241_cmdqv
static const struct field viommu_tegra241_cmdqv_fields[] = {NUMBER(S, out_vintf_mmap_offset),
                                                            NUMBER(S, out_vintf_mmap_length)};
LAYOUT(iommu_viommu_tegra241_cmdqv, viommu_tegra241_cmdqv_fields);
#undef S

#define S struct iommu_vevent_tegra241_cmdqv
static const struct field vevent_tegra241_cmdqv_fields[] = {LIST(S, lvcmdq_err_map)};
LAYOUT(iommu_vevent_tegra241_cmdqv, vevent_tegra241_cmdqv_fields);
#undef S
#endif

#ifdef IOMMU_IOAS_NOIOMMU_GET_PA /* as old as AMD's nested tables */
#define S struct iommu_hwpt_amd_guest
static const struct field hwpt_amd_guest_fields[] = {LIST(S, dte)};
LAYOUT(iommu_hwpt_amd_guest, hwpt_amd_guest_fields);
#undef S

#define S struct iommu_hw_info_amd
static const struct field hw_info_amd_fields[] = {NUMBER(S, efr), NUMBER(S, efr2)};
LAYOUT(iommu_hw_info_amd, hw_info_amd_fields);
#undef S
#endif

/* Arguments of ioctls. */

#define S struct iommu_destroy
static const struct field destroy_fields[] = {NUMBER(S, size), NUMBER(S, id)};
LAYOUT(iommu_destroy, destroy_fields);
#undef S

#define S struct iommu_ioas_alloc
static const struct field ioas_alloc_fields[] = {NUMBER(S, size), NUMBER(S, flags),
                                                 NUMBER(S, out_ioas_id)};
LAYOUT(iommu_ioas_alloc, ioas_alloc_fields);
#undef S

#define S struct iommu_ioas_iova_ranges
static const struct field ioas_iova_ranges_fields[] = {
    NUMBER(S, size),       NUMBER(S, ioas_id),
    NUMBER(S, num_iovas),  NUMBER(S, __reserved),
    POINTER(S, allowed_iovas, &iommu_iova_range), NUMBER(S, out_iova_alignment)};
LAYOUT(iommu_ioas_iova_ranges, ioas_iova_ranges_fields);
#undef S

#define S struct iommu_ioas_allow_iovas
static const struct field ioas_allow_iovas_fields[] = {
    NUMBER(S, size), NUMBER(S, ioas_id), NUMBER(S, num_iovas), NUMBER(S, __reserved),
    POINTER(S, allowed_iovas, &iommu_iova_range)};
LAYOUT(iommu_ioas_allow_iovas, ioas_allow_iovas_fields);
#undef S

#define S struct iommu_ioas_map
static const struct field ioas_map_fields[] = {
    NUMBER(S, size),          NUMBER(S, flags),  NUMBER(S, ioas_id), NUMBER(S, __reserved),
    POINTER(S, user_va, NULL), NUMBER(S, length), NUMBER(S, iova)};
LAYOUT(iommu_ioas_map, ioas_map_fields);
#undef S

#define S struct iommu_ioas_copy
static const struct field ioas_copy_fields[] = {
    NUMBER(S, size),   NUMBER(S, flags),    NUMBER(S, dst_ioas_id), NUMBER(S, src_ioas_id),
    NUMBER(S, length), NUMBER(S, dst_iova), NUMBER(S, src_iova)};
LAYOUT(iommu_ioas_copy, ioas_copy_fields);
#undef S

#define S struct iommu_ioas_unmap
static const struct field ioas_unmap_fields[] = {NUMBER(S, size), NUMBER(S, ioas_id),
                                                 NUMBER(S, iova), NUMBER(S, length)};
LAYOUT(iommu_ioas_unmap, ioas_unmap_fields);
#undef S

#define S struct iommu_option
static const struct field option_fields[] = {NUMBER(S, size),       NUMBER(S, option_id),
                                             NUMBER(S, op),         NUMBER(S, __reserved),
                                             NUMBER(S, object_id),  NUMBER(S, val64)};
LAYOUT(iommu_option, option_fields);
#undef S

#define S struct iommu_vfio_ioas
static const struct field vfio_ioas_fields[] = {NUMBER(S, size), NUMBER(S, ioas_id), NUMBER(S, op),
                                                NUMBER(S, __reserved)};
LAYOUT(iommu_vfio_ioas, vfio_ioas_fields);
#undef S

#ifdef IOMMU_HWPT_ALLOC
#define S struct iommu_hwpt_alloc
static const struct field hwpt_alloc_fields[] = {
    NUMBER(S, size),        NUMBER(S, flags),      NUMBER(S, dev_id),    NUMBER(S, pt_id),
    NUMBER(S, out_hwpt_id), NUMBER(S, __reserved), NUMBER(S, data_type), NUMBER(S, data_len),
    POINTER(S, data_uptr, &iommu_hwpt_vtd_s1),
#ifdef IOMMU_FAULT_QUEUE_ALLOC
    NUMBER(S, fault_id),    NUMBER(S, __reserved2),
#endif
};
LAYOUT(iommu_hwpt_alloc, hwpt_alloc_fields);
#undef S
#endif

#ifdef IOMMU_GET_HW_INFO
#define S struct iommu_hw_info
static const struct field hw_info_fields[] = {
    NUMBER(S, size), NUMBER(S, flags), NUMBER(S, dev_id), NUMBER(S, data_len),
    POINTER(S, data_uptr, &iommu_hw_info_vtd),
#ifdef IOMMU_IOAS_NOIOMMU_GET_PA
    NUMBER(S, in_data_type),
    LIST(S, __reserved), NUMBER(S, out_max_pasid_log2),
#endif
    NUMBER(S, out_data_type), NUMBER(S, out_capabilities)};
LAYOUT(iommu_hw_info, hw_info_fields);
#undef S
#endif

#ifdef IOMMU_HWPT_GET_DIRTY_BITMAP
#define S struct iommu_hwpt_set_dirty_tracking
static const struct field set_dirty_tracking_fields[] = {NUMBER(S, size), NUMBER(S, flags),
                                                         NUMBER(S, hwpt_id), NUMBER(S, __reserved)};
LAYOUT(iommu_hwpt_set_dirty_tracking, set_dirty_tracking_fields);
#undef S

#define S struct iommu_hwpt_get_dirty_bitmap
static const struct field get_dirty_bitmap_fields[] = {
    NUMBER(S, size), NUMBER(S, hwpt_id), NUMBER(S, flags),     NUMBER(S, __reserved),
    NUMBER(S, iova), NUMBER(S, length),  NUMBER(S, page_size), POINTER(S, data, NULL)};
LAYOUT(iommu_hwpt_get_dirty_bitmap, get_dirty_bitmap_fields);
#undef S
#endif

#ifdef IOMMU_HWPT_INVALIDATE
#define S struct iommu_hwpt_invalidate
static const struct field hwpt_invalidate_fields[] = {
    NUMBER(S, size),      NUMBER(S, hwpt_id),   POINTER(S, data_uptr, &iommu_hwpt_vtd_s1_invalidate),
    NUMBER(S, data_type), NUMBER(S, entry_len), NUMBER(S, entry_num), NUMBER(S, __reserved)};
LAYOUT(iommu_hwpt_invalidate, hwpt_invalidate_fields);
#undef S
#endif

#ifdef IOMMU_FAULT_QUEUE_ALLOC
#define S struct iommu_fault_alloc
static const struct field fault_alloc_fields[] = {
    NUMBER(S, size), NUMBER(S, flags), NUMBER(S, out_fault_id), DESCRIPTOR(S, out_fault_fd)};
LAYOUT(iommu_fault_alloc, fault_alloc_fields);
#undef S
#endif

#ifdef IOMMU_IOAS_MAP_FILE
#define S struct iommu_ioas_map_file
static const struct field ioas_map_file_fields[] = {
    NUMBER(S, size),  NUMBER(S, flags),  NUMBER(S, ioas_id), DESCRIPTOR(S, fd),
    NUMBER(S, start), NUMBER(S, length), NUMBER(S, iova)};
LAYOUT(iommu_ioas_map_file, ioas_map_file_fields);
#undef S
#endif

#ifdef IOMMU_IOAS_CHANGE_PROCESS
#define S struct iommu_ioas_change_process
static const struct field ioas_change_process_fields[] = {NUMBER(S, size), NUMBER(S, __reserved)};
LAYOUT(iommu_ioas_change_process, ioas_change_process_fields);
#undef S
#endif

#ifdef IOMMU_VIOMMU_ALLOC
#define S struct iommu_viommu_alloc
static const struct field viommu_alloc_fields[] = {
    NUMBER(S, size),    NUMBER(S, flags), NUMBER(S, type), NUMBER(S, dev_id),
    NUMBER(S, hwpt_id), NUMBER(S, out_viommu_id),
#ifdef IOMMU_HW_QUEUE_ALLOC
    NUMBER(S, data_len), NUMBER(S, __reserved), POINTER(S, data_uptr, NULL),
#endif
};
LAYOUT(iommu_viommu_alloc, viommu_alloc_fields);
#undef S
#endif

#ifdef IOMMU_VDEVICE_ALLOC
#define S struct iommu_vdevice_alloc
static const struct field vdevice_alloc_fields[] = {NUMBER(S, size),   NUMBER(S, viommu_id),
                                                    NUMBER(S, dev_id), NUMBER(S, out_vdevice_id),
                                                    NUMBER(S, virt_id)};
LAYOUT(iommu_vdevice_alloc, vdevice_alloc_fields);
#undef S
#endif

#ifdef IOMMU_VEVENTQ_ALLOC
#define S struct iommu_veventq_alloc
static const struct field veventq_alloc_fields[] = {
    NUMBER(S, size),           NUMBER(S, flags),           NUMBER(S, viommu_id),
    NUMBER(S, type),           NUMBER(S, veventq_depth),   NUMBER(S, out_veventq_id),
    DESCRIPTOR(S, out_veventq_fd), NUMBER(S, __reserved)};
LAYOUT(iommu_veventq_alloc, veventq_alloc_fields);
#undef S
#endif

#ifdef IOMMU_HW_QUEUE_ALLOC
#define S struct iommu_hw_queue_alloc
static const struct field hw_queue_alloc_fields[] = {
    NUMBER(S, size),  NUMBER(S, flags),           NUMBER(S, viommu_id),            NUMBER(S, type),
    NUMBER(S, index), NUMBER(S, out_hw_queue_id), NUMBER(S, nesting_parent_iova), NUMBER(S, length)};
LAYOUT(iommu_hw_queue_alloc, hw_queue_alloc_fields);
#undef S
#endif

#ifdef IOMMU_IOAS_NOIOMMU_GET_PA
#define S struct iommu_ioas_noiommu_get_pa
static const struct field noiommu_get_pa_fields[] = {
    NUMBER(S, size), NUMBER(S, flags),  NUMBER(S, ioas_id),  NUMBER(S, __reserved),
    NUMBER(S, iova), NUMBER(S, length), NUMBER(S, out_phys)};
LAYOUT(iommu_ioas_noiommu_get_pa, noiommu_get_pa_fields);
#undef S
#endif

#define ROW(NAME, LAYOUT) {#NAME, NAME, ARGUMENT_STRUCT, &LAYOUT, 0}
static const struct call calls[] = {
    ROW(IOMMU_DESTROY, iommu_destroy),
    ROW(IOMMU_IOAS_ALLOC, iommu_ioas_alloc),
    ROW(IOMMU_IOAS_ALLOW_IOVAS, iommu_ioas_allow_iovas),
    ROW(IOMMU_IOAS_COPY, iommu_ioas_copy),
    ROW(IOMMU_IOAS_IOVA_RANGES, iommu_ioas_iova_ranges),
    ROW(IOMMU_IOAS_MAP, iommu_ioas_map),
    ROW(IOMMU_IOAS_UNMAP, iommu_ioas_unmap),
    ROW(IOMMU_OPTION, iommu_option),
    ROW(IOMMU_VFIO_IOAS, iommu_vfio_ioas),
#ifdef IOMMU_HWPT_ALLOC
    ROW(IOMMU_HWPT_ALLOC, iommu_hwpt_alloc),
#endif
#ifdef IOMMU_GET_HW_INFO
    ROW(IOMMU_GET_HW_INFO, iommu_hw_info),
#endif
#ifdef IOMMU_HWPT_GET_DIRTY_BITMAP
    ROW(IOMMU_HWPT_SET_DIRTY_TRACKING, iommu_hwpt_set_dirty_tracking),
    ROW(IOMMU_HWPT_GET_DIRTY_BITMAP, iommu_hwpt_get_dirty_bitmap),
#endif
#ifdef IOMMU_HWPT_INVALIDATE
    ROW(IOMMU_HWPT_INVALIDATE, iommu_hwpt_invalidate),
#endif
#ifdef IOMMU_FAULT_QUEUE_ALLOC
    ROW(IOMMU_FAULT_QUEUE_ALLOC, iommu_fault_alloc),
#endif
#ifdef IOMMU_IOAS_MAP_FILE
    ROW(IOMMU_IOAS_MAP_FILE, iommu_ioas_map_file),
#endif
#ifdef IOMMU_VIOMMU_ALLOC
    ROW(IOMMU_VIOMMU_ALLOC, iommu_viommu_alloc),
#endif
#ifdef IOMMU_VDEVICE_ALLOC
    ROW(IOMMU_VDEVICE_ALLOC, iommu_vdevice_alloc),
#endif
#ifdef IOMMU_IOAS_CHANGE_PROCESS
    ROW(IOMMU_IOAS_CHANGE_PROCESS, iommu_ioas_change_process),
#endif
#ifdef IOMMU_VEVENTQ_ALLOC
    ROW(IOMMU_VEVENTQ_ALLOC, iommu_veventq_alloc),
#endif
#ifdef IOMMU_HW_QUEUE_ALLOC
    ROW(IOMMU_HW_QUEUE_ALLOC, iommu_hw_queue_alloc),
#endif
#ifdef IOMMU_IOAS_NOIOMMU_GET_PA
    ROW(IOMMU_IOAS_NOIOMMU_GET_PA, iommu_ioas_noiommu_get_pa),
#endif
};
const struct calls IOMMUFD_CALLS = {calls, LENGTH_OF(calls)};

static const struct layout *const layouts[] = {
    &iommu_iova_range,
#ifdef IOMMU_HWPT_ALLOC
    &iommu_hwpt_vtd_s1,
#endif
#ifdef IOMMU_GET_HW_INFO
    &iommu_hw_info_vtd,
#endif
#ifdef IOMMU_HWPT_INVALIDATE
    &iommu_hwpt_vtd_s1_invalidate,
#endif
#ifdef IOMMU_FAULT_QUEUE_ALLOC
    &iommu_hwpt_pgfault, &iommu_hwpt_page_response,
#endif
#ifdef IOMMU_VIOMMU_ALLOC
    &iommu_hwpt_arm_smmuv3, &iommu_hw_info_arm_smmuv3, &iommu_viommu_arm_smmuv3_invalidate,
#endif
#ifdef IOMMU_VEVENTQ_ALLOC
    &iommufd_vevent_header, &iommu_vevent_arm_smmuv3,
#endif
#ifdef IOMMU_HW_QUEUE_ALLOC
    &iommu_hw_info_tegra241_cmdqv, &iommu_viommu_tegra241_cmdqv, &iommu_vevent_tegra241_cmdqv,
#endif
#ifdef IOMMU_IOAS_NOIOMMU_GET_PA
    &iommu_hwpt_amd_guest, &iommu_hw_info_amd,
#endif
};
const struct layouts IOMMUFD_LAYOUTS = {layouts, LENGTH_OF(layouts)};

#else

const struct calls IOMMUFD_CALLS = {NULL, 0};
const struct layouts IOMMUFD_LAYOUTS = {NULL, 0};

#endif
