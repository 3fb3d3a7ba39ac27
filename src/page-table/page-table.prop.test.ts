import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { scale } from "../../test/scale.ts";
import {
  type BuiltPage,
  buildTable,
  type TableKind,
  translateSlowly,
} from "../../test/table-builder.ts";
import { createSparseMemory, type PhysicalMemory } from "../memory/index.ts";
import { edgesOf, sizesOf } from "./format-suite.ts";
import {
  AMD_V1,
  adoptPageTable,
  type MapOutcome,
  type PageTable,
  type PageTableFormat,
  PROT_READ,
  PROT_WRITE,
  protText,
  type UnmapOutcome,
  VTD_SECOND_STAGE,
  X86_64,
} from "./index.ts";
import { CountedPages, createRig, expectNoLeak, leafLines } from "./suite-rig.ts";

const FORMATS: { readonly [K in TableKind]: PageTableFormat } = {
  "x86-64": X86_64,
  "vtd-second-stage": VTD_SECOND_STAGE,
  "amd-v1": AMD_V1,
};

interface Shape {
  readonly kind: TableKind;
  readonly levels: number;
  readonly signExtend?: boolean;
}

const SHAPES: readonly Shape[] = [
  { kind: "x86-64", levels: 4, signExtend: true },
  { kind: "x86-64", levels: 5 },
  { kind: "vtd-second-stage", levels: 3 },
  { kind: "vtd-second-stage", levels: 5 },
  { kind: "amd-v1", levels: 3 },
  { kind: "amd-v1", levels: 6 },
];

const nameOf = ({ kind, levels }: Shape): string => `${kind}, ${levels} levels`;

/** One page of the model. */
interface ModelPage {
  readonly start: bigint;
  readonly pa: bigint;
  readonly size: bigint;
}

/** What a table maps, as a `Map` from each 4K page to the page it is in. */
class Model {
  readonly frames: Map<bigint, ModelPage> = new Map();
  readonly sizes: readonly bigint[];

  constructor(sizes: readonly bigint[]) {
    this.sizes = [...sizes].reverse();
  }

  map(iova: bigint, pa: bigint, length: bigint): MapOutcome {
    for (let mapped = 0n; mapped < length; ) {
      const fits = (size: bigint) =>
        ((iova + mapped) | (pa + mapped)) % size === 0n && size <= length - mapped;
      const size = this.sizes.find(fits)!;
      const page = { start: iova + mapped, pa: pa + mapped, size };
      const frames = Array.from(
        { length: Number(size >> 12n) },
        (_, i) => page.start + BigInt(i) * 4096n,
      );
      if (frames.some((frame) => this.frames.has(frame)))
        return { ok: false, errno: "EADDRINUSE", mapped };
      for (const frame of frames) this.frames.set(frame, page);
      mapped += size;
    }
    return { ok: true, mapped: length };
  }

  unmap(iova: bigint, length: bigint): UnmapOutcome {
    let unmapped = 0n;
    while (unmapped < length) {
      const page = this.frames.get(iova + unmapped);
      if (page === undefined) return { ok: false, errno: "ENOENT", unmapped };
      if (page.start !== iova + unmapped) return { ok: false, errno: "EINVAL", unmapped };
      for (let at = page.start; at < page.start + page.size; at += 4096n) this.frames.delete(at);
      unmapped += page.size;
    }
    return { ok: true, unmapped };
  }

  get lines(): readonly string[] {
    return [...new Set(this.frames.values())]
      .sort((a, b) => (a.start < b.start ? -1 : 1))
      .map(
        ({ start, pa, size }) => `${start.toString(16)} ${pa.toString(16)} ${size.toString(16)} rw`,
      );
  }
}

interface Operation {
  readonly maps: boolean;
  readonly place: number;
  readonly page: number;
  readonly shift: number;
  readonly length: number;
}

const operation: fc.Arbitrary<Operation> = fc.record({
  maps: fc.boolean(),
  place: fc.nat(3),
  // Around the boundaries of 4M, in steps from 4K to 2M.
  page: fc.oneof(
    fc.nat(24),
    fc.nat(4).map((n) => n * 256),
    fc.integer({ min: 500, max: 530 }),
    fc.constantFrom(512, 1024),
  ),
  shift: fc.oneof(fc.constant(0), fc.constant(0), fc.nat(3), fc.constant(512)),
  length: fc.oneof(
    fc.integer({ min: 1, max: 40 }),
    fc.constantFrom(1, 2, 512),
    fc.constantFrom(256, 512, 600, 1024, 1300),
  ),
});

