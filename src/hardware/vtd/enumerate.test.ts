import { describe, expect, it } from "vitest";
import { scale } from "../../../test/scale.ts";
import { NOWHERE, RAM_SIZE, VtdRig } from "../../../test/vtd-rig.ts";
import { protText } from "../../page-table/format.ts";
import {
  ENUMERATION_LIMITS,
  type EnumerateOptions,
  enumerateUnit,
  type UnitEnumeration,
} from "./enumerate.ts";
import { type Capabilities, createCapabilities, SERVER } from "./index.ts";

const LARGE = 0x20_0000n;

const enumerateRig = (rig: VtdRig, limits: EnumerateOptions["limits"] = {}): UnitEnumeration =>
  enumerateUnit({
    capabilities: rig.unit.capabilities,
    memory: rig.memory,
    rtaddr: rig.unit.rootTableAddress,
    limits,
  });

/** The server's unit with 3 levels in the second stage besides. */
const WITH_3_LEVELS = createCapabilities({
  cap: SERVER.cap | 0x200n,
  ecap: SERVER.ecap,
  hostAddressWidth: 52,
});

const newRig = (mode: "legacy" | "scalable", capabilities: Capabilities = SERVER): VtdRig =>
  new VtdRig({ capabilities, mode });

/** All leaves: `source/pasid iova>pa+size perms`, without the source of the rig's first device. */
const leavesOf = (rig: VtdRig, listed = enumerateRig(rig)): string[] =>
  listed.devices.flatMap(({ source, spaces }) =>
    spaces.flatMap(({ pasid, leaves, leafCount }) =>
      Array.from({ length: leafCount }, (_, i) => {
        const iova = BigInt(leaves.iovaFrames[i]!) << 12n;
        const pa = BigInt(leaves.outFrames[i]!) << 12n;
        const size = 1n << BigInt(leaves.sizesLg2[i]!);
        const who = source === rig.source ? `${pasid}` : `${source}/${pasid}`;
        const range = [iova, pa, size].map((value) => value.toString(16)).join(" ");
        return `${who}: ${range} ${protText(leaves.prots[i]!)}`;
      }),
    ),
  );

const problemsOf = (listed: UnitEnumeration): object[] =>
  listed.devices.flatMap(({ spaces }) => spaces.flatMap(({ leaves }) => leaves.problems));

