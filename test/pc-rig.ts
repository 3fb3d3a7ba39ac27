import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";
import { addDmaEngine, type DmaEngine } from "../src/hardware/devices/index.ts";
import type { V86Program } from "../src/pc/index.ts";
import { Pc, type PcOptions } from "../src/pc/index.ts";
import type { V86Emulator, V86Module, V86Options } from "../src/pc/v86.ts";

/** Where the machine code of a rig goes. */
export const PAYLOAD = 0x10_0000;

/** Where the package v86 has its files. */
const FOLDER = (): string => dirname(createRequire(import.meta.url).resolve("v86"));

let bytes: V86Program | undefined;

/** v86 as a user of the library gets it. */
export const loadV86 = async (): Promise<{ v86: V86Module; program: V86Program }> => {
  bytes ??= readFileSync(join(FOLDER(), "v86.wasm"));
  return { v86: (await import("v86")) as unknown as V86Module, program: bytes };
};

/** What a rig may be made with besides a PC's own options. */
export interface PcRigOptions extends Partial<Omit<PcOptions, "devices">> {
  readonly code?: Uint8Array;
}

/** A PC with a DMA engine at 00:04.0, the emulator inside it, and machine code instead of a kernel. */
export class PcRig {
  readonly pc: Pc;
  readonly engine: DmaEngine;
  /** What the PC is built around; a user has no way to it. */
  readonly emulator: V86Emulator;

  private constructor(pc: Pc, engine: DmaEngine, emulator: V86Emulator) {
    this.pc = pc;
    this.engine = engine;
    this.emulator = emulator;
  }

  static async create({ code, ...options }: PcRigOptions = {}): Promise<PcRig> {
    const { v86, program } = await loadV86();
    let emulator: V86Emulator | undefined;
    let engine: DmaEngine | undefined;
    class Seen extends v86.V86 {
      constructor(given: V86Options) {
        super(given);
        emulator = this as unknown as V86Emulator;
      }
    }
    const pc = await Pc.create({
      memoryBytes: 8 << 20,
      v86: { V86: Seen as unknown as V86Module["V86"] },
      program,
      ...options,
      ...(code === undefined ? {} : { boot: { code, address: BigInt(PAYLOAD) } }),
      devices: (fabric, bus) => {
        engine = addDmaEngine(fabric, bus, { kind: "integrated-endpoint", device: 4 });
        return [engine];
      },
    });
    // A test that fails leaves it running otherwise, beside the next one.
    onTestFinished(() => pc.stop());
    return new PcRig(pc, engine!, emulator!);
  }

  /** The dword at a physical address. */
  peek(address: number): number | undefined {
    return this.pc.memory.read32(BigInt(address));
  }

  /** Lets the PC run until `reached` says so. */
  async run(reached: () => boolean): Promise<void> {
    this.pc.start();
    while (!reached()) await new Promise((resolve) => setTimeout(resolve, 1));
    await this.pc.stop();
  }

  /** An I/O access as the processor makes it. */
  out(port: number, width: 1 | 2 | 4, value: number): void {
    const { write8, write16, write32, device } = this.emulator.v86.cpu.io.ports[port]!;
    ({ 1: write8, 2: write16, 4: write32 })[width].call(device, value);
  }

  in(port: number): number {
    const { read32, device } = this.emulator.v86.cpu.io.ports[port]!;
    return read32.call(device) >>> 0;
  }

  /** Writes a dword through configuration mechanism 1. */
  writeConfig(id: number, offset: number, value: number): void {
    this.out(0xcf8, 4, (0x8000_0000 | (id << 8) | offset) >>> 0);
    this.out(0xcfc, 4, value);
  }

  /** Reads a dword through configuration mechanism 1. */
  readConfig(id: number, offset: number): number {
    this.out(0xcf8, 4, (0x8000_0000 | (id << 8) | offset) >>> 0);
    return this.in(0xcfc);
  }

  /** Reads a dword of memory-mapped registers as the processor does. */
  readMmio(address: number): number {
    const { cpu } = this.emulator.v86 as unknown as {
      cpu: { memory_map_read32: ((address: number) => number)[] };
    };
    return cpu.memory_map_read32[address >>> 17]!(address | 0) >>> 0;
  }

  writeMmio(address: number, value: number): void {
    const { cpu } = this.emulator.v86 as unknown as {
      cpu: { memory_map_write32: ((address: number, value: number) => void)[] };
    };
    cpu.memory_map_write32[address >>> 17]!(address | 0, value | 0);
  }
}
