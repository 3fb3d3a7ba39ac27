import { describe, expect, it } from "vitest";
import { CAP, ECAP, SERVER } from "../hardware/vtd/index.ts";
import { HostMachine } from "./host-machine.ts";

const machine = (): HostMachine =>
  new HostMachine({
    units: [{ serves: [{ device: 3 }, { device: 4 }] }, {}],
    populate: ({ root, addEngine }) => {
      addEngine({ device: 2 });
      addEngine({ device: 3 });
      const port = root.add({ kind: "root-port", device: 4 });
      addEngine({ kind: "endpoint", device: 0 }, port.secondary);
    },
  });

describe("the platform port", () => {
  it("MACH-HOST-01: registers of units and devices answer at their addresses, the rest reads ones", () => {
    const { platform, engines } = machine();
    const bases = platform.firmware.units.map(({ base }) => base);
    for (const base of bases) {
      expect(platform.readMmio(base + 8n, 8)).toBe(SERVER.cap);
      expect(CAP.decode([platform.readMmio(base + 8n, 8)]).PSI).toBe(1n);
      expect(ECAP.decode([platform.readMmio(base + 16n, 8)]).SMTS).toBe(1n);
    }
    const bar = engines[0]!.function.bars[0]!.address;
    expect(platform.readMmio(bar, 4)).toBe(0x3145_4d44n);
    platform.writeMmio(bar + 8n, 8, 0x1234n);
    expect(platform.readMmio(bar + 8n, 8)).toBe(0x1234n);
    expect(platform.readMmio(0xd000_0000n, 4)).toBe(0xffff_ffffn);
    expect(platform.readConfig(0, 0x10, 0, 4)).toBe(0x10ff_1af4);
    expect(platform.readConfig(0, 0x50, 0, 4)).toBe(0xffff_ffff);
  });

  it("MACH-HOST-02: firmware says which unit serves whom, and it does", () => {
    const { platform, fabric, engines, units } = machine();
    expect(platform.firmware.units.map(({ scope }) => scope)).toEqual([
      [
        { source: 0x18, subtree: false },
        { source: 0x20, subtree: true },
      ],
      "all",
    ]);
    expect(
      engines.map((engine) => units.indexOf(fabric.translatorOf(engine.function) as never)),
    ).toEqual([1, 0, 0]);
  });

  it("MACH-HOST-03: a unit's own event reaches who has connected its message", () => {
    const { platform, engines } = machine();
    let heard = 0;
    const connection = platform.connectInterrupt(() => heard++)!;
    const { base } = platform.firmware.units[1]!;
    platform.writeMmio(base + 0x3cn, 4, BigInt(connection.data));
    platform.writeMmio(base + 0x40n, 4, connection.address);
    platform.writeMmio(base + 0x38n, 4, 0n);
    platform.writeMmio(base + 0x18n, 4, 1n << 30n);
    platform.writeMmio(base + 0x18n, 4, 1n << 31n);
    const engine = engines[0]!;
    engine.function.config.write(4, 2, 6);
    engine.writeRegister(0, 0x10, 4, 1n);
    engine.writeRegister(0, 0x18, 4, 1n);
    expect(heard).toBe(1);
    connection.disconnect();
    expect(platform.connectInterrupt(() => {})?.data).toBe(connection.data);
  });
});
