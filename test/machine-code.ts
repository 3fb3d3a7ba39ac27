/** 32-bit x86 instructions as bytes: as many as programs without a kernel take (Intel SDM volume 2). */
export type Code = readonly number[];

const dword = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);

/** Instructions one after the other. */
export const code = (...instructions: readonly Code[]): Uint8Array =>
  Uint8Array.from(instructions.flat());

/** eax = the dword at `address`. */
export const load = (address: number): Code => [0xa1, ...dword(address)];
/** The dword at `address` = eax. */
export const store = (address: number): Code => [0xa3, ...dword(address)];
/** al = the byte at `address`. */
export const loadByte = (address: number): Code => [0xa0, ...dword(address)];
/** The byte at `address` = al. */
export const storeByte = (address: number): Code => [0xa2, ...dword(address)];
/** eax = `value`. */
export const set = (value: number): Code => [0xb8, ...dword(value)];
/** The dword at `address` = `value`. */
export const put = (address: number, value: number): Code => [
  0xc7,
  0x05,
  ...dword(address),
  ...dword(value),
];
/** One more in the dword at `address`. */
export const increment = (address: number): Code => [0xff, 0x05, ...dword(address)];
/** The 8 bytes at `to` = those at `from`, in one access of MMX. */
export const copyQuadword = (from: number, to: number): Code => [
  ...[0x0f, 0x6f, 0x05, ...dword(from)],
  ...[0x0f, 0x7f, 0x05, ...dword(to)],
];
/** Writes the byte `value` to a port. */
export const outByte = (port: number, value: number): Code => [
  ...[0xba, ...dword(port)],
  ...[0xb0, value],
  0xee,
];
/** Calls what is at `target`, from `at` on. */
export const call = (at: number, target: number): Code => [0xe8, ...dword(target - at - 5)];
export const RETURN: Code = [0xc3];
/** Goes to `target`, from `at` on. */
export const jump = (at: number, target: number): Code => [0xe9, ...dword(target - at - 5)];
/** esp = `address`. */
export const stack = (address: number): Code => [0xbc, ...dword(address)];
/** Loads the tables of segments and interrupts, of which limits and addresses are at `gdtr` and `idtr`. */
export const loadTables = (gdtr: number, idtr: number): Code => [
  ...[0x0f, 0x01, 0x15, ...dword(gdtr)],
  ...[0x0f, 0x01, 0x1d, ...dword(idtr)],
];
/** Lets interrupts in, and waits for them for ever. */
export const WAIT: Code = [0xfb, 0xf4, 0xeb, 0xfd];
/** Waits for ever, without interrupts. */
export const HALT: Code = [0xfa, 0xf4, 0xeb, 0xfd];
export const END_OF_INTERRUPT: Code = [...put(0xfee0_00b0, 0), 0xcf];
