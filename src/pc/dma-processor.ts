import { type DmaFault, type DmaPort, READ, WRITE } from "../hardware/pci/index.ts";
import type { V86Cpu } from "./v86.ts";

/** A processor as one of v86's devices sees it. */
export interface DmaProcessor {
  readonly cpu: V86Cpu;
  /** What was refused first since the last call; nothing moves until it is taken. */
  takeFault(): DmaFault | undefined;
}

/**
 * A stand-in for v86's processor whose memory is reached through `port`. v86's
 * devices reach RAM by the processor's accessors and in no other way, so that a
 * device which has this one instead does DMA under its own requester ID. What
 * is refused reads all ones and writes nothing, as on a bus without an answer.
 */
export const processorThrough = (port: DmaPort, cpu: V86Cpu): DmaProcessor => {
  let fault: DmaFault | undefined;
  const move = (address: number, bytes: Uint8Array, access: number): void => {
    if (fault !== undefined) return;
    const result = port.transfer(BigInt(address >>> 0), bytes, access);
    if (!result.ok) fault = result.fault;
  };
  const read = (address: number, length: number): Uint8Array => {
    const bytes = new Uint8Array(length);
    const before = fault;
    move(address, bytes, READ);
    if (fault !== undefined || before !== undefined) bytes.fill(0xff);
    return bytes;
  };
  const readNumber = (address: number, length: 1 | 2 | 4): number => {
    const bytes = read(address, length);
    let value = 0;
    for (let i = 0; i < length; i++) value |= bytes[i]! << (i * 8);
    return value;
  };
  const writeNumber = (address: number, length: 1 | 2 | 4, value: number): void => {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = value >>> (i * 8);
    move(address, bytes, WRITE);
  };
  const accessors = {
    read8: (address: number) => readNumber(address, 1),
    read16: (address: number) => readNumber(address, 2),
    read32s: (address: number) => readNumber(address, 4),
    write8: (address: number, value: number) => writeNumber(address, 1, value),
    write16: (address: number, value: number) => writeNumber(address, 2, value),
    write32: (address: number, value: number) => writeNumber(address, 4, value),
    read_blob: read,
    write_blob: (bytes: Uint8Array, address: number) => move(address, bytes, WRITE),
    mem8: { subarray: (start: number, end: number) => read(start, end - start) },
  };
  const standIn = Object.create(
    cpu,
    Object.fromEntries(Object.entries(accessors).map(([name, value]) => [name, { value }])),
  ) as V86Cpu;
  return {
    cpu: standIn,
    takeFault: () => {
      const taken = fault;
      fault = undefined;
      return taken;
    },
  };
};