/** Addresses where operations take place: the ends of the space and where tables of all levels meet. */
const placesOf = (table: PageTable): readonly bigint[] => {
  const { end, top } = edgesOf(table);
  const room = 4n << 22n;
  return [0n, end / 2n - room / 4n, end - room, top > 0n ? -room : end / 4n].map((place) =>
    BigInt.asUintN(64, place),
  );
};

const OUTCOMES = [
  "map ok",
  "map EADDRINUSE",
  "unmap ok",
  "unmap ENOENT",
  "unmap EINVAL",
  "replaced",
] as const;

describe("map and unmap against a Map", () => {
  for (const shape of SHAPES) {
    it(`PT-MAP-01, PT-MAP-06, PT-UNMAP-01: ${nameOf(shape)}: every outcome and every leaf is the model's`, () => {
      const { kind, levels, signExtend = false } = shape;
      const covered = new Map<string, number>(OUTCOMES.map((outcome) => [outcome, 0]));
      const count = (outcome: string) => covered.set(outcome, (covered.get(outcome) ?? 0) + 1);
      const run = (operations: readonly Operation[]): void => {
        const rig = createRig({ format: FORMATS[kind], levels, signExtend });
        const { table, gather } = rig;
        const model = new Model(sizesOf(table));
        const places = placesOf(table);
        for (const { maps, place, page, shift, length } of operations) {
          const iova = places[place]! + BigInt(page) * 4096n;
          const bytes = BigInt(length) * 4096n;
          if (maps) {
            // Around 4 GiB, where the address needs its upper half.
            const pa = (BigInt(page + shift) + 0xf_fe00n) * 4096n;
            const outcome = table.map(iova, pa, bytes, PROT_READ | PROT_WRITE, gather);
            expect(outcome).toEqual(model.map(iova, pa, bytes));
            count(`map ${outcome.ok ? "ok" : outcome.errno}`);
            if (!gather.isEmpty) count("replaced");
          } else {
            const outcome = table.unmap(iova, bytes, gather);
            expect(outcome).toEqual(model.unmap(iova, bytes));
            count(`unmap ${outcome.ok ? "ok" : outcome.errno}`);
          }
          gather.release();
        }
        expect(leafLines(table)).toEqual(model.lines);
        expectNoLeak(rig);
      };
      const runs = scale(40, 2000);
      const sequences = fc.array(operation, { minLength: 60, maxLength: 60 });
      fc.assert(
        fc.property(sequences, (operations) => void run(operations)),
        { numRuns: runs, seed: 20_261 },
      );
      for (const outcome of OUTCOMES) {
        expect(covered.get(outcome), outcome).toBeGreaterThan(runs / 8);
      }
    });
  }
});

const spaceIn = (memory: PhysicalMemory) => {
  const pages = new CountedPages(memory);
  const allocate = (): bigint => {
    const address = BigInt(pages.allocate()!) << 12n;
    memory.write(address, new Uint8Array(4096));
    return address;
  };
  return { memory, allocate, pages };
};

