import { describe, expect, it } from "vitest";
import { createBufferMemory, createSparseMemory } from "../memory/index.ts";
import { TraceChannel, type TraceEvent } from "../trace/index.ts";
import {
  AMD_V1,
  adoptPageTable,
  createPageTable,
  Gather,
  markDirty,
  type PageTableFormat,
  type PageTableOptions,
  PROT_READ,
  PROT_WRITE,
  protText,
  VTD_SECOND_STAGE,
  X86_64,
} from "./index.ts";
import { CountedPages, createRig, expectNoLeak, leafLines } from "./suite-rig.ts";

const RW = PROT_READ | PROT_WRITE;
const K4 = 1n << 12n;
const M2 = 1n << 21n;
const G1 = 1n << 30n;

const errorOf = (options: Omit<PageTableOptions, "memory" | "pages">): string => {
  const memory = createSparseMemory();
  const made = createPageTable({ ...options, memory, pages: new CountedPages(memory) });
  return made.ok ? "ok" : made.errno;
};

describe("making a table", () => {
  it("PT-FMT-01: levels, widths and page sizes outside the format's are refused", () => {
    const levels: readonly (readonly [PageTableFormat, readonly number[]])[] = [
      [X86_64, [4, 5]],
      [VTD_SECOND_STAGE, [3, 4, 5]],
      [AMD_V1, [1, 2, 3, 4, 5, 6]],
    ];
    for (const [format, allowed] of levels) {
      for (const count of [-1, 0, 1, 2, 3, 4, 5, 6, 7, 4.5]) {
        const expected = allowed.includes(count) ? "ok" : "EINVAL";
        expect([count, errorOf({ format, levels: count })]).toEqual([count, expected]);
      }
    }
    const wrong: readonly Partial<PageTableOptions>[] = [
      { inputLg2: 0 },
      { inputLg2: 12 },
      { inputLg2: 49 },
      { outputLg2: 0 },
      { outputLg2: 53 },
      { pageSizes: 0n },
      { pageSizes: 1n << 13n },
      { pageSizes: G1, inputLg2: 29 },
    ];
    for (const options of wrong) {
      expect([options, errorOf({ format: X86_64, levels: 4, ...options })]).toEqual([
        options,
        "EINVAL",
      ]);
    }
    expect(errorOf({ format: X86_64, levels: 4, inputLg2: 48, outputLg2: 52 })).toBe("ok");
    expect(errorOf({ format: AMD_V1, levels: 1, pageSizes: M2 })).toBe("EINVAL");
  });

  it("PT-FMT-02: an option that the format has no means for is refused", () => {
    expect(errorOf({ format: X86_64, levels: 4, forceSnoop: true })).toBe("EOPNOTSUPP");
    expect(errorOf({ format: X86_64, levels: 4, growable: true })).toBe("EOPNOTSUPP");
    expect(errorOf({ format: VTD_SECOND_STAGE, levels: 4, signExtend: true })).toBe("EOPNOTSUPP");
    expect(errorOf({ format: VTD_SECOND_STAGE, levels: 4, growable: true })).toBe("EOPNOTSUPP");
    expect(errorOf({ format: AMD_V1, levels: 4, signExtend: true })).toBe("EOPNOTSUPP");
  });

  it("PT-FMT-03: without a frame for the top, or with one outside memory, there is no table", () => {
    const memory = createSparseMemory([{ base: 0n, length: K4 }]);
    const pages = new CountedPages(createSparseMemory());
    const options = { format: X86_64, levels: 4, memory, pages };
    expect(createPageTable(options)).toEqual({ ok: false, errno: "EFAULT" });
    expect(pages.out.size).toBe(0);
    pages.left = 0;
    expect(createPageTable(options)).toEqual({ ok: false, errno: "ENOMEM" });
    expect(adoptPageTable(1, options)).toEqual({ ok: false, errno: "EFAULT" });
    expect(adoptPageTable(0, { ...options, levels: 3 })).toEqual({ ok: false, errno: "EINVAL" });
    expect(adoptPageTable(0, options)).toMatchObject({ ok: true });
  });
});

/** The entries of a mapping of `size` bytes at 0 to `pa`, from the top down. */
const entriesOf = (
  shape: Pick<PageTableOptions, "format" | "levels" | "forceSnoop">,
  pa: bigint,
  size: bigint,
  prot: number,
): readonly bigint[] => {
  const rig = createRig(shape);
  expect(rig.table.map(0n, pa, size, prot, rig.gather)).toMatchObject({ ok: true });
  const entries = [...rig.table.entries()].map((item) => {
    if (item.kind === "outside") throw new Error("a table is outside memory");
    // Where the next table happens to be does not matter.
    return item.kind === "table" ? item.entry - item.table : item.entry;
  });
  expectNoLeak(rig);
  return entries;
};

