import { describe, expect, it } from "vitest";
import * as asm from "../../test/machine-code.ts";
import { PAYLOAD, PcRig } from "../../test/pc-rig.ts";
import { lacks } from "../../test/requirement.ts";
import { COMMAND, OPERATIONS, STATUS } from "../hardware/devices/spec/engine-registers.ts";
import {
  ATS_CAPABILITY,
  MSI_CAPABILITY,
  PASID_CAPABILITY,
  requesterId,
} from "../hardware/pci/index.ts";
import type { TraceEvent } from "../trace/channel.ts";
import { TraceChannel } from "../trace/channel.ts";
import { mapWindows } from "./mmio-windows.ts";
import { PC_UNITS } from "./profiles.ts";
import type { MmioRead, MmioWrite, V86Io } from "./v86.ts";

const UNIT = 0xfed9_0000;
const ECAM = 0xb000_0000;
const RESULT = 0x20_0000;
const ENGINE = requesterId(0, 4, 0);
const DISKS = requesterId(0, 30, 0);
const NOBODY = requesterId(0, 9, 0);

describe("windows in v86's memory map", () => {
  it("PC-MMIO-01: windows that share an entry of the map are told apart, and nothing is between them", () => {
    const entries = new Map<number, [MmioRead, MmioWrite, MmioRead, MmioWrite]>();
    const io = {
      mmap_register: (at: number, length: number, ...functions: [never, never, never, never]) => {
        expect([at % 0x2_0000, length]).toEqual([0, 0x2_0000]);
        entries.set(at, functions);
      },
    } as unknown as V86Io;
    const written: unknown[] = [];
    const window = (base: number, length: number) => ({
      base,
      length,
      read: (offset: number, width: number) => base - 0xfed0_0000 + offset + width,
      write: (...access: unknown[]) => written.push([base, ...access]),
    });
    mapWindows(io, [
      window(UNIT, 0x1000),
      window(UNIT + 0x1000, 0x1000),
      window(0xf000_0000, 0x4_0000),
    ]);
    expect([...entries.keys()].sort()).toEqual([0xf000_0000, 0xf002_0000, 0xfed8_0000]);
    const [read8, write8, read32, write32] = entries.get(0xfed8_0000)!;
    expect(read32((UNIT + 0xffc) | 0)).toBe(0x9_0000 + 0xffc + 4);
    expect(read32((UNIT + 0x1000) | 0)).toBe(0x9_1000 + 4);
    expect(read8((UNIT + 4) | 0)).toBe(5);
    expect([read32((UNIT + 0x2000) | 0), read8((UNIT - 1) | 0)]).toEqual([-1, 0xff]);
    write32((UNIT + 8) | 0, -1);
    write8((UNIT + 0x1001) | 0, 7);
    write32((UNIT + 0x2000) | 0, 1);
    expect(written).toEqual([
      [UNIT, 8, 4, 0xffff_ffff],
      [UNIT + 0x1000, 1, 1, 7],
    ]);
  });
});

