import { describe, expect, it } from "vitest";
import * as asm from "../../test/machine-code.ts";
import { PcRig, type PcRigOptions } from "../../test/pc-rig.ts";
import { lacks } from "../../test/requirement.ts";
import { ADDRESS, COMMAND, OPERATIONS } from "../hardware/devices/spec/engine-registers.ts";
import { MSI_CAPABILITY, requesterId } from "../hardware/pci/index.ts";
import { RestoreError, SaveRefusedError } from "../struct/index.ts";
import { PC_UNITS } from "./profiles.ts";
import { type PcState, packSnapshot, unpackSnapshot } from "./snapshot.ts";

const RESULT = 0x20_0000;
const ENGINE = requesterId(0, 4, 0);

const STATE: PcState = {
  schema: "softiommu/pc-state@1",
  machine: ["1048576 bytes of memory"],
  functions: [],
  units: [],
  devices: [],
};

describe("a snapshot", () => {
  it("PC-SAVE-05: gives back what was packed, wherever its bytes lie", () => {
    const processor = Uint8Array.of(1, 2, 3, 4, 5).buffer;
    const bytes = packSnapshot(STATE, processor);
    expect(unpackSnapshot(bytes)).toEqual({ state: STATE, processor });
    const inside = new Uint8Array(bytes.length + 3);
    inside.set(bytes, 3);
    expect(unpackSnapshot(inside.subarray(3)).state).toEqual(STATE);
  });

  it("PC-SAVE-05: what is cut, damaged or something else is refused", () => {
    const bytes = packSnapshot(STATE, new ArrayBuffer(64));
    const changed = (at: number): Uint8Array => {
      const copy = bytes.slice();
      copy[at]! ^= 0x10;
      return copy;
    };
    for (const bad of [
      new Uint8Array(),
      bytes.subarray(0, 19),
      bytes.subarray(0, bytes.length - 4),
      ...[0, 4, 8, 12, 16, 20, 40, bytes.length - 1].map(changed),
    ]) {
      expect(() => unpackSnapshot(bad)).toThrow(RestoreError);
    }
  });
});

/** Counts at RESULT for ever. */
const COUNTING = asm.code(asm.increment(RESULT), [0xeb, 0xf8]);

const counting = (options: PcRigOptions = {}): Promise<PcRig> =>
  PcRig.create({ units: [{ capabilities: PC_UNITS.nested }], code: COUNTING, ...options });

describe.skipIf(lacks("v86"))("saving and restoring a PC", () => {
  it("PC-SAVE-01: processor and memory go on where they were", async () => {
    const rig = await counting();
    await rig.run(() => rig.peek(RESULT)! > 1000);
    const count = rig.peek(RESULT)!;
    const snapshot = await rig.pc.save();
    await rig.run(() => rig.peek(RESULT)! > count + 1000);
    await rig.pc.restore(snapshot);
    expect([rig.pc.running, rig.peek(RESULT)]).toEqual([false, count]);
    await rig.run(() => rig.peek(RESULT)! > count + 1000);
    await rig.pc.destroy();
  });

  it("PC-SAVE-01: another PC takes it over, without anything to boot", async () => {
    const rig = await counting();
    await rig.run(() => rig.peek(RESULT)! > 1000);
    const count = rig.peek(RESULT)!;
    const snapshot = await rig.pc.save();
    await rig.pc.destroy();
    const other = await PcRig.create({ units: [{ capabilities: PC_UNITS.nested }] });
    await other.pc.restore(snapshot);
    expect(other.peek(RESULT)).toBe(count);
    await other.run(() => other.peek(RESULT)! > count + 1000);
    await other.pc.destroy();
  });

  it("PC-SAVE-02: a PC that runs goes on after it was saved", async () => {
    const rig = await counting();
    rig.pc.start();
    const snapshot = await rig.pc.save();
    expect(rig.pc.running).toBe(true);
    const count = rig.peek(RESULT)!;
    await rig.run(() => rig.peek(RESULT)! > count);
    expect(snapshot.length).toBeGreaterThan(4096);
    await rig.pc.destroy();
  });

  it("PC-SAVE-03: registers of units, devices and configuration spaces come back", async () => {
    const rig = await counting();
    const [unit] = rig.pc.units;
    const { config } = rig.engine.function;
    unit!.writeRegister(0x20, 8, 0x40_0400n);
    unit!.writeRegister(0x18, 4, 1n << 30n);
    rig.writeConfig(ENGINE, 0x10, 0xf700_0000);
    rig.writeConfig(ENGINE, 4, 6);
    config.writeField(MSI_CAPABILITY.layout, "messageData", 0x1234);
    rig.engine.writeRegister(0, 0x08, 8, 0x1234_5678_9abcn);
    rig.engine.writeRegister(0, 0x800, 4, 0xdead_beefn);
    const snapshot = await rig.pc.save();
    const seen = () => ({
      rtaddr: unit!.readRegister(0x20, 8),
      status: unit!.readRegister(0x1c, 4),
      root: unit!.translation.rootTableAddress,
      bar: rig.readConfig(ENGINE, 0x10),
      data: config.get(MSI_CAPABILITY.layout, "messageData"),
      address: rig.engine.readRegister(0, 0x08, ADDRESS.bytes as 8),
      buffer: rig.readMmio(0xf700_0800),
    });
    const before = seen();
    expect(before.root).toBe(0x40_0400n);
    unit!.reset();
    rig.engine.function.reset();
    expect(seen()).not.toEqual(before);
    await rig.pc.restore(snapshot);
    expect(seen()).toEqual(before);
    await rig.pc.destroy();
  });

  it("PC-SAVE-04: what is held is named, and nothing is saved", async () => {
    const rig = await counting();
    rig.engine.function.config.write(4, 2, 6);
    rig.engine.writeRegister(0, 0x08, 8, 0x50_0000n);
    rig.engine.writeRegister(0, 0x10, 4, 4n);
    const hold = Number(COMMAND.fields.hold.mask);
    rig.engine.writeRegister(0, 0x18, 4, BigInt(OPERATIONS.write | hold));
    await expect(rig.pc.save()).rejects.toThrow(SaveRefusedError);
    await expect(rig.pc.save()).rejects.toThrow("0000:00:04.0 has DMA in flight");
    rig.engine.writeRegister(0, 0x18, 4, BigInt(OPERATIONS.release));
    await expect(rig.pc.save()).resolves.toBeInstanceOf(Uint8Array);
    await rig.pc.destroy();
  });

  it.each<[string, PcRigOptions, string]>([
    ["memory", { memoryBytes: 4 << 20 }, "8388608 bytes of memory, this one 4194304"],
    ["units", { units: [] }, "this one nothing more"],
    ["capabilities", { units: [{ capabilities: PC_UNITS.legacy }] }, "this one a unit 0xd2008c"],
    ["disks", { disk: new Uint8Array(1 << 20) }, "this one a disk of 1048576 bytes"],
  ])(
    "PC-SAVE-06: a machine with other %s refuses it, and stays as it is",
    async (_what, options, why) => {
      const rig = await counting();
      const snapshot = await rig.pc.save();
      await rig.pc.destroy();
      const other = await counting(options);
      await other.run(() => other.peek(RESULT)! > 1000);
      const count = other.peek(RESULT);
      await expect(other.pc.restore(snapshot)).rejects.toThrow(RestoreError);
      await expect(other.pc.restore(snapshot)).rejects.toThrow(why);
      expect(other.peek(RESULT)).toBe(count);
      await other.pc.destroy();
    },
  );
});