describe("leaves", () => {
  it("INSP-MAP-03: permissions are those of all levels, and none is no mapping", () => {
    const rig = newRig("legacy");
    const root = rig.page();
    rig.legacyContext({ SSPTPTR: root });
    rig.map(root, 4, 0x1000n, 0x5001n);
    rig.map(root, 4, 0x2000n, 0x6002n);
    const [leaf, table] = rig.map(root, 4, LARGE, 0x7003n, 0, 1n);
    rig.map(root, 4, LARGE + 0x1000n, 0x7002n);
    expect(leaf).toBeDefined();
    expect(leavesOf(rig)).toEqual([
      "null: 1000 5000 1000 r-",
      "null: 2000 6000 1000 -w",
      "null: 200000 7000 1000 r-",
    ]);
    rig.poke(table!, rig.peek(table!) ^ 1n);
    expect(leavesOf(rig)).toHaveLength(2);
  });

  it("INSP-MAP-04: u is there when every level has U/S", () => {
    const rig = newRig("scalable");
    const root = rig.page();
    rig.pasidEntry({ PGTT: 1, FSPTPTR: root });
    rig.mapFirst(root, 0n, 0x5007n);
    rig.mapFirst(root, 0x1000n, 0x6003n);
    rig.mapFirst(root, 0x2000n, 0x7005n);
    const tables = rig.mapFirst(root, LARGE, 0x8007n);
    rig.poke(tables[2]!, rig.peek(tables[2]!) & ~4n);
    const expected = ["rw", "r-"].map((perms, i) => `null: ${i + 1}000 ${i + 6}000 1000 ${perms}`);
    expect(leavesOf(rig)).toEqual([
      "null: 0 5000 1000 rw",
      ...expected,
      "null: 200000 8000 1000 rw",
    ]);
    rig.poke(tables[2]!, rig.peek(tables[2]!) | 4n);
    expect(leavesOf(rig)[0]).toBe("null: 0 5000 1000 rwu");
    expect(leavesOf(rig)[3]).toBe("null: 200000 8000 1000 rwu");
  });

  it("INSP-MAP-05: the upper half of a first stage is sign-extended and comes last", () => {
    for (const levels of [4, 5]) {
      const rig = newRig("scalable");
      const root = rig.page();
      rig.pasidEntry({ PGTT: 1, FSPTPTR: root, FSPM: levels - 4 });
      const half = 1n << BigInt(11 + 9 * levels);
      const lowest = (1n << 64n) - half;
      const pages = [half - 0x1000n, lowest, 0xffff_ffff_ffff_f000n];
      for (const page of pages) rig.mapFirst(root, page, 0x5007n, 0, levels);
      expect(leavesOf(rig)).toEqual(
        pages.map((page) => `null: ${page.toString(16)} 5000 1000 rwu`),
      );
    }
  });

  it("INSP-MAP-06: bit 12 of a large first-stage leaf is no address", () => {
    const rig = newRig("scalable");
    const root = rig.page();
    rig.pasidEntry({ PGTT: 1, FSPTPTR: root });
    rig.mapFirst(root, LARGE, 0x40_1087n, 1);
    rig.mapFirst(root, 1n << 30n, (2n << 30n) | 0x1087n, 2);
    expect(leavesOf(rig)).toEqual([
      "null: 200000 400000 200000 rwu",
      "null: 40000000 80000000 40000000 rwu",
    ]);
  });

  it("INSP-MAP-07: a second stage ends at CAP.MGAW", () => {
    const cap = (SERVER.cap & ~(0x3fn << 16n)) | (38n << 16n);
    const narrow = createCapabilities({ cap, ecap: SERVER.ecap, hostAddressWidth: 52 });
    const rig = newRig("legacy", narrow);
    const root = rig.page();
    rig.legacyContext({ SSPTPTR: root });
    const last = (1n << 39n) - 0x1000n;
    rig.map(root, 4, last, 0x5003n);
    const [, , , beyond] = rig.map(root, 4, 1n << 39n, 0x6003n);
    rig.setBits(beyond!, 0x800n);
    const listed = enumerateRig(rig);
    expect(leavesOf(rig, listed)).toEqual([`null: ${last.toString(16)} 5000 1000 rw`]);
    expect(problemsOf(listed)).toEqual([]);
  });

  it("INSP-MAP-08: tables without permission are read, for the unit reads them", () => {
    const rig = newRig("legacy");
    const root = rig.page();
    rig.legacyContext({ SSPTPTR: root });
    const [leaf, table] = rig.map(root, 4, 0n, 0x5002n, 0, 1n);
    rig.setBits(leaf!, 1n << 62n);
    const listed = enumerateRig(rig);
    const address = leaf!;
    expect(problemsOf(listed)).toEqual([
      { kind: "reserved-bit", address, iovaFrame: 0, frames: 1 },
    ]);
    expect(listed.tablePfns.has(Number(rig.peek(table!) >> 12n))).toBe(true);
  });
});