describe.skipIf(lacks("v86"))("registers", () => {
  it("PC-MMIO-02: the processor reads and writes the unit's registers in halves and bytes", async () => {
    const rig = await PcRig.create({
      units: [{ capabilities: PC_UNITS.nested }],
      code: asm.code(
        asm.load(UNIT + 0x08),
        asm.store(RESULT),
        asm.load(UNIT + 0x0c),
        asm.store(RESULT + 4),
        asm.loadByte(UNIT + 0x12),
        asm.storeByte(RESULT + 8),
        asm.put(RESULT + 16, 0x1234_5000),
        asm.put(RESULT + 20, 0x0000_00ab),
        // Root table address: one write of the processor, two of 32 bits here.
        asm.copyQuadword(RESULT + 16, UNIT + 0x20),
        asm.put(RESULT + 12, 1),
        asm.HALT,
      ),
    });
    await rig.run(() => rig.peek(RESULT + 12) === 1);
    const { cap, ecap } = PC_UNITS.nested;
    expect(rig.pc.memory.read64(BigInt(RESULT))).toBe(cap);
    expect(rig.peek(RESULT + 8)).toBe(Number((ecap >> 16n) & 0xffn));
    expect(rig.pc.units[0]!.readRegister(0x20, 8)).toBe(0xab_1234_5000n);
    await rig.pc.destroy();
  });

  it("PC-CFG-01: both ways to configuration space lead to the same registers", async () => {
    const rig = await PcRig.create();
    const { config } = rig.engine.function;
    for (let offset = 0; offset < 256; offset += 4) {
      expect(rig.readConfig(ENGINE, offset)).toBe(config.read(offset, 4));
      expect(rig.readMmio(ECAM + (ENGINE << 12) + offset)).toBe(config.read(offset, 4));
      expect(rig.readMmio(ECAM + (DISKS << 12) + offset)).toBe(rig.readConfig(DISKS, offset));
    }
    expect(rig.readConfig(DISKS, 0)).toBe(0x7010_8086);
    const ats = config.offsetOf(ATS_CAPABILITY.layout)!;
    expect(rig.readMmio(ECAM + (ENGINE << 12) + ats)).toBe(config.read(ats, 4));
    await rig.pc.destroy();
  });

  it("PC-CFG-02: where there is no function all reads are ones and writes are lost", async () => {
    const rig = await PcRig.create();
    expect(rig.readConfig(NOBODY, 0)).toBe(0xffff_ffff);
    expect(rig.readConfig(requesterId(7, 0, 0), 0)).toBe(0xffff_ffff);
    expect(rig.readMmio(ECAM + (NOBODY << 12))).toBe(0xffff_ffff);
    // A conventional function has no extended registers.
    expect(rig.readMmio(ECAM + (DISKS << 12) + 0x100)).toBe(0xffff_ffff);
    expect(() => {
      rig.writeConfig(NOBODY, 4, 7);
      rig.out(0xcfc, 1, 7);
      rig.out(0xcfd, 1, 7);
      rig.out(0xcfe, 2, 7);
      rig.writeMmio(ECAM + (NOBODY << 12) + 4, 7);
      rig.writeMmio(ECAM + (DISKS << 12) + 0x100, 7);
    }).not.toThrow();
    await rig.pc.destroy();
  });

  it("PC-CFG-03: what software writes has the effect that the register's bits allow, and is read at once", async () => {
    const rig = await PcRig.create();
    const { config } = rig.engine.function;
    rig.writeConfig(ENGINE, 0, 0);
    expect(rig.in(0xcfc)).toBe(0x10ff_1af4);
    rig.writeConfig(ENGINE, 0x10, 0xffff_ffff);
    expect(rig.in(0xcfc)).toBe(0xffff_f004);
    rig.writeConfig(ENGINE, 0x10, 0xf123_4567);
    expect(rig.in(0xcfc)).toBe(0xf123_4004);
    const pasid = config.offsetOf(PASID_CAPABILITY.layout)!;
    rig.writeMmio(ECAM + (ENGINE << 12) + pasid + 4, 0xffff_ffff);
    expect(config.has(PASID_CAPABILITY.layout, "pasidEnable")).toBe(true);
    expect(rig.readMmio(ECAM + (ENGINE << 12) + pasid + 4)).toBe(0x0007_1406);
    await rig.pc.destroy();
  });

  it("PC-CFG-04: a base address register that is moved takes its registers along", async () => {
    const rig = await PcRig.create();
    const identity = rig.readMmio(0xf000_0000);
    expect(identity).toBe(Number(rig.engine.readRegister(0, 0, 4)));
    rig.writeConfig(ENGINE, 0x10, 0xf700_0000);
    expect([rig.readMmio(0xf000_0000), rig.readMmio(0xf700_0000)]).toEqual([0xffff_ffff, identity]);
    rig.writeMmio(0xf700_0010, 0x55);
    expect(rig.engine.readRegister(0, 0x10, 4)).toBe(0x55n);
    rig.writeConfig(ENGINE, 4, 0);
    expect(rig.readMmio(0xf700_0000)).toBe(0xffff_ffff);
    await rig.pc.destroy();
  });

  it("PC-CFG-05: v86's own functions send requests as their Command register says", async () => {
    const rig = await PcRig.create();
    const blocked = (): boolean =>
      rig.pc.fabric.inspect().ports.find((port) => port.source === DISKS)!.blocked !== null;
    rig.writeConfig(DISKS, 4, 0);
    expect(blocked()).toBe(true);
    rig.writeConfig(DISKS, 4, 5);
    expect(blocked()).toBe(false);
    rig.writeMmio(ECAM + (DISKS << 12) + 4, 1);
    expect(blocked()).toBe(true);
    await rig.pc.destroy();
  });
});

