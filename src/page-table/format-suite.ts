import { describe, expect, it } from "vitest";
import { createBufferMemory } from "../memory/index.ts";
import {
  adoptPageTable,
  Gather,
  type PageTable,
  type PageTableOptions,
  PROT_READ,
  PROT_WRITE,
} from "./index.ts";
import { createRig, expectNoLeak, leafLine, leafLines, type Rig } from "./suite-rig.ts";

/** What the suite runs on. */
export interface SuiteShape {
  readonly title: string;
  readonly shape: Omit<PageTableOptions, "memory" | "pages">;
  /** Rules that do not apply to it, and why. */
  readonly skip?: readonly { readonly rule: string; readonly reason: string }[];
}

const RW = PROT_READ | PROT_WRITE;
const K4 = 1n << 12n;
const M2 = 1n << 21n;
const G1 = 1n << 30n;
const ALL_ADDRESSES = 1n << 64n;

/** The page sizes of a table, as bytes, smallest first. */
export const sizesOf = (table: PageTable): readonly bigint[] =>
  Array.from({ length: 64 }, (_, lg2) => 1n << BigInt(lg2)).filter(
    (size) => (table.pageSizes & size) !== 0n,
  );

/** The end of the input space's first part, and the start of its last. */
export const edgesOf = (table: PageTable): { readonly end: bigint; readonly top: bigint } => {
  const space = 1n << BigInt(table.inputLg2);
  return table.signExtend
    ? { end: space / 2n, top: ALL_ADDRESSES - space / 2n }
    : { end: space, top: 0n };
};

/** The tables that a table consists of, the top not counted. */
const tableCount = (table: PageTable): number =>
  [...table.entries()].filter(({ kind }) => kind === "table").length;

const mapped = (rig: Rig, iova: bigint, pa: bigint, length: bigint, prot = RW): void => {
  expect(rig.table.map(iova, pa, length, prot, rig.gather)).toEqual({ ok: true, mapped: length });
};

const pageSizeRules = ({ shape }: SuiteShape, check: Check): void => {
  check("PT-MAP-01: a page of every size maps, walks to its last byte and unmaps", () => {
    const rig = createRig(shape);
    const { end } = edgesOf(rig.table);
    for (const size of sizesOf(rig.table)) {
      const iova = end - size;
      const pa = size * 3n < 1n << 52n ? size * 2n : 0n;
      mapped(rig, iova, pa, size, PROT_READ);
      expect([...rig.table.leaves()].map(leafLine)).toEqual([
        `${iova.toString(16)} ${pa.toString(16)} ${size.toString(16)} r-`,
      ]);
      for (const offset of [0n, 1n, size / 2n, size - 1n]) {
        const leaf = rig.table.walk(iova + offset);
        expect(leaf).toMatchObject({ iova, pa: pa + offset, size });
        expect(rig.table.lookUpFrame(Number((iova + offset) >> 12n))).toBe(
          Number((pa + offset) >> 12n),
        );
      }
      if (iova >= K4) expect(rig.table.walk(iova - 1n)).toBeUndefined();
      expect(rig.table.unmap(iova, size, rig.gather)).toEqual({ ok: true, unmapped: size });
      expect(rig.table.walk(iova)).toBeUndefined();
    }
    expectNoLeak(rig);
  });

  check("PT-MAP-02: 128K whose output is aligned to 4K alone are 32 pages of 4K", () => {
    const rig = createRig(shape);
    mapped(rig, 0xfef8_0000n, 0x20_8b95_d000n, 0x2_0000n);
    const leaves = [...rig.table.leaves()];
    expect(leaves.map(({ size }) => size)).toEqual(new Array(32).fill(K4));
    expect(leaves.map(({ pa }) => pa - 0x20_8b95_d000n)).toEqual(
      leaves.map(({ iova }) => iova - 0xfef8_0000n),
    );
    expectNoLeak(rig);
  });

  check(
    "PT-MAP-02, PT-MAP-03: a range with three alignments is 14 pages of 2M, 3 of 1G, 3 of 2M",
    () => {
      const rig = createRig({ ...shape, pageSizes: K4 | M2 | G1 });
      mapped(rig, 0x3_fe40_0000n, 0x3_fe40_0000n, 0x4_c060_0000n - 0x3_fe40_0000n);
      const sizes = [...rig.table.leaves()].map(({ size }) => size);
      expect(sizes).toEqual([
        ...new Array(14).fill(M2),
        ...new Array(3).fill(G1),
        ...new Array(3).fill(M2),
      ]);
      expectNoLeak(rig);
    },
  );
};

