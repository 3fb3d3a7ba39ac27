import { describe, expect, it } from "vitest";
import * as asm from "../../test/machine-code.ts";
import { PAYLOAD, PcRig } from "../../test/pc-rig.ts";
import { lacks } from "../../test/requirement.ts";
import type { MsiMessage } from "../hardware/interrupt/index.ts";
import { CONTEXT_ENTRY } from "../hardware/vtd/spec/index.ts";
import { TraceChannel, type TraceEvent } from "../trace/index.ts";
import { PC_UNITS } from "./profiles.ts";

const RESULT = 0x20_0000;
const UNIT = 0xfed9_0000;
const POWER_CONTROL = 0xb004;

const listening = (
  glob: string,
): { trace: TraceChannel; names: string[]; events: TraceEvent[] } => {
  const trace = new TraceChannel();
  const events: TraceEvent[] = [];
  const names: string[] = [];
  trace.listen(glob, (event) => {
    events.push(event);
    names.push(event.name);
  });
  return { trace, names, events };
};

const out16 = (port: number, value: number): asm.Code => [
  ...asm.set(value),
  ...[0xba, port & 0xff, port >>> 8, 0, 0],
  ...[0x66, 0xef],
];

describe.skipIf(lacks("v86"))("a PC", () => {
  it("PC-END-01: that the guest switches off stands still and says so", async () => {
    const { trace, names } = listening("pc.*");
    const rig = await PcRig.create({
      trace,
      code: asm.code(
        out16(POWER_CONTROL, 1),
        asm.increment(RESULT),
        out16(POWER_CONTROL, 0x2000),
        asm.HALT,
      ),
    });
    rig.pc.start();
    expect(await rig.pc.ended).toEqual({ how: "off" });
    expect([rig.pc.running, rig.peek(RESULT), names]).toEqual([false, 1, ["pc.off"]]);
    await rig.pc.destroy();
  });

  it("PC-END-02: that meets what v86 lacks crashes, which is a value and not an exception", async () => {
    const { trace, names } = listening("pc.*");
    // CLFLUSH, and no handler for the fault that it is.
    const rig = await PcRig.create({ trace, code: asm.code([0x0f, 0xae, 0x38]) });
    rig.pc.start();
    const end = await rig.pc.ended;
    expect(end).toMatchObject({ how: "crashed" });
    expect(end.how === "crashed" && end.why).toContain("#GP");
    expect([rig.pc.running, names]).toEqual([false, ["pc.crashed"]]);
    expect(() => rig.pc.start()).toThrow("crashed");
    await rig.pc.destroy();
  });

  it("PC-END-03: that the guest resets begins again, its units and devices as after a reset", async () => {
    const { trace, names } = listening("pc.*");
    const rig = await PcRig.create({
      trace,
      units: [{ capabilities: PC_UNITS.legacy }],
      code: asm.code(asm.increment(RESULT), asm.outByte(0xcf9, 2), asm.outByte(0xcf9, 6), asm.HALT),
    });
    rig.pc.units[0]!.writeRegister(0x20, 8, 0x1000n);
    rig.engine.writeRegister(0, 8, 8, 5n);
    rig.pc.start();
    while (rig.peek(RESULT)! < 3) await new Promise((resolve) => setTimeout(resolve, 1));
    await rig.pc.stop();
    expect(names).toContain("pc.reset");
    expect(rig.pc.units[0]!.readRegister(0x20, 8)).toBe(0n);
    expect(rig.engine.readRegister(0, 8, 8)).toBe(0n);
    expect(rig.readMmio(0xf000_0000)).toBe(Number(rig.engine.readRegister(0, 0, 4)));
    await rig.pc.destroy();
  });

  it("PC-END-04: that is destroyed leaves nothing behind that could run", async () => {
    const rig = await PcRig.create({ code: asm.code(asm.increment(RESULT), [0xeb, 0xf8]) });
    await rig.run(() => rig.peek(RESULT)! > 100);
    rig.pc.start();
    await rig.pc.destroy();
    const count = rig.peek(RESULT);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([rig.peek(RESULT), rig.pc.running]).toEqual([count, false]);
  });

  it("PC-END-05: that halts stops at once when it is told to", async () => {
    const rig = await PcRig.create({ code: asm.code(asm.put(RESULT, 1), asm.WAIT) });
    await rig.run(() => rig.peek(RESULT) === 1);
    rig.pc.start();
    await new Promise((resolve) => setTimeout(resolve, 20));
    // Left to itself it would look again when the guest's timer rings, a tenth of a second later.
    const { v86 } = rig.emulator;
    const delays: number[] = [];
    const next = v86.next_tick;
    v86.next_tick = (delay) => {
      delays.push(delay);
      next.call(v86, delay);
    };
    await rig.pc.stop();
    expect([delays, rig.pc.running]).toEqual([[0], false]);
    await rig.pc.destroy();
  });

  it("PC-BOOT-04: without a kernel or code it waits for a snapshot", async () => {
    const rig = await PcRig.create();
    expect(rig.pc.inspect()).toMatchObject({
      schema: "softiommu/pc@1",
      running: false,
      instructions: 0,
    });
    await rig.pc.destroy();
  });

  it("PC-FLUSH-01: CLFLUSH is taken out before the code that follows the first look at the unit", async () => {
    const { trace, events } = listening("pc.flushes-removed");
    const loop = 0x10_0020;
    const rig = await PcRig.create({
      trace,
      units: [{ capabilities: PC_UNITS.legacy }],
      removeCacheFlushes: true,
      code: asm.code(asm.load(UNIT + 8), asm.jump(PAYLOAD + 5, loop)),
    });
    const { memory } = rig.pc;
    // Until bit 0 at RESULT is set: test byte [RESULT], 1; jz back.
    const wait = [0xf6, 0x05, 0, 0, 0x20, 0, 1, 0x74, 0xf7];
    // ds clflush (%eax) is taken out, ds clflush disp32 is another instruction.
    const flush = [0x3e, 0x0f, 0xae, 0x38];
    memory.write(BigInt(loop), asm.code(wait, flush, flush, asm.put(RESULT + 4, 1), asm.HALT));
    memory.write(0x18_0000n, asm.code([0x3e, 0x0f, 0xae, 0x3d], [0x3e, 0x0f, 0xae, 0x78]));
    rig.pc.start();
    while (events.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    memory.write32(BigInt(RESULT), 1);
    while (rig.peek(RESULT + 4) !== 1) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(events.map(({ payload }) => payload)).toEqual([{ count: 2 }]);
    expect(rig.peek(0x18_0000)).toBe(0x3dae_0f3e);
    await rig.pc.destroy();
  });

  it("PC-UNIT-01: each of several units has registers of its own and serves its functions", async () => {
    const rig = await PcRig.create({
      units: [
        { capabilities: PC_UNITS.legacy },
        { capabilities: PC_UNITS.nested, serves: (topology) => [topology.lookup(0, 0x20)!] },
      ],
    });
    const [rest, own] = rig.pc.units;
    const ecap = (unit: number): number => rig.readMmio(UNIT + 0x1000 * unit + 0x10);
    expect([ecap(0), ecap(1)]).toEqual(
      [PC_UNITS.legacy, PC_UNITS.nested].map((each) => Number(each.ecap & 0xffff_ffffn)),
    );
    const { translatorOf, topology } = { translatorOf: rig.pc.fabric, topology: rig.pc.topology };
    expect(translatorOf.translatorOf(topology.lookup(0, 0x20)!)).toBe(own);
    expect(translatorOf.translatorOf(topology.lookup(0, 0xf0)!)).toBe(rest);
    await rig.pc.destroy();
  });

  it("PC-UNIT-02: a fault of a device's DMA interrupts the processor through the unit's registers", async () => {
    const { trace, events } = listening("pc.interrupt");
    const rig = await PcRig.create({ trace, units: [{ capabilities: PC_UNITS.legacy }] });
    const [unit] = rig.pc.units;
    rig.pc.memory.write64(0x10_0000n, 0x10_1001n);
    const entry = CONTEXT_ENTRY.encode({ P: 1, SSPTPTR: 0x10_2000n, AW: 2, DID: 1 });
    for (const [i, word] of entry.entries()) rig.pc.memory.write64(BigInt(0x10_1200 + 8 * i), word);
    const message: Pick<MsiMessage, "address" | "data"> = { address: 0xfee0_0000n, data: 0x61 };
    rig.writeMmio(UNIT + 0x3c, message.data);
    rig.writeMmio(UNIT + 0x40, Number(message.address));
    rig.writeMmio(UNIT + 0x38, 0);
    rig.writeMmio(UNIT + 0x20, 0x10_0000);
    rig.writeMmio(UNIT + 0x18, 0x4000_0000);
    rig.writeMmio(UNIT + 0x18, 0x8000_0000);
    rig.writeConfig(0x20, 4, 6);
    expect(rig.engine.port.read(0x1234_5000n, 4)).toMatchObject({ ok: false });
    expect(events.map(({ payload }) => payload)).toEqual([{ vector: 0x61, accepted: true }]);
    expect(unit!.readRegister(0x34, 4) & 2n).toBe(2n);
    await rig.pc.destroy();
  });
});
