import { describe, expect, test } from "vitest";
import { createBufferMemory, createSparseMemory, PhysicalMemory, sparseRegion } from "./index.ts";

/** What the tests use of the global, which the language's library leaves to the DOM's. */
declare const WebAssembly: {
  readonly Memory: new (limits: {
    initial: number;
    maximum: number;
  }) => {
    readonly buffer: ArrayBuffer;
    grow(pages: number): number;
  };
};

/** The same promises for every kind of memory: 16 MiB from 1 MiB on. */
const KINDS = {
  sparse: () => createSparseMemory([{ base: 0x10_0000n, length: 0x100_0000n }]),
  buffer: () => {
    const bytes = new Uint8Array(0x100_0000);
    return createBufferMemory({ base: 0x10_0000n, length: 0x100_0000n, view: () => bytes });
  },
  "shared buffer": () => {
    const bytes = new Uint8Array(new SharedArrayBuffer(0x100_0000));
    return createBufferMemory({ base: 0x10_0000n, length: 0x100_0000n, view: () => bytes });
  },
  "two regions side by side": () => {
    const bytes = new Uint8Array(0x80_0000);
    const low = createBufferMemory({ base: 0x10_0000n, length: 0x80_0000n, view: () => bytes });
    return new PhysicalMemory([sparseRegion(0x900, 0x800), ...low.regions]);
  },
} as const;

describe.each(Object.entries(KINDS))("%s memory", (_, create) => {
  const FIRST = 0x10_0000n;
  const END = 0x110_0000n;
  /** Where regions, chunks and pages meet. */
  const SEAM = 0x90_0000n;

  test("MEM-01: what is written is read, little endian, in every width and across pages", () => {
    const memory = create();
    for (const base of [FIRST, SEAM - 8n, END - 8n]) {
      expect(memory.write64(base, 0x1122_3344_5566_7788n)).toBe(true);
      expect([
        memory.read64(base),
        memory.read32(base),
        memory.read16(base + 2n),
        memory.read8(base + 7n),
      ]).toEqual([0x1122_3344_5566_7788n, 0x5566_7788, 0x5566, 0x11]);
      expect([
        memory.write8(base, 0x1ff),
        memory.write16(base + 2n, 0xabcd),
        memory.write32(base + 4n, 0xffff_ffff),
      ]).toEqual([true, true, true]);
      expect(memory.read64(base)).toBe(0xffff_ffff_abcd_77ffn);
    }
    const bytes = Uint8Array.from({ length: 3 * 4096 + 5 }, (__, i) => (i * 31) & 0xff);
    expect(memory.write(SEAM - 5000n, bytes)).toBe(true);
    const back = new Uint8Array(bytes.length);
    expect(memory.read(SEAM - 5000n, back)).toBe(true);
    expect(back).toEqual(bytes);
    expect(memory.read8(SEAM - 5001n)).toBe(0);
  });

  test("MEM-02: outside memory nothing happens, and partly outside neither", () => {
    const memory = create();
    for (const address of [0n, FIRST - 8n, END, 1n << 40n, 1n << 52n, 0xffff_ffff_ffff_fff8n]) {
      expect([memory.read64(address), memory.write64(address, 1n)]).toEqual([undefined, false]);
      expect([memory.read8(address), memory.write8(address, 1)]).toEqual([undefined, false]);
      expect(memory.compareAndSwap64(address, 0n, 1n)).toBe(false);
    }
    const bytes = new Uint8Array(32).fill(7);
    expect(memory.write(END - 16n, bytes)).toBe(false);
    expect(memory.read64(END - 16n)).toBe(0n);
    expect(memory.write(FIRST - 16n, bytes)).toBe(false);
    expect(memory.read(END - 16n, bytes)).toBe(false);
    expect([
      memory.covers(FIRST, END - FIRST),
      memory.covers(FIRST, END - FIRST + 1n),
      memory.covers(END, 0n),
    ]).toEqual([true, false, false]);
  });

  test("MEM-07: compare-and-swap", () => {
    const memory = create();
    memory.write64(SEAM - 8n, 0xffff_ffff_0000_0001n);
    expect(memory.compareAndSwap64(SEAM - 8n, 0xffff_ffff_0000_0000n, 5n)).toBe(false);
    expect(memory.compareAndSwap64(SEAM - 8n, 0x0000_0000_0000_0001n, 5n)).toBe(false);
    expect(memory.read64(SEAM - 8n)).toBe(0xffff_ffff_0000_0001n);
    expect(memory.compareAndSwap64(SEAM - 8n, 0xffff_ffff_0000_0001n, 0x8000_0000_ffff_fff0n)).toBe(
      true,
    );
    expect(memory.read64(SEAM - 8n)).toBe(0x8000_0000_ffff_fff0n);
  });

  test("MEM-09: an unaligned single access is a bug", () => {
    const memory = create();
    expect(() => memory.read64(FIRST + 4n)).toThrow("not a multiple of 8");
    expect(() => memory.write16(FIRST + 1n, 0)).toThrow("not a multiple of 2");
    expect(() => memory.compareAndSwap64(FIRST + 4n, 0n, 0n)).toThrow("not a multiple of 8");
  });

  test("MEM-01: banks hold the same bytes", () => {
    const memory = create();
    const pfn = Number(SEAM >> 12n);
    memory.write64(SEAM + 24n, 0x0123_4567_89ab_cdefn);
    const bank = memory.bankOf(pfn);
    const at = ((pfn - bank.firstPfn) << 10) + 6;
    expect([bank.words[at]! >>> 0, bank.words[at + 1]! >>> 0]).toEqual([0x89ab_cdef, 0x0123_4567]);
    expect(memory.bankOf(0).words.length).toBe(0);
    expect(memory.bankOf(2 ** 51).words.length).toBe(0);
  });
});