const carryRules = ({ shape }: SuiteShape, check: Check): void => {
  check("PT-MAP-01: output of a run carries across every 4 GiB, whatever the page size", () => {
    const sizes = sizesOf(createRig(shape).table);
    for (const size of sizes) {
      const rig = createRig({ ...shape, pageSizes: size });
      const room = edgesOf(rig.table).end / size;
      const length = (room < 12n ? room : 12n) * size;
      // Six pages below the boundary at least, where they are smaller than it.
      const boundary = 8n << 32n;
      const pa = size < boundary ? boundary - (length / size / 2n) * size : 0n;
      if (pa < 0n || pa + length > 1n << 52n) continue;
      mapped(rig, 0n, pa, length);
      const leaves = [...rig.table.leaves()];
      expect(leaves).toHaveLength(Number(length / size));
      expect(leaves.map((leaf) => leaf.pa - leaf.iova)).toEqual(leaves.map(() => pa));
      expect(rig.table.unmap(0n, length, rig.gather)).toEqual({ ok: true, unmapped: length });
      expectNoLeak(rig);
    }
  });
};

const rangeRules = ({ shape }: SuiteShape, check: Check): void => {
  check(
    "PT-RANGE-01, PT-RANGE-02, PT-RANGE-03: the last page of the space maps, and no more than it",
    () => {
      const rig = createRig(shape);
      const { table, gather } = rig;
      const { end, top } = edgesOf(table);
      const spaceEnd = table.signExtend ? ALL_ADDRESSES : end;
      const last = spaceEnd - K4;
      mapped(rig, last, 0x5000n, K4);
      expect(table.walk(spaceEnd - 1n)).toMatchObject({ pa: 0x5fffn });
      const past = spaceEnd === ALL_ADDRESSES ? "EOVERFLOW" : "ERANGE";
      expect(table.map(last, 0n, 2n * K4, RW, gather)).toEqual({
        ok: false,
        errno: past,
        mapped: 0n,
      });
      expect(table.unmap(last, 2n * K4, gather)).toEqual({ ok: false, errno: past, unmapped: 0n });
      expect(table.map(0n, 0n, 0n, RW, gather)).toEqual({ ok: false, errno: "EINVAL", mapped: 0n });
      expect(table.unmap(0n, 0n, gather)).toEqual({ ok: false, errno: "EINVAL", unmapped: 0n });
      if (end < ALL_ADDRESSES) {
        const across = { ok: false, errno: "ERANGE", mapped: 0n };
        expect(table.map(end - K4, 0n, 2n * K4, RW, gather)).toEqual(across);
        expect(table.map(end, 0n, K4, RW, gather)).toEqual(across);
        expect(table.walk(end)).toBeUndefined();
      }
      if (top > 0n)
        expect(table.map(top - K4, 0n, 2n * K4, RW, gather)).toMatchObject({ errno: "ERANGE" });
      if (top > 0n) mapped(rig, top, 0x9000n, K4);
      expect(table.unmap(last, K4, gather)).toEqual({ ok: true, unmapped: K4 });
      expectNoLeak(rig);
    },
  );

  check("PT-RANGE-04: output beyond what entries hold is refused", () => {
    const rig = createRig({ ...shape, outputLg2: 40 });
    const { table, gather } = rig;
    const end = 1n << 40n;
    mapped(rig, 0n, end - K4, K4);
    expect(table.map(K4, end, K4, RW, gather)).toMatchObject({ errno: "ERANGE", mapped: 0n });
    expect(table.map(K4, end - K4, 2n * K4, RW, gather)).toMatchObject({ errno: "ERANGE" });
    expect(table.map(K4, 1n << 60n, K4, RW, gather)).toMatchObject({ errno: "ERANGE" });
    expectNoLeak(rig);
  });
};

