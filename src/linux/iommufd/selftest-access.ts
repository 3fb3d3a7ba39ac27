import { DONE, fail, type Outcome } from "../errno.ts";
import { File } from "../mm/file.ts";
import type { Process } from "../mm/process.ts";
import * as uapi from "../uapi/index.ts";
import { type Access, createAccess, destroyAccess } from "./access.ts";
import type { IommufdContext } from "./context.ts";
import { definePart, type TestCall, type TestOperationRow } from "./selftest-call.ts";

/** Bytes of one access at most. */
const MAX_LENGTH = 16n << 20n;

/** What a test has pinned by one call. */
interface Item {
  readonly iova: bigint;
  readonly length: bigint;
}

/** The file of a test's access; it keeps the context alive, and the access goes with it. */
class AccessFile extends File {
  readonly #context: IommufdContext;
  readonly items: Map<number, Item> = new Map();
  #lastItem = 0;
  #access: Access | undefined;

  constructor(context: IommufdContext) {
    super();
    this.#context = context;
    context.file.get();
  }

  /** Makes the access. @returns ENOMEM; what `Access.attach` answers */
  open(ioasId: number, needsPin: boolean): Outcome<undefined> {
    const access = createAccess(this.#context, {
      needsPin,
      unmapped: (iova, length) => this.#unmapped(iova, length),
    });
    if (!access.ok) return access;
    this.#access = access.value;
    return access.value.attach(ioasId);
  }

  get access(): Access {
    return this.#access!;
  }

  addItem(item: Item): number {
    this.#lastItem += 1;
    this.items.set(this.#lastItem, item);
    return this.#lastItem;
  }

  #unmapped(iova: bigint, length: bigint): void {
    for (const [id, item] of this.items) {
      if (iova > item.iova + item.length - 1n || iova + length - 1n < item.iova) continue;
      this.items.delete(id);
      this.access.unpinPages(item.iova, item.length);
    }
  }

  protected override release(): void {
    if (this.#access !== undefined) destroyAccess(this.#context, this.#access);
    this.#context.file.put();
  }
}

const createAccessFile = (call: TestCall<"CREATE_ACCESS">): Outcome<undefined> => {
  const { context, process, id, part } = call;
  const needsPin = (part.flags & uapi.MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES) !== 0;
  if ((part.flags & ~uapi.MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES) !== 0) {
    return fail("EOPNOTSUPP");
  }
  const fd = process.files.reserve();
  if (!fd.ok) return fd;
  const file = new AccessFile(context);
  part.out_access_fd = fd.value;
  let outcome = file.open(id, needsPin);
  if (outcome.ok) outcome = call.respond();
  if (!outcome.ok) {
    process.files.cancel(fd.value);
    file.put();
    return outcome;
  }
  process.files.install(fd.value, file);
  return DONE;
};

const fileOf = (process: Process, fd: number): AccessFile | undefined => {
  const file = process.files.file(fd);
  return file instanceof AccessFile ? file : undefined;
};

const replaceIoas = ({
  process,
  id,
  part,
}: TestCall<"ACCESS_REPLACE_IOAS">): Outcome<undefined> => {
  const file = fileOf(process, id);
  return file === undefined ? fail("EBADF") : file.access.replace(part.ioas_id);
};

/** Whether the frames are those of the caller's own pages. */
const samePages = (
  context: IommufdContext,
  process: Process,
  address: bigint,
  frames: readonly number[],
): Outcome<undefined> => {
  const own = new Float64Array(1);
  for (const [i, frame] of frames.entries()) {
    if (process.mm.pin(Number(address >> 12n) + i, 1, false, own) < 1) return fail("EFAULT");
    context.frames.unpin(own[0]!);
    if (own[0] !== frame) return fail("EBADE");
  }
  return DONE;
};

const accessPages = (call: TestCall<"ACCESS_PAGES">): Outcome<undefined> => {
  const { context, process, id, part } = call;
  const { flags, iova, length, uptr } = part;
  if ((flags & ~uapi.MOCK_FLAGS_ACCESS_WRITE) !== 0) return fail("EOPNOTSUPP");
  if (length > MAX_LENGTH) return fail("ENOMEM");
  const file = fileOf(process, id);
  if (file === undefined) return fail("EBADF");
  if (!file.access.needsPin) return fail("EOPNOTSUPP");
  const pinned = file.access.pinPages(iova, length, (flags & uapi.MOCK_FLAGS_ACCESS_WRITE) !== 0);
  if (!pinned.ok) return pinned;
  const same = samePages(context, process, uptr - (iova & 0xfffn), pinned.value);
  if (!same.ok) {
    file.access.unpinPages(iova, length);
    return same;
  }
  part.out_access_pages_id = file.addItem({ iova, length });
  const answered = call.respond();
  if (!answered.ok) {
    file.items.delete(part.out_access_pages_id);
    file.access.unpinPages(iova, length);
  }
  return answered;
};

const destroyAccessPages = ({
  process,
  id,
  part,
}: TestCall<"DESTROY_ACCESS_PAGES">): Outcome<undefined> => {
  const file = fileOf(process, id);
  if (file === undefined) return fail("EBADF");
  const item = file.items.get(part.access_pages_id);
  if (item === undefined) return fail("ENOENT");
  file.items.delete(part.access_pages_id);
  file.access.unpinPages(item.iova, item.length);
  return DONE;
};

const RW_FLAGS = uapi.MOCK_ACCESS_RW_WRITE | uapi.MOCK_ACCESS_RW_SLOW_PATH;

const accessRw = ({ process, id, part }: TestCall<"ACCESS_RW">): Outcome<undefined> => {
  const { flags, iova, length, uptr } = part;
  if ((flags & ~RW_FLAGS) !== 0) return fail("EOPNOTSUPP");
  if (length > MAX_LENGTH) return fail("ENOMEM");
  const file = fileOf(process, id);
  if (file === undefined) return fail("EBADF");
  const write = (flags & uapi.MOCK_ACCESS_RW_WRITE) !== 0;
  const bytes = new Uint8Array(Number(length));
  if (write && !process.mm.read(uptr, bytes)) return fail("EFAULT");
  const done = file.access.rw(iova, bytes, write);
  if (!done.ok || write) return done;
  return process.mm.write(uptr, bytes) ? DONE : fail("EFAULT");
};

/** The test operations on accesses. */
export const accessOperations: readonly TestOperationRow[] = [
  definePart("CREATE_ACCESS", createAccessFile),
  definePart("ACCESS_REPLACE_IOAS", replaceIoas),
  definePart("ACCESS_PAGES", accessPages),
  definePart("DESTROY_ACCESS_PAGES", destroyAccessPages),
  definePart("ACCESS_RW", accessRw),
];
