import { LAST_ADDRESS } from "../../bits/address.ts";
import { trailingZeros } from "../../bits/log2.ts";
import { DONE, fail, type Outcome, ok } from "../errno.ts";
import type { Process } from "../mm/process.ts";
import * as uapi from "../uapi/index.ts";
import { AREA_READ, AREA_WRITE } from "./area.ts";
import type { IommufdContext } from "./context.ts";
import { type CallOf, Ioas, mapUserPages } from "./ioas.ts";
import { defineOperation } from "./operation.ts";

/** The address space that VFIO's own ioctls work on: chosen, asked for, or let go of. */
const vfioIoas = ({
  context,
  args,
  respond,
}: CallOf<typeof uapi.IOMMU_VFIO_IOAS_ARGS>): Outcome<undefined> => {
  if (args.__reserved !== 0) return fail("EOPNOTSUPP");
  if (args.op === uapi.IOMMU_VFIO_IOAS_GET) {
    if (context.vfioIoas === undefined) return fail("ENODEV");
    args.ioas_id = context.vfioIoas.id;
    return respond();
  }
  if (args.op === uapi.IOMMU_VFIO_IOAS_SET) {
    const ioas = context.objects.get(args.ioas_id, Ioas);
    if (ioas === undefined) return fail("ENOENT");
    context.vfioIoas = ioas;
    return DONE;
  }
  if (args.op !== uapi.IOMMU_VFIO_IOAS_CLEAR) return fail("EOPNOTSUPP");
  context.vfioIoas = undefined;
  return DONE;
};

export const VFIO_IOAS = defineOperation(uapi.IOMMU_VFIO_IOAS, uapi.IOMMU_VFIO_IOAS_ARGS, vfioIoas);

const checkExtension = (context: IommufdContext, extension: bigint): Outcome<number> => {
  switch (Number(extension)) {
    case uapi.VFIO_TYPE1_IOMMU:
    case uapi.VFIO_TYPE1v2_IOMMU:
    case uapi.VFIO_UNMAP_ALL:
      return ok(1);
    case uapi.VFIO_DMA_CC_IOMMU: {
      if (context.vfioIoas === undefined) return fail("ENODEV");
      return ok([...context.vfioIoas.hwpts].every((hwpt) => hwpt.enforcesCoherency) ? 1 : 0);
    }
    default:
      return ok(0);
  }
};

const setIommu = (context: IommufdContext, type: bigint): Outcome<number> => {
  const plain = type === BigInt(uapi.VFIO_TYPE1_IOMMU);
  if (!plain && type !== BigInt(uapi.VFIO_TYPE1v2_IOMMU)) return fail("EINVAL");
  if (context.vfioIoas === undefined) return fail("ENODEV");
  if (!plain) return ok(0);
  // The first version may cut mappings, which needs small pages.
  const disabled = context.vfioIoas.iopt.disableLargePages();
  return disabled.ok ? ok(0) : disabled;
};

/** The structure at `pointer`. @returns EFAULT; EINVAL when the caller gives less than `minSize` or more than `flags` allows */
const readArgs = <S extends { readonly size: number; decode(bytes: Uint8Array): unknown }>(
  process: Process,
  pointer: bigint,
  struct: S,
  minSize: number = struct.size,
): Outcome<ReturnType<S["decode"]>> => {
  const bytes = new Uint8Array(struct.size);
  if (!process.mm.read(pointer, bytes.subarray(0, minSize))) return fail("EFAULT");
  return ok(struct.decode(bytes) as ReturnType<S["decode"]>);
};

const pageSizesOf = (ioas: Ioas): bigint => {
  let sizes = LAST_ADDRESS;
  for (const domain of ioas.iopt.domains) sizes &= domain.pageSizes;
  if (sizes === 0n || trailingZeros(sizes) >= 12) return sizes;
  return (sizes & ~0xfffn) | 4096n;
};

/** The capabilities that follow the information about a container. */
const capabilitiesOf = (ioas: Ioas): readonly Uint8Array[] => {
  const avail = uapi.VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL_CAP.encode({
    id: uapi.VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL,
    version: 1,
    avail: 0xffff_ffff,
  });
  const holes = ioas.iopt.reserved.holes(0n, LAST_ADDRESS);
  const head = uapi.VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE_HEAD.encode({
    id: uapi.VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
    version: 1,
    nr_iovas: holes.length,
  });
  const ranges = new Uint8Array(head.length + holes.length * uapi.VFIO_IOVA_RANGE.size);
  ranges.set(head);
  for (const [i, { start, last }] of holes.entries()) {
    const range = uapi.VFIO_IOVA_RANGE.encode({ start, end: last });
    ranges.set(range, head.length + i * range.length);
  }
  return [avail, ranges];
};