const refusalRules = ({ shape }: SuiteShape, check: Check): void => {
  check(
    "PT-MAP-04: a mapping needs a permission, and write permission where only that is allowed",
    () => {
      const rig = createRig(shape);
      expect(rig.table.map(0n, 0n, K4, 0, rig.gather)).toMatchObject({
        errno: "EINVAL",
        mapped: 0n,
      });
      expect(rig.table.map(0n, 0n, K4 / 2n, 0, rig.gather)).toMatchObject({ errno: "EINVAL" });
      const strict = createRig({ ...shape, writableOnly: true });
      expect(strict.table.map(0n, 0n, K4, PROT_READ, strict.gather)).toMatchObject({
        errno: "EINVAL",
      });
      mapped(strict, 0n, 0n, K4, PROT_WRITE);
      mapped(strict, K4, 0n, K4);
      expectNoLeak(rig);
      expectNoLeak(strict);
    },
  );

  check("PT-MAP-05: a range is refused when the smallest page does not fit, whole", () => {
    const rig = createRig({ ...shape, pageSizes: K4 });
    const refused = { ok: false, errno: "ENXIO", mapped: 0n };
    expect(rig.table.map(0x10n, 0n, K4, RW, rig.gather)).toEqual(refused);
    expect(rig.table.map(0n, 0x800n, K4, RW, rig.gather)).toEqual(refused);
    expect(rig.table.map(0n, 0n, K4 + 1n, RW, rig.gather)).toEqual(refused);
    expectNoLeak(rig);
  });

  check("PT-MAP-06: an overlap is refused, with the length mapped until then", () => {
    const rig = createRig(shape);
    const { table, gather } = rig;
    mapped(rig, 5n * K4, 0x1_0000n, K4);
    const before = leafLines(table);
    expect(table.map(5n * K4, 0n, K4, RW, gather)).toEqual({
      ok: false,
      errno: "EADDRINUSE",
      mapped: 0n,
    });
    expect(leafLines(table)).toEqual(before);
    // From an odd page the pages are of 4K in every format: 3 and 4 are mapped, 5 is in the way.
    expect(table.map(3n * K4, 0x8_0000n, 6n * K4, RW, gather)).toEqual({
      ok: false,
      errno: "EADDRINUSE",
      mapped: 2n * K4,
    });
    expect(table.unmap(3n * K4, 3n * K4, gather)).toEqual({ ok: true, unmapped: 3n * K4 });
    expectNoLeak(rig);
  });

  check("PT-MAP-06, PT-MAP-07: a page in a table is in the way of a larger page", () => {
    const rig = createRig(shape);
    mapped(rig, M2 - K4, 0n, K4);
    expect(rig.table.map(0n, 0n, M2, RW, rig.gather)).toEqual({
      ok: false,
      errno: "EADDRINUSE",
      mapped: 0n,
    });
    rig.table.unmap(M2 - K4, K4, rig.gather);
    mapped(rig, 0n, 0n, M2);
    expect(rig.table.map(M2 - K4, 0n, K4, RW, rig.gather)).toMatchObject({ errno: "EADDRINUSE" });
    expectNoLeak(rig);
  });
};

