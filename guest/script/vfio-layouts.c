/* The structures of VFIO, and its ioctls: of containers, groups and devices. Names the headers lack are left out. */
#include "layout.h"

#include <linux/vfio.h>

/* REST is what follows the structure, TARGET the structure it is a list of. */
#define LAYOUT(NAME, FIELDS, REST, TARGET) \
  static const struct layout NAME = {#NAME, sizeof(struct NAME), FIELDS, LENGTH_OF(FIELDS), REST, TARGET}

#define S struct vfio_group_status
static const struct field group_status_fields[] = {NUMBER(S, argsz), NUMBER(S, flags)};
LAYOUT(vfio_group_status, group_status_fields, "tail", NULL);
#undef S

#define S struct vfio_device_info
static const struct field device_info_fields[] = {
    NUMBER(S, argsz), NUMBER(S, flags), NUMBER(S, num_regions), NUMBER(S, num_irqs),
    NUMBER(S, cap_offset)};
LAYOUT(vfio_device_info, device_info_fields, "tail", NULL);
#undef S

#define S struct vfio_region_info
static const struct field region_info_fields[] = {NUMBER(S, argsz), NUMBER(S, flags),
                                                  NUMBER(S, index), NUMBER(S, cap_offset),
                                                  NUMBER(S, size),  NUMBER(S, offset)};
LAYOUT(vfio_region_info, region_info_fields, "tail", NULL);
#undef S

#define S struct vfio_irq_info
static const struct field irq_info_fields[] = {NUMBER(S, argsz), NUMBER(S, flags), NUMBER(S, index),
                                               NUMBER(S, count)};
LAYOUT(vfio_irq_info, irq_info_fields, "tail", NULL);
#undef S

#define S struct vfio_irq_set
static const struct field irq_set_fields[] = {NUMBER(S, argsz), NUMBER(S, flags), NUMBER(S, index),
                                              NUMBER(S, start), NUMBER(S, count)};
LAYOUT(vfio_irq_set, irq_set_fields, "data", NULL);
#undef S

#define S struct vfio_pci_dependent_device
static const struct field dependent_device_fields[] = {
    NUMBER(S, group_id),
#ifdef VFIO_DEVICE_BIND_IOMMUFD
    NUMBER(S, devid),
#endif
    NUMBER(S, segment), NUMBER(S, bus), NUMBER(S, devfn)};
LAYOUT(vfio_pci_dependent_device, dependent_device_fields, "tail", NULL);
#undef S

#define S struct vfio_pci_hot_reset_info
static const struct field hot_reset_info_fields[] = {NUMBER(S, argsz), NUMBER(S, flags),
                                                     NUMBER(S, count)};
LAYOUT(vfio_pci_hot_reset_info, hot_reset_info_fields, "devices", &vfio_pci_dependent_device);
#undef S

#define S struct vfio_pci_hot_reset
static const struct field hot_reset_fields[] = {NUMBER(S, argsz), NUMBER(S, flags),
                                                NUMBER(S, count)};
LAYOUT(vfio_pci_hot_reset, hot_reset_fields, "group_fds", NULL);
#undef S

#define S struct vfio_device_ioeventfd
static const struct field device_ioeventfd_fields[] = {NUMBER(S, argsz),   NUMBER(S, flags),
                                                       NUMBER(S, offset),  NUMBER(S, data),
                                                       DESCRIPTOR(S, fd)};
LAYOUT(vfio_device_ioeventfd, device_ioeventfd_fields, "tail", NULL);
#undef S

#define S struct vfio_device_feature
static const struct field device_feature_fields[] = {NUMBER(S, argsz), NUMBER(S, flags)};
LAYOUT(vfio_device_feature, device_feature_fields, "data", NULL);
#undef S

#ifdef VFIO_DEVICE_BIND_IOMMUFD
#define S struct vfio_device_bind_iommufd
static const struct field bind_iommufd_fields[] = {
    NUMBER(S, argsz), NUMBER(S, flags), DESCRIPTOR(S, iommufd), NUMBER(S, out_devid),
#ifdef VFIO_DEVICE_BIND_FLAG_TOKEN
    POINTER(S, token_uuid_ptr, NULL),
#endif
};
LAYOUT(vfio_device_bind_iommufd, bind_iommufd_fields, "tail", NULL);
#undef S

#define S struct vfio_device_attach_iommufd_pt
static const struct field attach_iommufd_pt_fields[] = {
    NUMBER(S, argsz), NUMBER(S, flags), NUMBER(S, pt_id),
#ifdef VFIO_DEVICE_ATTACH_PASID
    NUMBER(S, pasid),
#endif
};
LAYOUT(vfio_device_attach_iommufd_pt, attach_iommufd_pt_fields, "tail", NULL);
#undef S

#define S struct vfio_device_detach_iommufd_pt
static const struct field detach_iommufd_pt_fields[] = {
    NUMBER(S, argsz), NUMBER(S, flags),
#ifdef VFIO_DEVICE_DETACH_PASID
    NUMBER(S, pasid),
#endif
};
LAYOUT(vfio_device_detach_iommufd_pt, detach_iommufd_pt_fields, "tail", NULL);
#undef S
#endif

#define S struct vfio_iommu_type1_info
static const struct field type1_info_fields[] = {NUMBER(S, argsz), NUMBER(S, flags),
                                                 NUMBER(S, iova_pgsizes), NUMBER(S, cap_offset)};
LAYOUT(vfio_iommu_type1_info, type1_info_fields, "tail", NULL);
#undef S

#define S struct vfio_iommu_type1_dma_map
static const struct field dma_map_fields[] = {NUMBER(S, argsz), NUMBER(S, flags),
                                              POINTER(S, vaddr, NULL), NUMBER(S, iova),
                                              NUMBER(S, size)};
LAYOUT(vfio_iommu_type1_dma_map, dma_map_fields, "tail", NULL);
#undef S

#define S struct vfio_iommu_type1_dma_unmap
static const struct field dma_unmap_fields[] = {NUMBER(S, argsz), NUMBER(S, flags), NUMBER(S, iova),
                                                NUMBER(S, size)};
LAYOUT(vfio_iommu_type1_dma_unmap, dma_unmap_fields, "data", NULL);
#undef S

#define S struct vfio_iommu_type1_dirty_bitmap
static const struct field dirty_bitmap_fields[] = {NUMBER(S, argsz), NUMBER(S, flags)};
LAYOUT(vfio_iommu_type1_dirty_bitmap, dirty_bitmap_fields, "data", NULL);
#undef S

#ifdef VFIO_MIG_GET_PRECOPY_INFO
#define S struct vfio_precopy_info
static const struct field precopy_info_fields[] = {NUMBER(S, argsz), NUMBER(S, flags),
                                                   NUMBER(S, initial_bytes),
                                                   NUMBER(S, dirty_bytes)};
LAYOUT(vfio_precopy_info, precopy_info_fields, "tail", NULL);
#undef S
#endif

/* What stands in `data`. */

#define S struct vfio_bitmap
static const struct field bitmap_fields[] = {NUMBER(S, pgsize), NUMBER(S, size),
                                             POINTER(S, data, NULL)};
LAYOUT(vfio_bitmap, bitmap_fields, "tail", NULL);
#undef S

#define S struct vfio_iommu_type1_dirty_bitmap_get
static const struct field dirty_bitmap_get_fields[] = {
    NUMBER(S, iova), NUMBER(S, size), NUMBER(S, bitmap.pgsize), NUMBER(S, bitmap.size),
    POINTER(S, bitmap.data, NULL)};
LAYOUT(vfio_iommu_type1_dirty_bitmap_get, dirty_bitmap_get_fields, "tail", NULL);
#undef S

#define ROW(NAME, LAYOUT) {#NAME, NAME, ARGUMENT_STRUCT, &LAYOUT, 0}
#define PLAIN(NAME, ARGUMENT) {#NAME, NAME, ARGUMENT, NULL, 0}
static const struct call calls[] = {
    /* of a container */
    PLAIN(VFIO_GET_API_VERSION, ARGUMENT_NONE),
    PLAIN(VFIO_CHECK_EXTENSION, ARGUMENT_NUMBER),
    PLAIN(VFIO_SET_IOMMU, ARGUMENT_NUMBER),
    ROW(VFIO_IOMMU_GET_INFO, vfio_iommu_type1_info),
    ROW(VFIO_IOMMU_MAP_DMA, vfio_iommu_type1_dma_map),
    ROW(VFIO_IOMMU_UNMAP_DMA, vfio_iommu_type1_dma_unmap),
    ROW(VFIO_IOMMU_DIRTY_PAGES, vfio_iommu_type1_dirty_bitmap),
    /* of a group */
    ROW(VFIO_GROUP_GET_STATUS, vfio_group_status),
    PLAIN(VFIO_GROUP_SET_CONTAINER, ARGUMENT_DESCRIPTOR),
    PLAIN(VFIO_GROUP_UNSET_CONTAINER, ARGUMENT_NONE),
    PLAIN(VFIO_GROUP_GET_DEVICE_FD, ARGUMENT_TEXT),
    /* of a device */
    ROW(VFIO_DEVICE_GET_INFO, vfio_device_info),
    ROW(VFIO_DEVICE_GET_REGION_INFO, vfio_region_info),
    ROW(VFIO_DEVICE_GET_IRQ_INFO, vfio_irq_info),
    ROW(VFIO_DEVICE_SET_IRQS, vfio_irq_set),
    PLAIN(VFIO_DEVICE_RESET, ARGUMENT_NONE),
    ROW(VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, vfio_pci_hot_reset_info),
    ROW(VFIO_DEVICE_PCI_HOT_RESET, vfio_pci_hot_reset),
    ROW(VFIO_DEVICE_IOEVENTFD, vfio_device_ioeventfd),
    ROW(VFIO_DEVICE_FEATURE, vfio_device_feature),
#ifdef VFIO_DEVICE_BIND_IOMMUFD
    ROW(VFIO_DEVICE_BIND_IOMMUFD, vfio_device_bind_iommufd),
    ROW(VFIO_DEVICE_ATTACH_IOMMUFD_PT, vfio_device_attach_iommufd_pt),
    ROW(VFIO_DEVICE_DETACH_IOMMUFD_PT, vfio_device_detach_iommufd_pt),
#endif
#ifdef VFIO_MIG_GET_PRECOPY_INFO
    ROW(VFIO_MIG_GET_PRECOPY_INFO, vfio_precopy_info),
#endif
};
const struct calls VFIO_CALLS = {calls, LENGTH_OF(calls)};

static const struct layout *const layouts[] = {
    &vfio_pci_dependent_device,
    &vfio_bitmap,
    &vfio_iommu_type1_dirty_bitmap_get,
};
const struct layouts VFIO_LAYOUTS = {layouts, LENGTH_OF(layouts)};
