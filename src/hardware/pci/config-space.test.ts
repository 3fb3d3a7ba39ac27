import { describe, expect, test } from "vitest";
import type { ConfigWidth } from "./config-space.ts";
import { configSpaceOf } from "./declaration.ts";
import { type FunctionKind, KINDS } from "./function-kind.ts";
import {
  ACS_CAPABILITY,
  ATS_CAPABILITY,
  MSI_CAPABILITY,
  PAGE_REQUEST_CAPABILITY,
  PASID_CAPABILITY,
  PCI_EXPRESS_CAPABILITY,
} from "./spec/capabilities.ts";

const rich = () =>
  configSpaceOf({
    kind: "endpoint",
    device: 0,
    vendorId: 0x8086,
    deviceId: 0x0b25,
    classCode: 0x088000,
    subsystemVendorId: 0x1af4,
    subsystemId: 0x1100,
    msi: { vectorsLg2: 3 },
    acs: { requestRedirect: true, completionRedirect: true },
    ats: { invalidateQueueDepth: 4 },
    pageRequest: { capacity: 512 },
    pasid: { width: 20, privileged: true },
  });

/** Follows the list in offset space, as software does. */
const capabilities = (config: ReturnType<typeof rich>): [number, number][] => {
  const found: [number, number][] = [];
  for (let at = config.read(0x34, 1); at !== 0; at = config.read(at + 1, 1))
    found.push([config.read(at, 1), at]);
  return found;
};

const extendedCapabilities = (config: ReturnType<typeof rich>): [number, number][] => {
  const found: [number, number][] = [];
  for (let at = 0x100; at !== 0 && config.read(at, 4) !== 0; at = config.read(at, 4) >>> 20) {
    found.push([config.read(at, 2), at]);
  }
  return found;
};