const treeRules = ({ shape }: SuiteShape, check: Check): void => {
  check(
    "PT-MAP-07, PT-GATHER-01: a page replaces a table with nothing in it, which dies with the gather",
    () => {
      const rig = createRig({ ...shape, pageSizes: K4 | M2 });
      const { table, gather, pages } = rig;
      mapped(rig, M2, 0n, K4);
      expect(table.unmap(M2, K4, gather)).toEqual({ ok: true, unmapped: K4 });
      gather.release();
      const tables = pages.out.size;
      mapped(rig, 0n, 0n, 3n * M2);
      expect([...table.leaves()].map(({ size }) => size)).toEqual([M2, M2, M2]);
      expect(gather.tableCount).toBe(1);
      expect(gather.range).toEqual({ start: M2, last: 2n * M2 - 1n });
      expect(pages.out.size).toBe(tables);
      gather.release();
      expect(pages.out.size).toBe(tables - 1);
      expect(gather.isEmpty).toBe(true);
      expectNoLeak(rig);
    },
  );

  check("PT-UNMAP-01: a range that ends inside a page takes all of it", () => {
    for (const size of sizesOf(createRig(shape).table).slice(1)) {
      const rig = createRig(shape);
      mapped(rig, 0n, 0n, size);
      expect(rig.table.unmap(0n, K4, rig.gather)).toEqual({ ok: true, unmapped: size });
      expect(rig.gather.range).toEqual({ start: 0n, last: size - 1n });
      expect(leafLines(rig.table)).toEqual([]);
      expectNoLeak(rig);
    }
  });

  check("PT-UNMAP-02, PT-UNMAP-03: unmap stops inside a page and where nothing is mapped", () => {
    const rig = createRig({ ...shape, pageSizes: shape.pageSizes ?? K4 | M2 });
    const { table, gather } = rig;
    expect(table.unmap(0n, K4, gather)).toEqual({ ok: false, errno: "ENOENT", unmapped: 0n });
    mapped(rig, 0n, 0n, 3n * K4);
    expect(table.unmap(0n, 8n * K4, gather)).toEqual({
      ok: false,
      errno: "ENOENT",
      unmapped: 3n * K4,
    });
    for (const size of sizesOf(table).slice(1, 12)) {
      mapped(rig, size, 0n, size);
      const inside = { ok: false, errno: "EINVAL", unmapped: 0n };
      expect(table.unmap(size + K4, K4, gather)).toEqual(inside);
      expect(table.unmap(size + 1n, K4, gather)).toEqual(inside);
      expect(table.unmap(size + size / 2n, size / 2n, gather)).toEqual(inside);
      expect(table.unmap(size, size, gather)).toEqual({ ok: true, unmapped: size });
    }
    expectNoLeak(rig);
  });

  check(
    "PT-UNMAP-04, PT-GATHER-01: tables of which all is unmapped at once go through the gather, others stay",
    () => {
      const rig = createRig({ ...shape, pageSizes: K4 });
      const { table, gather, pages } = rig;
      mapped(rig, M2 - K4, 0n, M2 + 2n * K4);
      const tables = pages.out.size;
      expect(table.unmap(M2 - K4, M2 + 2n * K4, gather)).toEqual({
        ok: true,
        unmapped: M2 + 2n * K4,
      });
      // The middle one of three leaf tables was covered.
      expect(gather.tableCount).toBe(1);
      expect(gather.range).toEqual({ start: M2 - K4, last: 2n * M2 + K4 - 1n });
      expect(pages.out.size).toBe(tables);
      gather.release();
      expect(pages.out.size).toBe(tables - 1);
      expect(pages.out.size).toBe(1 + tableCount(table));
      expectNoLeak(rig);
    },
  );
};

const failureRules = ({ shape }: SuiteShape, check: Check): void => {
  check(
    "PT-MAP-08: without a table page map stops with what is mapped, for every page that can lack",
    () => {
      // Three leaf tables, in two tables of the level above where the space has that many.
      const probe = createRig({ ...shape, pageSizes: K4 });
      const { end } = edgesOf(probe.table);
      const start = (end > 2n * G1 ? G1 : end / 2n) - M2 - K4;
      const length = M2 + 2n * K4;
      mapped(probe, start, 0n, length);
      const needed = probe.pages.out.size - 1;
      expectNoLeak(probe);
      for (let n = 0; n < needed; n++) {
        const rig = createRig({ ...shape, pageSizes: K4 });
        const { table, pages, gather } = rig;
        pages.left = n;
        const outcome = table.map(start, 0n, length, RW, gather);
        expect(outcome).toMatchObject({ ok: false, errno: "ENOMEM" });
        if (outcome.ok) throw new Error("it did not fail");
        const total = [...table.leaves()].reduce((sum, { size }) => sum + size, 0n);
        expect(total).toBe(outcome.mapped);
        expect(pages.out.size).toBe(1 + n);
        if (total > 0n)
          expect(table.unmap(start, total, gather)).toEqual({ ok: true, unmapped: total });
        pages.left = needed;
        mapped(rig, start, 0n, length);
        expectNoLeak(rig);
      }
    },
  );

  check("PT-ADOPT-01: a successor with the root alone finds the same and goes on", () => {
    const rig = createRig(shape);
    const { table, pages } = rig;
    const { end } = edgesOf(table);
    mapped(rig, K4, 0x7000n, end > 8n * M2 ? 3n * M2 : 16n * K4);
    mapped(rig, end - 64n * K4, 0n, 63n * K4, PROT_READ);
    const adopted = adoptPageTable(table.rootPfn, { ...rig.options, levels: table.levels });
    if (!adopted.ok) throw new Error(adopted.errno);
    expect(adopted.table.inspect()).toEqual(table.inspect());
    expect(leafLines(adopted.table)).toEqual(leafLines(table));
    const gather = new Gather(pages);
    expect(adopted.table.map(K4, 0n, K4, RW, gather)).toMatchObject({ errno: "EADDRINUSE" });
    expect(adopted.table.map(0n, 0n, K4, RW, gather)).toMatchObject({ ok: true });
    expect(adopted.table.unmap(end - 64n * K4, 63n * K4, gather)).toMatchObject({ ok: true });
    expect(leafLines(table)).toEqual(leafLines(adopted.table));
    expectNoLeak({ ...rig, table: adopted.table, gather });
  });

  check(
    "PT-MAP-09: whoever must hear of writes hears of every changed byte, once for a run",
    () => {
      const bytes = new Uint8Array(64 * 4096);
      const writes: { readonly at: number; readonly length: number }[] = [];
      const memory = createBufferMemory({
        base: 0n,
        length: BigInt(bytes.length),
        view: () => bytes,
        onWrite: (address, length) => writes.push({ at: Number(address), length }),
      });
      const rig = createRig({ ...shape, pageSizes: K4 }, memory, 1);
      mapped(rig, 0n, 0n, K4);
      for (const change of [
        () => mapped(rig, K4, 0x10_0000n, 256n * K4),
        () => expect(rig.table.unmap(K4, 256n * K4, rig.gather)).toMatchObject({ ok: true }),
        () => mapped(rig, 2n * K4, 0n, K4),
        () => expect(rig.table.unmap(2n * K4, K4, rig.gather)).toMatchObject({ ok: true }),
      ]) {
        const before = bytes.slice();
        writes.length = 0;
        change();
        expect(writes).toHaveLength(1);
        const { at, length } = writes[0]!;
        const silent = bytes.findIndex(
          (byte, i) => byte !== before[i] && (i < at || i >= at + length),
        );
        expect(silent).toBe(-1);
        expect(bytes).not.toEqual(before);
      }
      expectNoLeak(rig);
    },
  );
};

