import type { V86Cpu } from "./v86.ts";

/** CLFLUSH as kernels have it where it may be replaced by CLFLUSHOPT: a prefix without effect, 0F AE /7 with a register as the address. */
const PREFIX = 0x3e;
const OPCODE = [0x0f, 0xae] as const;
/** ModRM 38 to 3F; 3C would have a SIB byte and 3D a displacement. */
const isFlush = (modrm: number): boolean =>
  (modrm & 0xf8) === 0x38 && modrm !== 0x3c && modrm !== 0x3d;

/** A no-operation of the same length. */
const NOP = Uint8Array.of(0x0f, 0x1f, 0x40, 0x00);

/** Kernels are loaded from 1 MiB on, and take less than this. */
const FIRST = 0x10_0000;
const LENGTH = 48 * 0x10_0000;

/**
 * Replaces CLFLUSH in the kernel that is in memory. v86 has no such
 * instruction and does not announce it; Linux before 6.2 executes it all the
 * same when it makes the domain of a unit, and dies. Memory in v86 has no cache
 * that could be flushed.
 *
 * @returns how many there were
 */
export const removeCacheFlushes = (cpu: V86Cpu): number => {
  const { byteOffset } = cpu.mem8;
  const size = cpu.memory_size[0]!;
  const ram = new Uint8Array(cpu.wasm_memory.buffer, byteOffset, size);
  const end = Math.min(FIRST + LENGTH, size - NOP.length);
  let count = 0;
  for (let at = ram.indexOf(PREFIX, FIRST); at >= 0 && at < end; at = ram.indexOf(PREFIX, at + 1)) {
    const matches = ram[at + 1] === OPCODE[0] && ram[at + 2] === OPCODE[1] && isFlush(ram[at + 3]!);
    if (!matches) continue;
    cpu.write_blob(NOP, at);
    count++;
  }
  return count;
};
