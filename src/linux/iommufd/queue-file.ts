import { fail, type Outcome, ok } from "../errno.ts";
import { File } from "../mm/file.ts";
import type { Process } from "../mm/process.ts";
import type { IommufdContext } from "./context.ts";
import type { IommufdObject } from "./object.ts";

/**
 * The file that an event queue is read from. It uses the queue and keeps the
 * client's context alive, so that closing `/dev/iommu` first loses nothing.
 */
export abstract class QueueFile<Queue extends IommufdObject> extends File {
  readonly queue: Queue;
  readonly #context: IommufdContext;

  constructor(context: IommufdContext, queue: Queue) {
    super();
    this.#context = context;
    this.queue = queue;
    queue.get();
    context.file.get();
  }

  protected override release(): void {
    this.queue.put();
    this.#context.file.put();
  }
}

/**
 * Puts a queue's object into the table and its file among the caller's
 * descriptors, the descriptor last, when the client has heard of both.
 *
 * @param respond tells the client its id and descriptor
 */
export const openQueue = <Queue extends IommufdObject>(
  context: IommufdContext,
  process: Process,
  queue: Queue,
  open: () => QueueFile<Queue>,
  respond: (id: number, fd: number) => Outcome<undefined>,
): Outcome<undefined> => {
  const added = context.objects.add(queue);
  if (!added.ok) {
    queue.destroy();
    return added;
  }
  const fd = process.files.reserve();
  if (!fd.ok) {
    context.objects.remove(queue);
    return fd;
  }
  const answered = respond(queue.id, fd.value);
  if (!answered.ok) {
    process.files.cancel(fd.value);
    context.objects.remove(queue);
    return answered;
  }
  process.files.install(fd.value, open());
  return answered;
};

/** A record that is read whole or not at all. */
export interface QueueRecord {
  readonly bytes: Uint8Array;
  /** It has been read. */
  taken(): void;
}

/**
 * Reads as many records as fit.
 *
 * @returns EINVAL when not even the first fits, EFAULT when it cannot be
 *   written; 0 when there is none
 */
export const readRecords = (
  process: Process,
  address: bigint,
  length: number,
  next: () => QueueRecord | undefined,
): Outcome<number> => {
  let done = 0;
  for (let record = next(); record !== undefined && done < length; record = next()) {
    const { bytes } = record;
    if (bytes.length > length - done) return done === 0 ? fail("EINVAL") : ok(done);
    if (!process.mm.write(address + BigInt(done), bytes))
      return done === 0 ? fail("EFAULT") : ok(done);
    record.taken();
    done += bytes.length;
  }
  return ok(done);
};
