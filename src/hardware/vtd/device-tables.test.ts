import { describe, expect, test } from "vitest";
import { codeOf, NOWHERE, VtdRig } from "../../../test/vtd-rig.ts";
import { NO_PASID, PRIVILEGED, READ, TRANSLATED } from "../pci/dma-request.ts";
import { type Capabilities, createCapabilities } from "./capabilities.ts";
import type { VtdFault } from "./fault.ts";
import { QEMU_7_2, QEMU_11_1_FIRST_STAGE, SERVER } from "./profiles.ts";
import { CAP, ECAP } from "./spec/capability-registers.ts";

const PAGE = 0x7000n;
const TARGET = 0x20_0000n;

/** The server's unit without some capabilities. */
const serverWithout = (
  ...names: (keyof typeof ECAP.fields | keyof typeof CAP.fields)[]
): Capabilities => {
  const cap = CAP.decode([SERVER.cap]);
  const ecap = ECAP.decode([SERVER.ecap]);
  const none = Object.fromEntries(names.map((name) => [name, 0n]));
  const keep = <T extends object>(values: T): T =>
    Object.fromEntries(Object.entries(values).map(([k, v]) => [k, none[k] ?? v])) as T;
  return createCapabilities({
    cap: CAP.encode(keep(cap))[0]!,
    ecap: ECAP.encode(keep(ecap))[0]!,
    hostAddressWidth: 52,
  });
};

/** A legacy machine in which the device reaches one page with the byte 0x77. */
const legacyRig = (capabilities: Capabilities = SERVER): { rig: VtdRig; context: bigint } => {
  const rig = new VtdRig({ capabilities, mode: "legacy" });
  const root = rig.page();
  const levels = capabilities === QEMU_7_2 ? 3 : 4;
  rig.map(root, levels, PAGE, TARGET | 3n);
  const context = rig.legacyContext({ SSPTPTR: root, AW: levels - 2 });
  rig.memory.write8(TARGET, 0x77);
  return { rig, context };
};

/** A scalable machine with a second stage, RID_PASID 0. */
const scalableRig = (
  capabilities: Capabilities = SERVER,
  pasid = 0,
): { rig: VtdRig; context: bigint; entry: bigint } => {
  const rig = new VtdRig({ capabilities, mode: "scalable" });
  const root = rig.page();
  rig.map(root, 4, PAGE, TARGET | 3n);
  const context = rig.context({ PASIDE: capabilities.has("PASID"), DTE: capabilities.has("DT") });
  const entry = rig.pasidEntry({ PGTT: 2, SSPTPTR: root }, pasid);
  rig.memory.write8(TARGET, 0x77);
  return { rig, context, entry };
};

/** Reads the page with every single bit of `mask` set in the quadword at `address` in turn. */
const codesOfBits = (rig: VtdRig, address: bigint, mask: bigint, read: () => number | VtdFault) => {
  const codes = new Set<string | number | undefined>();
  const original = rig.peek(address);
  for (let bit = 0n; bit < 64n; bit++) {
    if (((mask >> bit) & 1n) === 0n) continue;
    rig.poke(address, original | (1n << bit));
    rig.unit.invalidateContext({ granularity: "global" });
    rig.unit.invalidatePasid({ granularity: "global" });
    rig.unit.invalidateIotlb({ granularity: "global" });
    codes.add(codeOf(read()));
  }
  rig.poke(address, original);
  return [...codes];
};