describe("entries as they are written", () => {
  it("PT-FMT-04: x86-64: tables have all permissions and accessed, leaves accessed, and dirty with write", () => {
    const shape = { format: X86_64, levels: 4 };
    expect(entriesOf(shape, 0x5000n, K4, RW)).toEqual([0x27n, 0x27n, 0x27n, 0x5067n]);
    expect(entriesOf(shape, 0x5000n, K4, PROT_READ)).toEqual([0x27n, 0x27n, 0x27n, 0x5025n]);
    expect(entriesOf(shape, M2, M2, RW)).toEqual([0x27n, 0x27n, M2 | 0xe7n]);
    expect(entriesOf(shape, G1, G1, PROT_READ)).toEqual([0x27n, G1 | 0xa5n]);
  });

  it("PT-FMT-05: second stage: tables allow all, leaves what was asked for, with snoop where it is forced", () => {
    const shape = { format: VTD_SECOND_STAGE, levels: 3 };
    expect(entriesOf(shape, 0x5000n, K4, RW)).toEqual([3n, 3n, 0x5003n]);
    expect(entriesOf(shape, 0x5000n, K4, PROT_WRITE)).toEqual([3n, 3n, 0x5002n]);
    expect(entriesOf(shape, M2, M2, PROT_READ)).toEqual([3n, M2 | 0x81n]);
    expect(entriesOf({ ...shape, forceSnoop: true }, G1, G1, RW)).toEqual([G1 | 0x883n]);
  });

  it("PT-FMT-06: AMD v1: the next level is in a table entry; a size that is not its level's is in the address", () => {
    const shape = { format: AMD_V1, levels: 3 };
    const all = 3n << 61n;
    const upper = [all | 0x401n, all | 0x201n];
    expect(entriesOf(shape, 0x5000n, K4, RW)).toEqual([...upper, all | 0x5001n]);
    expect(entriesOf(shape, 0x4000n, 2n * K4, PROT_READ)).toEqual([
      ...upper,
      (1n << 61n) | 0x4e01n,
    ]);
    expect(entriesOf(shape, 0x1_0000n, 0x1_0000n, PROT_WRITE)).toEqual([
      ...upper,
      (1n << 62n) | 0x1_7e01n,
    ]);
    expect(entriesOf(shape, 0x10_0000n, 0x10_0000n, RW)).toEqual([...upper, all | 0x17_fe01n]);
    expect(entriesOf(shape, 0x40_0000n, 0x40_0000n, RW)).toEqual([upper[0], all | 0x5f_fe01n]);
    expect(entriesOf({ ...shape, forceSnoop: true }, M2, M2, RW)).toEqual([
      upper[0],
      all | (1n << 60n) | M2 | 1n,
    ]);
  });

  it("PT-FMT-06: AMD v1: a page of several entries is the same in each of them", () => {
    const rig = createRig({ format: AMD_V1, levels: 3 });
    rig.table.map(0n, 0x8_0000n, 0x8_0000n, RW, rig.gather);
    const { entryAddress, entry } = rig.table.walk(0n)!;
    const copies = Array.from({ length: 129 }, (_, i) =>
      rig.memory.read64(entryAddress + BigInt(i) * 8n),
    );
    expect(copies).toEqual([...new Array<bigint>(128).fill(entry), 0n]);
    expectNoLeak(rig);
  });

  it("PT-FMT-07: AMD v1: every power of two from 4K to 2^51 is a size, but for 512G", () => {
    const { table } = createRig({ format: AMD_V1, levels: 6 });
    const sizes = Array.from({ length: 64 }, (_, lg2) => lg2).filter(
      (lg2) => (table.pageSizes >> BigInt(lg2)) & 1n,
    );
    expect(sizes).toEqual(Array.from({ length: 40 }, (_, i) => i + 12).filter((lg2) => lg2 !== 39));
  });

  it("PT-FMT-08: an entry is empty without its present bit; in the second stage only when it is 0", () => {
    const marked = (format: PageTableFormat) => {
      const rig = createRig({ format, levels: 4 });
      rig.table.map(K4, 0n, K4, RW, rig.gather);
      const slot = rig.table.walk(K4)!.entryAddress - 8n;
      rig.memory.write64(slot, 1n << 63n);
      expect(rig.table.walk(0n)).toBeUndefined();
      const outcome = rig.table.map(0n, 0x7000n, K4, RW, rig.gather);
      rig.table.free();
      return outcome.ok ? "ok" : outcome.errno;
    };
    expect(marked(X86_64)).toBe("ok");
    expect(marked(AMD_V1)).toBe("ok");
    expect(marked(VTD_SECOND_STAGE)).toBe("EADDRINUSE");
  });
});

