import { fail, type Outcome } from "../errno.ts";
import { POLLIN } from "../mm/file.ts";
import type { Process } from "../mm/process.ts";
import * as uapi from "../uapi/index.ts";
import type { CallOf } from "./ioas.ts";
import { IommufdObject } from "./object.ts";
import { defineOperation } from "./operation.ts";
import { openQueue, QueueFile, type QueueRecord, readRecords } from "./queue-file.ts";
import { Viommu } from "./viommu.ts";

/** Events of one queue at most. */
const MAX_DEPTH = 1 << 19;

/** Sequence numbers begin again after this one. */
const LAST_SEQUENCE = 0x7fff_ffff;

interface Event {
  readonly sequence: number;
  /** Absent where events have been lost. */
  readonly payload: Uint8Array | undefined;
}

/**
 * Events of a vIOMMU for its guest, in their order. When the queue is full a
 * mark at its end says which event was the last to be lost.
 */
export class EventQueue extends IommufdObject {
  override readonly kind = "veventq";
  readonly viommu: Viommu;
  readonly type: number;
  readonly depth: number;
  #events: Event[] = [];
  #sequence = -1;

  constructor(viommu: Viommu, type: number, depth: number) {
    super();
    this.viommu = viommu.get();
    this.type = type;
    this.depth = depth;
    viommu.eventQueues.set(type, this);
  }

  /** Records that wait to be read. */
  get waiting(): number {
    return this.#events.length;
  }

  /** Adds an event, or notes that it is lost. Either takes a sequence number. */
  report(payload: Uint8Array): void {
    this.#sequence = this.#sequence === LAST_SEQUENCE ? 0 : this.#sequence + 1;
    const events = this.#events.filter((event) => event.payload !== undefined);
    const full = events.length >= this.depth;
    events.push({ sequence: this.#sequence, payload: full ? undefined : payload });
    this.#events = events;
  }

  next(): QueueRecord | undefined {
    const event = this.#events[0];
    if (event === undefined) return undefined;
    const { sequence, payload = new Uint8Array(0) } = event;
    const flags = event.payload === undefined ? uapi.IOMMU_VEVENTQ_FLAG_LOST_EVENTS : 0;
    const header = uapi.IOMMUFD_VEVENT_HEADER.encode({ flags, sequence });
    const bytes = new Uint8Array(header.length + payload.length);
    bytes.set(header);
    bytes.set(payload, header.length);
    return {
      bytes,
      taken: () => {
        this.#events.shift();
      },
    };
  }

  override destroy(): void {
    this.viommu.eventQueues.delete(this.type);
    this.viommu.put();
  }
}

class EventFile extends QueueFile<EventQueue> {
  override read(
    process: Process,
    address: bigint,
    length: number,
    position: bigint,
  ): Outcome<number> {
    if (position !== 0n) return fail("ESPIPE");
    if (length < uapi.IOMMUFD_VEVENT_HEADER.size) return fail("EINVAL");
    return readRecords(process, address, length, () => this.queue.next());
  }

  override poll(): number {
    return this.queue.waiting > 0 ? POLLIN : 0;
  }
}

const veventqAlloc = ({
  context,
  process,
  args,
  respond,
}: CallOf<typeof uapi.IOMMU_VEVENTQ_ALLOC_ARGS>): Outcome<undefined> => {
  const { type, veventq_depth: depth } = args;
  if (args.flags !== 0 || args.__reserved !== 0) return fail("EOPNOTSUPP");
  if (type === uapi.IOMMU_VEVENTQ_TYPE_DEFAULT) return fail("EOPNOTSUPP");
  if (depth === 0 || depth > MAX_DEPTH) return fail("EINVAL");
  const viommu = context.objects.get(args.viommu_id, Viommu);
  if (viommu === undefined) return fail("ENOENT");
  if (!viommu.driver.supportsEventQueue?.(type)) return fail("EOPNOTSUPP");
  if (viommu.eventQueues.has(type)) return fail("EEXIST");
  const queue = new EventQueue(viommu, type, depth);
  const open = (): EventFile => new EventFile(context, queue);
  return openQueue(context, process, queue, open, (id, fd) => {
    args.out_veventq_id = id;
    args.out_veventq_fd = fd;
    return respond();
  });
};

export const VEVENTQ_ALLOC = defineOperation(
  uapi.IOMMU_VEVENTQ_ALLOC,
  uapi.IOMMU_VEVENTQ_ALLOC_ARGS,
  veventqAlloc,
  "out_veventq_fd",
);
