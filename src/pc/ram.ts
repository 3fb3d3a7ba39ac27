import { bufferRegion, PhysicalMemory } from "../memory/index.ts";
import type { V86Cpu } from "./v86.ts";

/**
 * v86's RAM as physical memory. The view is made again when WebAssembly's
 * memory grows. What is written forgets the code that v86 has translated from
 * there: a call into WebAssembly for each write, and no copy.
 */
export const ramOf = (cpu: V86Cpu): PhysicalMemory => {
  const start = cpu.mem8.byteOffset;
  const length = cpu.memory_size[0]!;
  const region = bufferRegion({
    base: 0n,
    length: BigInt(length),
    view: () => new Uint8Array(cpu.wasm_memory.buffer, start, length),
  });
  return new PhysicalMemory([
    {
      ...region,
      wrote: (pfn, offset, count) => {
        const first = pfn * 4096 + offset;
        cpu.jit_dirty_cache(first, first + count);
      },
    },
  ]);
};
