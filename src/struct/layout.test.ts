import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { defineLayout, fieldAt } from "./layout.ts";

const SAMPLE = defineLayout({
  name: "sample",
  bytes: 16,
  section: "§1",
  fields: {
    P: { at: 0, doc: "present" },
    KIND: { at: 4, width: 3, doc: "kind" },
    TABLE: { at: 12, width: 52, kind: "address", doc: "table" },
    ID: { at: 70, width: 20, doc: "id" },
    SPARE: { at: 95, ignored: true, doc: "ignored" },
    EXTRA: { at: 96, width: 8, needs: "extra", doc: "extra" },
  },
});

const by = (extra: boolean, hostAddressWidth = 52) => ({
  has: (name: string) => name === "extra" && extra,
  hostAddressWidth,
});

describe("layouts", () => {
  test("STRUCT-01: decoding undoes encoding, bit by bit", () => {
    const values = fc.record({
      P: fc.bigInt({ min: 0n, max: 1n }),
      KIND: fc.bigInt({ min: 0n, max: 7n }),
      TABLE: fc.bigInt({ min: 0n, max: (1n << 52n) - 1n }).map((pfn) => pfn << 12n),
      ID: fc.bigInt({ min: 0n, max: (1n << 20n) - 1n }),
      SPARE: fc.bigInt({ min: 0n, max: 1n }),
      EXTRA: fc.bigInt({ min: 0n, max: 255n }),
    });
    fc.assert(
      fc.property(values, (given) => {
        const words = SAMPLE.encode(given);
        expect(SAMPLE.decode(words)).toEqual(given);
        expect(words[0]).toBe(given.P | (given.KIND << 4n) | given.TABLE);
        expect(words[1]).toBe((given.ID << 6n) | (given.SPARE << 31n) | (given.EXTRA << 32n));
        const dwords = new Int32Array(BigUint64Array.from(words).buffer);
        expect(BigInt(fieldAt(dwords, 0, SAMPLE.fields.KIND))).toBe(given.KIND);
        expect(BigInt(fieldAt(dwords, 0, SAMPLE.fields.ID))).toBe(given.ID);
        expect(BigInt(fieldAt(dwords, 0, SAMPLE.fields.EXTRA))).toBe(given.EXTRA);
      }),
    );
    expect(SAMPLE.encode({ P: true, KIND: 2 })).toEqual([0x21n, 0n]);
  });

  test("STRUCT-02: reserved is what no field covers, lacks its capability, or is above the host", () => {
    const hole = 0b1111_1000_1110n;
    expect(SAMPLE.reservedMask(by(true))).toEqual([
      hole | (0xfffn << 52n),
      (0xff_ffffn << 40n) | 0x7c00_003fn,
    ]);
    expect(SAMPLE.reservedMask(by(false))[1]).toBe((0xffff_ffffn << 32n) | 0x7c00_003fn);
    expect(SAMPLE.reservedMask(by(true, 39))[0]).toBe(
      hole | (~((1n << 39n) - 1n) & 0xffff_ffff_ffff_ffffn),
    );
    const half = defineLayout({
      name: "half",
      bytes: 4,
      section: "§2",
      fields: { A: { at: 0, width: 32, doc: "" } },
    });
    expect(half.reservedMask(by(true))).toEqual([0n]);
  });

  test("STRUCT-03: a table or a value that does not fit is thrown at once", () => {
    const table = (fields: Record<string, { at: number; width?: number }>) => () =>
      defineLayout({
        name: "bad",
        bytes: 16,
        section: "§3",
        fields: Object.fromEntries(Object.entries(fields).map(([n, f]) => [n, { ...f, doc: "" }])),
      });
    expect(table({ A: { at: 0, width: 4 }, B: { at: 3 } })).toThrow("bad.B: overlaps");
    expect(table({ A: { at: 60, width: 8 } })).toThrow("bad.A: bits 60..67");
    expect(table({ A: { at: 128 } })).toThrow("bad.A");
    expect(() => SAMPLE.encode({ KIND: 8 })).toThrow("sample.KIND: 0x8 does not fit");
    expect(() => SAMPLE.encode({ TABLE: 0x1234n })).toThrow("sample.TABLE: 0x1234");
    expect(() => SAMPLE.encode({ P: -1 })).toThrow("sample.P");
  });
});
