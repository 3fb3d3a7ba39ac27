import { DONE, fail, type Outcome, ok } from "../errno.ts";
import type { FaultInjector } from "../fault-injector.ts";
import type { File } from "./file.ts";

/** Descriptors of one process at most. */
const MAX_DESCRIPTORS = 1 << 20;

/**
 * The descriptors of a process. A call that returns a new one reserves the
 * number first and installs the file last, when nothing can fail any more.
 */
export class FileTable {
  readonly #faults: FaultInjector;
  /** `undefined`: free, or behind the end; `null`: reserved. */
  readonly #files: (File | null | undefined)[] = [];

  constructor(faults: FaultInjector) {
    this.#faults = faults;
  }

  /** @returns the lowest free descriptor, reserved; EMFILE when there is none */
  reserve(): Outcome<number> {
    if (this.#faults.shouldFail("descriptor")) return fail("EMFILE");
    let fd = 0;
    while (this.#files[fd] !== undefined) fd++;
    if (fd >= MAX_DESCRIPTORS) return fail("EMFILE");
    this.#files[fd] = null;
    return ok(fd);
  }

  /** Gives up what `reserve` gave. */
  cancel(fd: number): void {
    this.#files[fd] = undefined;
  }

  /** Makes a reserved descriptor stand for `file`, whose reference goes over to the table. */
  install(fd: number, file: File): void {
    this.#files[fd] = file;
  }

  /** `reserve` and `install` in one. */
  add(file: File): Outcome<number> {
    const fd = this.reserve();
    if (fd.ok) this.install(fd.value, file);
    return fd;
  }

  /** The file behind a descriptor, without a reference of the caller's own. */
  file(fd: number): File | undefined {
    return this.#files[fd] ?? undefined;
  }

  /** @returns EBADF when the descriptor is not open */
  close(fd: number): Outcome<undefined> {
    const file = this.#files[fd];
    if (file === undefined || file === null) return fail("EBADF");
    this.#files[fd] = undefined;
    file.put();
    return DONE;
  }

  closeAll(): void {
    this.#files.forEach((_, fd) => {
      this.close(fd);
    });
  }

  /** The descriptors that are open, for `inspect` and tests. */
  get open(): readonly number[] {
    return this.#files.flatMap((file, fd) => (file ? [fd] : []));
  }

  /** A copy for a child, with a reference of its own to each file. */
  clone(): FileTable {
    const copy = new FileTable(this.#faults);
    this.#files.forEach((file, fd) => {
      if (file) copy.install(fd, file.get());
    });
    return copy;
  }
}
