import type { InvalidationAnswers } from "../src/hardware/devices/index.ts";
import { addDmaEngine, type DmaEngine } from "../src/hardware/devices/index.ts";
import * as engine from "../src/hardware/devices/spec/engine-registers.ts";
import type { Interrupt } from "../src/hardware/interrupt/index.ts";
import {
  ATS_CAPABILITY,
  assignMemory,
  Fabric,
  MSI_CAPABILITY,
  PAGE_REQUEST_CAPABILITY,
  PASID_CAPABILITY,
  requesterId,
  Topology,
} from "../src/hardware/pci/index.ts";
import { ManualClock } from "../src/hardware/platform/index.ts";
import {
  attachUnit,
  type Capabilities,
  type RemappingUnit,
  remappedInterrupts,
  SERVER,
} from "../src/hardware/vtd/index.ts";
import * as descriptors from "../src/hardware/vtd/spec/descriptors.ts";
import * as registers from "../src/hardware/vtd/spec/registers.ts";
import type { Layout } from "../src/struct/index.ts";
import { TraceChannel } from "../src/trace/index.ts";
import { VtdTables } from "./vtd-tables.ts";

type Values<Name extends string> = { readonly [N in Name]?: bigint | number | boolean };

/** What a command may ask for besides its operation. */
export interface Command {
  readonly address?: bigint;
  readonly length?: number;
  readonly pasid?: number;
  readonly pattern?: number;
  readonly flags?: Omit<Values<keyof typeof engine.COMMAND.fields>, "operation">;
}

const GCMD = 0x18;
const GSTS = 0x1c;

/** What a rig is made of. */
export interface EngineRigOptions {
  readonly capabilities?: Capabilities;
  readonly mode?: "legacy" | "scalable";
  readonly answers?: InvalidationAnswers;
  readonly stepped?: boolean;
  /** Whether the queue has 256-bit descriptors; so by the mode when absent. */
  readonly wide?: boolean;
}

/**
 * A machine that is seen as software and a device see it: registers of a unit
 * at its page, registers of a DMA engine (00:02.0) in device memory, tables and
 * queues in memory, and interrupts in a list.
 */
export class EngineRig extends VtdTables {
  readonly trace = new TraceChannel();
  readonly clock = new ManualClock();
  readonly topology: Topology;
  readonly fabric: Fabric;
  readonly engine: DmaEngine;
  readonly unit: RemappingUnit;
  readonly interrupts: Interrupt[] = [];
  readonly wide: boolean;
  readonly queue: bigint;
  readonly statusPage: bigint;
  #tail = 0;
  #ticket = 0;

  constructor(options: EngineRigOptions = {}) {
    super(options.mode ?? "scalable", requesterId(0, 2, 0));
    const { capabilities = SERVER, answers = "in-time", stepped = false } = options;
    this.wide = options.wide ?? !this.legacy;
    this.topology = new Topology(this.trace);
    this.fabric = new Fabric(this.topology, this.memory);
    const root = this.topology.addRootBus();
    const place = { kind: "integrated-endpoint", device: 2 } as const;
    this.engine = addDmaEngine(this.fabric, root, place, { answers, stepped });
    const sink = { deliver: (interrupt: Interrupt) => void this.interrupts.push(interrupt) };
    this.unit = attachUnit(this.fabric, 0, {
      capabilities,
      interrupts: sink,
      trace: this.trace,
      clock: this.clock,
    });
    this.fabric.attachInterrupts(remappedInterrupts(sink));
    assignMemory(root, 0xf000_0000n);
    this.enableDevice();
    this.queue = this.page();
    this.statusPage = this.page();
    this.#enableUnit();
  }

  /** What a driver writes into the device's configuration space. */
  enableDevice(): void {
    const { config } = this.engine.function;
    config.write(4, 2, 6);
    config.write(config.offsetOf(PASID_CAPABILITY.layout)! + 6, 2, 7);
    config.writeField(ATS_CAPABILITY.layout, "atsEnable", 1);
    config.writeField(PAGE_REQUEST_CAPABILITY.layout, "allocation", 4);
    config.writeField(PAGE_REQUEST_CAPABILITY.layout, "pageRequestEnable", 1);
  }