describe("configuration space", () => {
  test("PCI-CFG-01: identification reads as declared, at any width and alignment", () => {
    const config = rich();
    expect(config.read(0, 4)).toBe(0x0b25_8086);
    expect(config.read(2, 2)).toBe(0x0b25);
    expect(config.read(1, 2)).toBe(0x2580);
    expect(config.read(1, 4)).toBe(0x000b_2580);
    expect(config.read(0x0a, 2)).toBe(0x0880);
    expect(config.read(0x2c, 4)).toBe(0x1100_1af4);
  });

  test("PCI-CFG-02: beyond the space all is ones and nothing is written", () => {
    const config = rich();
    expect(config.read(4094, 4)).toBe(0xffff_0000);
    expect(config.read(4096, 1)).toBe(0xff);
    config.write(4095, 4, 0);
    const conventional = configSpaceOf({ kind: "conventional", device: 0 });
    expect(conventional.size).toBe(256);
    expect(conventional.read(0x100, 4)).toBe(0xffff_ffff);
  });

  test("PCI-CFG-03: all-ones change exactly the writable bits, at every width and alignment", () => {
    const expected = rich();
    for (let at = 0; at < 4096; at += 4) expected.write(at, 4, 0xffff_ffff);
    const widths: ConfigWidth[] = [1, 2, 4];
    for (const width of widths) {
      const config = rich();
      for (let at = 0; at < 4096; at++) config.write(at, width, 0xffff_ffff);
      expect(config.inspect()).toEqual(expected.inspect());
    }
    // Command: I/O, memory, bus master, parity response, SERR, INTx disable.
    expect(expected.read(4, 2)).toBe(0x0547);
    expect(expected.read(0, 4)).toBe(0x0b25_8086);
    // Base addresses are not implemented.
    for (let at = 0x10; at < 0x28; at += 4) expect(expected.read(at, 4)).toBe(0);
  });

  test("PCI-CFG-03: a narrow write leaves the bytes beside it alone", () => {
    const config = rich();
    config.write(4, 2, 0x0406);
    config.write(5, 1, 0);
    expect(config.read(4, 2)).toBe(0x0006);
    config.write(3, 4, 0x0000_0000);
    expect(config.read(4, 2)).toBe(0);
    expect(config.read(0, 4)).toBe(0x0b25_8086);
  });

  test("PCI-CFG-04: a status bit is cleared by a 1 and kept by a 0", () => {
    const config = rich();
    const status = config.offsetOf(PCI_EXPRESS_CAPABILITY.layout)! + 0x0a;
    config.set(PCI_EXPRESS_CAPABILITY.layout, "unsupportedDetected", 1);
    config.set(PCI_EXPRESS_CAPABILITY.layout, "correctableDetected", 1);
    config.write(status, 2, 0);
    expect(config.read(status, 2)).toBe(9);
    config.write(status, 2, 8);
    expect(config.read(status, 2)).toBe(1);
    config.writeField(PCI_EXPRESS_CAPABILITY.layout, "relaxedOrdering", 0);
    expect(config.read(status, 2)).toBe(1);
  });

  test("PCI-CFG-05: both capability lists are linked in order and end", () => {
    const config = rich();
    expect(config.read(6, 2) & 0x10).toBe(0x10);
    expect(capabilities(config).map(([id]) => id)).toEqual([0x05, 0x10]);
    expect(extendedCapabilities(config).map(([id]) => id)).toEqual([0x0d, 0x0f, 0x13, 0x1b]);
    expect(extendedCapabilities(config).map(([, at]) => at % 4)).toEqual([0, 0, 0, 0]);
    const plain = configSpaceOf({ kind: "conventional", device: 0 });
    expect(plain.read(6, 2) & 0x10).toBe(0);
    expect(plain.read(0x34, 1)).toBe(0);
    const express = configSpaceOf({ kind: "endpoint", device: 0 });
    expect(express.read(0x100, 4)).toBe(0);
  });

  test("PCI-CFG-06: device and port type are those of the kind", () => {
    for (const kind of Object.keys(KINDS) as FunctionKind[]) {
      const config = configSpaceOf({ kind, device: 0 });
      const { portType, bridge } = KINDS[kind];
      expect(config.read(0x0e, 1)).toBe(bridge ? 1 : 0);
      if (portType === undefined) expect(capabilities(config)).toEqual([]);
      else {
        const at = capabilities(config).find(([id]) => id === 0x10)![1];
        expect((config.read(at + 2, 2) >>> 4) & 0xf).toBe(portType);
        expect(config.read(at + 2, 2) & 0xf).toBe(2);
        // End-End TLP Prefix Supported, Device Capabilities 2 bit 21.
        expect((config.read(at + 0x24, 4) >>> 21) & 1).toBe(1);
      }
    }
  });

  test("PCI-CFG-07: enable bits are writable where the capability beside them is advertised", () => {
    const config = rich();
    const pasid = config.offsetOf(PASID_CAPABILITY.layout)!;
    expect(config.read(pasid + 4, 2)).toBe(0x1404);
    config.write(pasid + 6, 2, 0xffff);
    expect(config.read(pasid + 6, 2)).toBe(0b101);
    const acs = config.offsetOf(ACS_CAPABILITY.layout)!;
    expect(config.read(acs + 4, 2)).toBe(0b1100);
    config.write(acs + 6, 2, 0xffff);
    expect(config.read(acs + 6, 2)).toBe(0b1100);
  });

  test("PCI-CFG-08: ATS, page request and MSI registers have the bits of the specification", () => {
    const config = rich();
    const ats = config.offsetOf(ATS_CAPABILITY.layout)!;
    expect(config.read(ats, 4) & 0xfffff).toBe(0x1000f);
    expect(config.read(ats + 4, 2)).toBe(0x24);
    config.write(ats + 6, 2, 0xffff);
    expect(config.read(ats + 6, 2)).toBe(0x801f);
    const pri = config.offsetOf(PAGE_REQUEST_CAPABILITY.layout)!;
    expect(config.read(pri + 6, 2)).toBe(0x8100);
    expect(config.read(pri + 8, 4)).toBe(512);
    config.write(pri + 4, 4, 0x3);
    expect(config.read(pri + 4, 2)).toBe(1);
    config.write(pri + 12, 4, 0xdead_beef);
    expect(config.read(pri + 12, 4)).toBe(0xdead_beef);
    const msi = config.offsetOf(MSI_CAPABILITY.layout)!;
    expect(config.read(msi + 2, 2)).toBe(0x0086);
    config.write(msi + 4, 4, 0xfee0_0003);
    expect(config.read(msi + 4, 4)).toBe(0xfee0_0000);
    config.write(msi + 12, 4, 0xffff_ffff);
    expect(config.read(msi + 12, 4)).toBe(0xffff);
  });

  test("PCI-CFG-09: reset puts every register back", () => {
    const fresh = rich().inspect();
    const config = rich();
    for (let at = 0; at < 4096; at += 4) config.write(at, 4, 0xffff_ffff);
    expect(config.inspect()).not.toEqual(fresh);
    config.reset();
    expect(config.inspect()).toEqual(fresh);
  });

  test("PCI-CFG-10: a conventional function cannot declare extended capabilities", () => {
    expect(() => configSpaceOf({ kind: "conventional", device: 0, ats: {} })).toThrow(RangeError);
  });
});