describe("nested", () => {
  /** A device whose second stage maps guest pages as told, and whose first stage begins at guest 0. */
  const nestedRig = (): {
    rig: VtdRig;
    second: bigint;
    guest: (pa: bigint, at: bigint) => void;
  } => {
    const rig = newRig("scalable");
    const second = rig.page();
    rig.pasidEntry({ PGTT: 3, FSPTPTR: 0n, SSPTPTR: second, PWSNP: 1 });
    return { rig, second, guest: (pa, at) => void rig.map(second, 4, at, pa | 3n) };
  };

  /** First-stage tables for guest pages 0 to 3 of guest address 0 on, at three host pages and one more. */
  const tablesOf = (rig: VtdRig, guest: (pa: bigint, at: bigint) => void): bigint[] => {
    const host = [rig.page(), rig.page(), rig.page(), rig.page()];
    host.forEach((page, i) => {
      guest(page, BigInt(i) << 12n);
      if (i < 3) rig.poke(page, (BigInt(i + 1) << 12n) | 0x27n);
    });
    return host;
  };

  it("INSP-NEST-01: pages are cut where the smaller of both ends, and the second stage's holes are holes", () => {
    const { rig, second, guest } = nestedRig();
    const host = tablesOf(rig, guest);
    // Stage 1: 2M at IOVA 2M to guest 4M; stage 2 has two pages of it. And a page inside a 2M of stage 2.
    rig.poke(host[2]! + 8n, 0x40_0087n);
    guest(0x700_0000n, 0x40_0000n);
    guest(0x703_0000n, 0x40_3000n);
    rig.poke(host[3]! + 0x10n, 0x60_5027n);
    rig.map(second, 4, 0x60_0000n, 0x80_0083n, 1);
    expect(leavesOf(rig)).toEqual([
      "null: 2000 805000 1000 rwu",
      "null: 200000 7000000 1000 rwu",
      "null: 203000 7030000 1000 rwu",
    ]);
  });

  it("INSP-NEST-02: permissions are those of both stages", () => {
    const { rig, second, guest } = nestedRig();
    const host = tablesOf(rig, guest);
    const leaves = [0x10027n, 0x11025n, 0x12027n, 0x13025n, 0x14023n];
    leaves.forEach((leaf, i) => {
      rig.poke(host[3]! + BigInt(i) * 8n, leaf);
    });
    for (const [at, bits] of [
      [0x10000n, 1n],
      [0x11000n, 3n],
      [0x12000n, 2n],
      [0x13000n, 2n],
      [0x14000n, 3n],
    ] as const) {
      rig.map(second, 4, at, (at + 0x90_0000n) | bits);
    }
    expect(leavesOf(rig)).toEqual([
      "null: 0 910000 1000 r-u",
      "null: 1000 911000 1000 r-u",
      "null: 2000 912000 1000 -wu",
      "null: 4000 914000 1000 rw",
    ]);
  });

  it("INSP-NEST-03: a first-stage table that the second stage leaves out is outside memory", () => {
    const { rig, second, guest } = nestedRig();
    const host = tablesOf(rig, guest);
    rig.poke(host[1]!, 0x5_5027n);
    const problem = { kind: "outside-memory", address: 0x5_5000n, iovaFrame: 0, frames: 2 ** 18 };
    expect(problemsOf(enumerateRig(rig))).toEqual([problem]);
    // It is there for writing only: as good as not at all.
    rig.map(second, 4, 0x5_5000n, 0x5002n);
    expect(problemsOf(enumerateRig(rig))).toEqual([problem]);
    // The second stage maps it to where no memory is.
    rig.map(second, 4, 0x5_5000n, NOWHERE | 3n);
    expect(problemsOf(enumerateRig(rig))).toEqual([{ ...problem, address: NOWHERE }]);
    expect(enumerateRig(rig).devices[0]!.spaces[0]!.fault).toBe(0);
  });

  it("INSP-NEST-04: what is wrong in the second stage is told where the first stage needs it", () => {
    const { rig, second, guest } = nestedRig();
    const host = tablesOf(rig, guest);
    rig.poke(host[3]! + 0x28n, 0x50_1027n);
    const [leaf] = rig.map(second, 4, 0x50_1000n, 0x9003n);
    rig.setBits(leaf!, 1n << 62n);
    const lost = { kind: "reserved-bit", address: leaf!, iovaFrame: 5, frames: 1 };
    expect(problemsOf(enumerateRig(rig))).toEqual([lost]);
  });

  it("INSP-DEV-05: a top table that nobody can read is every request's fault", () => {
    const { rig, second, guest } = nestedRig();
    expect(enumerateRig(rig).devices[0]!.code).toBe(0x75);
    guest(NOWHERE, 0n);
    expect(enumerateRig(rig).devices[0]!.code).toBe(0x73);
    rig.pasidEntry({ PGTT: 3, FSPTPTR: 1n << 50n, SSPTPTR: second });
    expect(enumerateRig(rig).devices[0]!.code).toBe(0x74);
    rig.pasidEntry({ PGTT: 3, FSPTPTR: 0n, SSPTPTR: NOWHERE });
    const { devices } = enumerateRig(rig);
    expect(devices[0]!.code).toBe(0x7b);
    expect(devices[0]!.spaces[0]!.leaves.problems).toEqual([
      { kind: "outside-memory", address: NOWHERE, iovaFrame: 0, frames: 2 ** 36 },
    ]);
  });
});

