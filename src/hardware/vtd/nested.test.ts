import { describe, expect, test } from "vitest";
import { brief, codeOf, NOWHERE, VtdRig } from "../../../test/vtd-rig.ts";
import type { Capabilities } from "./capabilities.ts";
import { SERVER, SERVER_ERRATUM_772415 } from "./profiles.ts";

/**
 * Guest memory lies at host 0x800_0000: guest page g is host page g + 0x800_0000,
 * so that nothing works that forgets the second stage.
 */
const GUEST = 0x800_0000n;
const LEAF = 0x67n;

const nested = (
  options: { capabilities?: Capabilities; values?: Record<string, number>; leafBits?: bigint } = {},
) => {
  const rig = new VtdRig({ capabilities: options.capabilities ?? SERVER, mode: "scalable" });
  const second = rig.page();
  const leafBits = options.leafBits ?? 3n;
  rig.context({ PASIDE: 1 });
  let nextGuestPage = 0x10_0000n;
  /** A guest page for a table, mapped in the second stage with `bits`. Returns its guest address. */
  const guestPage = (bits = leafBits): bigint => {
    const page = nextGuestPage;
    nextGuestPage += 0x1000n;
    mapGuest(page, bits);
    return page;
  };
  const secondLeaves = new Map<bigint, bigint>();
  const mapGuest = (page: bigint, bits = leafBits): void => {
    const [leaf] = rig.map(second, 4, page, (page + GUEST) | bits);
    secondLeaves.set(page, leaf!);
  };
  /** Tables of the first stage, top first, as guest addresses. */
  const tables = [guestPage(), guestPage(), guestPage(), guestPage()];
  const entryOf = (level: number, address: bigint): bigint =>
    tables[3 - level]! + ((address >> BigInt(12 + 9 * level)) & 0x1ffn) * 8n + GUEST;
  /** Writes the first-stage entries for `address`: a 4 KiB page at guest `to`. */
  const mapFirst = (address: bigint, to: bigint, leaf = LEAF, table = 0x27n): void => {
    for (let level = 3; level > 0; level--)
      rig.poke(entryOf(level, address), tables[4 - level]! | table);
    rig.poke(entryOf(0, address), to | leaf);
  };
  rig.pasidEntry({ PGTT: 3, FSPTPTR: tables[0]!, SSPTPTR: second, PWSNP: 1, ...options.values }, 9);
  return {
    rig,
    second,
    tables,
    entryOf,
    mapFirst,
    mapGuest,
    /** Where the second-stage leaf for a guest page is. */
    secondLeaf: (page: bigint): bigint => secondLeaves.get(page)!,
    read: (address: bigint) => {
      rig.flush();
      return rig.read(address, 9);
    },
    write: (address: bigint) => {
      rig.flush();
      return rig.write(address, 0x5a, 9);
    },
  };
};

const PAGE = 0x7000n;
const DATA = 0x30_0000n;

