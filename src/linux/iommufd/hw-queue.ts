import { LAST_ADDRESS } from "../../bits/address.ts";
import { frameAddress } from "../../bits/halves.ts";
import { fail, type Outcome, ok } from "../errno.ts";
import * as uapi from "../uapi/index.ts";
import type { Area } from "./area.ts";
import type { CallOf } from "./ioas.ts";
import { IommufdObject } from "./object.ts";
import { defineOperation } from "./operation.ts";
import { Viommu } from "./viommu.ts";

/** A queue in a guest's memory that hardware reads by itself: pinned, and locked where it is. */
export class HwQueue extends IommufdObject {
  override readonly kind = "hw-queue";
  readonly viommu: Viommu;
  readonly index: number;
  readonly #unlock: () => void;
  readonly #end: () => void;
  readonly #previous: HwQueue | undefined;

  constructor(viommu: Viommu, index: number, unlock: () => void, end: () => void) {
    super();
    this.viommu = viommu.get();
    this.index = index;
    this.#unlock = unlock;
    this.#end = end;
    // Hardware has them in a row: none goes before those behind it.
    this.#previous = viommu.hwQueues.get(index - 1)?.get();
    viommu.hwQueues.set(index, this);
  }

  override destroy(): void {
    this.#end();
    this.#unlock();
    this.viommu.hwQueues.delete(this.index);
    this.#previous?.put();
    this.viommu.put();
  }
}

interface Locked {
  readonly address: bigint;
  unlock(): void;
}

const release = (areas: readonly Area[]): void => {
  for (const area of areas) {
    area.locks -= 1;
    area.pages.release(area.firstIndex, area.pageCount);
  }
};

/** Pins and locks the areas of a range. @returns the physical address; ENOENT where nothing is mapped, EFAULT in pieces */
const lockRange = (viommu: Viommu, iova: bigint, length: bigint): Outcome<Locked> => {
  const last = iova + length - 1n;
  const areas = viommu.parent.ioas.iopt.contiguous(iova, last);
  if (areas === undefined) return fail("ENOENT");
  const done: Area[] = [];
  for (const area of areas) {
    const pinned = area.pages.acquire(area.firstIndex, area.pageCount);
    if (!pinned.ok) {
      release(done);
      return pinned;
    }
    area.locks += 1;
    done.push(area);
  }
  const physical = (at: bigint): bigint => {
    const area = areas.find((each) => each.start <= at && at <= each.last)!;
    const byte = area.byteAt(at);
    return frameAddress(area.pages.frameOf(Number(byte >> 12n))) + (byte & 0xfffn);
  };
  const address = physical(iova);
  for (let at = iova; at <= last; at += 4096n) {
    if (physical(at) !== address + (at - iova)) {
      release(done);
      return fail("EFAULT");
    }
  }
  return ok({ address, unlock: () => release(done) });
};

const hwQueueAlloc = ({
  context,
  args,
  respond,
}: CallOf<typeof uapi.IOMMU_HW_QUEUE_ALLOC_ARGS>): Outcome<undefined> => {
  const { type, index, nesting_parent_iova: iova, length } = args;
  if (args.flags !== 0 || type === uapi.IOMMU_HW_QUEUE_TYPE_DEFAULT) return fail("EOPNOTSUPP");
  if (length === 0n) return fail("EINVAL");
  if (iova + length - 1n > LAST_ADDRESS) return fail("EOVERFLOW");
  const viommu = context.objects.get(args.viommu_id, Viommu);
  if (viommu === undefined) return fail("ENOENT");
  const { driver } = viommu;
  if (driver.initHwQueue === undefined || !driver.hwQueueType?.(type)) return fail("EOPNOTSUPP");
  const locked = lockRange(viommu, iova, length);
  if (!locked.ok) return locked;
  const started = driver.initHwQueue(index, locked.value.address, length);
  if (!started.ok) {
    locked.value.unlock();
    return started;
  }
  const queue = new HwQueue(viommu, index, () => locked.value.unlock(), started.value);
  const added = context.objects.add(queue);
  if (!added.ok) {
    queue.destroy();
    return added;
  }
  args.out_hw_queue_id = queue.id;
  const answered = respond();
  if (!answered.ok) context.objects.remove(queue);
  return answered;
};

export const HW_QUEUE_ALLOC = defineOperation(
  uapi.IOMMU_HW_QUEUE_ALLOC,
  uapi.IOMMU_HW_QUEUE_ALLOC_ARGS,
  hwQueueAlloc,
);
