/* The test operations of iommufd: each by its name, with the fields of its own part of the union. */
#include "layout.h"

#if __has_include("iommufd_test.h")
#include "iommufd_test.h"

#define S struct iommu_test_cmd
/* A field of an operation's part, by its own name. */
#define PART(P, F) {#F, offsetof(S, P.F), sizeof(((S *)0)->P.F), 1, FIELD_NUMBER, NULL}
/* One whose name the structure around has too. */
#define OWN(P, F) {#P "." #F, offsetof(S, P.F), sizeof(((S *)0)->P.F), 1, FIELD_NUMBER, NULL}
#define PART_POINTER(P, F) {#F, offsetof(S, P.F), sizeof(((S *)0)->P.F), 1, FIELD_POINTER, NULL}
#define PART_DESCRIPTOR(P, F) \
  {#F, offsetof(S, P.F), sizeof(((S *)0)->P.F), 1, FIELD_DESCRIPTOR, NULL}

/* OP is an operation without its prefix; what follows are the fields of its part. */
#define OPERATION(OP, ...)                                                               \
  static const struct field OP##_fields[] = {NUMBER(S, size), NUMBER(S, op), NUMBER(S, id), \
                                             NUMBER(S, __reserved), __VA_ARGS__, NUMBER(S, last)}; \
  static const struct layout OP##_layout = {                                             \
      "iommu_test_cmd", sizeof(S), OP##_fields, LENGTH_OF(OP##_fields), "tail", NULL}

OPERATION(ADD_RESERVED, PART(add_reserved, start), PART(add_reserved, length));
OPERATION(MOCK_DOMAIN, PART(mock_domain, out_stdev_id), PART(mock_domain, out_hwpt_id),
          PART(mock_domain, out_idev_id));
OPERATION(MD_CHECK_MAP, PART(check_map, iova), PART(check_map, length),
          PART_POINTER(check_map, uptr));
OPERATION(MD_CHECK_REFS, PART(check_refs, length), PART_POINTER(check_refs, uptr),
          PART(check_refs, refs));
OPERATION(CREATE_ACCESS, PART_DESCRIPTOR(create_access, out_access_fd), PART(create_access, flags));
OPERATION(DESTROY_ACCESS_PAGES, PART(destroy_access_pages, access_pages_id));
OPERATION(ACCESS_PAGES, PART(access_pages, flags), PART(access_pages, out_access_pages_id),
          PART(access_pages, iova), PART(access_pages, length), PART_POINTER(access_pages, uptr));
OPERATION(ACCESS_RW, PART(access_rw, iova), PART(access_rw, length), PART_POINTER(access_rw, uptr),
          PART(access_rw, flags));
OPERATION(SET_TEMP_MEMORY_LIMIT, PART(memory_limit, limit));
OPERATION(MOCK_DOMAIN_REPLACE, PART(mock_domain_replace, pt_id));
OPERATION(ACCESS_REPLACE_IOAS, PART(access_replace_ioas, ioas_id));
OPERATION(MOCK_DOMAIN_FLAGS, PART(mock_domain_flags, out_stdev_id),
          PART(mock_domain_flags, out_hwpt_id), PART(mock_domain_flags, out_idev_id),
          PART(mock_domain_flags, dev_flags));
OPERATION(DIRTY, PART(dirty, flags), PART(dirty, iova), PART(dirty, length), PART(dirty, page_size),
          PART_POINTER(dirty, uptr), PART(dirty, out_nr_dirty));
OPERATION(MD_CHECK_IOTLB, OWN(check_iotlb, id), PART(check_iotlb, iotlb));
OPERATION(TRIGGER_IOPF, PART(trigger_iopf, dev_id), PART(trigger_iopf, pasid),
          PART(trigger_iopf, grpid), PART(trigger_iopf, perm), PART(trigger_iopf, addr));