describe("devices", () => {
  it("INSP-DEV-01: every present PASID entry, the one of requests without a PASID first and as null", () => {
    const rig = newRig("scalable");
    const root = rig.page();
    rig.map(root, 4, 0n, 0x5003n);
    rig.context({ PASIDE: 1, DTE: 1, PRE: 1, RID_PASID: 70, PDTS: 0 });
    const entry = { PGTT: 2, SSPTPTR: root } as const;
    for (const pasid of [3, 70, 0x1fff]) rig.pasidEntry({ ...entry, DID: pasid & 0xff }, pasid);
    const [device] = enumerateRig(rig).devices;
    expect(device).toMatchObject({
      deviceTlb: true,
      pageRequests: true,
      pasidEnabled: true,
      code: 0,
    });
    expect(device!.spaces.map(({ pasid, domain, code }) => [pasid, domain, code])).toEqual([
      [null, 70, 0],
      [3, 3, 0],
      [0x1fff, 0xff, 0],
    ]);
    expect(leavesOf(rig).map((leaf) => leaf.split(":")[0])).toEqual(["null", "3", "8191"]);
  });

  it("INSP-DEV-02: entries for PASIDs that requests cannot have are told and lead nowhere", () => {
    const rig = newRig("scalable");
    const root = rig.page();
    rig.map(root, 4, 0n, 0x5003n);
    rig.context({ PASIDE: 0 });
    rig.pasidEntry({ PGTT: 2, SSPTPTR: root }, 0);
    rig.pasidEntry({ PGTT: 2, SSPTPTR: root, FPD: 1 }, 1);
    const [, second] = enumerateRig(rig).devices[0]!.spaces;
    expect(second).toMatchObject({ pasid: 1, code: 0x45, fpd: true, leafCount: 0 });
    expect(leavesOf(rig)).toHaveLength(1);
  });

  it("INSP-DEV-06: a directory of several pages, up to the last PASID", () => {
    const rig = newRig("scalable");
    const root = rig.page();
    rig.map(root, 4, 0n, 0x5003n);
    const directory = rig.page();
    for (let i = 1; i < 32; i++) expect(rig.page()).toBe(directory + BigInt(i) * 4096n);
    rig.context({ PASIDE: 1, PASIDDIRPTR: directory, PDTS: 7 });
    rig.pasidEntry({ PGTT: 2, SSPTPTR: root }, 0xf_ffff);
    const { devices } = enumerateRig(rig);
    expect(devices[0]!.code).toBe(0x51);
    expect(devices[0]!.spaces.map(({ pasid }) => pasid)).toEqual([0xf_ffff]);
    // Half as large, it ends before that.
    rig.context({ PASIDE: 1, PASIDDIRPTR: directory, PDTS: 6 });
    expect(enumerateRig(rig).devices[0]!.spaces).toEqual([]);
  });

  it("INSP-DEV-06: a directory that runs out of memory ends there, once", () => {
    const rig = newRig("scalable");
    const last = RAM_SIZE - 4096n;
    rig.context({ PASIDDIRPTR: last, PDTS: 5 });
    const listed = enumerateRig(rig);
    const problem = { kind: "outside-memory", source: rig.source, pasid: null, address: RAM_SIZE };
    expect(listed.problems).toEqual([problem]);
  });

  it("INSP-DEV-07: devices of both halves of a bus, in order", () => {
    const rig = newRig("scalable");
    for (const source of [0xff, 0x80, 0x7f, 0x100]) rig.context({}, source);
    expect(enumerateRig(rig).devices.map(({ source }) => source)).toEqual([
      0x7f, 0x80, 0xff, 0x100,
    ]);
  });
});