describe("a table that grows", () => {
  it("PT-GROW-01: levels come on top when a range needs them, and the old top is at index 0", () => {
    const tops: (readonly [number, number])[] = [];
    const rig = createRig({
      format: AMD_V1,
      levels: 1,
      growable: true,
      onTopChange: ({ rootPfn, levels }) => tops.push([rootPfn, levels]),
    });
    const { table, gather, pages } = rig;
    const first = table.rootPfn;
    expect(table.map(0n, 0x9000n, K4, RW, gather)).toMatchObject({ ok: true });
    expect(table.levels).toBe(1);
    expect(table.walk(1n << 40n)).toBeUndefined();
    expect(table.unmap(1n << 40n, K4, gather)).toMatchObject({ errno: "ERANGE" });
    expect(table.map(1n << 40n, 0xa000n, K4, RW, gather)).toMatchObject({ ok: true });
    expect(tops.map(([, levels]) => levels)).toEqual([2, 3, 4]);
    expect(tops.at(-1)).toEqual([table.rootPfn, table.levels]);
    expect(table.walk(0n)).toMatchObject({ pa: 0x9000n });
    expect([...table.entries()].find(({ level }) => level === 1)).toMatchObject({
      iova: 0n,
      table: BigInt(first) << 12n,
    });
    expect(table.map((1n << 64n) - K4, 0xb000n, K4, RW, gather)).toMatchObject({ ok: true });
    expect(table.levels).toBe(6);
    expect(gather.isEmpty).toBe(true);
    const { length } = leafLines(table);
    expect([length, pages.out.size]).toEqual([3, 6 + 3 + 5]);
    expectNoLeak(rig);
  });

  it("PT-GROW-02: it grows no further than its input space, and is whole when a page lacks", () => {
    const rig = createRig({ format: AMD_V1, levels: 2, growable: true, inputLg2: 40 });
    const { table, gather, pages } = rig;
    expect(table.map(1n << 40n, 0n, K4, RW, gather)).toMatchObject({ errno: "ERANGE" });
    expect(table.levels).toBe(2);
    table.map(0n, 0x9000n, K4, RW, gather);
    pages.left = 1;
    expect(table.map(1n << 39n, 0n, K4, RW, gather)).toMatchObject({ errno: "ENOMEM", mapped: 0n });
    expect(table.levels).toBe(3);
    expect(table.walk(0n)).toMatchObject({ pa: 0x9000n });
    pages.left = 9;
    expect(table.map(1n << 39n, 0n, K4, RW, gather)).toMatchObject({ ok: true });
    expectNoLeak(rig);
  });
});