OPERATION(DEV_CHECK_CACHE, OWN(check_dev_cache, id), PART(check_dev_cache, cache));
OPERATION(TRIGGER_VEVENT, PART(trigger_vevent, dev_id));
OPERATION(PASID_ATTACH, PART(pasid_attach, pasid), PART(pasid_attach, pt_id));
OPERATION(PASID_REPLACE, PART(pasid_replace, pasid), PART(pasid_replace, pt_id));
OPERATION(PASID_DETACH, PART(pasid_detach, pasid));
OPERATION(PASID_CHECK_HWPT, PART(pasid_check, pasid), PART(pasid_check, hwpt_id));
OPERATION(DMABUF_GET, PART(dmabuf_get, length), PART(dmabuf_get, open_flags));
OPERATION(DMABUF_REVOKE, PART_DESCRIPTOR(dmabuf_revoke, dmabuf_fd), PART(dmabuf_revoke, revoked));
#undef S

#define ROW(OP) \
  {"IOMMU_TEST_OP_" #OP, IOMMU_TEST_CMD, ARGUMENT_STRUCT, &OP##_layout, IOMMU_TEST_OP_##OP}
static const struct call calls[] = {
    ROW(ADD_RESERVED),        ROW(MOCK_DOMAIN),
    ROW(MD_CHECK_MAP),        ROW(MD_CHECK_REFS),
    ROW(CREATE_ACCESS),       ROW(DESTROY_ACCESS_PAGES),
    ROW(ACCESS_PAGES),        ROW(ACCESS_RW),
    ROW(SET_TEMP_MEMORY_LIMIT), ROW(MOCK_DOMAIN_REPLACE),
    ROW(ACCESS_REPLACE_IOAS), ROW(MOCK_DOMAIN_FLAGS),
    ROW(DIRTY),               ROW(MD_CHECK_IOTLB),
    ROW(TRIGGER_IOPF),        ROW(DEV_CHECK_CACHE),
    ROW(TRIGGER_VEVENT),      ROW(PASID_ATTACH),
    ROW(PASID_REPLACE),       ROW(PASID_DETACH),
    ROW(PASID_CHECK_HWPT),    ROW(DMABUF_GET),
    ROW(DMABUF_REVOKE),
};
const struct calls IOMMUFD_TEST_CALLS = {calls, LENGTH_OF(calls)};

#define STRUCTURE(NAME, ...)                          \
  static const struct field NAME##_fields[] = {__VA_ARGS__}; \
  static const struct layout NAME##_layout = {#NAME,  sizeof(struct NAME), NAME##_fields, \
                                              LENGTH_OF(NAME##_fields), "tail", NULL}
#define S struct iommu_test_hw_info
STRUCTURE(iommu_test_hw_info, NUMBER(S, flags), NUMBER(S, test_reg));
#undef S
#define S struct iommu_hwpt_selftest
STRUCTURE(iommu_hwpt_selftest, NUMBER(S, iotlb), NUMBER(S, pagetable_type));
#undef S
#define S struct iommu_hwpt_invalidate_selftest
STRUCTURE(iommu_hwpt_invalidate_selftest, NUMBER(S, flags), NUMBER(S, iotlb_id));
#undef S
#define S struct iommu_viommu_selftest
STRUCTURE(iommu_viommu_selftest, NUMBER(S, in_data), NUMBER(S, out_data), NUMBER(S, out_mmap_offset),
          NUMBER(S, out_mmap_length));
#undef S
#define S struct iommu_viommu_invalidate_selftest
STRUCTURE(iommu_viommu_invalidate_selftest, NUMBER(S, flags), NUMBER(S, vdev_id),
          NUMBER(S, cache_id));
#undef S
#define S struct iommu_viommu_event_selftest
STRUCTURE(iommu_viommu_event_selftest, NUMBER(S, virt_id));
#undef S

static const struct layout *const layouts[] = {
    &iommu_test_hw_info_layout,             &iommu_hwpt_selftest_layout,
    &iommu_hwpt_invalidate_selftest_layout, &iommu_viommu_selftest_layout,
    &iommu_viommu_invalidate_selftest_layout, &iommu_viommu_event_selftest_layout,
};
const struct layouts IOMMUFD_TEST_LAYOUTS = {layouts, LENGTH_OF(layouts)};

#else

const struct calls IOMMUFD_TEST_CALLS = {NULL, 0};
const struct layouts IOMMUFD_TEST_LAYOUTS = {NULL, 0};

#endif
