import { describe, expect, test } from "vitest";
import { SOURCE, UnitRig } from "../../../test/unit-rig.ts";
import { EXECUTE, NO_PASID, PRIVILEGED, READ, TRANSLATED, WRITE } from "../pci/dma-request.ts";
import { createCapabilities } from "./capabilities.ts";
import { SERVER } from "./profiles.ts";

/** The server's unit with `records` fault records. */
const withRecords = (records: number): UnitRig =>
  new UnitRig(
    createCapabilities({
      cap: (SERVER.cap & ~(0xffn << 40n)) | (BigInt(records - 1) << 40n),
      ecap: SERVER.ecap,
      hostAddressWidth: 52,
    }),
  ).enable();

/** Has an interrupt of another device fault: nothing is in the remapping table. */
const faultOf = (rig: UnitRig, source: number): void => {
  rig.unit.deliver({ source, address: 0xfee0_0010n, data: 0 });
};

describe("fault records", () => {
  test("VTD-REC-01: what a record says", () => {
    const rig = withRecords(1);
    const clear = () => {
      rig.write64(0x228, 1n << 63n);
      rig.write32(0x34, 0x7f);
    };
    rig.port.write(0x9123n, Uint8Array.of(1));
    expect(rig.record()).toMatchObject({
      code: 0x79,
      source: SOURCE,
      address: 0x9000n,
      pending: true,
    });
    expect(rig.record().high).toBe((1n << 63n) | (0x79n << 32n) | BigInt(SOURCE));
    expect(rig.read32(0x34)).toBe(2);
    clear();
    rig.port.read(0x9123n, 1);
    expect(rig.record().high >> 60n).toBe(0xcn);
    clear();
    rig.port.transfer(0x9000n, new Uint8Array(1), READ | WRITE);
    expect([rig.record().high >> 60n, (rig.record().high >> 28n) & 1n]).toEqual([0xcn, 1n]);
    clear();
    rig.port.read(0x9000n, 1, 0xabcde, EXECUTE | PRIVILEGED);
    expect(rig.record()).toMatchObject({ code: 0x46, address: 0x9000n });
    expect((rig.record().high >> 40n) & 0xf_ffffn).toBe(0xabcden);
    expect((rig.record().high >> 29n) & 7n).toBe(7n);
    clear();
    rig.poke(0x12_1000n + BigInt(SOURCE) * 32n, 0n);
    rig.write64(0x28, 0xa000_0000_0000_0000n);
    rig.port.transfer(0x5000n, new Uint8Array(1), READ, NO_PASID, TRANSLATED);
    expect([rig.record().code, rig.record().high >> 60n]).toEqual([0x41, 0xen]);
  });

  test("VTD-REC-02: faults of a source that has one pending are compressed", () => {
    const rig = withRecords(4);
    rig.read(0x9000n);
    rig.read(0xa000n);
    rig.port.write(0xb000n, Uint8Array.of(1));
    expect([rig.record(0), rig.record(1).pending, rig.read32(0x34)]).toEqual([
      expect.objectContaining({ address: 0x9000n, pending: true }),
      false,
      2,
    ]);
  });

  test("VTD-REC-03: overflow, and where the next record goes", () => {
    const rig = withRecords(3);
    rig.write64(0xb8, 0x15_0000n);
    rig.command(24);
    rig.command(25);
    for (const source of [1, 2, 3]) faultOf(rig, source);
    expect([0, 1, 2].map((n) => rig.record(n).source)).toEqual([1, 2, 3]);
    expect(rig.read32(0x34)).toBe(2);
    faultOf(rig, 4);
    expect(rig.read32(0x34)).toBe(3);
    rig.write64(0x228, 1n << 63n);
    faultOf(rig, 5);
    expect(rig.record(0).pending).toBe(false);
    rig.write32(0x34, 1);
    faultOf(rig, 5);
    expect([rig.record(0).source, rig.record(0).pending]).toEqual([5, true]);
    for (const n of [0, 1, 2]) rig.write64(0x228 + 16 * n, 1n << 63n);
    expect(rig.read32(0x34) & 3).toBe(0);
    faultOf(rig, 6);
    expect([rig.record(1).source, rig.read32(0x34)]).toEqual([6, 0x102]);
  });

  test("VTD-REC-04: what is silenced is not recorded", () => {
    const rig = withRecords(1);
    rig.poke(0x12_1000n + BigInt(SOURCE) * 32n, 0x12_2000n | 0xfn);
    expect([rig.read(0x9000n), rig.record().pending]).toEqual([undefined, false]);
    const answer = rig.port.requestTranslation(0x9000n, READ, 5);
    expect([answer.ok, rig.record().pending]).toEqual([false, false]);
    rig.write64(0x20, 0xc00n);
    rig.command(30);
    expect([rig.read(0x7000n), rig.record().pending, rig.read32(0x34)]).toEqual([
      undefined,
      false,
      0,
    ]);
  });

  test("VTD-REC-05: F and PPF", () => {
    const rig = withRecords(2);
    rig.read(0x9000n);
    expect(rig.read32(0x34)).toBe(2);
    rig.unit.writeRegister(0x22f, 1, 0x80n);
    expect([rig.read32(0x34), rig.record().pending]).toEqual([0, false]);
    rig.read(0xa000n);
    expect([rig.read32(0x34), rig.record(1).address]).toEqual([0x102, 0xa000n]);
  });
});

