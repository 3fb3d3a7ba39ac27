import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { guestsFolder } from "../../../scripts/guest/cache.mjs";
import { lacks } from "../../../test/requirement.ts";
import * as uapi from "./index.ts";

type AnyStruct = ReturnType<typeof uapi.defineStruct>;

const isStruct = (value: unknown): value is AnyStruct =>
  typeof value === "object" && value !== null && "members" in value && "encode" in value;

const STRUCTS: readonly AnyStruct[] = (Object.values(uapi) as readonly unknown[]).filter(isStruct);

/** Name, bytes, and the fields with their offsets, as the kernel's headers have them. */
const KERNEL: readonly (readonly [string, number, string])[] = [
  ["iommu_destroy", 8, "size@0 id@4"],
  ["iommu_ioas_alloc", 12, "size@0 flags@4 out_ioas_id@8"],
  ["iommu_iova_range", 16, "start@0 last@8"],
  [
    "iommu_ioas_iova_ranges",
    32,
    "size@0 ioas_id@4 num_iovas@8 __reserved@12 allowed_iovas@16 out_iova_alignment@24",
  ],
  ["iommu_ioas_allow_iovas", 24, "size@0 ioas_id@4 num_iovas@8 __reserved@12 allowed_iovas@16"],
  ["iommu_ioas_map", 40, "size@0 flags@4 ioas_id@8 __reserved@12 user_va@16 length@24 iova@32"],
  [
    "iommu_ioas_noiommu_get_pa",
    40,
    "size@0 flags@4 ioas_id@8 __reserved@12 iova@16 length@24 out_phys@32",
  ],
  ["iommu_ioas_map_file", 40, "size@0 flags@4 ioas_id@8 fd@12 start@16 length@24 iova@32"],
  [
    "iommu_ioas_copy",
    40,
    "size@0 flags@4 dst_ioas_id@8 src_ioas_id@12 length@16 dst_iova@24 src_iova@32",
  ],
  ["iommu_ioas_unmap", 24, "size@0 ioas_id@4 iova@8 length@16"],
  ["iommu_option", 24, "size@0 option_id@4 op@8 __reserved@10 object_id@12 val64@16"],
  ["iommu_vfio_ioas", 12, "size@0 ioas_id@4 op@8 __reserved@10"],
  ["iommu_hwpt_vtd_s1", 24, "flags@0 pgtbl_addr@8 addr_width@16 __reserved@20"],
  ["iommu_hwpt_arm_smmuv3", 16, "ste@0"],
  ["iommu_hwpt_amd_guest", 32, "dte@0"],
  [
    "iommu_hwpt_alloc",
    48,
    "size@0 flags@4 dev_id@8 pt_id@12 out_hwpt_id@16 __reserved@20 data_type@24 data_len@28 data_uptr@32 fault_id@40 __reserved2@44",
  ],
  ["iommu_hw_info_vtd", 24, "flags@0 __reserved@4 cap_reg@8 ecap_reg@16"],
  ["iommu_hw_info_arm_smmuv3", 40, "flags@0 __reserved@4 idr@8 iidr@32 aidr@36"],
  ["iommu_hw_info_tegra241_cmdqv", 8, "flags@0 version@4 log2vcmdqs@5 log2vsids@6 __reserved@7"],
  ["iommu_hw_info_amd", 16, "efr@0 efr2@8"],
  [
    "iommu_hw_info",
    40,
    "size@0 flags@4 dev_id@8 data_len@12 data_uptr@16 in_data_type@24 out_data_type@24 out_max_pasid_log2@28 __reserved@29 out_capabilities@32",
  ],
  ["iommu_hwpt_set_dirty_tracking", 16, "size@0 flags@4 hwpt_id@8 __reserved@12"],
  [
    "iommu_hwpt_get_dirty_bitmap",
    48,
    "size@0 hwpt_id@4 flags@8 __reserved@12 iova@16 length@24 page_size@32 data@40",
  ],
  ["iommu_hwpt_vtd_s1_invalidate", 24, "addr@0 npages@8 flags@16 __reserved@20"],
  ["iommu_viommu_arm_smmuv3_invalidate", 16, "cmd@0"],
  [
    "iommu_hwpt_invalidate",
    32,
    "size@0 hwpt_id@4 data_uptr@8 data_type@16 entry_len@20 entry_num@24 __reserved@28",
  ],
  [
    "iommu_hwpt_pgfault",
    40,
    "flags@0 dev_id@4 pasid@8 grpid@12 perm@16 __reserved@20 addr@24 length@32 cookie@36",
  ],
  ["iommu_hwpt_page_response", 8, "cookie@0 code@4"],
  ["iommu_fault_alloc", 16, "size@0 flags@4 out_fault_id@8 out_fault_fd@12"],
  ["iommu_viommu_tegra241_cmdqv", 16, "out_vintf_mmap_offset@0 out_vintf_mmap_length@8"],
  [
    "iommu_viommu_alloc",
    40,
    "size@0 flags@4 type@8 dev_id@12 hwpt_id@16 out_viommu_id@20 data_len@24 __reserved@28 data_uptr@32",
  ],
  ["iommu_vdevice_alloc", 24, "size@0 viommu_id@4 dev_id@8 out_vdevice_id@12 virt_id@16"],
  ["iommu_ioas_change_process", 8, "size@0 __reserved@4"],
  ["iommufd_vevent_header", 8, "flags@0 sequence@4"],
  ["iommu_vevent_arm_smmuv3", 32, "evt@0"],
  ["iommu_vevent_tegra241_cmdqv", 16, "lvcmdq_err_map@0"],
  [
    "iommu_veventq_alloc",
    32,
    "size@0 flags@4 viommu_id@8 type@12 veventq_depth@16 out_veventq_id@20 out_veventq_fd@24 __reserved@28",
  ],
  [
    "iommu_hw_queue_alloc",
    40,
    "size@0 flags@4 viommu_id@8 type@12 index@16 out_hw_queue_id@20 nesting_parent_iova@24 length@32",
  ],
  ["vfio_info_cap_header", 8, "id@0 version@2 next@4"],
  ["vfio_group_status", 8, "argsz@0 flags@4"],
  ["vfio_device_info", 24, "argsz@0 flags@4 num_regions@8 num_irqs@12 cap_offset@16 pad@20"],
  ["vfio_region_info", 32, "argsz@0 flags@4 index@8 cap_offset@12 size@16 offset@24"],
  ["vfio_irq_info", 16, "argsz@0 flags@4 index@8 count@12"],
  ["vfio_irq_set", 20, "argsz@0 flags@4 index@8 start@12 count@16 data@20"],
  ["vfio_pci_dependent_device", 8, "group_id@0 devid@0 segment@4 bus@6 devfn@7"],
  ["vfio_pci_hot_reset_info", 12, "argsz@0 flags@4 count@8 devices@12"],
  ["vfio_pci_hot_reset", 12, "argsz@0 flags@4 count@8 group_fds@12"],
  ["vfio_device_ioeventfd", 32, "argsz@0 flags@4 offset@8 data@16 fd@24 reserved@28"],
  ["vfio_device_feature", 8, "argsz@0 flags@4 data@8"],
  ["vfio_device_bind_iommufd", 24, "argsz@0 flags@4 iommufd@8 out_devid@12 token_uuid_ptr@16"],
  ["vfio_device_attach_iommufd_pt", 16, "argsz@0 flags@4 pt_id@8 pasid@12"],
  ["vfio_device_detach_iommufd_pt", 12, "argsz@0 flags@4 pasid@8"],
  ["vfio_iommu_type1_info", 24, "argsz@0 flags@4 iova_pgsizes@8 cap_offset@16 pad@20"],
  ["vfio_iova_range", 16, "start@0 end@8"],
  ["vfio_iommu_type1_info_cap_iova_range", 16, "header@0 nr_iovas@8 reserved@12 iova_ranges@16"],
  ["vfio_iommu_type1_info_dma_avail", 12, "header@0 avail@8"],
  ["vfio_iommu_type1_dma_map", 32, "argsz@0 flags@4 vaddr@8 iova@16 size@24"],
  ["vfio_iommu_type1_dma_unmap", 24, "argsz@0 flags@4 iova@8 size@16 data@24"],
];

