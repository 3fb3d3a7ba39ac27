import { describe, expect, test } from "vitest";
import { CaptureError } from "./capture-error.ts";
import { readCapture } from "./read-capture.ts";
import { assumedVtdRegisters } from "./registers.ts";
import { plainFiles, type SampleSegment, sampleElf } from "./sample-files.ts";

const registers = { iommu: "vtd", registers: assumedVtdRegisters(0n, false) } as const;

const readBytes = (bytes: Uint8Array) =>
  readCapture(plainFiles(new Map([["", bytes]]), "guest.elf"), { registers });

const page = (value: number, length = 4096): Uint8Array => new Uint8Array(length).fill(value);

/** A core with one field changed: byte offset, width in bytes, value. */
const edited = (
  segments: readonly SampleSegment[],
  at: number,
  width: 1 | 2 | 4 | 8,
  value: bigint,
) => {
  const bytes = sampleElf(segments);
  for (let i = 0; i < width; i++) bytes[at + i] = Number((value >> BigInt(i * 8)) & 0xffn);
  return bytes;
};

const ONE: SampleSegment[] = [{ address: 0x1000n, bytes: page(7) }];

const problemOf = (bytes: Uint8Array): CaptureError => {
  try {
    readBytes(bytes);
  } catch (error) {
    if (error instanceof CaptureError) return error;
    throw error;
  }
  throw new Error("was read");
};