describe("events", () => {
  const program = (rig: UnitRig, data = 0x55, address = 0xfee0_2000, upper = 0): void => {
    rig.write32(0x3c, data);
    rig.write32(0x40, address);
    rig.write32(0x44, upper);
  };

  test("VTD-EVT-01: masked it waits, unmasked it goes", () => {
    const rig = withRecords(1);
    program(rig);
    rig.read(0x9000n);
    expect([rig.interrupts, rig.read32(0x38)]).toEqual([[], 0xc000_0000]);
    rig.write32(0x38, 0);
    expect([rig.interrupts, rig.read32(0x38)]).toEqual([
      [
        {
          vector: 0x55,
          destination: 2,
          destinationMode: "physical",
          redirectionHint: false,
          deliveryMode: 0,
          triggerMode: "edge",
        },
      ],
      0,
    ]);
    rig.write64(0x228, 1n << 63n);
    rig.read(0x9000n);
    expect(rig.interrupts.length).toBe(2);
  });

  test("VTD-EVT-02: one event for all that is pending, and none once it is seen to", () => {
    const rig = withRecords(1).enableQueue();
    rig.command(24);
    rig.command(25);
    program(rig);
    rig.write32(0x38, 0);
    rig.read(0x9000n);
    rig.submit([0n]);
    faultOf(rig, 9);
    expect([rig.interrupts.length, rig.read32(0x34) & 0x12]).toEqual([1, 0x12]);
    rig.write32(0x38, 0x8000_0000);
    rig.write64(0x228, 1n << 63n);
    rig.poke(0x10_0000n, 5n | 0x20n, 0x11_0000n, 0n, 0n);
    rig.write32(0x34, 0x11);
    expect(rig.read32(0x34)).toBe(0);
    rig.read(0x9000n);
    expect(rig.read32(0x38)).toBe(0xc000_0000);
    rig.write64(0x228, 1n << 63n);
    expect(rig.read32(0x38)).toBe(0x8000_0000);
    rig.write32(0x38, 0);
    expect(rig.interrupts.length).toBe(1);
  });

  test("VTD-EVT-03: destinations of 32 bits", () => {
    const rig = withRecords(1);
    program(rig, 0x30, 0xfee1_2000, 0x1234_5600);
    rig.write32(0x38, 0);
    rig.read(0x9000n);
    expect(rig.interrupts).toMatchObject([{ vector: 0x30, destination: 0x1234_5612 }]);
  });
});