describe("hostile tables", () => {
  const MODES = [
    [{ PGTT: 1 }, 4],
    [{ PGTT: 1, FSPM: 1 }, 5],
    [{ PGTT: 2, AW: 1 }, 3],
    [{ PGTT: 2, AW: 2 }, 4],
    [{ PGTT: 2, AW: 3 }, 5],
  ] as const;
  const bitsOf = (mode: { PGTT: number }): bigint => (mode.PGTT === 1 ? 0x27n : 3n);
  const withRoot = (mode: { PGTT: number }, root: bigint): object => ({
    ...mode,
    ...(mode.PGTT === 1 ? { FSPTPTR: root } : { SSPTPTR: root }),
  });

  it.each(MODES)("INSP-BOUND-01: one entry that points at its own table, %j", (mode, levels) => {
    const rig = newRig("scalable", WITH_3_LEVELS);
    const root = rig.page();
    rig.poke(root + 8n, root | bitsOf(mode));
    rig.pasidEntry(withRoot(mode, root));
    // The recursive mapping is legal: it maps the table itself, once.
    const iova = Array.from({ length: levels }, (_, i) => 1n << BigInt(12 + 9 * i));
    const at = iova.reduce((sum, part) => sum + part).toString(16);
    const perms = mode.PGTT === 1 ? "rwu" : "rw";
    expect(leavesOf(rig)).toEqual([`null: ${at} ${root.toString(16)} 1000 ${perms}`]);
  });

  it.each(MODES)(
    "INSP-BOUND-02: a table full of itself ends at the limit of mappings, %j",
    (mode, levels) => {
      const rig = newRig("scalable", WITH_3_LEVELS);
      const root = rig.page();
      for (let i = 0n; i < 512n; i++) rig.poke(root + i * 8n, root | bitsOf(mode));
      rig.pasidEntry(withRoot(mode, root));
      const listed = enumerateRig(rig, { mappings: 5000 });
      expect(listed.truncation).toEqual({
        limit: "mappings",
        most: 5000,
        source: rig.source,
        pasid: null,
      });
      expect(leavesOf(rig, listed)).toHaveLength(5000);
      expect(leavesOf(rig, listed)[4999]).toContain(`: ${(4999).toString(16)}000 `);
      expect(levels).toBeGreaterThan(2);
    },
  );

  it("INSP-BOUND-02: nested tables full of themselves end, too", () => {
    const rig = newRig("scalable");
    const second = rig.page();
    for (let i = 0n; i < 512n; i++) rig.poke(second + i * 8n, second | 3n);
    const first = rig.page();
    for (let i = 0n; i < 512n; i++) rig.poke(first + i * 8n, first | 0x27n);
    const identity = rig.identity(RAM_SIZE);
    for (const [upper, lower] of [
      [first, identity],
      [second, second],
      [first, second],
    ] as const) {
      rig.pasidEntry({ PGTT: 3, FSPTPTR: upper, SSPTPTR: lower });
      expect(
        enumerateRig(rig, { pagingEntries: 2 ** 20, mappings: 2 ** 16 }).truncation,
      ).toBeDefined();
    }
  });

  it("INSP-BOUND-03: tables that map nothing however often they are read end at the limit of entries", () => {
    const rig = newRig("scalable");
    const read = rig.page();
    const write = rig.page();
    // Reading allowed on the way down, writing at the end: nothing is left.
    for (let i = 0n; i < 512n; i++) {
      rig.poke(read + i * 8n, (i % 2n === 0n ? read : write) | 1n);
      rig.poke(write + i * 8n, (i % 2n === 0n ? read : write) | 2n);
    }
    rig.pasidEntry({ PGTT: 2, AW: 3, SSPTPTR: read });
    const listed = enumerateRig(rig, { pagingEntries: 2 ** 22, mappings: 2 ** 12 });
    expect(listed.truncation?.limit).toMatch(/pagingEntries|mappings/);
    for (let i = 0n; i < 512n; i++) rig.poke(read + i * 8n, write | 1n);
    for (let i = 0n; i < 512n; i++) rig.poke(write + i * 8n, write | 2n);
    const pagingEntries = scale(2 ** 24, ENUMERATION_LIMITS.pagingEntries);
    expect(enumerateRig(rig, { pagingEntries }).truncation).toEqual({
      limit: "pagingEntries",
      most: pagingEntries,
      source: rig.source,
      pasid: null,
    });
  });

  it("INSP-BOUND-04: a page that is root table, context table, directory and PASID table at once", () => {
    for (const mode of ["legacy", "scalable"] as const) {
      const rig = newRig(mode);
      const page = rig.rootTable;
      // PASID entries of second-stage type, contexts with the largest directory, root entries: all present.
      for (let i = 0n; i < 512n; i++) rig.poke(page + i * 8n, i % 2n === 0n ? page | 1n : 0n);
      const listed = enumerateRig(rig, { pagingEntries: 2 ** 20 });
      expect(listed.devices.length).toBeGreaterThan(255);
      const full = newRig("scalable");
      for (let i = 0n; i < 512n; i++) full.poke(full.rootTable + i * 8n, full.rootTable | 1n);
      const limits = { structurePages: 2000, pasidEntries: 5000, problems: 1000 };
      expect(enumerateRig(full, limits).truncation).toBeDefined();
    }
  });

  it("INSP-BOUND-05: each limit ends the enumeration and says so", () => {
    const rig = newRig("scalable");
    rig.context({ PASIDE: 1 });
    const root = rig.identity(8n * LARGE);
    for (let pasid = 0; pasid < 4; pasid++) rig.pasidEntry({ PGTT: 2, SSPTPTR: root }, pasid);
    const all = enumerateRig(rig);
    expect(all.truncation).toBeUndefined();
    expect(leavesOf(rig, all)).toHaveLength(32);
    const shared = enumerateRig(rig, { mappings: 20 });
    expect(shared.truncation).toEqual({
      limit: "mappings",
      most: 20,
      source: rig.source,
      pasid: 2,
    });
    expect(shared.devices[0]!.spaces.map(({ leafCount }) => leafCount)).toEqual([8, 8, 4, 0]);
    expect(enumerateRig(rig, { mappings: 32 }).truncation).toBeUndefined();
    const pasids = enumerateRig(rig, { pasidEntries: 3 });
    expect(pasids.truncation).toMatchObject({ limit: "pasidEntries", most: 3 });
    expect(pasids.devices[0]!.spaces).toHaveLength(3);
    expect(enumerateRig(rig, { structurePages: 3 }).truncation).toMatchObject({
      limit: "structurePages",
    });
    expect(enumerateRig(rig, { structurePages: 4 }).truncation).toBeUndefined();
    expect(enumerateRig(rig, { pagingEntries: 600 }).truncation).toMatchObject({
      limit: "pagingEntries",
    });
    const bad = rig.page();
    rig.poke(bad, 0x8_0000_0000_0803n, 0n, 0x8_0000_0000_0803n);
    rig.pasidEntry({ PGTT: 2, SSPTPTR: bad });
    expect(enumerateRig(rig, { problems: 1 }).truncation).toMatchObject({ limit: "problems" });
    expect(enumerateRig(rig, { problems: 2 }).truncation).toBeUndefined();
  });

  it("INSP-BOUND-06: nothing in memory changes", () => {
    const rig = newRig("scalable");
    const root = rig.page();
    rig.pasidEntry({ PGTT: 1, FSPTPTR: root });
    rig.map(root, 4, 0n, 0x5007n, 0, 7n);
    const before = new Uint8Array(0x20_0000);
    rig.memory.read(0n, before);
    expect(leavesOf(rig)).toHaveLength(1);
    const after = new Uint8Array(0x20_0000);
    rig.memory.read(0n, after);
    expect(Buffer.compare(before, after)).toBe(0);
  });
});
