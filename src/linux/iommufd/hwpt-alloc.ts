import { DONE, fail, type Outcome } from "../errno.ts";
import * as uapi from "../uapi/index.ts";
import { Device } from "./device.ts";
import { FaultQueue } from "./fault.ts";
import {
  allocNested,
  allocPaging,
  allocViommuNested,
  type HwPagetable,
  HwptPaging,
} from "./hw-pagetable.ts";
import { type CallOf, Ioas } from "./ioas.ts";
import { defineOperation } from "./operation.ts";
import { userDataOf } from "./user-data.ts";
import { Viommu } from "./viommu.ts";

type AllocCall = CallOf<typeof uapi.IOMMU_HWPT_ALLOC_ARGS>;

const build = ({ context, process, args }: AllocCall, device: Device): Outcome<HwPagetable> => {
  const { flags, data_type, data_len, data_uptr } = args;
  const data = data_len === 0 ? undefined : userDataOf(process, data_type, data_uptr, data_len);
  const base = context.objects.find(args.pt_id);
  if (base instanceof Ioas) return allocPaging(context, base, device, flags, data);
  if (base instanceof HwptPaging) return allocNested(context, base, device, flags, data);
  if (base instanceof Viommu) return allocViommuNested(context, base, device, flags, data);
  return fail("EINVAL");
};

const hwptAlloc = (call: AllocCall): Outcome<undefined> => {
  const { context, args, respond } = call;
  if (args.__reserved !== 0) return fail("EOPNOTSUPP");
  const none = args.data_type === uapi.IOMMU_HWPT_DATA_NONE;
  if (none !== (args.data_len === 0)) return fail("EINVAL");
  const device = context.objects.get(args.dev_id, Device);
  if (device === undefined) return fail("ENOENT");
  const hwpt = build(call, device);
  if (!hwpt.ok) return hwpt;
  const finished = finish(call, hwpt.value);
  if (!finished.ok) {
    context.objects.remove(hwpt.value);
    return finished;
  }
  args.out_hwpt_id = hwpt.value.id;
  const answered = respond();
  if (!answered.ok) context.objects.remove(hwpt.value);
  return answered;
};

const finish = ({ context, args }: AllocCall, hwpt: HwPagetable): Outcome<unknown> => {
  if ((args.flags & uapi.IOMMU_HWPT_FAULT_ID_VALID) === 0) return DONE;
  const fault = context.objects.get(args.fault_id, FaultQueue);
  if (fault === undefined) return fail("ENOENT");
  hwpt.useFaults(fault);
  return DONE;
};

export const HWPT_ALLOC = defineOperation(
  uapi.IOMMU_HWPT_ALLOC,
  uapi.IOMMU_HWPT_ALLOC_ARGS,
  hwptAlloc,
  "__reserved",
);
