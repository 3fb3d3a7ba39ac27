import type { Interrupt } from "../src/hardware/interrupt/message.ts";
import { type DmaPort, Fabric, NO_PASID, Topology } from "../src/hardware/pci/index.ts";
import { ATS_CAPABILITY, PASID_CAPABILITY } from "../src/hardware/pci/spec/capabilities.ts";
import { ManualClock } from "../src/hardware/platform/clock.ts";
import { type Capabilities, RemappingUnit } from "../src/hardware/vtd/index.ts";
import { createSparseMemory, type PhysicalMemory } from "../src/memory/index.ts";
import { TraceChannel } from "../src/trace/channel.ts";

/** Where the rig's things are in memory. */
export const QUEUE = 0x10_0000n;
export const STATUS = 0x11_0000n;
export const ROOT = 0x12_0000n;
const CONTEXT = 0x12_1000n;
const DIRECTORY = 0x12_2000n;
const PASIDS = 0x12_3000n;
/** Root of the second stage; its leaf table is three pages on. */
const SECOND = 0x13_0000n;
/** Root of the first stage, that of PASID 5. */
const FIRST = 0x14_0000n;

/** Requester ID of the rig's device, 00:02.0. */
export const SOURCE = 0x10;

/**
 * A whole machine around a unit, programmed as a driver would: through
 * registers and memory. The device reaches page 7 through a second stage
 * (domain 1) and, with PASID 5, through a first stage (domain 2).
 */
export class UnitRig {
  readonly memory: PhysicalMemory = createSparseMemory([{ base: 0n, length: 0x1000_0000n }]);
  readonly clock = new ManualClock();
  readonly trace = new TraceChannel();
  readonly interrupts: Interrupt[] = [];
  readonly fabric: Fabric;
  readonly port: DmaPort;
  readonly unit: RemappingUnit;
  readonly wide: boolean;
  #tail = 0;

  constructor(capabilities: Capabilities, mode: "legacy" | "scalable" = "scalable") {
    this.wide = mode === "scalable";
    const topology = new Topology(this.trace);
    const root = topology.addRootBus();
    const fn = root.add({
      kind: "integrated-endpoint",
      device: 2,
      ats: {},
      pasid: { width: 20, execute: true, privileged: true },
    });
    topology.assignBusNumbers();
    fn.config.write(4, 2, 6);
    fn.config.write(fn.config.offsetOf(PASID_CAPABILITY.layout)! + 6, 2, 7);
    fn.config.writeField(ATS_CAPABILITY.layout, "atsEnable", 1);
    this.fabric = new Fabric(topology, this.memory);
    const drain = {
      whenEarlierDone: (done: () => void) => this.fabric.inFlight.whenEarlierDone(done),
    };
    this.unit = new RemappingUnit({
      capabilities,
      memory: this.memory,
      trace: this.trace,
      clock: this.clock,
      interrupts: { deliver: (interrupt) => this.interrupts.push(interrupt) },
      inFlight: drain,
    });
    this.fabric.attach(this.unit, { kind: "segment", segment: 0 });
    this.port = this.fabric.port(fn);
    this.#writeTables();
  }

