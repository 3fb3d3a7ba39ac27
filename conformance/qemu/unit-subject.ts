import { highHalf, lowHalf } from "../../src/bits/halves.ts";
import type { Interrupt } from "../../src/hardware/interrupt/message.ts";
import { DmaRequest, READ, WRITE } from "../../src/hardware/pci/dma-request.ts";
import type { Capabilities } from "../../src/hardware/vtd/capabilities.ts";
import type { VtdFault } from "../../src/hardware/vtd/fault.ts";
import type { RegisterWidth } from "../../src/hardware/vtd/register-file.ts";
import { RemappingUnit } from "../../src/hardware/vtd/remapping-unit.ts";
import { createBufferMemory } from "../../src/memory/index.ts";
import {
  ARENA_BASE,
  ARENA_END,
  ARENA_SIZE,
  DEVICE_SOURCE,
  EXCHANGE,
  RAM_SIZE,
  REGISTER_RANGES,
  REGISTERS_SIZE,
} from "./machine-map.ts";
import { FORGET_INTERRUPT_TABLE } from "./registers.ts";
import type { Case, Range, Step, Trace, View } from "./step.ts";

const PAGE = 4096;
const ADDRESSES = 1n << 64n;

/** A case as our unit does it: what can be seen, and what QEMU has to be asked for. */
export interface UnitTrace extends Trace {
  /** By step: where the unit, or the device through it, has written. */
  readonly ranges: readonly (readonly Range[])[];
  /** By step: how many interrupts had been delivered when it was over. */
  readonly interruptsBy: readonly number[];
  /** By step: where each page of a DMA went, or why it did not, for comparing with another run of the same case. */
  readonly outcomes: readonly (readonly string[])[];
}

/** How QEMU's log of its local APIC has it, which knows 8 bits of a destination. */
export const interruptText = (interrupt: Interrupt): string => {
  const { destination, destinationMode, deliveryMode, vector, triggerMode } = interrupt;
  const mode = destinationMode === "logical" ? 1 : 0;
  return `dest ${destination & 0xff} dest_mode ${mode} delivery_mode ${deliveryMode} vector ${vector} trigger_mode ${triggerMode === "level" ? 1 : 0}`;
};

/** How much of an access the machine's bus makes at once: no more than is aligned. */
const accessWidth = (offset: number, rest: number): RegisterWidth => {
  let width: RegisterWidth = 8;
  while (offset % width !== 0 || width > rest) width = (width / 2) as RegisterWidth;
  return width;
};

const isPasidFault = (fault: DmaRequest["fault"]): boolean => {
  const code = (fault as VtdFault | undefined)?.code ?? 0;
  return code >= 0x50 && code <= 0x5b;
};

/** What QEMU puts in place of the requester ID where a device writes a message as if it were data. */
const UNKNOWN_SOURCE = 0xffff;