const dirtyRules = ({ shape }: SuiteShape, check: Check): void => {
  check(
    "PT-DIRTY-01, PT-DIRTY-02: a page is dirty when any of its entries is, until it is cleared",
    () => {
      for (const size of sizesOf(createRig(shape).table)) {
        const rig = createRig(shape);
        const { table, gather, memory } = rig;
        const count = Number(size >> 12n);
        mapped(rig, 0n, 0n, size);
        const leaf = table.walk(0n)!;
        const entries = Number(size >> BigInt(12 + 9 * leaf.level));
        const dirty = (start: bigint, length: bigint, clear: boolean) => {
          const found: (readonly [number, number])[] = [];
          const note = (vfn: number, frames: number): void => void found.push([vfn, frames]);
          expect(table.readAndClearDirty(start, length, clear, gather, note)).toBeUndefined();
          return found;
        };
        expect(dirty(0n, size, true)).toEqual([]);
        for (const i of [0, entries >> 1, entries - 1]) {
          const entry = leaf.entryAddress + BigInt(8 * i);
          memory.write64(entry, memory.read64(entry)! | BigInt(table.format.dirtyLo));
          expect(dirty(0n, size, false)).toEqual([[0, count]]);
          // A part of the page finds the page.
          expect(dirty(size - K4, K4, false)).toEqual([[0, count]]);
          expect(gather.isEmpty).toBe(true);
          expect(dirty(0n, size, true)).toEqual([[0, count]]);
          expect(gather.range).toEqual({ start: 0n, last: size - 1n });
          gather.release();
          expect(dirty(0n, size, true)).toEqual([]);
        }
        expect(leafLines(table)).toEqual([`0 0 ${size.toString(16)} rw`]);
        expectNoLeak(rig);
      }
    },
  );
};

type Check = (title: string, run: () => void) => void;

/** Every rule that holds for all formats, on one of them. */
export const formatSuite = (suite: SuiteShape): void => {
  describe(suite.title, () => {
    const check: Check = (title, run) => {
      const ids = title.slice(0, title.indexOf(":")).split(", ");
      const skip = suite.skip?.find(({ rule }) => ids.includes(rule));
      if (skip === undefined) it(title, run);
      else it.skip(`${title} (skipped: ${skip.reason})`, run);
    };
    pageSizeRules(suite, check);
    carryRules(suite, check);
    rangeRules(suite, check);
    refusalRules(suite, check);
    treeRules(suite, check);
    failureRules(suite, check);
    dirtyRules(suite, check);
  });
};
