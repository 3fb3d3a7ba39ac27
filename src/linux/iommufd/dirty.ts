import { LAST_ADDRESS } from "../../bits/address.ts";
import { trailingZeros } from "../../bits/log2.ts";
import { DONE, fail, type Outcome } from "../errno.ts";
import type { DirtyVisit } from "../iommu/index.ts";
import type { Process } from "../mm/process.ts";
import * as uapi from "../uapi/index.ts";
import { HwptPaging } from "./hw-pagetable.ts";
import type { CallOf } from "./ioas.ts";
import { defineOperation } from "./operation.ts";

const setDirtyTracking = ({
  context,
  args,
  respond,
}: CallOf<typeof uapi.IOMMU_HWPT_SET_DIRTY_TRACKING_ARGS>): Outcome<undefined> => {
  if ((args.flags & ~uapi.IOMMU_HWPT_DIRTY_TRACKING_ENABLE) !== 0) return fail("EOPNOTSUPP");
  const hwpt = context.objects.get(args.hwpt_id, HwptPaging);
  if (hwpt === undefined) return fail("ENOENT");
  const { dirty } = hwpt.domain;
  if (dirty === undefined) return fail("EOPNOTSUPP");
  const enable = (args.flags & uapi.IOMMU_HWPT_DIRTY_TRACKING_ENABLE) !== 0;
  if (enable) {
    for (const area of hwpt.ioas.iopt.areas) {
      const cleared = dirty.readAndClear(area.start, area.length, true, undefined);
      if (!cleared.ok) return cleared;
    }
  }
  const set = dirty.set(enable);
  return set.ok ? respond() : set;
};

/** What is wrong with the range of a bitmap, if anything. */
const rangeError = (
  iova: bigint,
  length: bigint,
  pageSize: bigint,
  alignment: bigint,
): "EOVERFLOW" | "EINVAL" | undefined => {
  const last = iova + ((length - 1n) & LAST_ADDRESS);
  if (last > LAST_ADDRESS) return "EOVERFLOW";
  const end = (last + 1n) & LAST_ADDRESS;
  if (((iova | end) & (alignment - 1n)) !== 0n || pageSize === 0n) return "EINVAL";
  return ((iova | end) & (pageSize - 1n)) !== 0n ? "EINVAL" : undefined;
};

/** Sets the bits of a client's bitmap, which begins at `base`, for runs of bytes. A part that cannot be written is lost. */
export const userBitmap = (
  process: Process,
  address: bigint,
  base: bigint,
  length: bigint,
  pageSize: bigint,
): DirtyVisit => {
  const shift = BigInt(trailingZeros(pageSize));
  const lastBit = (length - 1n) >> shift;
  return (iova, count) => {
    const first = iova > base ? (iova - base) >> shift : 0n;
    const end = (iova + count - 1n - base) >> shift;
    const last = end < lastBit ? end : lastBit;
    if (last < first) return;
    const from = first >> 3n;
    const bytes = new Uint8Array(Number((last >> 3n) - from) + 1);
    if (!process.mm.read(address + from, bytes)) return;
    for (let bit = first; bit <= last; bit++) {
      bytes[Number((bit >> 3n) - from)]! |= 1 << Number(bit & 7n);
    }
    process.mm.write(address + from, bytes);
  };
};

const getDirtyBitmap = ({
  context,
  process,
  args,
  respond,
}: CallOf<typeof uapi.IOMMU_HWPT_GET_DIRTY_BITMAP_ARGS>): Outcome<undefined> => {
  const { iova, length, page_size: pageSize, data } = args;
  const noClear = (args.flags & uapi.IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR) !== 0;
  if ((args.flags & ~uapi.IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR) !== 0 || args.__reserved !== 0) {
    return fail("EOPNOTSUPP");
  }
  const hwpt = context.objects.get(args.hwpt_id, HwptPaging);
  if (hwpt === undefined) return fail("ENOENT");
  const { iopt } = hwpt.ioas;
  const errno = rangeError(iova, length, pageSize, iopt.alignment);
  if (errno !== undefined) return fail(errno);
  const { dirty } = hwpt.domain;
  if (dirty === undefined) return fail("EOPNOTSUPP");
  const visit = userBitmap(process, data, iova, length, pageSize);
  // Like the kernel, a hole ends the walk and is nobody's error.
  let next = iova;
  const last = iova + length - 1n;
  for (const area of length === 0n ? [] : iopt.areas.overlapping(iova, last)) {
    if (area.start > next) break;
    const end = area.last < last ? area.last : last;
    if (!dirty.readAndClear(next, end - next + 1n, !noClear, visit).ok) break;
    next = end + 1n;
  }
  const answered = respond();
  return answered.ok ? DONE : answered;
};

export const HWPT_SET_DIRTY_TRACKING = defineOperation(
  uapi.IOMMU_HWPT_SET_DIRTY_TRACKING,
  uapi.IOMMU_HWPT_SET_DIRTY_TRACKING_ARGS,
  setDirtyTracking,
);
export const HWPT_GET_DIRTY_BITMAP = defineOperation(
  uapi.IOMMU_HWPT_GET_DIRTY_BITMAP,
  uapi.IOMMU_HWPT_GET_DIRTY_BITMAP_ARGS,
  getDirtyBitmap,
);
