import { LAST_ADDRESS } from "../../bits/address.ts";
import type { Range } from "../../bits/range.ts";
import { DONE, fail, type Outcome, ok } from "../errno.ts";
import type { Process } from "../mm/process.ts";
import { SharedFile } from "../mm/shared-file.ts";
import * as uapi from "../uapi/index.ts";
import { AREA_READ, AREA_WRITE } from "./area.ts";
import type { IommufdContext } from "./context.ts";
import type { HwptPaging } from "./hw-pagetable.ts";
import { IoPagetable, type Placement } from "./io-pagetable.ts";
import { IommufdObject } from "./object.ts";
import { type Call, defineOperation } from "./operation.ts";
import { FilePages, type PageSource, PinAccount, UserPages } from "./page-source.ts";
import { Pages } from "./pages.ts";

/** Ranges of one `IOMMU_IOAS_ALLOW_IOVAS` at most, so that a client cannot make the kernel read without end. */
const MAX_ALLOWED = 1 << 16;

/** An I/O address space as a client knows it. */
export class Ioas extends IommufdObject {
  override readonly kind = "ioas";
  readonly iopt: IoPagetable = new IoPagetable();
  /** Hardware page tables that see it, in the order in which they were made. */
  readonly hwpts: Set<HwptPaging> = new Set();

  override destroy(): void {
    this.iopt.destroy();
  }
}

const MAP_FLAGS =
  uapi.IOMMU_IOAS_MAP_FIXED_IOVA | uapi.IOMMU_IOAS_MAP_WRITEABLE | uapi.IOMMU_IOAS_MAP_READABLE;

const protOf = (flags: number): number =>
  (flags & uapi.IOMMU_IOAS_MAP_READABLE ? AREA_READ : 0) |
  (flags & uapi.IOMMU_IOAS_MAP_WRITEABLE ? AREA_WRITE : 0);

/** What every mapping call checks first. */
const mapArgumentsError = (
  flags: number,
  reserved: number,
  ...numbers: readonly bigint[]
): "EOPNOTSUPP" | "EOVERFLOW" | "EINVAL" | undefined => {
  if ((flags & ~MAP_FLAGS) !== 0 || reserved !== 0) return "EOPNOTSUPP";
  if (numbers.some((number) => number === LAST_ADDRESS)) return "EOVERFLOW";
  return protOf(flags) === 0 ? "EINVAL" : undefined;
};

/** Who pays for what a process maps; one object for all of its mappings, as long as nothing about it changes. */
export const accountOf = (context: IommufdContext, process: Process): PinAccount => {
  const mode = process.may("CAP_IPC_LOCK") ? "none" : context.accountMode;
  const { account } = context;
  if (account?.process === process && account.mode === mode) return account;
  context.account = new PinAccount(process, mode);
  return context.account;
};

/** Maps pages that nobody has mapped before. @returns the address */
export const mapPages = (
  context: IommufdContext,
  process: Process,
  iopt: IoPagetable,
  source: PageSource,
  startByte: bigint,
  length: bigint,
  placement: Placement,
  prot: number,
): Outcome<bigint> => {
  const count = Number((startByte + length + 4095n) >> 12n);
  const account = accountOf(context, process);
  const writable = (prot & AREA_WRITE) !== 0;
  const pages = new Pages(context.frames, source, count, writable, account).get();
  const iova = iopt.map([{ pages, startByte, length }], placement, prot);
  pages.put();
  return iova;
};

/** Maps `length` bytes of the caller's memory. @returns the address */
export const mapUserPages = (
  context: IommufdContext,
  process: Process,
  iopt: IoPagetable,
  address: bigint,
  length: bigint,
  fixed: bigint | undefined,
  prot: number,
): Outcome<bigint> => {
  if (address + length > LAST_ADDRESS) return fail("EOVERFLOW");
  const placement = fixed === undefined ? { near: address } : { iova: fixed };
  const source = new UserPages(process.mm, address);
  return mapPages(context, process, iopt, source, address & 0xfffn, length, placement, prot);
};

/** Finishes a mapping call: the address goes to the client, or the mapping goes. */
const respondMapped = (
  iopt: IoPagetable,
  mapped: Outcome<bigint>,
  length: bigint,
  respond: () => Outcome<undefined>,
): Outcome<undefined> => {
  if (!mapped.ok) return mapped;
  const answered = respond();
  if (!answered.ok) iopt.unmap(mapped.value, mapped.value + length - 1n);
  return answered;
};

