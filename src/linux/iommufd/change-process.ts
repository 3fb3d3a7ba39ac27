import { DONE, fail, type Outcome } from "../errno.ts";
import * as uapi from "../uapi/index.ts";
import { accountOf, type CallOf, Ioas } from "./ioas.ts";
import { defineOperation } from "./operation.ts";
import type { PinAccount } from "./page-source.ts";
import type { Pages } from "./pages.ts";

/** Makes the caller pay for everything that is mapped here, as after a VMM has replaced itself. All or nothing. */
const changeProcess = ({
  context,
  process,
  args,
}: CallOf<typeof uapi.IOMMU_IOAS_CHANGE_PROCESS_ARGS>): Outcome<undefined> => {
  if (args.__reserved !== 0) return fail("EOPNOTSUPP");
  const all = new Set<Pages>();
  for (const object of context.objects) {
    if (!(object instanceof Ioas)) continue;
    for (const area of object.iopt.areas) {
      if (!area.pages.source.isFile) return fail("EINVAL");
      all.add(area.pages);
    }
  }
  const charged: (readonly [Pages, PinAccount])[] = [];
  for (const pages of all) {
    if (pages.account.process === process) continue;
    const account = accountOf(context, process);
    if (!pages.charge(account)) {
      for (const [other, taken] of charged) taken.uncharge(other.pinned);
      return fail("ENOMEM");
    }
    charged.push([pages, account]);
  }
  for (const [pages, account] of charged) {
    pages.account.uncharge(pages.pinned);
    pages.account = account;
  }
  return DONE;
};

export const IOAS_CHANGE_PROCESS = defineOperation(
  uapi.IOMMU_IOAS_CHANGE_PROCESS,
  uapi.IOMMU_IOAS_CHANGE_PROCESS_ARGS,
  changeProcess,
);
