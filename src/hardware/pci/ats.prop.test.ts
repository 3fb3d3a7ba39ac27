import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeAtsRange, encodeAtsRange } from "./ats.ts";

test("PCI-ATS-03: the examples of the encoding", () => {
  expect(encodeAtsRange({ address: 0x1234_5000n, sizeLg2: 12 })).toEqual({
    address: 0x1234_5000n,
    s: false,
  });
  expect(encodeAtsRange({ address: 0x1234_4000n, sizeLg2: 13 })).toEqual({
    address: 0x1234_4000n,
    s: true,
  });
  expect(encodeAtsRange({ address: 0x1234_4000n, sizeLg2: 14 })).toEqual({
    address: 0x1234_5000n,
    s: true,
  });
  expect(encodeAtsRange({ address: 0x4000_0000n, sizeLg2: 21 })).toEqual({
    address: 0x400f_f000n,
    s: true,
  });
  expect(encodeAtsRange({ address: 0n, sizeLg2: 63 })).toEqual({
    address: 0x3fff_ffff_ffff_f000n,
    s: true,
  });
  expect(encodeAtsRange({ address: 0n, sizeLg2: 64 })).toEqual({
    address: 0x7fff_ffff_ffff_f000n,
    s: true,
  });
});

test("PCI-ATS-03: an encoded range decodes to itself, whatever the bits below its size", () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.integer({ min: 12, max: 64 }),
      (address, sizeLg2) => {
        const base = (address >> BigInt(sizeLg2)) << BigInt(sizeLg2);
        expect(decodeAtsRange(encodeAtsRange({ address, sizeLg2 }))).toEqual({
          address: base,
          sizeLg2,
        });
      },
    ),
    { seed: 3, numRuns: 500 },
  );
});

test("PCI-ATS-03: bits 11:0 mean nothing, and a decoded range holds the address it was given", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.boolean(), (address, s) => {
      const range = decodeAtsRange({ address, s });
      expect(range).toEqual(decodeAtsRange({ address: address ^ 0xabcn, s }));
      expect(
        range.address <= address && address < range.address + 2n ** BigInt(range.sizeLg2),
      ).toBe(true);
      expect(range.sizeLg2).toBeGreaterThanOrEqual(s ? 13 : 12);
    }),
    { seed: 4 },
  );
});

test("PCI-ATS-04: ones in every bit are every address", () => {
  expect(decodeAtsRange({ address: 2n ** 64n - 1n, s: true })).toEqual({
    address: 0n,
    sizeLg2: 64,
  });
});
