import { describe, expect, test } from "vitest";
import { openBytes } from "./byte-source.ts";
import { CaptureError } from "./capture-error.ts";
import { fileMemory } from "./file-region.ts";
import type { MemoryFiles } from "./memory-files.ts";
import { readCapture } from "./read-capture.ts";
import { plainFiles, sampleFiles } from "./sample-files.ts";

/** Files that note what is read from them. */
const watched = (bytes: Uint8Array) => {
  const reads: number[] = [];
  const inner = plainFiles(new Map([["ram", bytes]]));
  const files: MemoryFiles = {
    ...inner,
    readRange(path, offset, length) {
      reads.push(length);
      return inner.readRange(path, offset, length);
    },
  };
  return { files, reads };
};

/** Memory over `frames` frames of a file, frame n filled with n. */
const memoryOver = (frames: number, ramFrames = frames, bounds = { cached: 4, written: 3 }) => {
  const bytes = new Uint8Array(frames * 4096);
  for (let i = 0; i < frames; i++) bytes.fill(i, i * 4096, (i + 1) * 4096);
  const { files, reads } = watched(bytes);
  const source = openBytes(files, "ram", 0);
  reads.length = 0;
  const extents = [{ address: 0, length: bytes.length, offset: 0 }];
  const ram = [{ base: 0n, length: BigInt(ramFrames) * 4096n }];
  return { memory: fileMemory(source, extents, ram, bounds), reads, bytes, files };
};

describe("memory out of a file", () => {
  test("CAP-MEM-01: what was not kept is zero, and outside RAM is nothing", () => {
    const { memory } = readCapture(sampleFiles());
    expect(memory.read64(0x3000n)).toBe(0n);
    expect(memory.read64(0xf_e000n)).toBe(0n);
    expect(memory.read64(0x10_0000n)).toBeUndefined();
  });

  test("CAP-MEM-02: a page is read when it is asked for, and once", () => {
    const { memory, reads } = memoryOver(16);
    expect(reads).toEqual([]);
    for (const at of [0x3000n, 0x3ff8n, 0x5000n, 0x3008n]) memory.read64(at);
    expect(reads).toEqual([4096, 4096]);
  });

  test("CAP-MEM-02: the pages that are held are bounded, and the oldest goes", () => {
    const { memory, reads } = memoryOver(5);
    for (let pfn = 0; pfn <= 4; pfn++) memory.bankOf(pfn);
    reads.length = 0;
    memory.bankOf(1);
    memory.bankOf(4);
    expect(reads.length).toBe(0);
    expect(memory.read8(0n)).toBe(0);
    expect(memory.read8(0x1000n)).toBe(1);
    expect(reads.length).toBe(2);
  });

  test("CAP-MEM-03: a file that ends too early is an error when that page is read", () => {
    const { memory, bytes, files } = memoryOver(4);
    files.contents.set("ram", bytes.subarray(0, 0x2800));
    expect(memory.read8(0x1000n)).toBe(1);
    expect(() => memory.read8(0x2000n)).toThrow(CaptureError);
    expect(() => memory.read8(0x2000n)).toThrow(
      "sample/ram: at byte 0x2800: expected 2048 more bytes, found the end of the file",
    );
  });

  test("CAP-MEM-03: a file that is gone is an error, for a write too", () => {
    const { memory, files } = memoryOver(4);
    files.contents.clear();
    expect(() => memory.read8(0n)).toThrow("sample/ram: expected a file, found none");
    expect(() => memory.write8(0n, 1)).toThrow(CaptureError);
  });

  test("CAP-MEM-04: writes stay in memory, and are read back", () => {
    const { memory, bytes } = memoryOver(4, 8);
    expect(memory.write64(0x2008n, 99n)).toBe(true);
    expect(memory.write64(0x6000n, 77n)).toBe(true);
    expect(memory.compareAndSwap64(0x2008n, 99n, 100n)).toBe(true);
    expect([0x2000n, 0x2008n, 0x6000n, 0x6008n].map((at) => memory.read64(at))).toEqual([
      0x0202_0202_0202_0202n,
      100n,
      77n,
      0n,
    ]);
    expect(bytes[0x2008]).toBe(2);
  });

  test("CAP-MEM-04: the pages that can be written are bounded, and a further write has no effect", () => {
    const { memory } = memoryOver(8);
    expect([0n, 1n, 2n, 3n, 0n].map((pfn) => memory.write8(pfn * 4096n, 9))).toEqual([
      true,
      true,
      true,
      false,
      true,
    ]);
    expect([0n, 1n, 2n, 3n].map((pfn) => memory.read8(pfn * 4096n))).toEqual([9, 9, 9, 3]);
  });
});