describe("nested", () => {
  test("VTD-NEST-01: every first-stage address is a guest's", () => {
    const m = nested();
    m.mapGuest(DATA);
    m.mapFirst(PAGE, DATA);
    expect(m.write(PAGE + 5n)).toBeUndefined();
    expect(m.rig.memory.read8(DATA + GUEST + 5n)).toBe(0x5a);
    expect(m.rig.memory.read8(DATA + 5n)).toBe(0);
    expect(m.read(PAGE + 5n)).toBe(0x5a);
  });

  test("VTD-NEST-02: first-stage tables that the second stage leaves out", () => {
    for (const level of [3, 2, 1, 0]) {
      const m = nested();
      m.mapGuest(DATA);
      m.mapFirst(PAGE, DATA);
      const leaf = m.secondLeaf(m.tables[3 - level]!);
      const good = m.rig.peek(leaf);
      for (const bits of [0n, 2n]) {
        m.rig.poke(leaf, (good & ~3n) | bits);
        expect(brief(m.read(PAGE))).toEqual({ code: level === 3 ? "75" : "76", stage: 1, level });
      }
      m.rig.poke(leaf, good | (1n << 62n));
      expect(brief(m.read(PAGE))).toEqual({ code: "7a", stage: 2, level: 0 });
      m.rig.poke(leaf, good);
      if (level < 3) {
        m.rig.poke(m.entryOf(level + 1, PAGE), (1n << 48n) | 0x27n);
      } else {
        m.rig.pasidEntry({ PGTT: 3, FSPTPTR: 1n << 48n, SSPTPTR: m.second, PWSNP: 1 }, 9);
      }
      expect(brief(m.read(PAGE))).toEqual({ code: "74", stage: 1, level });
    }
    const m = nested();
    m.mapFirst(PAGE, DATA);
    m.rig.poke(m.second, NOWHERE | 3n);
    expect(brief(m.read(PAGE))).toEqual({ code: "78", stage: 2, level: 2 });
    m.rig.pasidEntry({ PGTT: 3, FSPTPTR: m.tables[0]!, SSPTPTR: NOWHERE }, 9);
    expect(brief(m.read(PAGE))).toEqual({ code: "7b", stage: 2, level: 3 });
  });

  test("VTD-NEST-03: an update of a first-stage entry needs W in the second stage, and makes it dirty", () => {
    for (const level of [3, 2, 1, 0]) {
      const m = nested();
      m.mapGuest(DATA);
      m.mapFirst(PAGE, DATA);
      const leaf = m.secondLeaf(m.tables[3 - level]!);
      m.rig.poke(leaf, m.rig.peek(leaf) & ~2n);
      expect(m.read(PAGE)).toBe(0);
      const entry = m.entryOf(level, PAGE);
      m.rig.poke(entry, m.rig.peek(entry) & ~0x20n);
      expect(brief(m.read(PAGE))).toEqual({ code: "77", stage: 1, level });
      expect(m.rig.peek(entry) & 0x20n).toBe(0n);
    }
    const m = nested({ values: { SSADE: 1 } });
    m.mapGuest(DATA);
    m.mapFirst(PAGE, DATA, 7n);
    const dirty = () => m.tables.map((table) => m.rig.peek(m.secondLeaf(table)) & 0x300n);
    expect(m.read(PAGE)).toBe(0);
    expect(dirty()).toEqual([0x100n, 0x100n, 0x100n, 0x300n]);
    expect(m.rig.peek(m.secondLeaf(DATA)) & 0x300n).toBe(0x100n);
    expect(m.write(PAGE)).toBeUndefined();
    expect(m.rig.peek(m.secondLeaf(DATA)) & 0x300n).toBe(0x300n);
  });

  test("VTD-NEST-04: both stages must permit; the first is finished before its output is translated", () => {
    for (const [bits, read, write] of [
      [3n, 0, undefined],
      [1n, 0, "85"],
      [2n, "86", undefined],
      [0n, "79", "79"],
    ] as const) {
      const m = nested();
      m.mapGuest(DATA, bits);
      m.mapFirst(PAGE, DATA, 7n);
      expect(codeOf(m.read(PAGE))).toBe(read);
      expect(codeOf(m.write(PAGE))).toBe(write);
      expect(m.rig.peek(m.entryOf(0, PAGE)) & 0x60n).toBe(0x60n);
      expect(m.rig.memory.read8(DATA + GUEST)).toBe(write === undefined ? 0x5a : 0);
    }
    const readOnly = nested();
    readOnly.mapGuest(DATA);
    readOnly.mapFirst(PAGE, DATA, 0x25n);
    expect(brief(readOnly.write(PAGE))).toEqual({ code: "85", stage: 1, level: 0 });
    const far = nested();
    far.mapFirst(PAGE, 1n << 48n);
    expect(brief(far.read(PAGE))).toEqual({ code: "84", stage: 2, level: undefined });
  });

  test("VTD-NEST-05: erratum 772415 skips the second stage's write permission for these updates, and nothing else", () => {
    for (const [capabilities, PWSNP, expected] of [
      [SERVER, 1, "77"],
      [SERVER_ERRATUM_772415, 1, 0],
      [SERVER_ERRATUM_772415, 0, "90"],
    ] as const) {
      const m = nested({ capabilities, values: { PWSNP, EAFE: 1 }, leafBits: 1n });
      m.mapGuest(DATA, 1n);
      m.mapFirst(PAGE, DATA, 7n, 7n);
      expect(codeOf(m.read(PAGE))).toBe(expected);
      // The page that is read-only in the second stage has been written by the walk, not by DMA.
      const flags = [3, 2, 1, 0].map((level) => m.rig.peek(m.entryOf(level, PAGE)) & 0x420n);
      expect(flags).toEqual(expected === 0 ? [0x420n, 0x420n, 0x420n, 0x420n] : [0n, 0n, 0n, 0n]);
      expect(codeOf(m.write(PAGE))).toBe(expected === 0 ? "85" : expected);
      expect(m.rig.memory.read8(DATA + GUEST)).toBe(0);
    }
    // Without nesting there is no second stage whose permission could be skipped.
    const m = nested({ capabilities: SERVER_ERRATUM_772415, leafBits: 1n });
    m.mapFirst(PAGE, DATA, LEAF);
    m.rig.poke(m.secondLeaf(m.tables[2]!), 0n);
    expect(codeOf(m.read(PAGE))).toBe("76");
  });

  test("VTD-NEST-06: a cold walk reads (n+1)(m+1)-1 entries", () => {
    for (const [n, m, reads] of [
      [4, 4, 24],
      [5, 5, 35],
      [4, 5, 29],
      [5, 4, 29],
    ] as const) {
      const rig = new VtdRig({ capabilities: SERVER, mode: "scalable", caches: "off" });
      const second = rig.page();
      const first = 0x40_0000n;
      rig.context({ PASIDE: 1 });
      for (let page = first; page <= first + 0x6000n; page += 0x1000n)
        rig.map(second, m, page, page | 3n);
      for (let level = n - 1; level >= 0; level--) {
        const table = first + BigInt(n - 1 - level) * 0x1000n;
        rig.poke(
          table + ((PAGE >> BigInt(12 + 9 * level)) & 0x1ffn) * 8n,
          (table + 0x1000n) | LEAF,
        );
      }
      rig.pasidEntry({ PGTT: 3, FSPM: n - 4, AW: m - 2, FSPTPTR: first, SSPTPTR: second }, 9);
      expect(rig.read(PAGE, 9)).not.toBeInstanceOf(Object);
      expect(rig.unit.counters.tableReads).toBe(reads);
      expect(reads).toBe((n + 1) * (m + 1) - 1);
    }
  });
});