describe("what a walk finds", () => {
  it("PT-WALK-02, PT-WALK-03: items come in the order of addresses, with permissions and-ed over the levels", () => {
    const rig = createRig({ format: X86_64, levels: 4, signExtend: true });
    const { table, gather, memory } = rig;
    const upper = (1n << 64n) - G1;
    for (const at of [upper, 0n, 5n * M2]) table.map(at, 0n, K4, RW, gather);
    const pointer = [...table.entries()].find(({ kind, level }) => kind === "table" && level === 1);
    if (pointer?.kind !== "table") throw new Error("no table");
    memory.write64(pointer.entryAddress, pointer.entry & ~0x6n);
    const found = [...table.entries()].map((item) => [item.kind, item.level, item.iova]);
    expect(found).toEqual([
      ["table", 3, 0n],
      ["table", 2, 0n],
      ["table", 1, 0n],
      ["leaf", 0, 0n],
      ["table", 1, 5n * M2],
      ["leaf", 0, 5n * M2],
      ["table", 3, (1n << 64n) - (1n << 39n)],
      ["table", 2, upper],
      ["table", 1, upper],
      ["leaf", 0, upper],
    ]);
    expect([...table.leaves()].map(({ prot }) => protText(prot))).toEqual(["r-", "rwu", "rwu"]);
    expect([...table.leaves(K4, upper - 1n)].map(({ iova }) => iova)).toEqual([5n * M2]);
    expectNoLeak(rig);
  });

  it("PT-WALK-04: entries that no table has, tables outside memory, and entries that allow nothing", () => {
    const memory = createSparseMemory([{ base: 0n, length: 0x10_0000n }]);
    const rig = createRig({ format: VTD_SECOND_STAGE, levels: 4 }, memory, 1);
    const { table } = rig;
    const root = BigInt(table.rootPfn) << 12n;
    memory.write64(root, 0x83n); // page size where no page can be
    memory.write64(root + 8n, 0x1234_5678_9000n | 3n);
    memory.write64(root + 16n, 0x10_0000n << 20n); // neither read nor write
    const span = 1n << 39n;
    expect([...table.entries()]).toMatchObject([
      { kind: "invalid", iova: 0n, size: span, entry: 0x83n },
      { kind: "table", iova: span, table: 0x1234_5678_9000n },
      { kind: "outside", level: 2, iova: span, size: span, table: 0x1234_5678_9000n },
    ]);
    for (const iova of [0n, span, 2n * span, 3n * span]) expect(table.walk(iova)).toBeUndefined();
    const { gather } = rig;
    expect(table.map(0n, 0n, K4, RW, gather)).toMatchObject({ errno: "EADDRINUSE" });
    expect(table.map(span, 0n, K4, RW, gather)).toMatchObject({ errno: "EFAULT" });
    expect(table.unmap(0n, K4, gather)).toMatchObject({ errno: "EINVAL" });
    expect(table.unmap(0n, 1n << 41n, gather)).toMatchObject({ errno: "EINVAL" });
    expect(table.unmap(span, K4, gather)).toMatchObject({ errno: "EFAULT" });
    const note = () => expect.unreachable();
    expect(table.readAndClearDirty(0n, 1n << 48n, true, gather, note)).toBeUndefined();
    expectNoLeak(rig);
  });

  it("PT-WALK-05, PT-FREE-01: a table that points at itself has an end for whoever counts, and is freed once", () => {
    const rig = createRig({ format: X86_64, levels: 5 });
    const { table, memory } = rig;
    const root = BigInt(table.rootPfn) << 12n;
    for (let i = 0n; i < 512n; i++) memory.write64(root + i * 8n, root | 3n);
    let count = 0;
    for (const item of table.entries()) {
      count += 1;
      if (count === 10_000) break;
      expect(item.kind).not.toBe("outside");
    }
    expect(count).toBe(10_000);
    expect(table.walk(0x1234_5000n)).toMatchObject({ pa: root });
    expect(table.map(0n, 0n, G1, RW, rig.gather)).toMatchObject({ errno: "EADDRINUSE" });
    expectNoLeak(rig);
  });
});

describe("tables that several entries point at", () => {
  it("PT-MAP-07, PT-WALK-05: are looked at once and go into the gather once", () => {
    const rig = createRig({ format: AMD_V1, levels: 6 });
    const { table, gather, memory, pages } = rig;
    table.map(0n, 0n, K4, RW, gather);
    table.unmap(0n, K4, gather);
    // Every entry of each table below the slot of a 2^48-byte page leads on to the next table: 2^36 ways in all.
    const pointers = [...table.entries()].filter(
      ({ kind, level }) => kind === "table" && level < 4,
    );
    for (const item of pointers) {
      if (item.kind !== "table") continue;
      for (let i = 0n; i < 512n; i++) memory.write64(item.entryAddress + i * 8n, item.entry);
    }
    expect(table.map(0n, 0n, 1n << 48n, RW, gather)).toMatchObject({ ok: true });
    expect([gather.tableCount, pages.out.size]).toEqual([4, 6]);
    expectNoLeak(rig);
  });
});

describe("dirty pages", () => {
  it("PT-DIRTY-03: a format in which dirty tells nothing says so", () => {
    const rig = createRig({ format: X86_64, levels: 4 });
    const { table, gather } = rig;
    expect(table.readAndClearDirty(0n, K4, true, gather, () => {})).toBe("EOPNOTSUPP");
    const second = createRig({ format: VTD_SECOND_STAGE, levels: 3 });
    const ask = (iova: bigint, length: bigint) =>
      second.table.readAndClearDirty(iova, length, true, second.gather, () => {});
    expect(ask(0n, 0n)).toBe("EINVAL");
    expect(ask(1n << 39n, K4)).toBe("ERANGE");
    expect(ask((1n << 64n) - K4, 2n * K4)).toBe("EOVERFLOW");
  });

  it("PT-DIRTY-04: a bitmap has a bit for each page of its size, and nothing outside it", () => {
    const bitmap = new Uint8Array(2);
    const note = markDirty(bitmap, 100);
    note(99, 2);
    note(103, 6);
    note(115, 50);
    expect([...bitmap]).toEqual([0b1111_1001, 0b1000_0001]);
    const coarse = new Uint8Array(1);
    markDirty(coarse, 512, 9)(1024 + 511, 2);
    expect([...coarse]).toEqual([0b110]);
  });
});

