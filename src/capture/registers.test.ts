import { describe, expect, test } from "vitest";
import { CaptureError } from "./capture-error.ts";
import { readRegisters } from "./register-file.ts";
import { assumedVtdRegisters, vtdRegisters, withVtdRegisters } from "./registers.ts";
import { bytesOf, plainFiles } from "./sample-files.ts";

const read = (document: unknown) =>
  readRegisters(plainFiles(new Map([["", bytesOf(JSON.stringify(document))]]), "regs.json"), "");

const REGS = {
  CAP: "0xd2008c22260286",
  GSTS: "0xc7000000",
  RTADDR: "0x34b2400",
  FRCD: [["0x66000000", "0xffff0500000038"]],
};
const WORDS = {
  "0x8": "0x22260286",
  "0xc": "0xd2008c",
  "0x1c": "0xc7000000",
  "0x20": "0x34b2400",
  "0x220": "0x66000000",
  "0x228": "0x38",
  "0x22c": "0xffff05",
};

const expectVtd = (document: unknown) => {
  const captured = read(document);
  if (captured.iommu !== "vtd") throw new Error("not VT-d");
  return captured.registers;
};

describe("register files", () => {
  test.each([
    [
      "both",
      {
        regs: { ...REGS, TTM: 1, TE: 1, IRE: 1, QIE: 1 },
        nonzero_regs: WORDS,
        qemu: "11",
        bad: [],
      },
    ],
    ["regs alone", { regs: REGS }],
    ["nonzero_regs alone", { nonzero_regs: WORDS }],
  ])("CAP-REG-02: %s is enough", (_, document) => {
    const registers = expectVtd(document);
    expect(registers).toMatchObject({
      cap: 0xd2008c22260286n,
      gsts: 0xc7000000n,
      rtaddr: 0x34b2400n,
      iqa: 0n,
    });
    expect(registers.frcd).toEqual([{ lo: 0x66000000n, hi: 0xffff0500000038n }]);
  });

  test.each([
    [
      "a register",
      { regs: { ...REGS, RTADDR: "0x34b2000" } },
      "expected what nonzero_regs has at 0x20, 0x34b2400, found 0x34b2000",
    ],
    ["the upper half", { regs: { ...REGS, RTADDR: "0x1034b2400" } }, "found 0x1034b2400"],
    [
      "a register that is 0 in register space",
      { regs: { IQA: "0x1000" } },
      "expected what nonzero_regs has at 0x90, 0x0",
    ],
    [
      "a fault record",
      { regs: { ...REGS, FRCD: [["0x66001000", "0xffff0500000038"]] } },
      "at 0x220, 0x66000000",
    ],
    ["TTM", { regs: { TTM: 0 } }, "expected TTM as in its register, 1, found 0"],
    ["TE", { regs: { TE: 0 } }, "expected TE as in its register, 1, found 0"],
  ])("CAP-REG-01: %s that disagrees is refused", (_, document, message) => {
    expect(() => read({ nonzero_regs: WORDS, ...document })).toThrow(message);
  });

  test.each([
    ["neither part", {}, 'an object with "regs" or "nonzero_regs"'],
    ["no object", [], "expected an object, found an array"],
    ["a number", { regs: { CAP: 5 } }, "a hexadecimal number of at most 64 bits"],
    ["a negative one", { regs: { CAP: "-0x5" } }, 'found "-0x5"'],
    ["32 bits exceeded", { regs: { GSTS: "0x100000000" } }, "at most 32 bits"],
    ["an odd offset", { nonzero_regs: { "0x6": "0x1" } }, "a multiple of 4 below 0x8000"],
    ["a far offset", { nonzero_regs: { "0x8000": "0x1" } }, "a multiple of 4 below 0x8000"],
    ["an offset that is none", { nonzero_regs: { __proto__x: "0x1" } }, '"__proto__x"'],
    ["one offset twice", { nonzero_regs: { "0x8": "0x1", "0x08": "0x1" } }, "a second 0x8"],
    ["records that CAP has not", { regs: { FRCD: [["0x0", "0x0"]] } }, "at most 0 items"],
    [
      "half a record",
      { regs: { CAP: REGS.CAP, FRCD: [["0x0"]] } },
      "its low and its high quadword",
    ],
    ["a field too large", { regs: { TE: 4 } }, "a whole number from 0 to 3"],
  ])("CAP-BAD-01: %s is refused", (_, document, message) => {
    expect(() => read(document)).toThrow(CaptureError);
    expect(() => read(document)).toThrow(message);
  });

  test("CAP-DIR-04: DTB makes the registers AMD's", () => {
    const captured = read({
      regs: { DTB: "0x1c54003" },
      nonzero_regs: { "0x0": "0x1c54003", "0x2000": "0x70" },
    });
    expect(captured).toMatchObject({
      iommu: "amd",
      registers: { dtb: 0x1c54003n, cmdhead: 0x70n },
    });
  });
});

describe("registers without a file", () => {
  test("CAP-REG-03: a root table and a mode make a unit that translates", () => {
    const { rtaddr, gsts, cap, ecap } = assumedVtdRegisters(0x3408000n, true);
    expect(rtaddr).toBe(0x3408400n);
    expect(assumedVtdRegisters(0x3408000n, false).rtaddr).toBe(0x3408000n);
    expect(gsts >> 30n).toBe(3n);
    expect((cap >> 8n) & 0x1fn).toBe(0b01110n);
    for (const bit of [26n, 43n, 46n, 47n]) expect((ecap >> bit) & 1n).toBe(1n);
  });

  test.each([0x3408400n, 1n << 52n, -4096n])("CAP-REG-03: %s is no root table", (address) => {
    expect(() => assumedVtdRegisters(address, true)).toThrow(
      "--root-table: expected a multiple of 4096 below 2^52",
    );
  });

  test("a change goes to the words as well", () => {
    const changed = withVtdRegisters(vtdRegisters(new Map([[0x24, 7]])), {
      rtaddr: 0x1_0000_2000n,
      gsts: 1n,
    });
    expect(changed.words).toEqual(
      new Map([
        [0x20, 0x2000],
        [0x24, 1],
        [0x1c, 1],
      ]),
    );
  });
});
