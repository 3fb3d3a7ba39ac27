import { defineLayout, type FieldDeclaration, type Layout } from "../../../struct/layout.ts";

/** Bytes behind the engine's one base address register. */
export const ENGINE_BAR_SIZE = 4096;
/** Where the engine's buffer lies in them. */
export const ENGINE_BUFFER = 0x800;
/** Bytes in the buffer, and the longest transfer to or from it. */
export const ENGINE_BUFFER_SIZE = 0x800;
/** The longest fill in bytes. */
export const ENGINE_FILL_LIMIT = 0x1_0000;

type Fields<Name extends string> = { readonly [N in Name]: FieldDeclaration };

const register = <Name extends string>(name: string, bytes: 4 | 8, fields: Fields<Name>) =>
  defineLayout({ name, bytes, section: "DEV", fields });

const ro = (at: number, width: number, doc: string) => ({ at, width, access: "ro", doc }) as const;
const rw = (at: number, width: number, doc: string) => ({ at, width, access: "rw", doc }) as const;
const w1c = (at: number, doc: string) => ({ at, access: "w1c", doc }) as const;

export const IDENTITY = register("IDENTITY", 4, { id: ro(0, 32, "who it is") });

export const ADDRESS = register("ADDRESS", 8, {
  address: rw(0, 64, "first address of a transfer, or of the page asked for"),
});

export const LENGTH = register("LENGTH", 4, { length: rw(0, 32, "bytes") });

export const PASID = register("PASID", 4, {
  pasid: rw(0, 20, "PASID of requests"),
  tagged: rw(31, 1, "requests carry it"),
});

/** Writing the byte of `operation` starts it. */
export const COMMAND = register("COMMAND", 4, {
  operation: rw(0, 4, "see OPERATIONS"),
  privileged: rw(8, 1, "requests come with privilege"),
  execute: rw(9, 1, "requests ask to execute"),
  wantsWrite: rw(10, 1, "a translation or page is asked for writing too"),
  translated: rw(11, 1, "addresses go through the engine's translation cache"),
  hold: rw(12, 1, "a transfer is held between translation and memory"),
  interrupt: rw(13, 1, "an interrupt is sent when it is done"),
  last: rw(14, 1, "a page request is the last of its group"),
  group: rw(16, 9, "page request group index"),
});

export const STATUS = register("STATUS", 4, {
  busy: ro(0, 1, "a command is not done"),
  done: w1c(1, "a command is done"),
  error: w1c(2, "it was refused"),
  held: ro(3, 1, "a transfer is held"),
  fault: ro(8, 8, "code of the refusal"),
});

export const PATTERN = register("PATTERN", 4, { pattern: rw(0, 8, "the byte that fill writes") });

export const TRANSLATION = register("TRANSLATION", 8, {
  read: ro(0, 1, "may be read"),
  write: ro(1, 1, "may be written"),
  execute: ro(2, 1, "may be executed"),
  sizeLg2: ro(4, 7, "log2 of the bytes translated alike"),
  address: { at: 12, width: 52, kind: "address", access: "ro", doc: "where the page is" },
});

export const RESPONSE = register("RESPONSE", 4, {
  code: ro(0, 4, "answer to the last group: 0 success, 1 invalid, 15 failure"),
  group: ro(16, 9, "its group"),
  valid: ro(31, 1, "there was one"),
});

/** COMMAND.operation; others are refused. */
export const OPERATIONS = {
  /** Memory to buffer. */
  read: 1,
  /** Buffer to memory. */
  write: 2,
  /** PATTERN to memory. */
  fill: 3,
  /** Asks for the translation of the page at ADDRESS, and keeps it. */
  translate: 4,
  /** Asks for the page at ADDRESS. */
  requestPage: 5,
  /** Lets the transfer go that is held. */
  release: 6,
  /** Says that no page is asked for any more with the PASID. */
  stopMarker: 7,
} as const;

/** STATUS.fault where the engine itself refuses; what comes from outside keeps its code. */
export const ENGINE_FAULTS = {
  /** No such operation, nothing to release, a transfer is held already, or a Stop Marker without a PASID. */
  command: 0xf0,
  /** LENGTH is 0, or beyond the buffer or the limit. */
  length: 0xf1,
  /** The translation does not grant what the transfer needs. */
  permission: 0xf2,
} as const;

/** A register's place in the window and its value after reset. */
export interface EngineRegisterRow {
  readonly offset: number;
  readonly layout: Layout<string>;
  readonly reset: bigint;
}

const row = (offset: number, layout: Layout<string>, reset = 0n): EngineRegisterRow => ({
  offset,
  layout,
  reset,
});

/** Every register of the engine. */
export const ENGINE_REGISTERS: readonly EngineRegisterRow[] = [
  row(0x00, IDENTITY, 0x3145_4d44n),
  row(0x08, ADDRESS),
  row(0x10, LENGTH),
  row(0x14, PASID),
  row(0x18, COMMAND),
  row(0x1c, STATUS),
  row(0x20, PATTERN),
  row(0x28, TRANSLATION),
  row(0x30, RESPONSE),
];
