import { DONE, fail, type Outcome, ok } from "../errno.ts";
import type { Process } from "../mm/process.ts";
import type { CField, CStruct, CValues } from "../uapi/index.ts";
import type { IommufdContext } from "./context.ts";

/** A structure that a client hands over is never longer than a page. */
const MAX_SIZE = 4096;

/** One call of an ioctl, its argument as values. */
export interface Call<Fields extends Record<string, CField>> {
  readonly context: IommufdContext;
  readonly process: Process;
  /** The argument; what the operation answers goes into the same fields. */
  readonly args: CValues<Fields>;
  /** Gives the answer to the client. @returns EFAULT when it cannot be written: what was made must be undone */
  respond(): Outcome<undefined>;
}

/** An ioctl: its number, its argument, and what it does. */
export interface Operation<Fields extends Record<string, CField>> {
  readonly number: number;
  readonly struct: CStruct<Fields>;
  /** Bytes that a client must give. */
  readonly minSize: number;
  /** @returns the number that the ioctl returns, 0 for most */
  run(call: Call<Fields>): Outcome<number>;
}

/** Any operation, for tables of them. */
export type AnyOperation = Operation<Record<string, CField>>;

/**
 * Declares an operation.
 *
 * @param last the last field that a client must give; all of them when absent
 */
export const defineOperation = <Fields extends Record<string, CField>>(
  number: number,
  struct: CStruct<Fields>,
  run: (call: Call<Fields>) => Outcome<number | undefined>,
  last?: keyof Fields & string,
): Operation<Fields> => {
  const member = last === undefined ? undefined : struct.members[last];
  return {
    number,
    struct,
    minSize: member === undefined ? struct.size : member.offset + member.size,
    run: (call) => {
      const outcome = run(call);
      return outcome.ok ? ok(outcome.value ?? 0) : outcome;
    },
  };
};

/** An operation with values instead of bytes in a client's memory. Fields left out are 0. */
export const perform = <Fields extends Record<string, CField>>(
  operation: Operation<Fields>,
  context: IommufdContext,
  process: Process,
  values: Partial<CValues<Fields>>,
): Outcome<CValues<Fields>> => {
  const args = operation.struct.decode(operation.struct.encode(values));
  const outcome = operation.run({ context, process, args, respond: () => DONE });
  return outcome.ok ? ok(args) : outcome;
};

/** The `u32` that an argument begins with. */
export const readSize = (process: Process, pointer: bigint): Outcome<number> => {
  const bytes = new Uint8Array(4);
  if (!process.mm.read(pointer, bytes)) return fail("EFAULT");
  return ok(new DataView(bytes.buffer).getUint32(0, true));
};

/**
 * Reads a structure that may be of another version: what a shorter one lacks
 * is 0, and what a longer one has more must be.
 *
 * @returns EFAULT, or E2BIG where it is not
 */
export const readStruct = (
  process: Process,
  pointer: bigint,
  userSize: number,
  size: number,
): Outcome<Uint8Array> => {
  const bytes = new Uint8Array(size);
  if (!process.mm.read(pointer, bytes.subarray(0, Math.min(userSize, size)))) return fail("EFAULT");
  for (let at = size; at < userSize; at += MAX_SIZE) {
    const tail = new Uint8Array(Math.min(MAX_SIZE, userSize - at));
    if (!process.mm.read(pointer + BigInt(at), tail)) return fail("EFAULT");
    if (tail.some((byte) => byte !== 0)) return fail("E2BIG");
  }
  return ok(bytes);
};

/** An operation on a structure in a client's memory. Errors, in this order: EINVAL too short, EFAULT, E2BIG, the operation's. */
export const performBinary = (
  operation: AnyOperation,
  context: IommufdContext,
  process: Process,
  pointer: bigint,
  userSize: number,
): Outcome<number> => {
  const { struct, minSize } = operation;
  if (userSize < minSize) return fail("EINVAL");
  const bytes = readStruct(process, pointer, userSize, struct.size);
  if (!bytes.ok) return bytes;
  const args = struct.decode(bytes.value);
  const respond = (): Outcome<undefined> => {
    const answer = struct.encode(args).subarray(0, userSize);
    return process.mm.write(pointer, answer) ? DONE : fail("EFAULT");
  };
  return operation.run({ context, process, args, respond });
};