/** Tables of segments and interrupts, and a handler for `vector` that counts at RESULT. */
const GDT = 0x30_0000;
const IDT = 0x30_1000;
const POINTERS = 0x30_2000;
const HANDLER = 0x30_3000;
const VECTOR = 0x41;

const prepareInterrupts = (rig: PcRig): void => {
  const { memory } = rig.pc;
  const flat = (kind: bigint): bigint => 0x00cf_0000_0000_ffffn | (kind << 40n);
  memory.write64(BigInt(GDT + 0x10), flat(0x9an));
  memory.write64(BigInt(GDT + 0x18), flat(0x92n));
  const gate = BigInt(HANDLER);
  const entry = (gate & 0xffffn) | (0x10n << 16n) | (0x8e00n << 32n) | ((gate >> 16n) << 48n);
  memory.write64(BigInt(IDT + 8 * VECTOR), entry);
  memory.write64(BigInt(POINTERS), 0x1fn | (BigInt(GDT) << 16n));
  memory.write64(BigInt(POINTERS + 8), 0x7ffn | (BigInt(IDT) << 16n));
  memory.write(BigInt(HANDLER), asm.code(asm.increment(RESULT), asm.END_OF_INTERRUPT));
};

const enableInterrupts: asm.Code = [
  ...asm.stack(0x40_0000),
  ...asm.loadTables(POINTERS, POINTERS + 8),
  ...asm.put(0xfee0_00f0, 0x1ff),
];

const deliver = (rig: PcRig, data: number, address = 0xfee0_0000n) => {
  rig.engine.function.config.write(4, 2, 6);
  return rig.engine.port.write(address, Uint8Array.of(data & 0xff, data >>> 8, 0, 0));
};

const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

