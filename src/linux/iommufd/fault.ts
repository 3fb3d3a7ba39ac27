import { fail, type Outcome, ok } from "../errno.ts";
import { POLLIN, POLLOUT } from "../mm/file.ts";
import type { Process } from "../mm/process.ts";
import * as uapi from "../uapi/index.ts";
import type { AttachHandle } from "./device.ts";
import type { CallOf } from "./ioas.ts";
import { IommufdObject } from "./object.ts";
import { defineOperation } from "./operation.ts";
import { openQueue, QueueFile, type QueueRecord, readRecords } from "./queue-file.ts";

/** One page of a fault group. */
export interface PageFault {
  readonly address: bigint;
  /** Bits as `IOMMU_PGFAULT_PERM_…`. */
  readonly permissions: number;
  readonly lastPage: boolean;
}

/** Page faults that a device waits for together. */
export interface FaultGroup {
  readonly pasid: number | undefined;
  readonly groupId: number;
  readonly faults: readonly PageFault[];
  /** Lets the device go on. */
  respond(success: boolean): void;
}

interface Queued {
  readonly group: FaultGroup;
  readonly handle: AttachHandle;
}

/** Where I/O page faults wait for a client, and those that it has read and not answered. */
export class FaultQueue extends IommufdObject {
  override readonly kind = "fault";
  #waiting: Queued[] = [];
  readonly #read = new Map<number, Queued>();

  /** Groups that nobody has read. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Adds a group for an attachment. */
  report(handle: AttachHandle, group: FaultGroup): void {
    this.#waiting.push({ group, handle });
  }

  /** The group to be read next, with the cookie that it would get. */
  next(): QueueRecord | undefined {
    const queued = this.#waiting[0];
    if (queued === undefined) return undefined;
    let cookie = 1;
    while (this.#read.has(cookie)) cookie++;
    return {
      bytes: encodeGroup(queued, cookie),
      taken: () => {
        this.#waiting.shift();
        this.#read.set(cookie, queued);
      },
    };
  }

  /** Answers a group that has been read. @returns `false` for an unknown cookie */
  answer(cookie: number, success: boolean): boolean {
    const queued = this.#read.get(cookie);
    if (queued === undefined) return false;
    this.#read.delete(cookie);
    queued.group.respond(success);
    return true;
  }

  /** Refuses everything that belongs to an attachment that has ended. */
  answerAll(handle: AttachHandle): void {
    const ended = this.#waiting.filter((queued) => queued.handle === handle);
    this.#waiting = this.#waiting.filter((queued) => queued.handle !== handle);
    for (const { group } of ended) group.respond(false);
    for (const [cookie, queued] of this.#read) {
      if (queued.handle !== handle) continue;
      this.#read.delete(cookie);
      queued.group.respond(false);
    }
  }

  /** Refuses whatever is left. */
  override destroy(): void {
    const left = [...this.#waiting, ...this.#read.values()];
    this.#waiting = [];
    this.#read.clear();
    for (const { group } of left) group.respond(false);
  }
}

const encodeGroup = ({ group, handle }: Queued, cookie: number): Uint8Array => {
  const size = uapi.IOMMU_HWPT_PGFAULT.size;
  const bytes = new Uint8Array(size * group.faults.length);
  for (const [i, { address, permissions, lastPage }] of group.faults.entries()) {
    const fault = uapi.IOMMU_HWPT_PGFAULT.encode({
      flags:
        (group.pasid === undefined ? 0 : uapi.IOMMU_PGFAULT_FLAGS_PASID_VALID) |
        (lastPage ? uapi.IOMMU_PGFAULT_FLAGS_LAST_PAGE : 0),
      dev_id: handle.device.id,
      pasid: group.pasid ?? 0,
      grpid: group.groupId,
      perm: permissions,
      addr: address,
      cookie,
    });
    bytes.set(fault, i * size);
  }
  return bytes;
};

/** The file that faults are read from and answers written to. */
class FaultFile extends QueueFile<FaultQueue> {
  override read(
    process: Process,
    address: bigint,
    length: number,
    position: bigint,
  ): Outcome<number> {
    if (position !== 0n || length % uapi.IOMMU_HWPT_PGFAULT.size !== 0) return fail("ESPIPE");
    return readRecords(process, address, length, () => this.queue.next());
  }

  override write(
    process: Process,
    address: bigint,
    length: number,
    position: bigint,
  ): Outcome<number> {
    const { size } = uapi.IOMMU_HWPT_PAGE_RESPONSE;
    if (position !== 0n || length % size !== 0) return fail("ESPIPE");
    const bytes = new Uint8Array(size);
    for (let done = 0; done < length; done += size) {
      if (!process.mm.read(address + BigInt(done), bytes))
        return done > 0 ? ok(done) : fail("EFAULT");
      const { cookie, code } = uapi.IOMMU_HWPT_PAGE_RESPONSE.decode(bytes);
      const known =
        code === uapi.IOMMUFD_PAGE_RESP_SUCCESS || code === uapi.IOMMUFD_PAGE_RESP_INVALID;
      if (!known || !this.queue.answer(cookie, code === uapi.IOMMUFD_PAGE_RESP_SUCCESS)) {
        return done > 0 ? ok(done) : fail("EINVAL");
      }
    }
    return ok(length);
  }

  override poll(): number {
    return this.queue.waiting > 0 ? POLLIN | POLLOUT : POLLOUT;
  }
}

const faultQueueAlloc = ({
  context,
  process,
  args,
  respond,
}: CallOf<typeof uapi.IOMMU_FAULT_QUEUE_ALLOC_ARGS>): Outcome<undefined> => {
  if (args.flags !== 0) return fail("EOPNOTSUPP");
  const queue = new FaultQueue();
  const open = (): FaultFile => new FaultFile(context, queue);
  return openQueue(context, process, queue, open, (id, fd) => {
    args.out_fault_id = id;
    args.out_fault_fd = fd;
    return respond();
  });
};

export const FAULT_QUEUE_ALLOC = defineOperation(
  uapi.IOMMU_FAULT_QUEUE_ALLOC,
  uapi.IOMMU_FAULT_QUEUE_ALLOC_ARGS,
  faultQueueAlloc,
);