/** A header whose fields we name one by one. */
const OPEN = new Map([["header", ["id", "version", "next"]]]);

const offsetsOf = (struct: AnyStruct): string =>
  Object.values(struct.members)
    .map(({ name, offset }) => `${name}@${offset}`)
    .join(" ");

const expectedOf = (fields: string): string =>
  fields
    .split(" ")
    .flatMap((field) => {
      const name = field.split("@")[0]!;
      return OPEN.has(name) ? ["id@0", "version@2", "next@4"] : [field];
    })
    .join(" ");

describe("structures", () => {
  test.each(KERNEL)(
    "UAPI-STRUCT-01: %s has %i bytes and its fields their offsets",
    (name, size, fields) => {
      const struct = STRUCTS.find((each) => each.name === name);
      expect(struct, "declared").toBeDefined();
      // Open-ended arrays of structures are not fields of ours.
      const expected = expectedOf(fields).replace(/ devices@12$/, "");
      expect([struct!.size, offsetsOf(struct!)]).toEqual([size, expected]);
    },
  );

  test("UAPI-STRUCT-02: what is encoded decodes, and every bit of every field has its place", () => {
    expect(STRUCTS.length).toBeGreaterThan(55);
    for (const struct of STRUCTS) {
      const ones = new Uint8Array(struct.size).fill(0xff);
      const values = struct.decode(ones);
      const again = struct.encode(values);
      const covered = new Uint8Array(struct.size);
      for (const { offset, size, count } of Object.values(struct.members)) {
        if (count !== 0) covered.fill(0xff, offset, offset + size);
      }
      expect(again, struct.name).toEqual(covered);
      expect(struct.decode(struct.encode({})), struct.name).toEqual(
        struct.decode(new Uint8Array(struct.size)),
      );
    }
  });
});