describe.skipIf(lacks("v86"))("message-signalled interrupts", () => {
  it("PC-MSI-01: a message from outside wakes a processor that halts, each time once", async () => {
    const rig = await PcRig.create({
      code: asm.code(enableInterrupts, asm.put(RESULT + 4, 1), asm.WAIT),
    });
    prepareInterrupts(rig);
    rig.pc.start();
    while (rig.peek(RESULT + 4) !== 1) await soon();
    for (let count = 1; count <= 3; count++) {
      expect(deliver(rig, VECTOR)).toEqual({ ok: true });
      await soon();
      expect(rig.peek(RESULT)).toBe(count);
    }
    await rig.pc.destroy();
  });

  it("PC-MSI-02: a message that a register's callback sends arrives after it", async () => {
    const base = 0xf000_0000;
    const command = OPERATIONS.fill | Number(COMMAND.fields.interrupt.mask);
    const rig = await PcRig.create({
      code: asm.code(
        enableInterrupts,
        asm.put(base + 0x08, 0x50_0000),
        asm.put(base + 0x10, 4),
        asm.put(base + 0x20, 0xee),
        asm.put(base + 0x18, command),
        asm.put(RESULT + 4, 1),
        asm.WAIT,
      ),
    });
    prepareInterrupts(rig);
    const { config } = rig.engine.function;
    config.write(4, 2, 6);
    config.writeField(MSI_CAPABILITY.layout, "messageAddress", 0xfee0_0000 >>> 2);
    config.writeField(MSI_CAPABILITY.layout, "messageData", VECTOR);
    config.writeField(MSI_CAPABILITY.layout, "msiEnable", 1);
    await rig.run(() => rig.peek(RESULT) === 1 && rig.peek(RESULT + 4) === 1);
    expect(rig.peek(0x50_0000)).toBe(0xeeee_eeee);
    expect(Number(rig.engine.readRegister(0, 0x1c, 4)) & Number(STATUS.fields.error.mask)).toBe(0);
    await rig.pc.destroy();
  });

  it("PC-MSI-03: messages for others, of other kinds and with forbidden vectors stay without effect", async () => {
    const trace = new TraceChannel();
    const events: TraceEvent[] = [];
    trace.listen("pc.interrupt", (event) => events.push(event));
    const rig = await PcRig.create({
      trace,
      code: asm.code(enableInterrupts, asm.put(RESULT + 4, 1), asm.WAIT),
    });
    prepareInterrupts(rig);
    rig.pc.start();
    while (rig.peek(RESULT + 4) !== 1) await soon();
    deliver(rig, VECTOR, 0xfee0_5000n);
    deliver(rig, VECTOR | 0x400);
    deliver(rig, 0x0f);
    await soon();
    expect(rig.peek(RESULT)).toBe(0);
    // Destinations of every APIC, and the logical one of APIC 0 as it is after reset: none.
    deliver(rig, VECTOR, 0xfeef_f000n);
    await soon();
    expect(rig.peek(RESULT)).toBe(1);
    expect(events.map(({ payload }) => (payload as { accepted: boolean }).accepted)).toEqual([
      false,
      false,
      false,
      true,
    ]);
    await rig.pc.destroy();
  });

  it("PC-MSI-04: a message that comes while the PC stands still waits for its start", async () => {
    const rig = await PcRig.create({
      code: asm.code(enableInterrupts, asm.put(RESULT + 4, 1), asm.WAIT),
    });
    prepareInterrupts(rig);
    await rig.run(() => rig.peek(RESULT + 4) === 1);
    deliver(rig, VECTOR);
    await soon();
    expect(rig.peek(RESULT)).toBe(0);
    await rig.run(() => rig.peek(RESULT) === 1);
    await rig.pc.destroy();
  });
});

describe.skipIf(lacks("v86"))("memory", () => {
  it("PC-RAM-01: what DMA writes over code that v86 has translated is executed from then on", async () => {
    const body = 0x18_0000;
    const start = asm.code(asm.stack(0x40_0000));
    const loop = PAYLOAD + start.length;
    const rig = await PcRig.create({
      code: asm.code([...start], asm.call(loop, body), asm.jump(loop + 5, loop)),
    });
    rig.pc.memory.write(BigInt(body), asm.code(asm.increment(RESULT), asm.RETURN));
    // Long enough for v86 to compile it.
    await rig.run(() => rig.peek(RESULT)! > 5_000_000);
    rig.engine.function.config.write(4, 2, 6);
    const next = asm.code(asm.increment(RESULT + 4), asm.RETURN);
    expect(rig.engine.port.write(BigInt(body), next)).toEqual({ ok: true });
    const before = rig.peek(RESULT);
    await rig.run(() => rig.peek(RESULT + 4)! > 1000);
    expect(rig.peek(RESULT)).toBe(before);
    await rig.pc.destroy();
  });

  it("PC-RAM-02: memory stays where it is when WebAssembly's grows", async () => {
    const rig = await PcRig.create();
    const { memory } = rig.pc;
    memory.write32(0x1000n, 0x1122_3344);
    const grown = rig.emulator.v86.cpu.wasm_memory as unknown as { grow(pages: number): number };
    const old = rig.emulator.v86.cpu.wasm_memory.buffer;
    grown.grow(16);
    expect(old.byteLength).toBe(0);
    expect(memory.read32(0x1000n)).toBe(0x1122_3344);
    memory.write32(0x1000n, 0x5566_7788);
    expect(rig.emulator.v86.cpu.read32s(0x1000)).toBe(0x5566_7788);
    expect(memory.read32(BigInt(8 << 20))).toBeUndefined();
    await rig.pc.destroy();
  });
});