describe("tables built by other means", () => {
  for (const shape of SHAPES) {
    it(`PT-WALK-01, PT-WALK-02: ${nameOf(shape)}: the leaves are the pages that were built`, () => {
      const { kind, levels, signExtend = false } = shape;
      const format = FORMATS[kind];
      const probe = createRig({ format, levels, signExtend });
      const sizes = sizesOf(probe.table);
      const { end, top } = edgesOf(probe.table);
      const perms = kind === "x86-64" ? ["rw", "r-", "rwu", "r-u"] : ["rw", "r-", "-w"];
      const picks = fc.array(
        fc.record({
          size: fc.nat(sizes.length - 1),
          at: fc.bigInt(0n, (1n << 52n) - 1n),
          upper: fc.boolean(),
          pa: fc.bigInt(0n, (1n << 40n) - 1n),
          perms: fc.constantFrom(...perms),
        }),
        { minLength: 1, maxLength: 12 },
      );
      const run = (
        picked: readonly { size: number; at: bigint; upper: boolean; pa: bigint; perms: string }[],
      ) => {
        const pages: BuiltPage[] = [];
        for (const pick of picked) {
          const size = sizes[pick.size]!;
          const within = (((pick.at << 12n) % end) / size) * size;
          const iova = pick.upper && top > 0n ? top + within : within;
          const pa = (((pick.pa << 12n) % (1n << 52n)) / size) * size;
          const clash = pages.some(
            (page) => iova < page.iova + page.size && page.iova < iova + size,
          );
          if (!clash) pages.push({ iova, pa, size, perms: pick.perms });
        }
        const memory = createSparseMemory();
        const space = spaceIn(memory);
        const root = buildTable(kind, levels, pages, space);
        const adopted = adoptPageTable(Number(root >> 12n), {
          format,
          levels,
          signExtend,
          memory,
          pages: space.pages,
        });
        if (!adopted.ok) throw new Error(adopted.errno);
        const { table } = adopted;
        const found = Array.from(table.leaves(), ({ iova, pa, size, prot }) => ({
          iova,
          pa,
          size,
          perms: protText(prot).replace(kind === "x86-64" ? "" : "u", ""),
        }));
        expect(found).toEqual(pages.sort((a, b) => (a.iova < b.iova ? -1 : 1)));
        for (const { iova, pa, size } of pages) {
          expect(table.walk(iova + size - 1n)).toMatchObject({ pa: pa + size - 1n, size });
          expect(translateSlowly(kind, levels, root, iova, memory)).toBe(pa);
        }
        table.free();
        expect([...space.pages.out]).toEqual([]);
      };
      fc.assert(
        fc.property(picks, (picked) => void run(picked)),
        { numRuns: scale(60, 3000), seed: 20_262 },
      );
    });
  }

  for (const shape of SHAPES) {
    it(`PT-WALK-01, PT-WALK-04: ${nameOf(shape)}: in tables of random bits every look-up is the slow walk's`, () => {
      const { kind, levels, signExtend = false } = shape;
      const TABLES = 6;
      const entry = fc.record({
        at: fc.nat(TABLES * 512 - 1),
        low: fc.bigInt(0n, 0xfffn),
        high: fc.constantFrom(0n, 1n << 61n, 3n << 61n, (1n << 63n) | (1n << 62n)),
        target: fc.oneof(
          fc.nat(TABLES - 1).map((n) => BigInt(n)),
          fc.bigInt(0n, (1n << 40n) - 1n),
        ),
      });
      let hits = 0;
      const run = (
        entries: readonly { at: number; low: bigint; high: bigint; target: bigint }[],
        iovas: readonly bigint[],
      ): void => {
        // Only the first frames are memory, so that most addresses are outside it.
        const memory = createSparseMemory([{ base: 0n, length: BigInt(TABLES) << 12n }]);
        for (const { at, low, high, target } of entries) {
          memory.write64(BigInt(at) * 8n, low | high | (target << 12n));
        }
        // The first entries of each table lead on, so that there are paths.
        for (let n = 0; n < TABLES; n++) {
          const level = BigInt(Math.max(1, levels - 1 - n));
          const link = kind === "amd-v1" ? (3n << 61n) | (level << 9n) | 1n : 7n;
          memory.write64(BigInt(n) << 12n, link | (BigInt((n + 1) % TABLES) << 12n));
        }
        const pages = new CountedPages(memory, 0);
        const adopted = adoptPageTable(0, {
          format: FORMATS[kind],
          levels,
          signExtend,
          memory,
          pages,
        });
        if (!adopted.ok) throw new Error(adopted.errno);
        const { end } = edgesOf(adopted.table);
        for (const raw of iovas) {
          const iova = raw % end;
          const slow = translateSlowly(kind, levels, 0n, iova, memory);
          const pfn = adopted.table.lookUpFrame(Number(iova >> 12n));
          expect(pfn).toBe(slow === undefined ? -1 : Number(slow >> 12n));
          const leaf = adopted.table.walk(iova);
          if (leaf !== undefined) expect(leaf.pa).toBe(slow);
          if (slow !== undefined) hits += 1;
        }
      };
      // Few distinct indices, those that lead on among them.
      const index = fc.constantFrom(0n, 0n, 0n, 1n, 511n);
      const iova = fc
        .tuple(index, index, index, index, index, index, fc.bigInt(0n, 4095n))
        .map(([a, b, c, d, e, f, offset]) =>
          [a, b, c, d, e, f].reduce((sum, n, level) => sum | (n << BigInt(12 + 9 * level)), offset),
        );
      const dense = fc.array(
        entry.map((one) => ({ ...one, at: one.at - (one.at % 512) + [0, 1, 511][one.at % 3]! })),
        { minLength: 12, maxLength: 40 },
      );
      fc.assert(
        fc.property(dense, fc.array(iova, { minLength: 20, maxLength: 20 }), (entries, iovas) => {
          run(entries, iovas);
        }),
        { numRuns: scale(300, 20_000), seed: 20_263 },
      );
      expect(hits).toBeGreaterThan(100);
    });
  }
});