  #enableUnit(): void {
    this.write(registers.IQA, this.queue | (this.wide ? 0x800n : 0n));
    this.write(registers.IQT, 0n);
    this.command(26);
    this.unit.writeRegister(0x20, 8, this.rootTable | (this.legacy ? 0n : 0x400n));
    this.command(30);
    this.command(31);
  }

  /** Sets one more bit of GCMD, or one fewer, as drivers do it. */
  command(bit: number, on = true): void {
    const level = Number(this.unit.readRegister(GSTS, 4)) & 0x96ff_ffff;
    const next = on ? level | (1 << bit) : level & ~(1 << bit);
    this.unit.writeRegister(GCMD, 4, BigInt(next >>> 0));
  }

  #offsetOf(layout: Layout<string>, index: number): number {
    const rows = registers.registerRows(this.unit.capabilities.cap, this.unit.capabilities.ecap);
    return rows.filter((row) => row.layout === layout)[index]!.offset;
  }

  /** Writes a whole register of the unit. */
  write(layout: Layout<string>, value: bigint): void {
    this.unit.writeRegister(this.#offsetOf(layout, 0), layout.bytes as 4 | 8, value);
  }

  /** The fields of a register of the unit; `index` picks one of several. */
  read<Name extends string>(layout: Layout<Name>, index = 0): { readonly [N in Name]: bigint } {
    const offset = this.#offsetOf(layout, index);
    const low = this.unit.readRegister(offset, layout.bytes === 4 ? 4 : 8);
    const high = layout.bytes === 16 ? this.unit.readRegister(offset + 8, 8) : 0n;
    return layout.decode([low, high]);
  }

  /** Unmasks an event of the unit: its message goes to APIC 0 with `vector`. */
  unmask(
    control: Layout<string>,
    data: Layout<string>,
    address: Layout<string>,
    vector: number,
  ): void {
    this.write(data, BigInt(vector));
    this.write(address, 0xfee0_0000n);
    this.write(control, 0n);
  }

  /** Puts a descriptor into the queue and moves the tail behind it. */
  submit<Name extends string>(type: number, layout: Layout<Name>, values: Values<Name>): void {
    this.place(type, layout, values);
    this.ring();
  }

  /** Puts a descriptor into the queue; `ring` moves the tail. */
  place<Name extends string>(type: number, layout: Layout<Name>, values: Values<Name>): void {
    const step = this.wide ? 32 : 16;
    const words = layout.encode(values);
    words[0] = words[0]! | BigInt(type);
    this.poke(this.queue + BigInt(this.#tail), ...words.slice(0, step / 8));
    this.#tail = (this.#tail + step) % 4096;
  }

  /** Tells the unit of what has been placed. */
  ring(): void {
    this.write(registers.IQT, BigInt(this.#tail));
  }

  /**
   * Submits a wait.
   *
   * @returns a function that tells whether it has completed
   */
  wait(more: Values<keyof typeof descriptors.WAIT_DESCRIPTOR.fields> = {}): () => boolean {
    const ticket = ++this.#ticket;
    const at = this.statusPage + BigInt(4 * (ticket % 1024));
    const values = { SW: 1, STDATA: ticket, STADDR: at >> 2n, ...more };
    this.submit(5, descriptors.WAIT_DESCRIPTOR, values);
    return () => this.memory.read32(at) === ticket;
  }

  /** Submits an invalidation of all translations of a domain, with draining. */
  invalidateDomain(domain: number): void {
    this.submit(2, descriptors.IOTLB_DESCRIPTOR, { G: 2, DW: 1, DR: 1, DID: domain });
  }

  /** Invalidates everything of the unit that tables hold, and waits. */
  flush(): void {
    this.submit(1, descriptors.CONTEXT_CACHE_DESCRIPTOR, { G: 1 });
    if (this.wide) this.submit(7, descriptors.PASID_CACHE_DESCRIPTOR, { G: 3 });
    this.submit(2, descriptors.IOTLB_DESCRIPTOR, { G: 1, DW: 1, DR: 1 });
    this.wait();
  }

  /** First address of the engine's registers. */
  get bar(): bigint {
    return this.engine.function.bars[0]!.address;
  }

  /** Gives the engine a command. */
  start(operation: keyof typeof engine.OPERATIONS, command: Command = {}): void {
    const { fabric, bar } = this;
    const { address = 0n, length = 1, pasid, pattern = 0, flags = {} } = command;
    fabric.writeMmio(0, bar + 8n, 8, address);
    fabric.writeMmio(0, bar + 0x10n, 4, BigInt(length));
    const tag = pasid === undefined ? 0n : 0x8000_0000n | BigInt(pasid);
    fabric.writeMmio(0, bar + 0x14n, 4, tag);
    fabric.writeMmio(0, bar + 0x20n, 4, BigInt(pattern));
    const word = engine.COMMAND.encode({ operation: engine.OPERATIONS[operation], ...flags })[0]!;
    fabric.writeMmio(0, bar + 0x18n, 4, word);
  }

  /** The engine's status: `ok`, the code of the refusal in hexadecimal, or `busy`. */
  status(): string {
    const { busy, error, fault } = engine.STATUS.decode([this.#mmio(0x1cn, 4)]);
    if (busy === 1n) return "busy";
    return error === 1n ? fault.toString(16).padStart(2, "0") : "ok";
  }

  /** Gives a command and tells its status. */
  run(operation: keyof typeof engine.OPERATIONS, command: Command = {}): string {
    this.start(operation, command);
    return this.status();
  }

  /** What the last translation request answered. */
  translation(): { readonly [N in keyof typeof engine.TRANSLATION.fields]: bigint } {
    return engine.TRANSLATION.decode([this.#mmio(0x28n, 8)]);
  }

  /** The last page group response. */
  response(): { readonly [N in keyof typeof engine.RESPONSE.fields]: bigint } {
    return engine.RESPONSE.decode([this.#mmio(0x30n, 4)]);
  }

  /** The first byte of the engine's buffer. */
  buffer(): number {
    return Number(this.#mmio(BigInt(engine.ENGINE_BUFFER), 1));
  }

  #mmio(offset: bigint, width: 1 | 4 | 8): bigint {
    return this.fabric.readMmio(0, this.bar + offset, width);
  }

  /** Reads a byte by DMA: its value in hexadecimal, or the code of the refusal with `fault` before it. */
  load(address: bigint, command: Command = {}): string {
    const status = this.run("read", { ...command, address });
    return status === "ok" ? this.buffer().toString(16).padStart(2, "0") : `fault ${status}`;
  }

  /** Points the engine's MSI at `address` with `data`. */
  aimMsi(address: bigint, data: number): void {
    const { config } = this.engine.function;
    config.writeField(MSI_CAPABILITY.layout, "messageAddress", Number(address >> 2n));
    config.writeField(MSI_CAPABILITY.layout, "messageData", data);
    config.writeField(MSI_CAPABILITY.layout, "msiEnable", 1);
  }

  /** Records of faults in use: code and source. */
  faults(): { readonly code: string; readonly source: number; readonly info: bigint }[] {
    const count = Number((this.unit.capabilities.cap >> 40n) & 0xffn) + 1;
    return Array.from({ length: count }, (_, i) => this.read(registers.FRCD, i))
      .filter(({ F }) => F === 1n)
      .map(({ FR, SID, FI }) => ({ code: FR.toString(16), source: Number(SID), info: FI }));
  }

  /** Clears every fault record and status, as a driver does. */
  clearFaults(): void {
    const offset = this.#offsetOf(registers.FRCD, 0);
    const count = Number((this.unit.capabilities.cap >> 40n) & 0xffn) + 1;
    for (let i = 0; i < count; i++) this.unit.writeRegister(offset + 16 * i + 12, 4, 0x8000_0000n);
    this.write(registers.FSTS, 0x71n);
  }
}