describe("root and mode", () => {
  test("VTD-ROOT-01: with translation off the address is physical", () => {
    const { rig } = legacyRig();
    rig.unit.setTranslation(false);
    rig.memory.write8(PAGE, 0x11);
    expect(rig.read(PAGE)).toBe(0x11);
    rig.unit.setTranslation(true);
    expect(rig.read(PAGE)).toBe(0x77);
  });

  test("VTD-ROOT-02: a mode the unit lacks refuses everything with 30", () => {
    for (const [capabilities, ttm] of [
      [SERVER, 2n],
      [QEMU_7_2, 1n],
      [QEMU_11_1_FIRST_STAGE, 3n],
    ] as const) {
      const rig = new VtdRig({ capabilities, mode: "legacy" });
      rig.unit.setRootTable(rig.rootTable | (ttm << 10n));
      expect(codeOf(rig.read(PAGE))).toBe("30");
      expect((rig.read(PAGE) as VtdFault).silenced).toBeUndefined();
    }
  });

  test("VTD-ROOT-03: abort-DMA mode refuses everything and records nothing", () => {
    const { rig } = scalableRig();
    rig.unit.setRootTable(rig.rootTable | 0xc00n);
    const fault = rig.write(PAGE) as VtdFault;
    expect([fault.code, fault.silenced]).toEqual([0, "abort-dma"]);
    expect(rig.memory.read8(TARGET)).toBe(0x77);
  });

  test("VTD-ROOT-04: a legacy root entry unreadable, absent, with reserved bits", () => {
    const { rig } = legacyRig();
    expect(rig.read(PAGE)).toBe(0x77);
    const entry = rig.rootEntry();
    const narrow = legacyRig(QEMU_7_2);
    expect(
      codesOfBits(narrow.rig, narrow.rig.rootEntry(), ~0n << 39n, () => narrow.rig.read(PAGE)),
    ).toEqual(["0a"]);
    expect(codesOfBits(rig, entry, 0xffen | (0xfffn << 52n), () => rig.read(PAGE))).toEqual(["0a"]);
    expect(codesOfBits(rig, entry + 8n, ~0n, () => rig.read(PAGE))).toEqual(["0a"]);
    rig.poke(entry, rig.peek(entry) & ~1n);
    rig.unit.invalidateContext({ granularity: "global" });
    expect(codeOf(rig.read(PAGE))).toBe("01");
    rig.unit.setRootTable(NOWHERE);
    expect(codeOf(rig.read(PAGE))).toBe("08");
  });

  test("VTD-ROOT-05: only the half in use of a scalable root entry is checked", () => {
    const { rig } = scalableRig();
    rig.poke(rig.rootEntry() ^ 8n, ~0n);
    expect(rig.read(PAGE)).toBe(0x77);
    expect(codeOf(rig.read(PAGE, NO_PASID, 0, rig.otherPort))).toBe("3a");
    expect(
      codesOfBits(rig, rig.rootEntry(), 0xffen | (0xfffn << 52n), () => rig.read(PAGE)),
    ).toEqual(["3a"]);
    rig.poke(rig.rootEntry() ^ 8n, ~1n);
    rig.unit.invalidateContext({ granularity: "global" });
    expect(codeOf(rig.read(PAGE, NO_PASID, 0, rig.otherPort))).toBe("39");
    rig.unit.setRootTable(NOWHERE | 0x400n);
    expect(codeOf(rig.read(PAGE))).toBe("38");
  });

  test("VTD-ROOT-06: a PASID in legacy mode", () => {
    const { rig } = legacyRig();
    expect(codeOf(rig.read(PAGE, 5))).toBe("31");
  });
});

