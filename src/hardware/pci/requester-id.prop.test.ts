import fc from "fast-check";
import { expect, test } from "vitest";
import {
  busOf,
  deviceOf,
  formatPciAddress,
  formatRequesterId,
  functionOf,
  PciAddressError,
  parsePciAddress,
  requesterId,
} from "./requester-id.ts";

test("PCI-RID-01: a requester ID is bus, device and function", () => {
  fc.assert(
    fc.property(fc.nat(255), fc.nat(31), fc.nat(7), (bus, device, fn) => {
      const id = requesterId(bus, device, fn);
      expect(id).toBe(bus * 256 + device * 8 + fn);
      expect([busOf(id), deviceOf(id), functionOf(id)]).toEqual([bus, device, fn]);
    }),
    { seed: 1 },
  );
});

test("PCI-RID-02: what is formatted is read back, with and without its segment and leading zeros", () => {
  fc.assert(
    fc.property(fc.nat(0xffff), fc.nat(0xffff), (segment, id) => {
      const text = formatPciAddress({ segment, requesterId: id });
      expect(text).toMatch(/^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/);
      expect(parsePciAddress(text)).toEqual({ segment, requesterId: id });
      expect(parsePciAddress(text.toUpperCase())).toEqual({ segment, requesterId: id });
      expect(parsePciAddress(formatRequesterId(id))).toEqual({ segment: 0, requesterId: id });
      const short = `${busOf(id).toString(16)}:${deviceOf(id).toString(16)}.${functionOf(id)}`;
      expect(parsePciAddress(short)).toEqual({ segment: 0, requesterId: id });
    }),
    { seed: 2 },
  );
});

test("PCI-RID-03: text that names no function is a typed error that quotes it", () => {
  const bad = [
    "",
    "0",
    "00:00",
    "00:20.0",
    "00:1f.8",
    "00:00.9",
    "100:00:00.0.0",
    "00:00.0 ",
    "g0:00.0",
    "10000:00:00.0",
    "00:000.0",
    "-1:00.0",
  ];
  for (const text of bad) {
    expect(() => parsePciAddress(text), text).toThrow(PciAddressError);
    expect(() => parsePciAddress(text), text).toThrow(JSON.stringify(text));
  }
  expect(() => parsePciAddress("00:20.0")).toThrow("a device is 00 to 1f");
  expect(() => parsePciAddress("00:1f.8")).toThrow("a function is 0 to 7");
});
