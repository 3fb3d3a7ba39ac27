import { fail, type Outcome } from "../errno.ts";
import type { UserData, UserDataArray } from "../iommu/index.ts";
import type { Process } from "../mm/process.ts";
import { readStruct } from "./operation.ts";

/** A driver's structure in a client's memory. */
export const userDataOf = (
  process: Process,
  type: number,
  pointer: bigint,
  length: number,
): UserData => ({
  type,
  length,
  read: (size, minSize = size) =>
    length < minSize || length > size ? fail("EINVAL") : readStruct(process, pointer, length, size),
  write: (bytes): boolean => process.mm.write(pointer, bytes.subarray(0, length)),
});

/** An array of a driver's structures in a client's memory. */
export const userDataArrayOf = (
  process: Process,
  type: number,
  pointer: bigint,
  entryLength: number,
  count: number,
): UserDataArray => ({
  type,
  entryLength,
  count,
  read: (index, size, minSize = size): Outcome<Uint8Array> =>
    entryLength < minSize
      ? fail("EINVAL")
      : readStruct(process, pointer + BigInt(index * entryLength), entryLength, size),
});