describe("context entries", () => {
  test("VTD-CTX-01: a legacy context entry unreadable, absent, with reserved bits", () => {
    const { rig, context } = legacyRig();
    expect(codesOfBits(rig, context, 0xff0n | (0xfffn << 52n), () => rig.read(PAGE))).toEqual([
      "0b",
    ]);
    expect(codesOfBits(rig, context + 8n, (~0n << 24n) | 0x80n, () => rig.read(PAGE))).toEqual([
      "0b",
    ]);
    expect(codesOfBits(rig, context + 8n, 0x78n, () => rig.read(PAGE))).toEqual([0x77]);
    rig.unit.invalidateContext({ granularity: "global" });
    rig.poke(context, rig.peek(context) & ~1n);
    expect(codeOf(rig.read(PAGE))).toBe("02");
    rig.poke(rig.rootEntry(), NOWHERE | 1n);
    expect(codeOf(rig.read(PAGE))).toBe("09");
  });

  test("VTD-CTX-02: translation types and widths that the unit does not have", () => {
    const cases: readonly [Capabilities, { TT: number; AW: number }, string | number][] = [
      [SERVER, { TT: 3, AW: 2 }, "03"],
      [serverWithout("DT"), { TT: 1, AW: 2 }, "03"],
      [serverWithout("PT"), { TT: 2, AW: 2 }, "03"],
      [SERVER, { TT: 1, AW: 2 }, 0x77],
      [SERVER, { TT: 0, AW: 2 }, 0x77],
      ...[0, 1, 4, 5, 6, 7].map(
        (AW) => [SERVER, { TT: 0, AW }, "03"] as [Capabilities, { TT: number; AW: number }, string],
      ),
    ];
    for (const [capabilities, values, expected] of cases) {
      const { rig, context } = legacyRig(capabilities);
      const table = rig.peek(context) & ~0xfffn;
      rig.legacyContext({ SSPTPTR: table, ...values });
      expect(codeOf(rig.read(PAGE))).toBe(expected);
    }
  });

  test("VTD-CTX-03: pass-through, and device-TLB requests where they are not served", () => {
    const { rig } = legacyRig();
    expect(rig.port.requestTranslation(PAGE, READ)).toMatchObject({
      ok: false,
      fault: { code: 0x0d },
    });
    expect(rig.port.transfer(TARGET, new Uint8Array(1), READ, NO_PASID, TRANSLATED)).toMatchObject({
      ok: false,
      fault: { code: 0x0d },
    });
    rig.legacyContext({ TT: 2 });
    rig.unit.invalidateContext({ granularity: "global" });
    rig.memory.write8(PAGE, 0x22);
    expect(rig.read(PAGE)).toBe(0x22);
    expect(rig.port.requestTranslation(PAGE, READ)).toMatchObject({
      ok: false,
      fault: { code: 0x0d },
    });
  });

  test("VTD-CTX-04: a scalable context entry unreadable, absent, with reserved bits", () => {
    const { rig, context } = scalableRig();
    expect(codesOfBits(rig, context, 0x1e0n | (0xfffn << 52n), () => rig.read(PAGE))).toEqual([
      "42",
    ]);
    expect(codesOfBits(rig, context + 8n, ~0n << 21n, () => rig.read(PAGE))).toEqual(["42"]);
    expect(codesOfBits(rig, context + 16n, ~0n, () => rig.read(PAGE))).toEqual(["42"]);
    expect(codesOfBits(rig, context + 24n, ~0n, () => rig.read(PAGE))).toEqual(["42"]);
    for (const [name, offset, mask] of [
      ["DT", 0n, 1n << 2n],
      ["PASID", 0n, 1n << 3n],
      ["PRS", 0n, 1n << 4n],
      ["RPS", 8n, 0xf_ffffn],
      ["RPRIVS", 8n, 1n << 20n],
    ] as const) {
      const lacking = scalableRig(serverWithout(name));
      const read = () => lacking.rig.read(PAGE);
      expect(read()).toBe(0x77);
      expect(codesOfBits(lacking.rig, lacking.context + offset, mask, read)).toEqual(["42"]);
    }
    rig.poke(context, rig.peek(context) & ~1n);
    rig.unit.invalidateContext({ granularity: "global" });
    expect(codeOf(rig.read(PAGE))).toBe("41");
    rig.poke(rig.rootEntry(), NOWHERE | 1n);
    expect(codeOf(rig.read(PAGE))).toBe("40");
  });

  test("VTD-CTX-05: PASIDE, the directory's limit and the unit's width", () => {
    const { rig, context } = scalableRig();
    rig.pasidEntry({ PGTT: 2, SSPTPTR: rig.peek(rig.pasidEntry({ PGTT: 2 }, 1)) & ~0xfffn }, 1);
    rig.context({ PASIDE: 0 });
    expect(codeOf(rig.read(PAGE, 1))).toBe("45");
    for (const pdts of [0, 3, 7]) {
      const limit = 1 << (pdts + 13);
      rig.context({ PASIDE: 1, PDTS: pdts });
      rig.unit.invalidateContext({ granularity: "global" });
      expect(codeOf(rig.read(PAGE, limit - 1))).toBe("51");
      if (limit < 1 << 20) expect(codeOf(rig.read(PAGE, limit))).toBe("46");
    }
    expect(context).toBe(rig.contextEntry());
    const narrowEcap = ECAP.encode({ ...ECAP.decode([SERVER.ecap]), PSS: 7 })[0]!;
    const narrow = scalableRig(
      createCapabilities({ cap: SERVER.cap, ecap: narrowEcap, hostAddressWidth: 52 }),
    );
    expect(codeOf(narrow.rig.read(PAGE, 255))).toBe("51");
    expect(codeOf(narrow.rig.read(PAGE, 256))).toBe("46");
  });

  test("VTD-CTX-06: requests without a PASID use RID_PASID", () => {
    const rig = new VtdRig({ capabilities: SERVER, mode: "scalable" });
    const root = rig.page();
    rig.map(root, 4, PAGE, TARGET | 3n);
    rig.memory.write8(TARGET, 0x33);
    rig.context({ RID_PASID: 8191 });
    rig.pasidEntry({ PGTT: 2, SSPTPTR: root }, 8191);
    expect(rig.read(PAGE)).toBe(0x33);
    rig.context({ RID_PASID: 8192 });
    rig.unit.invalidateContext({ granularity: "global" });
    expect(codeOf(rig.read(PAGE))).toBe("48");
    const without = scalableRig(serverWithout("RPS"));
    without.rig.context({ RID_PASID: 1 });
    expect(codeOf(without.rig.read(PAGE))).toBe("42");
  });

  test("VTD-CTX-07: device-TLB requests need DTE", () => {
    const { rig } = scalableRig();
    expect(rig.port.requestTranslation(PAGE, READ)).toMatchObject({ ok: true, address: TARGET });
    const directory = rig.peek(rig.contextEntry()) & ~0xfffn;
    rig.context({ PASIDDIRPTR: directory });
    rig.unit.invalidateContext({ granularity: "global" });
    expect(rig.port.requestTranslation(PAGE, READ)).toMatchObject({
      ok: false,
      fault: { code: 0x44 },
    });
    expect(rig.port.transfer(TARGET, new Uint8Array(1), READ, NO_PASID, TRANSLATED)).toMatchObject({
      ok: false,
      fault: { code: 0x44 },
    });
    expect(rig.read(PAGE)).toBe(0x77);
  });

  test("VTD-CTX-08: RID_PRIV makes requests without a PASID privileged", () => {
    const rig = new VtdRig({ capabilities: SERVER, mode: "scalable" });
    const root = rig.page();
    rig.mapFirst(root, PAGE, TARGET | 0x63n);
    rig.memory.write8(TARGET, 0x44);
    rig.context({ RID_PRIV: 1 });
    rig.pasidEntry({ PGTT: 1, FSPTPTR: root, SRE: 1 });
    expect([rig.read(PAGE), rig.read(PAGE)]).toEqual([0x44, 0x44]);
    const directory = rig.peek(rig.contextEntry()) & ~0xfffn;
    rig.context({ PASIDDIRPTR: directory });
    rig.unit.invalidateContext({ granularity: "global" });
    expect(codeOf(rig.read(PAGE))).toBe("81");
  });
});