const ioasAlloc = ({ context, args, respond }: CallOf<typeof uapi.IOMMU_IOAS_ALLOC_ARGS>) => {
  if (args.flags !== 0) return fail("EOPNOTSUPP");
  const ioas = context.objects.add(new Ioas());
  if (!ioas.ok) return ioas;
  args.out_ioas_id = ioas.value.id;
  const answered = respond();
  if (!answered.ok) context.objects.remove(ioas.value);
  return answered;
};

/** A call whose argument is a structure. */
export type CallOf<S> = S extends uapi.CStruct<infer Fields> ? Call<Fields> : never;

const iovaRanges = ({
  context,
  process,
  args,
  respond,
}: CallOf<typeof uapi.IOMMU_IOAS_IOVA_RANGES_ARGS>): Outcome<undefined> => {
  if (args.__reserved !== 0) return fail("EOPNOTSUPP");
  const ioas = context.objects.get(args.ioas_id, Ioas);
  if (ioas === undefined) return fail("ENOENT");
  const room = args.num_iovas;
  const ranges = ioas.iopt.reserved.holes(0n, LAST_ADDRESS);
  const step = BigInt(uapi.IOMMU_IOVA_RANGE.size);
  for (const [i, { start, last }] of ranges.slice(0, room).entries()) {
    const bytes = uapi.IOMMU_IOVA_RANGE.encode({ start, last });
    if (!process.mm.write(args.allowed_iovas + BigInt(i) * step, bytes)) return fail("EFAULT");
  }
  args.num_iovas = ranges.length;
  args.out_iova_alignment = ioas.iopt.alignment;
  const answered = respond();
  if (!answered.ok) return answered;
  return ranges.length > room ? fail("EMSGSIZE") : DONE;
};

const allowIovas = ({
  context,
  process,
  args,
}: CallOf<typeof uapi.IOMMU_IOAS_ALLOW_IOVAS_ARGS>): Outcome<undefined> => {
  if (args.__reserved !== 0) return fail("EOPNOTSUPP");
  const ioas = context.objects.get(args.ioas_id, Ioas);
  if (ioas === undefined) return fail("ENOENT");
  if (args.num_iovas > MAX_ALLOWED) return fail("ENOMEM");
  const ranges: Range[] = [];
  const bytes = new Uint8Array(uapi.IOMMU_IOVA_RANGE.size);
  for (let i = 0; i < args.num_iovas; i++) {
    if (!process.mm.read(args.allowed_iovas + BigInt(i * bytes.length), bytes)) {
      return fail("EFAULT");
    }
    const range = uapi.IOMMU_IOVA_RANGE.decode(bytes);
    if (range.start >= range.last) return fail("EINVAL");
    if (ranges.some(({ start, last }) => start <= range.last && range.start <= last)) {
      return fail("EINVAL");
    }
    ranges.push(range);
  }
  return ioas.iopt.allow(ranges);
};

const map = ({
  context,
  process,
  args,
  respond,
}: CallOf<typeof uapi.IOMMU_IOAS_MAP_ARGS>): Outcome<undefined> => {
  const errno = mapArgumentsError(args.flags, args.__reserved, args.iova, args.length);
  if (errno !== undefined) return fail(errno);
  const ioas = context.objects.get(args.ioas_id, Ioas);
  if (ioas === undefined) return fail("ENOENT");
  const fixed = args.flags & uapi.IOMMU_IOAS_MAP_FIXED_IOVA ? args.iova : undefined;
  const prot = protOf(args.flags);
  const { user_va, length } = args;
  const mapped = mapUserPages(context, process, ioas.iopt, user_va, length, fixed, prot);
  if (mapped.ok) args.iova = mapped.value;
  return respondMapped(ioas.iopt, mapped, length, respond);
};

const mapFile = ({
  context,
  process,
  args,
  respond,
}: CallOf<typeof uapi.IOMMU_IOAS_MAP_FILE_ARGS>): Outcome<undefined> => {
  const errno = mapArgumentsError(args.flags, 0, args.iova, args.length);
  if (errno !== undefined) return fail(errno);
  const ioas = context.objects.get(args.ioas_id, Ioas);
  if (ioas === undefined) return fail("ENOENT");
  const { start, length, flags } = args;
  const file = process.files.file(args.fd);
  if (length === 0n) return fail("EINVAL");
  if (start + length - 1n > LAST_ADDRESS) return fail("EOVERFLOW");
  if (file === undefined) return fail("EBADF");
  if (!(file instanceof SharedFile)) return fail("EINVAL");
  const placement = flags & uapi.IOMMU_IOAS_MAP_FIXED_IOVA ? { iova: args.iova } : { near: start };
  const source = new FilePages(file, start, context.frames);
  const mapped = mapPages(
    context,
    process,
    ioas.iopt,
    source,
    start & 0xfffn,
    length,
    placement,
    protOf(flags),
  );
  if (mapped.ok) args.iova = mapped.value;
  return respondMapped(ioas.iopt, mapped, length, respond);
};