describe("ELF cores", () => {
  test("CAP-ELF-03: each PT_LOAD is memory at its physical address, and nothing else is", () => {
    const { memory, ram, storedPages } = readBytes(
      sampleElf([
        { type: 4, address: 0n, bytes: page(9, 100) },
        { address: 0x10_0000_0000n, bytes: page(2) },
        { address: 0x1000n, bytes: page(7, 8192) },
      ]),
    );
    expect(ram).toEqual([
      { base: 0x1000n, length: 0x2000n },
      { base: 0x10_0000_0000n, length: 0x1000n },
    ]);
    expect(storedPages).toBeUndefined();
    expect(memory.read8(0xfffn)).toBeUndefined();
    expect(memory.read64(0x2ff8n)).toBe(0x0707_0707_0707_0707n);
    expect(memory.read8(0x3000n)).toBeUndefined();
    expect(memory.read8(0x10_0000_0fffn)).toBe(2);
  });

  test("CAP-ELF-03: what the file does not have up to p_memsz is zero", () => {
    const { memory } = readBytes(
      sampleElf([
        { address: 0x1000n, bytes: page(7, 4100), memoryBytes: 0x4000n },
        {
          address: 0x8000n,
          bytes: page(0, 0),
          memoryBytes: 1n << 51n,
          offset: 0xffff_ffff_ffff_ffffn,
        },
      ]),
    );
    expect([0x2003n, 0x2004n, 0x4fffn, 0x5000n].map((at) => memory.read8(at))).toEqual([
      7,
      0,
      0,
      undefined,
    ]);
    expect(memory.read64(1n << 50n)).toBe(0n);
  });

  test("CAP-ELF-04: loads that share a page or touch are one range", () => {
    const { memory, ram } = readBytes(
      sampleElf([
        { address: 0x1000n, bytes: page(1, 0x900) },
        { address: 0x1c00n, bytes: page(2, 0x400) },
        { address: 0x2000n, bytes: page(3) },
      ]),
    );
    expect(ram).toEqual([{ base: 0x1000n, length: 0x2000n }]);
    expect([0x18ffn, 0x1900n, 0x1bffn, 0x1c00n, 0x2000n].map((at) => memory.read8(at))).toEqual([
      1, 0, 0, 2, 3,
    ]);
  });

  test.each([
    [
      "overlap",
      [
        { address: 0x1000n, bytes: page(1, 8192) },
        { address: 0x2000n, bytes: page(2) },
      ],
    ],
    [
      "are the same",
      [
        { address: 0x1000n, bytes: page(1) },
        { address: 0x1000n, bytes: page(1) },
      ],
    ],
  ])("CAP-ELF-04: loads that %s are refused", (_, segments) => {
    const problem = problemOf(sampleElf(segments));
    expect(problem.message).toContain("expected a PT_LOAD that does not overlap the one up to 0x");
    expect(problem.offset).toBe(128 + 56 + 24);
  });

  test("CAP-ELF-04: ranges of RAM are counted", () => {
    const segments = Array.from({ length: 4097 }, (_, i) => ({
      address: BigInt(i) * 0x2000n,
      bytes: page(1, 1),
    }));
    expect(problemOf(sampleElf(segments)).message).toContain(
      "expected at most 4096 ranges of memory, found 4097",
    );
  });

  test("CAP-ELF-02: section 0 counts segments when e_phnum cannot", () => {
    const segments = Array.from({ length: 0xffff }, (_, i) => ({
      address: BigInt(i) * 4096n,
      bytes: page(i & 0xff, 1),
    }));
    const { memory, ram } = readBytes(sampleElf(segments, true));
    expect(ram).toEqual([{ base: 0n, length: 0xffffn * 4096n }]);
    expect(memory.read8(0xfffen * 4096n)).toBe(0xfe);
  });

  test.each([
    ["0", 0n],
    ["fewer than make it necessary", 5n],
    ["more than are believed", 0xffff_ffffn],
  ])("CAP-ELF-02: a section that counts %s is refused", (_, count) => {
    const bytes = sampleElf(ONE, true);
    new DataView(bytes.buffer).setUint32(64 + 44, Number(count), true);
    expect(problemOf(bytes)).toMatchObject({
      offset: 108,
      expected: "from 65535 to 262144 segments (sh_info)",
    });
  });

  test.each([
    ["no section", 0n],
    ["one beyond the end", 1n << 62n],
  ])("CAP-ELF-02: PN_XNUM with %s is refused", (_, sections) => {
    const bytes = sampleElf(ONE, true);
    new DataView(bytes.buffer).setBigUint64(40, sections, true);
    expect(problemOf(bytes).offset).toBe(40);
  });

  test.each([
    ["a 32-bit file", 4, 1, 1n, "a 64-bit file"],
    ["a big-endian one", 5, 1, 2n, "a little-endian file"],
    ["another version", 6, 1, 2n, "ELF version 1"],
    ["a program", 16, 2, 2n, "a core (e_type 4)"],
    ["another machine", 18, 2, 183n, "an x86-64 machine's core"],
    ["other program headers", 54, 2, 32n, "program headers of 56 bytes"],
    [
      "program headers beyond the end",
      32,
      8,
      0xffff_ffff_ffff_fff0n,
      "1 program headers inside the file",
    ],
    ["program headers cut short", 56, 2, 0xfffen, "65534 program headers inside the file"],
    ["no program headers", 56, 2, 0n, "at least one PT_LOAD"],
    ["no PT_LOAD", 128, 4, 4n, "at least one PT_LOAD"],
  ] as const)("CAP-ELF-01: %s is refused", (_, at, width, value, expected) => {
    const problem = problemOf(edited(ONE, at, width, value));
    expect(problem.expected).toContain(expected);
    expect(problem.file).toBe("guest.elf");
    expect(problem.offset).toBeDefined();
  });

  test.each([
    ["bytes beyond the end", 8, 0x100n, "0x1000 bytes inside the file"],
    ["bytes far beyond", 8, 0xffff_ffff_ffff_f000n, "0x1000 bytes inside the file"],
    ["more bytes than memory", 40, 0xfffn, "at most p_memsz, 0xfff bytes"],
    ["an address beyond 2^52", 24, 1n << 52n, "an address below 2^52"],
    ["memory that ends beyond 2^52", 40, 1n << 52n, "at most 0xffffffffff000 bytes up to 2^52"],
    ["a size that wraps", 40, 0xffff_ffff_ffff_ffffn, "up to 2^52"],
  ] as const)("CAP-ELF-03: a PT_LOAD with %s is refused", (_, at, value, expected) => {
    const problem = problemOf(edited(ONE, 128 + at, 8, value));
    expect(problem.expected).toContain(expected);
    expect(problem.offset).toBeGreaterThanOrEqual(128);
  });

  test("CAP-BAD-01: a core cut anywhere is refused", () => {
    const bytes = sampleElf(ONE);
    for (let length = 4; length < bytes.length; length += 37) {
      expect(problemOf(bytes.slice(0, length)).file).toBe("guest.elf");
    }
  });
});
