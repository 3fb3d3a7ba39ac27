import { fail, type Outcome } from "../errno.ts";
import type { Process } from "../mm/process.ts";
import type { CField } from "../uapi/index.ts";
import * as uapi from "../uapi/index.ts";
import { IOAS_CHANGE_PROCESS } from "./change-process.ts";
import type { IommufdContext } from "./context.ts";
import { HWPT_GET_DIRTY_BITMAP, HWPT_SET_DIRTY_TRACKING } from "./dirty.ts";
import { FAULT_QUEUE_ALLOC } from "./fault.ts";
import { GET_HW_INFO } from "./hw-info.ts";
import { HW_QUEUE_ALLOC } from "./hw-queue.ts";
import { HWPT_ALLOC } from "./hwpt-alloc.ts";
import { HWPT_INVALIDATE } from "./hwpt-invalidate.ts";
import {
  type CallOf,
  IOAS_ALLOC,
  IOAS_ALLOW_IOVAS,
  IOAS_COPY,
  IOAS_IOVA_RANGES,
  IOAS_MAP,
  IOAS_MAP_FILE,
  IOAS_UNMAP,
} from "./ioas.ts";
import {
  type AnyOperation,
  defineOperation,
  type Operation,
  performBinary,
  readSize,
} from "./operation.ts";
import { OPTION } from "./option.ts";
import { VDEVICE_ALLOC } from "./vdevice.ts";
import { VEVENTQ_ALLOC } from "./veventq.ts";
import { VFIO_IOAS, vfioIoctl } from "./vfio-compat.ts";
import { VIOMMU_ALLOC } from "./viommu.ts";

const destroy = ({ context, args }: CallOf<typeof uapi.IOMMU_DESTROY_ARGS>): Outcome<undefined> => {
  const object = context.objects.find(args.id);
  const outcome = context.objects.destroy(args.id);
  if (outcome.ok && context.vfioIoas === object) context.vfioIoas = undefined;
  return outcome;
};

export const DESTROY = defineOperation(uapi.IOMMU_DESTROY, uapi.IOMMU_DESTROY_ARGS, destroy);

/** Answers as a kernel does that is built without no-IOMMU mode. */
export const IOAS_NOIOMMU_GET_PA = defineOperation(
  uapi.IOMMU_IOAS_NOIOMMU_GET_PA,
  uapi.IOMMU_IOAS_NOIOMMU_GET_PA_ARGS,
  () => fail("EOPNOTSUPP"),
);

/** Forgets the types of an operation's fields: a table holds operations of all kinds. */
const row = <Fields extends Record<string, CField>>(operation: Operation<Fields>): AnyOperation =>
  operation as unknown as AnyOperation;

/** Every ioctl of `/dev/iommu`. */
export const OPERATIONS: readonly AnyOperation[] = [
  row(DESTROY),
  row(IOAS_ALLOC),
  row(IOAS_ALLOW_IOVAS),
  row(IOAS_COPY),
  row(IOAS_IOVA_RANGES),
  row(IOAS_MAP),
  row(IOAS_UNMAP),
  row(OPTION),
  row(VFIO_IOAS),
  row(HWPT_ALLOC),
  row(GET_HW_INFO),
  row(HWPT_SET_DIRTY_TRACKING),
  row(HWPT_GET_DIRTY_BITMAP),
  row(HWPT_INVALIDATE),
  row(FAULT_QUEUE_ALLOC),
  row(IOAS_MAP_FILE),
  row(VIOMMU_ALLOC),
  row(VDEVICE_ALLOC),
  row(IOAS_CHANGE_PROCESS),
  row(VEVENTQ_ALLOC),
  row(HW_QUEUE_ALLOC),
  row(IOAS_NOIOMMU_GET_PA),
];

const BY_NUMBER = new Map(OPERATIONS.map((operation) => [operation.number, operation]));

/** The numbers behind `IOMMUFD_CMD_BASE` that the kernel's table has room for. */
const TABLE_END = 0xa1;

/**
 * An ioctl on `/dev/iommu`. Errors, in this order: what VFIO's own ioctls
 * answer for their numbers; EFAULT when the size cannot be read; ENOTTY for an
 * unknown number; then those of `performBinary`.
 *
 * @param pointer where the argument lies in the caller's memory
 */
export const dispatch = (
  context: IommufdContext,
  process: Process,
  command: number,
  pointer: bigint,
): Outcome<number> => {
  const nr = command & 0xff;
  const { testCommands } = context.parts;
  const end = testCommands === undefined ? uapi.IOMMU_IOAS_NOIOMMU_GET_PA & 0xff : TABLE_END - 1;
  if (nr < uapi.IOMMUFD_CMD_BASE || nr > end) return vfioIoctl(context, process, command, pointer);
  const size = readSize(process, pointer);
  if (!size.ok) return size;
  if (command === uapi.IOMMU_TEST_CMD && testCommands !== undefined) {
    return testCommands.run(context, process, pointer, size.value);
  }
  const operation = BY_NUMBER.get(command);
  if (operation === undefined) return fail("ENOTTY");
  return performBinary(operation, context, process, pointer, size.value);
};