const headers = join(guestsFolder(), "7.3/headers");

/** Structures that only the kernel's own suite has are in another header. */
const PUBLIC = STRUCTS.filter(({ name }) => !/test|\./.test(name));

/** A program that prints each structure's size and its fields' offsets. */
const program = (): string => {
  const lines = PUBLIC.map(({ name, members }) => {
    const fields = Object.values(members).map((member) => {
      const path = /cap_iova_range|dma_avail/.test(name) && member.offset < 8 ? "header." : "";
      return `printf(" ${member.name}@%zu", offsetof(struct ${name}, ${path}${member.name}));`;
    });
    return `printf("${name} %zu", sizeof(struct ${name})); ${fields.join(" ")} printf("\\n");`;
  });
  return `#include <stdio.h>
#include <stddef.h>
#include <linux/iommufd.h>
#include <linux/vfio.h>
int main(void) { ${lines.join("\n")} return 0; }
`;
};

describe.skipIf(!existsSync(join(headers, "linux/iommufd.h")) || lacks("gcc"))("gcc", () => {
  test("UAPI-STRUCT-01: the guest kernel's headers give the same sizes and offsets", () => {
    const folder = mkdtempSync(join(tmpdir(), "softiommu-uapi-"));
    try {
      const source = join(folder, "uapi.c");
      const binary = join(folder, "uapi");
      writeFileSync(source, program());
      execFileSync("gcc", ["-w", "-isystem", headers, "-o", binary, source]);
      const printed = execFileSync(binary, { encoding: "utf8" }).trim().split("\n");
      expect(printed).toEqual(
        PUBLIC.map((struct) => `${struct.name} ${struct.size} ${offsetsOf(struct)}`),
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