const getInfo = (context: IommufdContext, process: Process, pointer: bigint): Outcome<number> => {
  const { size } = uapi.VFIO_IOMMU_TYPE1_INFO;
  const minSize = uapi.VFIO_IOMMU_TYPE1_INFO.members.iova_pgsizes.offset + 8;
  const info = readArgs(process, pointer, uapi.VFIO_IOMMU_TYPE1_INFO, minSize);
  if (!info.ok) return info;
  const { argsz } = info.value;
  if (argsz < minSize) return fail("EINVAL");
  if (context.vfioIoas === undefined) return fail("ENODEV");
  const capabilities = capabilitiesOf(context.vfioIoas);
  let end = size;
  const starts = capabilities.map((bytes) => {
    const start = end;
    end += Math.ceil(bytes.length / 8) * 8;
    return start;
  });
  for (const [i, bytes] of capabilities.entries()) {
    const start = starts[i]!;
    if (argsz < start + bytes.length) continue;
    const next = starts[i + 1];
    if (next !== undefined && argsz >= next) new DataView(bytes.buffer).setUint32(4, next, true);
    if (!process.mm.write(pointer + BigInt(start), bytes)) return fail("EFAULT");
  }
  const answer = uapi.VFIO_IOMMU_TYPE1_INFO.encode({
    argsz: end,
    flags: uapi.VFIO_IOMMU_INFO_PGSIZES | uapi.VFIO_IOMMU_INFO_CAPS,
    iova_pgsizes: pageSizesOf(context.vfioIoas),
    cap_offset: argsz >= end ? size : 0,
  });
  return process.mm.write(pointer, answer.subarray(0, Math.min(argsz, size)))
    ? ok(0)
    : fail("EFAULT");
};

const MAP_FLAGS = uapi.VFIO_DMA_MAP_FLAG_READ | uapi.VFIO_DMA_MAP_FLAG_WRITE;

const mapDma = (context: IommufdContext, process: Process, pointer: bigint): Outcome<number> => {
  const map = readArgs(process, pointer, uapi.VFIO_IOMMU_TYPE1_DMA_MAP);
  if (!map.ok) return map;
  const { argsz, flags, vaddr, iova, size } = map.value;
  if (argsz < uapi.VFIO_IOMMU_TYPE1_DMA_MAP.size || (flags & ~MAP_FLAGS) !== 0) {
    return fail("EINVAL");
  }
  if (context.vfioIoas === undefined) return fail("ENODEV");
  const prot =
    (flags & uapi.VFIO_DMA_MAP_FLAG_READ ? AREA_READ : 0) |
    (flags & uapi.VFIO_DMA_MAP_FLAG_WRITE ? AREA_WRITE : 0);
  const { iopt } = context.vfioIoas;
  const mapped = mapUserPages(context, process, iopt, vaddr, size, iova, prot);
  return mapped.ok ? ok(0) : mapped;
};

/** Unmaps for VFIO. @returns the bytes; nothing mapped is no error */
const unmapForVfio = (ioas: Ioas, iova: bigint, size: bigint): Outcome<bigint> => {
  const { iopt } = ioas;
  if (size === 0n) return fail("EINVAL");
  const last = iova + size - 1n;
  if (last > LAST_ADDRESS) return fail("EOVERFLOW");
  if (!iopt.largePages) {
    for (const end of iova === 0n ? [last] : [last, iova - 1n]) {
      const cut = iopt.cutBehind(end);
      if (!cut.ok) return cut;
    }
  }
  if (iopt.areas.first(iova, last) === undefined) return ok(0n);
  const { bytes, outcome } = iopt.unmap(iova, last);
  return outcome.ok ? ok(bytes) : outcome;
};

const unmapDma = (context: IommufdContext, process: Process, pointer: bigint): Outcome<number> => {
  const struct = uapi.VFIO_IOMMU_TYPE1_DMA_UNMAP;
  const unmap = readArgs(process, pointer, struct);
  if (!unmap.ok) return unmap;
  const { argsz, flags, iova, size } = unmap.value;
  const all = (flags & uapi.VFIO_DMA_UNMAP_FLAG_ALL) !== 0;
  if (argsz < struct.size || (flags & ~uapi.VFIO_DMA_UNMAP_FLAG_ALL) !== 0) return fail("EINVAL");
  const ioas = context.vfioIoas;
  if (ioas === undefined) return fail("ENODEV");
  if (all && (iova !== 0n || size !== 0n)) return fail("EINVAL");
  const unmapped = all ? unmapAll(ioas) : unmapForVfio(ioas, iova, size);
  if (!unmapped.ok) return unmapped;
  const answer = struct.encode({ argsz, flags, iova, size: unmapped.value });
  return process.mm.write(pointer, answer) ? ok(0) : fail("EFAULT");
};

const unmapAll = (ioas: Ioas): Outcome<bigint> => {
  const { bytes, outcome } = ioas.iopt.unmap(0n, LAST_ADDRESS);
  return outcome.ok || outcome.errno === "ENOENT" ? ok(bytes) : outcome;
};

/** An ioctl of a VFIO container on an iommufd. @returns ENOTTY for others */
export const vfioIoctl = (
  context: IommufdContext,
  process: Process,
  command: number,
  argument: bigint,
): Outcome<number> => {
  switch (command) {
    case uapi.VFIO_GET_API_VERSION:
      return ok(uapi.VFIO_API_VERSION);
    case uapi.VFIO_CHECK_EXTENSION:
      return checkExtension(context, argument);
    case uapi.VFIO_SET_IOMMU:
      return setIommu(context, argument);
    case uapi.VFIO_IOMMU_GET_INFO:
      return getInfo(context, process, argument);
    case uapi.VFIO_IOMMU_MAP_DMA:
      return mapDma(context, process, argument);
    case uapi.VFIO_IOMMU_UNMAP_DMA:
      return unmapDma(context, process, argument);
    default:
      return fail("ENOTTY");
  }
};