const copy = ({
  context,
  args,
  respond,
}: CallOf<typeof uapi.IOMMU_IOAS_COPY_ARGS>): Outcome<undefined> => {
  const { flags, length, src_iova, dst_iova } = args;
  const errno = mapArgumentsError(flags, 0, length, src_iova, dst_iova);
  if (errno !== undefined) return fail(errno);
  const source = context.objects.get(args.src_ioas_id, Ioas);
  if (source === undefined) return fail("ENOENT");
  const parts = source.iopt.partsOf(src_iova, length);
  if (!parts.ok) return parts;
  const destination = context.objects.get(args.dst_ioas_id, Ioas);
  if (destination === undefined) return fail("ENOENT");
  const [first] = parts.value;
  const near = first === undefined ? 0n : first.pages.source.start + first.startByte;
  const placement = flags & uapi.IOMMU_IOAS_MAP_FIXED_IOVA ? { iova: dst_iova } : { near };
  const mapped = destination.iopt.map(parts.value, placement, protOf(flags));
  if (mapped.ok) args.dst_iova = mapped.value;
  return respondMapped(destination.iopt, mapped, length, respond);
};

const unmap = ({
  context,
  args,
  respond,
}: CallOf<typeof uapi.IOMMU_IOAS_UNMAP_ARGS>): Outcome<undefined> => {
  const ioas = context.objects.get(args.ioas_id, Ioas);
  if (ioas === undefined) return fail("ENOENT");
  const unmapped = unmapRange(ioas.iopt, args.iova, args.length);
  if (!unmapped.ok) return unmapped;
  args.length = unmapped.value;
  return respond();
};

const unmapRange = (iopt: IoPagetable, iova: bigint, length: bigint): Outcome<bigint> => {
  if (iova === 0n && length === LAST_ADDRESS) {
    const { bytes, outcome } = iopt.unmap(0n, LAST_ADDRESS);
    return outcome.ok || outcome.errno === "ENOENT" ? ok(bytes) : outcome;
  }
  if (iova === LAST_ADDRESS || length === LAST_ADDRESS) return fail("EOVERFLOW");
  if (length === 0n) return fail("EINVAL");
  if (iova + length - 1n > LAST_ADDRESS) return fail("EOVERFLOW");
  const { bytes, outcome } = iopt.unmap(iova, iova + length - 1n);
  return outcome.ok ? ok(bytes) : outcome;
};

export const IOAS_ALLOC = defineOperation(
  uapi.IOMMU_IOAS_ALLOC,
  uapi.IOMMU_IOAS_ALLOC_ARGS,
  ioasAlloc,
);
export const IOAS_IOVA_RANGES = defineOperation(
  uapi.IOMMU_IOAS_IOVA_RANGES,
  uapi.IOMMU_IOAS_IOVA_RANGES_ARGS,
  iovaRanges,
);
export const IOAS_ALLOW_IOVAS = defineOperation(
  uapi.IOMMU_IOAS_ALLOW_IOVAS,
  uapi.IOMMU_IOAS_ALLOW_IOVAS_ARGS,
  allowIovas,
);
export const IOAS_MAP = defineOperation(uapi.IOMMU_IOAS_MAP, uapi.IOMMU_IOAS_MAP_ARGS, map);
export const IOAS_MAP_FILE = defineOperation(
  uapi.IOMMU_IOAS_MAP_FILE,
  uapi.IOMMU_IOAS_MAP_FILE_ARGS,
  mapFile,
);
export const IOAS_COPY = defineOperation(uapi.IOMMU_IOAS_COPY, uapi.IOMMU_IOAS_COPY_ARGS, copy);
export const IOAS_UNMAP = defineOperation(uapi.IOMMU_IOAS_UNMAP, uapi.IOMMU_IOAS_UNMAP_ARGS, unmap);
