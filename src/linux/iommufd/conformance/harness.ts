import type { Errno } from "../../errno.ts";
import type { Capability } from "../../mm/user.ts";

/** Who a client is. */
export interface ClientRequest {
  readonly uid?: number;
  readonly capabilities?: readonly Capability[];
  /** RLIMIT_MEMLOCK in bytes. */
  readonly memlock?: bigint;
}

/** What a call answered: the number that it returned, or an error. */
export interface Answer {
  readonly errno: Errno | undefined;
  readonly value: number;
}

/** An ioctl's answer, with its argument as it is now. */
export interface IoctlAnswer extends Answer {
  readonly argument: Uint8Array;
}

/** A program that uses iommufd. Calls may take as long as they like: it may be another process. */
export interface Client {
  /** Opens `/dev/iommu`. */
  openIommufd(): Promise<number>;
  close(fd: number): Promise<void>;
  /** @param argument a structure, which goes into the client's memory, or the number or address itself */
  ioctl(fd: number, command: number, argument: Uint8Array | bigint): Promise<IoctlAnswer>;
  read(fd: number, length: number): Promise<Answer & { readonly bytes: Uint8Array }>;
  write(fd: number, bytes: Uint8Array): Promise<Answer>;
  /** Whether a file is ready, as `POLLIN` and `POLLOUT`. */
  poll(fd: number): Promise<number>;
  /** Anonymous memory, `MAP_SHARED` or `MAP_PRIVATE`, or a file's. */
  mmap(length: bigint, options?: MmapOptions): Promise<bigint>;
  munmap(address: bigint, length: bigint): Promise<void>;
  /** Memory of `length` bytes that is a file. */
  memfd(length: bigint): Promise<number>;
  load(address: bigint, length: number): Promise<Uint8Array>;
  store(address: bigint, bytes: Uint8Array): Promise<void>;
  fork(): Promise<Client>;
  exit(): Promise<void>;
}

export interface MmapOptions {
  readonly shared?: boolean;
  readonly readOnly?: boolean;
  /** A file from `memfd`. */
  readonly fd?: number;
  /** Registers of a device, which cannot be pinned. */
  readonly device?: boolean;
}

/** Where clients run: in this process, or through real device files. */
export interface Harness {
  readonly name: string;
  client(request?: ClientRequest): Promise<Client>;
  /** What is left once every client has gone, a sentence each; nothing where that cannot be known. */
  leaks(): Promise<readonly string[]>;
}
