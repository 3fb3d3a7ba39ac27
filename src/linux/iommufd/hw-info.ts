import { DONE, fail, type Outcome } from "../errno.ts";
import type { IommuDevice } from "../iommu/index.ts";
import * as uapi from "../uapi/index.ts";
import { Device } from "./device.ts";
import type { CallOf } from "./ioas.ts";
import { defineOperation } from "./operation.ts";

const capabilitiesOf = (device: IommuDevice): bigint => {
  const { driver, pasidLg2, pasidExec, pasidPrivileged, ats } = device;
  return (
    (driver.capable(device, "dirty-tracking") ? uapi.IOMMU_HW_CAP_DIRTY_TRACKING : 0n) |
    (pasidLg2 > 0 && pasidExec ? uapi.IOMMU_HW_CAP_PCI_PASID_EXEC : 0n) |
    (pasidLg2 > 0 && pasidPrivileged ? uapi.IOMMU_HW_CAP_PCI_PASID_PRIV : 0n) |
    (ats ? 0n : uapi.IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED)
  );
};

/** Zeros of one write. */
const ZEROS = new Uint8Array(4096);

const hwInfo = ({
  context,
  process,
  args,
  respond,
}: CallOf<typeof uapi.IOMMU_GET_HW_INFO_ARGS>): Outcome<undefined> => {
  if ((args.flags & ~uapi.IOMMU_HW_INFO_FLAG_INPUT_TYPE) !== 0) return fail("EOPNOTSUPP");
  if (args.__reserved.some((byte) => byte !== 0)) return fail("EOPNOTSUPP");
  const device = context.objects.get(args.dev_id, Device);
  if (device === undefined) return fail("ENOENT");
  const { driver } = device.device;
  const chosen = (args.flags & uapi.IOMMU_HW_INFO_FLAG_INPUT_TYPE) !== 0;
  const type = chosen ? args.in_data_type : uapi.IOMMU_HW_INFO_TYPE_DEFAULT;
  const info = driver.hwInfo?.(device.device, type);
  if (info !== undefined && !info.ok) return info;
  const bytes = info?.value.bytes ?? new Uint8Array(0);
  const copied = bytes.subarray(0, args.data_len);
  if (!process.mm.write(args.data_uptr, copied)) return fail("EFAULT");
  const filled = fillZeros(process, args.data_uptr, copied.length, args.data_len);
  if (!filled.ok) return filled;
  args.data_len = bytes.length;
  args.out_data_type = info?.value.type ?? 0;
  args.in_data_type = args.out_data_type;
  args.out_max_pasid_log2 = device.device.pasidLg2;
  args.out_capabilities = capabilitiesOf(device.device);
  return respond();
};

const fillZeros = (
  process: CallOf<typeof uapi.IOMMU_GET_HW_INFO_ARGS>["process"],
  address: bigint,
  from: number,
  end: number,
): Outcome<undefined> => {
  for (let at = from; at < end; at += ZEROS.length) {
    const zeros = ZEROS.subarray(0, Math.min(ZEROS.length, end - at));
    if (!process.mm.write(address + BigInt(at), zeros)) return fail("EFAULT");
  }
  return DONE;
};

export const GET_HW_INFO = defineOperation(
  uapi.IOMMU_GET_HW_INFO,
  uapi.IOMMU_GET_HW_INFO_ARGS,
  hwInfo,
  "__reserved",
);
