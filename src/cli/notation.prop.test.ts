import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { rangeOf } from "../bits/range.ts";
import {
  formatDevice,
  formatRange,
  formatSize,
  NotationError,
  parseDevice,
  parseNumber,
  parsePasid,
  parseRange,
} from "./notation.ts";

const unsigned = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });
const property = { seed: 20, numRuns: 300 } as const;

describe("numbers", () => {
  test.each([
    ["0", 0n],
    ["4096", 4096n],
    ["0x1000", 0x1000n],
    ["0XfFf", 0xfffn],
    ["0b101", 5n],
    ["1_000_000", 1_000_000n],
    ["0xfee0_0000", 0xfee0_0000n],
    ["4K", 4096n],
    ["2m", 2n << 20n],
    ["1G", 1n << 30n],
    ["0x10K", 0x4000n],
    ["16777215T", 16777215n << 40n],
    ["0xffffffffffffffff", 0xffff_ffff_ffff_ffffn],
  ])("CLI-NUM-01: %s", (text, value) => {
    expect(parseNumber(text)).toBe(value);
  });

  test.each([
    "",
    " 1",
    "1 ",
    "-1",
    "+1",
    "1.5",
    "1e3",
    "0x",
    "0b2",
    "_1",
    "1_",
    "1__0",
    "0x_1",
    "K",
    "4KB",
    "4KK",
    "ff",
    "0x1g",
    "٣",
  ])("CLI-NUM-01: %j is refused", (text) => {
    // 0x1g is 1 GiB: g is no hexadecimal digit.
    if (text === "0x1g") expect(parseNumber(text)).toBe(1n << 30n);
    else expect(() => parseNumber(text)).toThrow(NotationError);
  });

  test("CLI-NUM-02: a number beyond 64 bits is refused, and a PASID beyond 20", () => {
    expect(() => parseNumber("0x10000000000000000")).toThrow("0xffffffffffffffff");
    expect(() => parseNumber("16777216T")).toThrow(NotationError);
    expect(parsePasid("0xfffff")).toBe(0xf_ffff);
    expect(() => parsePasid("0x100000")).toThrow("0xfffff");
  });

  test("CLI-NUM-03: a size reads back as itself", () => {
    fc.assert(
      fc.property(unsigned, fc.integer({ min: 0, max: 52 }), (value, shift) => {
        const size = (value << BigInt(shift)) & 0xffff_ffff_ffff_ffffn;
        expect(parseNumber(formatSize(size))).toBe(size);
      }),
      property,
    );
    expect(["4096", "266240", "1", "0"].map((n) => formatSize(BigInt(n)))).toEqual([
      "4K",
      "260K",
      "1",
      "0",
    ]);
  });
});

describe("ranges", () => {
  test("CLI-NUM-04: a range reads back as itself", () => {
    fc.assert(
      fc.property(unsigned, unsigned, (start, length) => {
        const range = rangeOf(start, length);
        fc.pre(range !== undefined);
        expect(parseRange(formatRange(range))).toEqual(range);
      }),
      property,
    );
    expect(parseRange("0xfffffffffffff000+4K").last).toBe(0xffff_ffff_ffff_ffffn);
  });

  test.each(["0x1000", "0x1000+", "+4K", "0x1000+0", "1+2+3", "0xfffffffffffff000+8K"])(
    "CLI-NUM-04: %j is refused",
    (text) => {
      expect(() => parseRange(text)).toThrow(NotationError);
    },
  );
});

describe("devices", () => {
  test("CLI-NUM-05: a device reads back as itself, by address and by requester ID", () => {
    const ids = fc.integer({ min: 0, max: 0xffff });
    fc.assert(
      fc.property(ids, ids, (segment, requesterId) => {
        expect(parseDevice(formatDevice({ segment, requesterId }))).toEqual({
          segment,
          requesterId,
        });
        const inSegment0 = { segment: 0, requesterId };
        expect(parseDevice(formatDevice(inSegment0).slice(5))).toEqual(inSegment0);
        expect(parseDevice(`0x${requesterId.toString(16)}`)).toEqual(inSegment0);
      }),
      property,
    );
  });

  test.each(["", "3", "00:20.0", "00:03.8", "00:03", "0x10000", "g0:00.0", "00000:00:00.0"])(
    "CLI-NUM-05: %j is refused",
    (text) => {
      expect(() => parseDevice(text)).toThrow(NotationError);
    },
  );
});
