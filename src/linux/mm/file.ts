import { fail, type Outcome } from "../errno.ts";
import type { Process } from "./process.ts";

/** What `poll` may answer, as `poll(2)` has it. */
export const POLLIN = 1;
export const POLLOUT = 4;

/**
 * An open file: what descriptors of one or several processes stand for. It
 * begins with one reference, which belongs to whoever opened it, and is
 * released with the last. Calls that a kind of file does not have answer as
 * the kernel does for a missing operation.
 */
export abstract class File {
  #references = 1;

  /** @returns the file itself, with a reference more */
  get(): this {
    this.#references += 1;
    return this;
  }

  /** Drops a reference. @throws Error when there is none: a bug of ours */
  put(): void {
    if (this.#references === 0) throw new Error("a released file is put again");
    this.#references -= 1;
    if (this.#references === 0) this.release();
  }

  /** What the last close does. */
  protected abstract release(): void;

  /**
   * @param argument as the caller gave it: a number or an address in its memory
   * @returns what `ioctl(2)` returns, 0 for most
   */
  ioctl(_process: Process, _command: number, _argument: bigint): Outcome<number> {
    return fail("ENOTTY");
  }

  /**
   * @param position the file's position; queues have none and refuse any but 0
   * @returns bytes read
   */
  read(_process: Process, _address: bigint, _length: number, _position: bigint): Outcome<number> {
    return fail("EINVAL");
  }

  /** @returns bytes written */
  write(_process: Process, _address: bigint, _length: number, _position: bigint): Outcome<number> {
    return fail("EINVAL");
  }

  /** @returns `POLLIN`, `POLLOUT`, both or neither; a file without the operation is always ready */
  poll(): number {
    return POLLIN | POLLOUT;
  }
}
