import { DONE, fail, type Outcome } from "../errno.ts";
import * as uapi from "../uapi/index.ts";
import type { CallOf } from "./ioas.ts";
import { Ioas } from "./ioas.ts";
import { defineOperation } from "./operation.ts";

type OptionCall = CallOf<typeof uapi.IOMMU_OPTION_ARGS>;

const rlimitMode = ({ context, process, args }: OptionCall): Outcome<undefined> => {
  if (args.object_id !== 0) return fail("EOPNOTSUPP");
  if (args.op === uapi.IOMMU_OPTION_OP_GET) {
    args.val64 = context.accountMode === "mm" ? 1n : 0n;
    return DONE;
  }
  if (args.op !== uapi.IOMMU_OPTION_OP_SET) return fail("EOPNOTSUPP");
  if (!process.may("CAP_SYS_RESOURCE")) return fail("EPERM");
  if (!context.objects.isEmpty) return fail("EBUSY");
  if (args.val64 > 1n) return fail("EINVAL");
  context.accountMode = args.val64 === 1n ? "mm" : "user";
  return DONE;
};

const hugePages = ({ context, args }: OptionCall): Outcome<undefined> => {
  const ioas = context.objects.get(args.object_id, Ioas);
  if (ioas === undefined) return fail("ENOENT");
  if (args.op === uapi.IOMMU_OPTION_OP_GET) {
    args.val64 = ioas.iopt.largePages ? 1n : 0n;
    return DONE;
  }
  if (args.op !== uapi.IOMMU_OPTION_OP_SET) return fail("EOPNOTSUPP");
  if (args.val64 > 1n) return fail("EINVAL");
  if (args.val64 === 0n) return ioas.iopt.disableLargePages();
  ioas.iopt.enableLargePages();
  return DONE;
};

const option = (call: OptionCall): Outcome<undefined> => {
  const { args, respond } = call;
  if (args.__reserved !== 0) return fail("EOPNOTSUPP");
  let outcome: Outcome<undefined> = fail("EOPNOTSUPP");
  if (args.option_id === uapi.IOMMU_OPTION_RLIMIT_MODE) outcome = rlimitMode(call);
  else if (args.option_id === uapi.IOMMU_OPTION_HUGE_PAGES) outcome = hugePages(call);
  return outcome.ok ? respond() : outcome;
};

export const OPTION = defineOperation(uapi.IOMMU_OPTION, uapi.IOMMU_OPTION_ARGS, option);