describe("the gather", () => {
  it("PT-GATHER-02: its range is the smallest that holds every change, to the last page of the space", () => {
    const pages = new CountedPages(createSparseMemory());
    const gather = new Gather(pages);
    expect([gather.range, gather.isEmpty]).toEqual([undefined, true]);
    gather.add(2 ** 52 - 1, 1);
    gather.add(7, 2);
    expect(gather.range).toEqual({ start: 7n * K4, last: (1n << 64n) - 1n });
    gather.addTable(pages.allocate()!);
    expect([gather.tableCount, pages.out.size]).toEqual([1, 1]);
    gather.release();
    expect([gather.range, gather.isEmpty, pages.out.size]).toEqual([undefined, true, 0]);
  });
});

describe("seeing inside", () => {
  it("PT-SEE-01: every change is an event, of single pages and of ranges alike", () => {
    const trace = new TraceChannel();
    const events: TraceEvent[] = [];
    const rig = createRig({ format: AMD_V1, levels: 1, growable: true, trace });
    const { table, gather } = rig;
    const stop = trace.listen("page-table.*", (event) => events.push(event));
    table.map(0n, 0x9000n, K4, RW, gather);
    table.map(K4, 0x1_0000n, 3n * K4, PROT_READ, gather);
    table.unmap(0n, K4, gather);
    table.unmap(K4, 3n * K4, gather);
    table.map(0n, 0n, K4, 0, gather);
    table.map(G1, 0n, K4, RW, gather);
    stop();
    expect(events.map(({ name }) => name.slice(11))).toEqual([
      ...["mapped", "mapped", "unmapped", "unmapped", "grew", "grew", "mapped"],
    ]);
    expect(events[1]!.payload).toMatchObject({
      iova: "0x1000",
      length: "0x3000",
      pa: "0x10000",
      prot: "r-",
    });
    expect(events[2]!.payload).toMatchObject({ iova: "0x0", length: "0x1000" });
    expectNoLeak(rig);
  });

  it("PT-SEE-02: inspect says what the table is and which pages it makes", () => {
    const { table } = createRig({ format: X86_64, levels: 5, signExtend: true, outputLg2: 46 });
    expect(table.inspect()).toEqual({
      schema: "softiommu/page-table@1",
      format: "x86-64",
      levels: 5,
      root: `0x${(BigInt(table.rootPfn) << 12n).toString(16)}`,
      inputLg2: 57,
      outputLg2: 46,
      pageSizes: "0x40201000",
      signExtend: true,
    });
  });
});

describe("memory that somebody listens to or moves", () => {
  it("PT-MAP-09: all entries of a page of several are in the run that is told of", () => {
    const bytes = new Uint8Array(64 * 4096);
    const writes: (readonly [bigint, number])[] = [];
    const onWrite = (address: bigint, length: number) => writes.push([address, length]);
    const buffer = { base: 0n, length: 64n * K4, view: () => bytes, onWrite };
    const rig = createRig({ format: AMD_V1, levels: 2 }, createBufferMemory(buffer), 1);
    rig.table.map(0n, 0n, K4, RW, rig.gather);
    const { entryAddress } = rig.table.walk(0n)!;
    writes.length = 0;
    rig.table.map(0x1_0000n, 0n, 0x1_0000n, RW, rig.gather);
    rig.table.unmap(0x1_0000n, 0x1_0000n, rig.gather);
    expect(writes).toEqual(new Array(2).fill([entryAddress + 16n * 8n, 16 * 8]));
  });

  it("PT-MAP-10: a buffer that is taken away while tables are allocated does not lose a write", () => {
    let bytes = new Uint8Array(64 * 4096);
    const memory = createBufferMemory({ base: 0n, length: 64n * K4, view: () => bytes });
    let next = 1;
    const pages = {
      allocate: () => {
        // As WebAssembly does when a memory grows: the old buffer is detached.
        bytes = new Uint8Array(structuredClone(bytes.buffer, { transfer: [bytes.buffer] }));
        return next++;
      },
      free: () => {},
    };
    const made = createPageTable({ format: X86_64, memory, pages, levels: 4 });
    if (!made.ok) throw new Error(made.errno);
    const gather = new Gather(pages);
    expect(made.table.map(M2 - K4, 0x9000n, 2n * K4, RW, gather)).toMatchObject({ ok: true });
    expect(leafLines(made.table)).toEqual(["1ff000 9000 1000 rw", "200000 a000 1000 rw"]);
  });
});
