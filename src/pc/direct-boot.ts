import { defineLayout } from "../struct/layout.ts";
import { FIRMWARE_BASE, FIRMWARE_END } from "./memory-map.ts";
import type { V86Cpu } from "./v86.ts";

/** What was given to boot from cannot be booted. */
export class KernelError extends Error {
  constructor(why: string) {
    super(`cannot boot this kernel: ${why}`);
    this.name = "KernelError";
  }
}

/** A kernel and what it gets to begin with. */
export interface BootImage {
  /** A bzImage of a 32-bit x86 Linux. */
  readonly kernel: Uint8Array;
  readonly initrd: Uint8Array;
  readonly commandLine: string;
}

/** Where boot parameters and command line lie, in conventional memory. */
const PARAMETERS = 0x9_0000;
const COMMAND_LINE = 0x9_8000;
const CONVENTIONAL_END = 0x9_f000;
/** Where the kernel is loaded and begins. */
const KERNEL = 0x10_0000;
const PAGE = 4096;

/** The part of the setup header that is read, from 1F0 of the file on (Linux boot protocol, "the real-mode kernel header"). */
const HEADER_AT = 0x1f0;
const SETUP_HEADER = defineLayout({
  name: "setup header",
  bytes: 0x50,
  section: "Linux boot protocol, the real-mode kernel header",
  fields: {
    setupSectors: { at: 8, width: 8, doc: "setup code in sectors of 512 bytes, less the first" },
    jumpOffset: { at: 0x88, width: 8, doc: "where the header ends, from 202 on" },
    magic: { at: 0x90, width: 32, doc: "HdrS" },
    version: { at: 0xb0, width: 16, doc: "of the protocol" },
    loadedHigh: { at: 0x108, doc: "the kernel goes to 1 MiB" },
    initrdLast: { at: 0x1e0, width: 32, doc: "last address of the initrd" },
    commandLineSize: { at: 0x240, width: 32, doc: "longest command line" },
  },
});

const MAGIC = 0x5372_6448n;
/** 2.14: the first that takes the address of the RSDP. */
const OLDEST = 0x20en;

/** Offsets in the boot parameters (Linux, Documentation/arch/x86/zero-page.rst). */
const AT = {
  rsdp: 0x70,
  memoryMapCount: 0x1e8,
  header: 0x1f1,
  loader: 0x210,
  flags: 0x211,
  entry: 0x214,
  initrd: 0x218,
  initrdLength: 0x21c,
  commandLine: 0x228,
  memoryMap: 0x2d0,
} as const;

const UNKNOWN_LOADER = 0xff;
const LOADED_HIGH = 1;

const USABLE = 1;
const RESERVED = 2;

type Range = readonly [base: number, length: number, kind: number];

const readHeader = (kernel: Uint8Array) => {
  if (kernel.length < HEADER_AT + SETUP_HEADER.bytes) throw new KernelError("it is too short");
  const bytes = new Uint8Array(kernel.subarray(HEADER_AT, HEADER_AT + SETUP_HEADER.bytes));
  const header = SETUP_HEADER.decode([...new BigUint64Array(bytes.buffer)]);
  if (header.magic !== MAGIC) throw new KernelError("it is no bzImage");
  if (header.version < OLDEST || header.loadedHigh === 0n) {
    throw new KernelError(`its boot protocol is older than 2.14`);
  }
  return header;
};

/** Where the initrd goes: as high as it can, so that the kernel has room to unpack itself below. */
const placeInitrd = (length: number, memoryBytes: number, last: number): number => {
  const at = Math.floor((Math.min(memoryBytes, last + 1) - length) / PAGE) * PAGE;
  if (at < KERNEL) throw new KernelError("kernel and initrd do not fit the memory");
  return at;
};

/**
 * Puts kernel, initrd, command line and boot parameters where the 32-bit boot
 * protocol wants them.
 *
 * @param rsdp address of the firmware tables' root
 * @param reserved ranges of addresses that are neither RAM nor free
 * @throws KernelError when the kernel, or a part of it, cannot be placed
 */