describe("PASID structures", () => {
  test("VTD-PASID-01: a directory entry unreadable, absent, with reserved bits", () => {
    const { rig } = scalableRig();
    const entry = rig.directoryEntry();
    expect(codesOfBits(rig, entry, 0xffcn | (0xfffn << 52n), () => rig.read(PAGE))).toEqual(["52"]);
    rig.unit.invalidatePasid({ granularity: "global" });
    rig.poke(entry, rig.peek(entry) & ~1n);
    expect(codeOf(rig.read(PAGE))).toBe("51");
    rig.context({ PASIDDIRPTR: NOWHERE });
    rig.unit.invalidateContext({ granularity: "global" });
    expect(codeOf(rig.read(PAGE))).toBe("50");
  });

  test("VTD-PASID-02: a PASID entry unreadable, absent, with reserved bits", () => {
    const { rig, entry } = scalableRig();
    const read = () => rig.read(PAGE);
    expect(codesOfBits(rig, entry, 0xc20n | (0xfffn << 52n), read)).toEqual(["5a"]);
    expect(codesOfBits(rig, entry + 8n, 0xf87f_0000n & ~0x0600_0000n, read)).toEqual(["5a"]);
    expect(codesOfBits(rig, entry + 16n, 0xf02n | (0xfffn << 52n), read)).toEqual(["5a"]);
    for (let i = 3n; i < 8n; i++)
      expect(codesOfBits(rig, entry + 8n * i, ~0n, read)).toEqual(["5a"]);
    rig.unit.invalidatePasid({ granularity: "global" });
    rig.poke(entry, rig.peek(entry) & ~1n);
    expect(codeOf(read())).toBe("59");
    rig.poke(rig.directoryEntry(), NOWHERE | 1n);
    expect(codeOf(read())).toBe("58");
  });

  test("VTD-PASID-03: fields that a capability makes are reserved without it; AW is not", () => {
    const pasidFields = [
      ["SSADS", 0n, 1n << 9n],
      ["SMPWCS", 8n, 1n << 23n],
      ["SC", 8n, 1n << 24n],
      ["MTS", 8n, (0xffff_ffffn << 32n) | (3n << 25n)],
      ["SRS", 16n, 1n],
      ["EAFS", 16n, 1n << 7n],
      ["FSTS", 16n, (0xf_ffff_fffffn << 12n) | (1n << 4n)],
    ] as const;
    for (const [name, offset, mask] of pasidFields) {
      const { rig, entry } = scalableRig(serverWithout(name));
      const read = () => rig.read(PAGE);
      expect(read()).toBe(0x77);
      expect(codesOfBits(rig, entry + offset, mask & ~(~0n << 64n), read)).toEqual(["5a"]);
    }
    const rig = new VtdRig({ capabilities: QEMU_11_1_FIRST_STAGE, mode: "scalable" });
    const root = rig.page();
    rig.mapFirst(root, PAGE, TARGET | 0x67n);
    const entry = rig.pasidEntry({ PGTT: 1, FSPTPTR: root, AW: 2 });
    expect(rig.read(PAGE)).toBe(0);
    expect(codesOfBits(rig, entry, 1n << 20n, () => rig.read(PAGE))).toEqual(["5a"]);
  });

  test("VTD-PASID-04: translation types need their capability", () => {
    const outcome = (capabilities: Capabilities, pgtt: number) => {
      const rig = new VtdRig({ capabilities, mode: "scalable" });
      const first = rig.page();
      rig.mapFirst(first, PAGE, PAGE | 0x67n);
      rig.pasidEntry({
        PGTT: pgtt,
        SSPTPTR: capabilities.has("SSTS") ? rig.identity(0x40_0000n) : 0n,
        FSPTPTR: capabilities.has("FSTS") ? first : 0n,
      });
      rig.memory.write8(PAGE, 0x66);
      return codeOf(rig.read(PAGE));
    };
    expect([0, 1, 2, 3, 4, 5, 6, 7].map((pgtt) => outcome(SERVER, pgtt))).toEqual([
      "5b",
      0x66,
      0x66,
      0x66,
      0x66,
      "5b",
      "5b",
      "5b",
    ]);
    expect(outcome(serverWithout("FSTS"), 1)).toBe("5b");
    expect(outcome(serverWithout("SSTS"), 2)).toBe("5b");
    expect(outcome(serverWithout("NEST"), 3)).toBe("5b");
    expect(outcome(serverWithout("PT"), 4)).toBe("5b");
  });

  test("VTD-PASID-05: widths and levels the unit lacks", () => {
    const { rig, entry } = scalableRig();
    const root = rig.peek(entry) & ~0xfffn;
    for (const AW of [0, 1, 4, 7]) {
      rig.pasidEntry({ PGTT: 2, SSPTPTR: root, AW });
      rig.unit.invalidatePasid({ granularity: "global" });
      expect(codeOf(rig.read(PAGE))).toBe("5b");
    }
    for (const FSPM of [2, 3]) {
      rig.pasidEntry({ PGTT: 1, FSPTPTR: root, FSPM });
      rig.unit.invalidatePasid({ granularity: "global" });
      expect(codeOf(rig.read(PAGE))).toBe("5b");
    }
    const four = scalableRig(serverWithout("FS5LP"));
    four.rig.pasidEntry({ PGTT: 1, FSPTPTR: root, FSPM: 1 });
    expect(codeOf(four.rig.read(PAGE))).toBe("5b");
  });

  test("VTD-PASID-06: privileged requests need SRE where there is a first stage", () => {
    const rig = new VtdRig({ capabilities: SERVER, mode: "scalable" });
    const root = rig.page();
    rig.mapFirst(root, PAGE, TARGET | 0x67n);
    rig.context({ PASIDE: 1 });
    rig.pasidEntry({ PGTT: 1, FSPTPTR: root }, 3);
    rig.pasidEntry({ PGTT: 1, FSPTPTR: root, SRE: 1 }, 4);
    expect(codeOf(rig.read(PAGE, 3, PRIVILEGED))).toBe("5d");
    expect(rig.read(PAGE, 4, PRIVILEGED)).toBe(0);
  });

  test("VTD-PASID-07: pass-through stops at the host width and at the interrupt range", () => {
    const rig = new VtdRig({ capabilities: SERVER, mode: "scalable" });
    rig.context({ PASIDE: 1 });
    rig.pasidEntry({ PGTT: 4 }, 1);
    rig.memory.write8(PAGE, 0x55);
    expect(rig.read(PAGE, 1)).toBe(0x55);
    expect(codeOf(rig.read(1n << 52n, 1))).toBe("83");
    expect(codeOf(rig.read(0xfee0_0000n, 1))).toBe("87");
    const legacy = new VtdRig({ capabilities: SERVER, mode: "legacy" });
    legacy.legacyContext({ TT: 2 });
    expect(codeOf(legacy.read((1n << 52n) + 8n))).toBe("04");
    expect(codeOf(legacy.write(~0n))).toBe("04");
  });
});
