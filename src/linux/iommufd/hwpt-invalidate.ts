import { type Errno, fail, type Outcome } from "../errno.ts";
import type { InvalidateResult } from "../iommu/index.ts";
import * as uapi from "../uapi/index.ts";
import { HwptNested } from "./hw-pagetable.ts";
import type { CallOf } from "./ioas.ts";
import { defineOperation } from "./operation.ts";
import { userDataArrayOf } from "./user-data.ts";
import { Viommu } from "./viommu.ts";

const MAX_ENTRIES = 1 << 19;
const MAX_ENTRY_LENGTH = 4096;

type InvalidateCall = CallOf<typeof uapi.IOMMU_HWPT_INVALIDATE_ARGS>;

const nothing = (errno: Errno): InvalidateResult => ({ done: 0, outcome: fail(errno) });

const invalidateEntries = ({ context, process, args }: InvalidateCall): InvalidateResult => {
  const { data_type, data_uptr, entry_len, entry_num } = args;
  if (args.__reserved !== 0) return nothing("EOPNOTSUPP");
  const impossible =
    data_uptr === 0n || entry_len === 0 || entry_len > MAX_ENTRY_LENGTH || entry_num > MAX_ENTRIES;
  if (entry_num > 0 && impossible) return nothing("EINVAL");
  const target = context.objects.find(args.hwpt_id);
  if (target === undefined) return nothing("ENOENT");
  const array = userDataArrayOf(process, data_type, data_uptr, entry_len, entry_num);
  if (target instanceof HwptNested) {
    return target.domain.invalidate?.(array) ?? nothing("EOPNOTSUPP");
  }
  if (target instanceof Viommu) return target.driver.invalidate?.(array) ?? nothing("EOPNOTSUPP");
  return nothing("EINVAL");
};

/** Tells the client how many entries were done, whatever became of the rest. */
const hwptInvalidate = (call: InvalidateCall): Outcome<undefined> => {
  const { done, outcome } = invalidateEntries(call);
  call.args.entry_num = done;
  const answered = call.respond();
  return answered.ok ? outcome : answered;
};

export const HWPT_INVALIDATE = defineOperation(
  uapi.IOMMU_HWPT_INVALIDATE,
  uapi.IOMMU_HWPT_INVALIDATE_ARGS,
  hwptInvalidate,
);