export const loadKernel = (
  ram: Uint8Array,
  { kernel, initrd, commandLine }: BootImage,
  rsdp: number,
  reserved: readonly (readonly [base: number, length: number])[],
): void => {
  const header = readHeader(kernel);
  const line = new TextEncoder().encode(`${commandLine}\0`);
  if (line.length > Number(header.commandLineSize) + 1) {
    throw new KernelError(`its command line has at most ${header.commandLineSize} characters`);
  }
  const code = kernel.subarray((Number(header.setupSectors || 4n) + 1) * 512);
  const initrdAt = placeInitrd(initrd.length, ram.length, Number(header.initrdLast));
  if (KERNEL + code.length > initrdAt) {
    throw new KernelError("kernel and initrd do not fit the memory");
  }
  const view = new DataView(ram.buffer, ram.byteOffset + PARAMETERS, PAGE);
  ram.fill(0, PARAMETERS, CONVENTIONAL_END);
  ram.set(kernel.subarray(AT.header, 0x202 + Number(header.jumpOffset)), PARAMETERS + AT.header);
  ram.set(line, COMMAND_LINE);
  ram.set(code, KERNEL);
  ram.set(initrd, initrdAt);
  view.setUint8(AT.loader, UNKNOWN_LOADER);
  view.setUint8(AT.flags, view.getUint8(AT.flags) | LOADED_HIGH);
  view.setUint32(AT.entry, KERNEL, true);
  view.setUint32(AT.initrd, initrdAt, true);
  view.setUint32(AT.initrdLength, initrd.length, true);
  view.setUint32(AT.commandLine, COMMAND_LINE, true);
  view.setBigUint64(AT.rsdp, BigInt(rsdp), true);
  writeMemoryMap(view, ram.length, reserved);
};

const writeMemoryMap = (
  view: DataView,
  memoryBytes: number,
  reserved: readonly (readonly [base: number, length: number])[],
): void => {
  const ranges: readonly Range[] = [
    [0, CONVENTIONAL_END, USABLE],
    [FIRMWARE_BASE, FIRMWARE_END - FIRMWARE_BASE, RESERVED],
    [KERNEL, memoryBytes - KERNEL, USABLE],
    ...reserved.map(([base, length]): Range => [base, length, RESERVED]),
  ];
  view.setUint8(AT.memoryMapCount, ranges.length);
  ranges.forEach(([base, length, kind], i) => {
    const at = AT.memoryMap + 20 * i;
    view.setBigUint64(at, BigInt(base), true);
    view.setBigUint64(at + 8, BigInt(length), true);
    view.setUint32(at + 16, kind, true);
  });
};

const CODE_SELECTOR = 0x10;
const DATA_SELECTOR = 0x18;
const CODE_SEGMENT = 1;
const SEGMENTS = 6;
const ESI = 6;

/**
 * Has the processor begin with the kernel: protected mode without paging, flat
 * segments, interrupts off, ESI at the boot parameters.
 */
export const enterKernel = (cpu: V86Cpu): void => {
  enterProtectedMode(cpu, KERNEL);
  cpu.reg32[ESI] = PARAMETERS;
};

/** Has the processor go on at `address` in protected mode with flat segments, all registers 0. */
export const enterProtectedMode = (cpu: V86Cpu, address: number): void => {
  for (let i = 0; i < 8; i++) cpu.reg32[i] = 0;
  cpu.cr[0] = 1;
  cpu.protected_mode[0] = 1;
  cpu.flags[0] = 2;
  cpu.is_32[0] = 1;
  cpu.stack_size_32[0] = 1;
  for (let i = 0; i < SEGMENTS; i++) {
    cpu.segment_is_null[i] = 0;
    cpu.segment_offsets[i] = 0;
    cpu.segment_limits[i] = 0xffff_ffff;
    cpu.sreg[i] = i === CODE_SEGMENT ? CODE_SELECTOR : DATA_SELECTOR;
  }
  cpu.instruction_pointer[0] = address;
  cpu.update_state_flags();
};
