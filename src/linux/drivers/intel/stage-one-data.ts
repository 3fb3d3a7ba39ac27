import { type Outcome, ok } from "../../errno.ts";
import type { UserData } from "../../iommu/index.ts";
import * as uapi from "../../uapi/index.ts";
import type { StageOne } from "./nested-domain.ts";

/** What a client says of its first stage. @returns EINVAL for another length, EFAULT */
export const readStageOne = (data: UserData): Outcome<StageOne> => {
  const struct = uapi.IOMMU_HWPT_VTD_S1;
  const bytes = data.read(struct.size);
  if (!bytes.ok) return bytes;
  const { flags, pgtbl_addr, addr_width } = struct.decode(bytes.value);
  return ok({
    tableAddress: pgtbl_addr,
    addressWidth: addr_width,
    supervisorRequests: (flags & uapi.IOMMU_VTD_S1_SRE) !== 0n,
    extendedAccessed: (flags & uapi.IOMMU_VTD_S1_EAFE) !== 0n,
    writeProtect: (flags & uapi.IOMMU_VTD_S1_WPE) !== 0n,
  });
};