  #writeTables(): void {
    this.poke(ROOT, CONTEXT | 1n, 0n);
    if (this.wide) {
      this.poke(CONTEXT + BigInt(SOURCE) * 32n, DIRECTORY | 1n | 8n | 4n, 0n);
      this.poke(DIRECTORY, PASIDS | 1n);
      this.poke(PASIDS, SECOND | 1n | (2n << 2n) | (2n << 6n), 1n);
      this.poke(PASIDS + 5n * 64n, 1n | (1n << 6n), 2n | (1n << 23n), FIRST);
    } else {
      this.poke(CONTEXT + BigInt(SOURCE) * 16n, SECOND | 1n, 2n | (1n << 8n));
    }
    for (const [table, bits] of [
      [SECOND, 3n],
      [FIRST, 0x27n],
    ] as const) {
      for (let level = 0n; level < 3n; level++)
        this.poke(table + level * 0x1000n, (table + (level + 1n) * 0x1000n) | bits);
    }
    this.mapSecond(0x20_0000n);
    this.mapFirst(0x20_0000n);
  }

  /** Points page 7 of the second stage to `page`. */
  mapSecond(page: bigint, bits = 3n): void {
    this.poke(SECOND + 0x3038n, page | bits);
  }

  /** Points page 7 of PASID 5's first stage to `page`. */
  mapFirst(page: bigint): void {
    this.poke(FIRST + 0x3038n, page | 0x67n);
  }

  /** Sets the root table and switches translation on. */
  enable(): this {
    this.write64(0x20, ROOT | (this.wide ? 0x400n : 0n));
    this.command(30);
    this.command(31);
    return this;
  }

  /** Sets up the queue, one page of it, and switches it on. */
  enableQueue(): this {
    this.write64(0x90, QUEUE | (this.wide ? 0x800n : 0n));
    this.command(26);
    return this;
  }

  /** Writes GCMD with one bit added to the levels that are on, as a driver does. */
  command(bit: number, on = true): void {
    const levels = this.read32(0x1c) & 0x9680_0000;
    const mask = 2 ** bit;
    const without = (levels >>> 0) - ((levels & mask) !== 0 ? mask : 0);
    this.write32(0x18, on ? without + mask : without);
  }

  read32(offset: number): number {
    return Number(this.unit.readRegister(offset, 4));
  }

  read64(offset: number): bigint {
    return this.unit.readRegister(offset, 8);
  }

  write32(offset: number, value: number): void {
    this.unit.writeRegister(offset, 4, BigInt(value >>> 0));
  }

  write64(offset: number, value: bigint): void {
    this.unit.writeRegister(offset, 8, value);
  }

  poke(address: bigint, ...values: bigint[]): void {
    values.forEach((value, i) => {
      this.memory.write64(address + BigInt(8 * i), value);
    });
  }

  /** Puts descriptors into the queue and writes the tail. */
  submit(...descriptors: readonly (readonly bigint[])[]): void {
    const size = this.wide ? 32 : 16;
    for (const words of descriptors) {
      const at = QUEUE + BigInt(this.#tail);
      this.poke(at, ...words, ...new Array<bigint>(size / 8 - words.length).fill(0n));
      this.#tail = (this.#tail + size) % 4096;
    }
    this.write64(0x88, BigInt(this.#tail));
  }

  /** A wait that writes `data` to STATUS + 8 * `slot`. */
  static wait(data: bigint, flags = 0x20n, slot = 0n): bigint[] {
    return [5n | flags | (data << 32n), STATUS + slot * 8n];
  }

  /** What the wait with this slot has written. */
  status(slot = 0n): number {
    return this.memory.read32(STATUS + slot * 8n)!;
  }

  /** The byte at `address` by DMA, or `undefined`. */
  read(address: bigint, pasid = NO_PASID): number | undefined {
    const result = this.port.read(address, 1, pasid);
    return result.ok ? result.bytes[0] : undefined;
  }

  /** Head and tail of the queue, in descriptors. */
  get headAndTail(): [number, number] {
    const size = this.wide ? 32 : 16;
    return [Number(this.read64(0x80)) / size, Number(this.read64(0x88)) / size];
  }

  /** Fault record `n`: reason, source, address and F. */
  record(n = 0): { code: number; source: number; address: bigint; pending: boolean; high: bigint } {
    const low = this.read64(0x220 + 16 * n);
    const high = this.read64(0x228 + 16 * n);
    return {
      code: Number((high >> 32n) & 0xffn),
      source: Number(high & 0xffffn),
      address: low,
      pending: high >> 63n === 1n,
      high,
    };
  }
}
