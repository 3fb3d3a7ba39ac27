import { highHalf, lowHalf } from "../../src/bits/halves.ts";
import { DmaRequest, READ, WRITE } from "../../src/hardware/pci/dma-request.ts";
import type { Capabilities } from "../../src/hardware/vtd/capabilities.ts";
import { RemappingUnit } from "../../src/hardware/vtd/remapping-unit.ts";
import { createBufferMemory } from "../../src/memory/index.ts";
import {
  ARENA_BASE,
  ARENA_END,
  ARENA_SIZE,
  DEVICE_SOURCE,
  RAM_SIZE,
  REGISTERS_SIZE,
} from "./machine-map.ts";
import type { Observation, Step, Subject } from "./step.ts";

const PAGE = 4096n;
const ADDRESSES = 1n << 64n;

/** The same machine around our unit. */
export class UnitSubject implements Subject {
  readonly name: string = "softiommu";
  readonly #ram = new Uint8Array(RAM_SIZE);
  readonly #memory = createBufferMemory({
    base: 0n,
    length: BigInt(RAM_SIZE),
    view: () => this.#ram,
  });
  readonly #unit: RemappingUnit;
  readonly #request = new DmaRequest();
  #buffer = new Uint8Array(0);

  constructor(capabilities: Capabilities) {
    this.#unit = new RemappingUnit({
      capabilities,
      memory: this.#memory,
      interrupts: { deliver: () => {} },
    });
    this.#request.source = DEVICE_SOURCE;
  }

  reset(buffer: Uint8Array): Promise<void> {
    this.#unit.reset();
    this.#ram.fill(0, ARENA_BASE, ARENA_END);
    this.#buffer = buffer.slice();
    return Promise.resolve();
  }

  perform(step: Step): Promise<Observation> {
    const value = this.#do(step);
    const registers = new Uint8Array(REGISTERS_SIZE);
    const view = new DataView(registers.buffer);
    for (let at = 0; at < REGISTERS_SIZE; at += 8) {
      view.setBigUint64(at, this.#unit.readRegister(at, 8), true);
    }
    const memory = this.#ram.subarray(ARENA_BASE, ARENA_BASE + ARENA_SIZE);
    return Promise.resolve({ value, registers, memory });
  }

  deviceBuffer(): Promise<Uint8Array> {
    return Promise.resolve(this.#buffer);
  }

  #do(step: Step): bigint | undefined {
    switch (step.kind) {
      case "write":
        this.#unit.writeRegister(step.offset, step.width, step.value);
        return undefined;
      case "read":
        return this.#unit.readRegister(step.offset, step.width);
      case "store":
        this.#memory.write(step.address, new Uint8Array(BigUint64Array.from(step.words).buffer));
        return undefined;
      case "dma":
        this.#transfer(step);
        return undefined;
    }
  }

  /** As the device does it: page by page, on over a page that is refused. */
  #transfer({ writes, iova, length, at }: Extract<Step, { kind: "dma" }>): void {
    for (let done = 0; done < length; ) {
      const address = (iova + BigInt(done)) % ADDRESSES;
      const count = Math.min(length - done, Number(PAGE - (address % PAGE)));
      this.#piece(writes, address, this.#buffer.subarray(at + done, at + done + count));
      done += count;
    }
  }

  #piece(writes: boolean, address: bigint, bytes: Uint8Array): void {
    if (address >> 20n === 0xfeen) {
      if (writes) this.#message(address, bytes);
      else bytes.fill(0);
      return;
    }
    const request = this.#request;
    request.hi = highHalf(address);
    request.lo = lowHalf(address);
    request.length = bytes.length;
    request.access = writes ? WRITE : READ;
    const passed = this.#unit.translate(request);
    const out = BigInt.asUintN(64, (BigInt(request.outHi) << 32n) | BigInt(request.outLo >>> 0));
    // What is refused, or in no memory, reads as zero.
    if (writes && passed) this.#memory.write(out, bytes);
    if (!writes && !(passed && this.#memory.read(out, bytes))) bytes.fill(0);
  }

  /** A write of four bytes to where interrupts go is a message. */
  #message(address: bigint, bytes: Uint8Array): void {
    const data = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
    this.#unit.deliver({ source: DEVICE_SOURCE, address, data });
  }
}