/** The same machine around our unit. */
export class UnitSubject {
  readonly #ram = new Uint8Array(RAM_SIZE);
  readonly #arena = this.#ram.subarray(ARENA_BASE, ARENA_END);
  /** The arena as it was before the step. */
  readonly #before = new Uint8Array(ARENA_SIZE);
  readonly #memory = createBufferMemory({
    base: 0n,
    length: BigInt(RAM_SIZE),
    view: () => this.#ram,
  });
  readonly #unit: RemappingUnit;
  readonly #request = new DmaRequest();
  #buffer = new Uint8Array(0);
  #interrupts: string[] = [];
  #outcomes: string[] = [];
  /** Whether software has written since the last DMA. */
  #stored = false;

  /** @param caches `off` for a unit that reads the tables for every request */
  constructor(capabilities: Capabilities, caches?: "off") {
    this.#unit = new RemappingUnit({
      capabilities,
      memory: this.#memory,
      interrupts: { deliver: (interrupt) => this.#interrupts.push(interruptText(interrupt)) },
      // Large enough that nothing has to go for want of room, as it does not in QEMU.
      caches: caches ?? { iotlbLg2: 15 },
    });
    this.#request.source = DEVICE_SOURCE;
  }

  /** All of RAM. */
  get ram(): Uint8Array {
    return this.#ram;
  }

  /**
   * Does a case from reset on. What is returned is its own.
   *
   * @param looked by step, the memory to look at; absent for wherever the unit writes
   */
  run(
    { buffer, steps }: Pick<Case, "buffer" | "steps">,
    looked?: readonly (readonly Range[])[],
  ): UnitTrace {
    this.#forgetInterruptTable();
    this.#unit.reset();
    this.#arena.fill(0);
    this.#before.fill(0);
    this.#buffer = buffer.slice();
    this.#ram.set(buffer, EXCHANGE);
    this.#interrupts = [];
    const views: (View | undefined)[] = [];
    const ranges: (readonly Range[])[] = [];
    const interruptsBy: number[] = [];
    const outcomes: (readonly string[])[] = [];
    for (const step of steps) {
      this.#outcomes = [];
      const value = this.#do(step);
      const changed = looked?.[views.length] ?? (step.kind === "store" ? [] : this.#takeChanges());
      views.push(step.kind === "store" ? undefined : this.#view(value, changed));
      ranges.push(changed);
      interruptsBy.push(this.#interrupts.length);
      outcomes.push(this.#outcomes);
    }
    this.#ram.set(this.#buffer, EXCHANGE);
    return {
      views,
      memory: this.#arena.slice(),
      buffer: this.#buffer,
      interrupts: this.#interrupts,
      ranges,
      interruptsBy,
      outcomes,
    };
  }

  /** QEMU's unit keeps its interrupt remapping table over a reset: so that no case depends on the one before, both are given another. */
  #forgetInterruptTable(): void {
    for (const { offset, width, value } of FORGET_INTERRUPT_TABLE)
      this.#unit.writeRegister(offset, width, value);
  }

  #view(value: bigint | undefined, changed: readonly Range[]): View {
    const registers = new Uint8Array(REGISTERS_SIZE);
    const view = new DataView(registers.buffer);
    let at = 0;
    for (const [offset, length] of REGISTER_RANGES) {
      for (let i = 0; i < length; i += 8, at += 8) {
        view.setBigUint64(at, this.#unit.readRegister(offset + i, 8), true);
      }
    }
    const written = changed.map(({ address, length }) =>
      this.#ram.slice(address, address + length),
    );
    return { value, registers, written };
  }

  /** Where the arena is not as it was; it counts as seen then. */
  #takeChanges(): Range[] {
    if (Buffer.compare(this.#arena, this.#before) === 0) return [];
    const found: Range[] = [];
    for (let page = 0; page < ARENA_SIZE; page += PAGE) {
      const now = this.#arena.subarray(page, page + PAGE);
      const before = this.#before.subarray(page, page + PAGE);
      if (Buffer.compare(now, before) === 0) continue;
      let first = 0;
      let last = PAGE - 1;
      while (now[first] === before[first]) first++;
      while (now[last] === before[last]) last--;
      found.push({ address: ARENA_BASE + page + first, length: last - first + 1 });
      before.set(now);
    }
    return found;
  }

  #do(step: Step): bigint | undefined {
    switch (step.kind) {
      case "write":
        this.#write(step.offset, step.width, step.value);
        return undefined;
      case "read":
        return this.#read(step.offset, step.width);
      case "store": {
        const bytes = new Uint8Array(BigUint64Array.from(step.words).buffer);
        this.#memory.write(step.address, bytes);
        this.#before.set(bytes, Number(step.address) - ARENA_BASE);
        this.#stored = this.#unit.translation.isScalable;
        return undefined;
      }
      case "dma":
        this.#transfer(step);
        return undefined;
      case "msi": {
        const { address, data } = step;
        this.#unit.deliver({ source: DEVICE_SOURCE, address: BigInt(address), data });
        return undefined;
      }
    }
  }

  #write(offset: number, width: RegisterWidth, value: bigint): void {
    for (let at = 0; at < width; ) {
      const part = accessWidth(offset + at, width - at);
      this.#unit.writeRegister(
        offset + at,
        part,
        BigInt.asUintN(8 * part, value >> BigInt(8 * at)),
      );
      at += part;
    }
  }

  #read(offset: number, width: RegisterWidth): bigint {
    let value = 0n;
    for (let at = 0; at < width; ) {
      const part = accessWidth(offset + at, width - at);
      value |= this.#unit.readRegister(offset + at, part) << BigInt(8 * at);
      at += part;
    }
    return value;
  }

  /** As the device does it: page by page, on over a page that is refused. */
  #transfer({ writes, iova, length, at }: Extract<Step, { kind: "dma" }>): void {
    for (let done = 0; done < length; ) {
      const address = (iova + BigInt(done)) % ADDRESSES;
      const count = Math.min(length - done, PAGE - Number(address & 0xfffn));
      this.#piece(writes, address, this.#buffer.subarray(at + done, at + done + count));
      done += count;
    }
  }

  #piece(writes: boolean, address: bigint, bytes: Uint8Array): void {
    if (address >> 20n === 0xfeen) {
      if (writes) this.#messages(address, bytes);
      else bytes.fill(0);
      return;
    }
    const request = this.#request;
    request.hi = highHalf(address);
    request.lo = lowHalf(address);
    request.length = bytes.length;
    request.access = writes ? WRITE : READ;
    // QEMU keeps context entries and translations, and reads PASID entries anew for each request.
    if (this.#stored) this.#unit.translation.invalidatePasid({ granularity: "global" });
    this.#stored = false;
    const passed = this.#unit.translate(request);
    const out = BigInt.asUintN(64, (BigInt(request.outHi) << 32n) | BigInt(request.outLo >>> 0));
    // QEMU keeps no context entry whose PASID entry it has found bad.
    if (!passed && isPasidFault(request.fault)) {
      this.#unit.translation.invalidateContext({ granularity: "global" });
    }
    this.#outcomes.push(passed ? `to ${out.toString(16)}` : (request.fault?.message ?? "refused"));
    // What is refused, or in no memory, reads as zero.
    if (writes && passed) this.#memory.write(out, bytes);
    if (!writes && !(passed && this.#memory.read(out, bytes))) bytes.fill(0);
  }

  /** Each aligned write of four bytes to where interrupts go is a message. */
  #messages(address: bigint, bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = 0; at + 4 <= bytes.length; at += 4) {
      const data = view.getUint32(at, true);
      this.#unit.deliver({ source: UNKNOWN_SOURCE, address: address + BigInt(at), data });
    }
  }
}