describe("sparse memory", () => {
  test("MEM-03: zeros until written, from 0 to 2^52, and reading takes no space", () => {
    const memory = createSparseMemory();
    const places = [0n, 0x1234_5678n & ~7n, 1n << 37n, 1n << 47n, (1n << 52n) - 8n];
    for (const at of places) {
      expect(memory.read64(at)).toBe(0n);
      expect(memory.write64(at, at + 1n)).toBe(true);
      expect(memory.read64(at)).toBe(at + 1n);
    }
    for (const at of places) expect(memory.read64(at)).toBe(at + 1n);
    expect(memory.read64(1n << 52n)).toBeUndefined();
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0n; i < 20_000n; i++) memory.read64((i * 0x1_2345_6000n) & ((1n << 52n) - 1n));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * 2 ** 20);
  });

  test("MEM-03: zeros of an unwritten frame do not outlast the write of it", () => {
    const memory = createSparseMemory();
    expect(memory.read64(0x5000n)).toBe(0n);
    memory.write64(0x5000n, 1n);
    expect(memory.read64(0x5000n)).toBe(1n);
    expect(memory.read64(0x40_0000n)).toBe(0n);
    expect(memory.read64(0x5000n)).toBe(1n);
  });
});

describe("memory over a buffer", () => {
  test("MEM-04: both sides see what either writes", () => {
    const bytes = new Uint8Array(8192);
    const memory = createBufferMemory({ base: 0n, length: 8192n, view: () => bytes });
    bytes[4100] = 9;
    expect(memory.read8(4100n)).toBe(9);
    memory.write8(4101n, 8);
    expect(bytes[4101]).toBe(8);
    const inside = new Uint8Array(bytes.buffer, 4096, 4096);
    const offset = createBufferMemory({ base: 0x7000n, length: 4096n, view: () => inside });
    expect(offset.read8(0x7005n)).toBe(8);
  });

  test("MEM-05: a WebAssembly memory grows, and its old buffer is taken away", () => {
    const owner = new WebAssembly.Memory({ initial: 1, maximum: 4 });
    const memory = createBufferMemory({
      base: 0n,
      length: 4n * 65536n,
      view: () => new Uint8Array(owner.buffer),
    });
    memory.write64(0xfff8n, 0x1234n);
    const stale = memory.bankOf(0);
    expect([memory.read64(0x1_0000n), memory.write64(0x1_0000n, 1n)]).toEqual([undefined, false]);
    owner.grow(2);
    expect(stale.words.length).toBe(0);
    expect(memory.read64(0xfff8n)).toBe(0x1234n);
    expect(memory.write64(0x2_fff8n, 5n)).toBe(true);
    expect(memory.compareAndSwap64(0x2_fff8n, 5n, 6n)).toBe(true);
    expect(new DataView(owner.buffer).getBigUint64(0x2_fff8, true)).toBe(6n);
    expect(memory.read64(0x3_0000n)).toBeUndefined();
  });

  test("MEM-06: one call for each write, after it", () => {
    const bytes = new Uint8Array(3 * 4096);
    const heard: [bigint, number, number][] = [];
    const memory = createBufferMemory({
      base: 0x1000n,
      length: 3n * 4096n,
      view: () => bytes,
      onWrite: (address, length) => heard.push([address, length, bytes[Number(address) - 0x1000]!]),
    });
    memory.write8(0x1003n, 7);
    memory.write(0x1ffen, Uint8Array.of(1, 2, 3, 4));
    memory.compareAndSwap64(0x3000n, 0n, 9n);
    memory.compareAndSwap64(0x3000n, 0n, 10n);
    memory.write64(0x4000n, 1n);
    memory.read64(0x3000n);
    expect(heard).toEqual([
      [0x1003n, 1, 7],
      [0x1ffen, 2, 1],
      [0x2000n, 2, 3],
      [0x3000n, 8, 9],
    ]);
  });
});

describe("regions", () => {
  test("MEM-08: side by side and with holes, never over each other", () => {
    const memory = createSparseMemory([
      { base: 0x10_0000n, length: 0x1000n },
      { base: 0n, length: 0xa_0000n },
    ]);
    expect([
      memory.write8(0x9_ffffn, 1),
      memory.write8(0xa_0000n, 1),
      memory.write8(0x10_0000n, 1),
    ]).toEqual([true, false, true]);
    expect([memory.read8(0x9_ffffn), memory.read8(0x10_0000n)]).toEqual([1, 1]);
    expect(() =>
      createSparseMemory([
        { base: 0n, length: 0x2000n },
        { base: 0x1000n, length: 0x1000n },
      ]),
    ).toThrow("overlap");
    expect(() => createSparseMemory([{ base: 1n << 52n, length: 0x1000n }])).toThrow("2^52");
    expect(() =>
      createBufferMemory({ base: 8n, length: 4096n, view: () => new Uint8Array(4096) }),
    ).toThrow("whole pages");
  });
});
