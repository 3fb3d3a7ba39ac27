import { describe, expect, test } from "vitest";
import { codeOf, NOWHERE, VtdRig } from "../../../test/vtd-rig.ts";
import { NO_PASID, READ, TRANSLATED, WRITE } from "../pci/dma-request.ts";
import type { VtdFault } from "./fault.ts";
import { SERVER } from "./profiles.ts";
import { FAULT_REASONS } from "./spec/fault-reasons.ts";

const PAGE = 0x7000n;
const TARGET = 0x20_0000n;

const rigWith = (leaf: bigint) => {
  const rig = new VtdRig({ capabilities: SERVER, mode: "scalable" });
  const root = rig.page();
  const [entry] = rig.map(root, 4, PAGE, leaf);
  const context = rig.context({ PASIDE: 1, DTE: 1 });
  const pasidEntry = rig.pasidEntry({ PGTT: 2, SSPTPTR: root }, 0);
  return { rig, root, entry: entry!, context, pasidEntry };
};

describe("requests", () => {
  test("VTD-REQ-01: the interrupt range is not memory to requests without a PASID", () => {
    for (const mode of ["legacy", "scalable"] as const) {
      const rig = new VtdRig({ capabilities: SERVER, mode });
      const root = rig.page();
      rig.map(root, 4, 0xfee0_0000n, TARGET | 3n);
      rig.map(root, 4, 0xfeef_f000n, TARGET | 3n);
      rig.map(root, 4, 0xfef0_0000n, TARGET | 3n);
      if (mode === "legacy") rig.legacyContext({ SSPTPTR: root });
      else {
        rig.context({ PASIDE: 1 });
        rig.pasidEntry({ PGTT: 2, SSPTPTR: root }, 0);
        rig.pasidEntry({ PGTT: 2, SSPTPTR: root }, 1);
      }
      const code = mode === "legacy" ? "0e" : "87";
      expect([
        rig.read(0xfef0_0000n),
        codeOf(rig.read(0xfeef_ffffn)),
        codeOf(rig.write(0xfee0_0000n)),
      ]).toEqual([0, code, code]);
      if (mode === "scalable") expect(rig.read(0xfee0_0000n, 1)).toBe(0);
      expect(codeOf(rig.read(0xfee0_0000n))).toBe(code);
    }
  });

  test("VTD-REQ-02: a translated request goes to its own address", () => {
    const { rig } = rigWith(TARGET | 3n);
    expect(rig.port.transfer(0x5123n, Uint8Array.of(0x99), WRITE, NO_PASID, TRANSLATED)).toEqual({
      ok: true,
    });
    expect(rig.memory.read8(0x5123n)).toBe(0x99);
  });

  test("VTD-REQ-02: whatever its PASID entry says", () => {
    const { rig } = rigWith(TARGET | 3n);
    // No entry, and one that is wrong.
    for (const entry of [0n, ~0n]) {
      rig.poke(rig.pasidEntry({}), entry);
      rig.flush();
      const bytes = Uint8Array.of(0x77);
      expect(rig.port.transfer(0x5124n, bytes, WRITE, NO_PASID, TRANSLATED)).toEqual({ ok: true });
    }
    expect(rig.memory.read8(0x5124n)).toBe(0x77);
  });

  test("VTD-REQ-03: a translation request is granted what it may do of what it asked for", () => {
    const ask = (leaf: bigint, access: number) => {
      const { rig } = rigWith(leaf);
      const answer = rig.port.requestTranslation(PAGE, access);
      return answer.ok
        ? [answer.address, answer.sizeLg2, answer.granted]
        : codeOf(answer.fault as VtdFault);
    };
    expect(ask(TARGET | 3n, READ | WRITE)).toEqual([TARGET, 12, READ | WRITE]);
    expect(ask(TARGET | 3n, READ)).toEqual([TARGET, 12, READ]);
    expect(ask(TARGET | 1n, READ | WRITE)).toEqual([TARGET, 12, READ]);
    expect(ask(TARGET | 2n, READ | WRITE)).toBe("86");
  });

  test("VTD-REQ-04: recoverable faults of translation requests are not recorded, others are", () => {
    const { rig, entry } = rigWith(0n);
    const faultOf = () => {
      rig.flush();
      const answer = rig.port.requestTranslation(PAGE, READ);
      return answer.ok ? undefined : (answer.fault as VtdFault);
    };
    expect(faultOf()).toMatchObject({ code: 0x79, silenced: "recoverable" });
    expect((rig.read(PAGE) as VtdFault).silenced).toBeUndefined();
    rig.poke(entry, TARGET | 3n | (1n << 62n));
    expect(faultOf()).toMatchObject({ code: 0x7a, silenced: undefined });
    const codes = [...FAULT_REASONS.values()].filter((r) => r.recoverable).map((r) => r.code);
    expect(codes).toEqual([
      0x05, 0x06, 0x51, 0x59, 0x70, 0x71, 0x72, 0x73, 0x79, 0x80, 0x81, 0x82, 0x85, 0x86,
    ]);
  });
});

describe("faults", () => {
  test("VTD-FAULT-01: FPD anywhere on the way silences a qualified fault, in entries not present too", () => {
    const { rig, entry, context, pasidEntry } = rigWith(0n);
    const silence = () => {
      rig.flush();
      return (rig.read(PAGE) as VtdFault).silenced;
    };
    for (const at of [context, rig.directoryEntry(), pasidEntry]) {
      expect(silence()).toBeUndefined();
      rig.setBits(at, 2n);
      expect(silence()).toBe("fpd");
      const value = rig.peek(at);
      rig.poke(at, value & ~1n);
      expect(silence()).toBe("fpd");
      expect(rig.read(PAGE)).toMatchObject({
        code: at === context ? 0x41 : at === pasidEntry ? 0x59 : 0x51,
      });
      rig.poke(at, value & ~2n);
    }
    // FPD of the context stays in force when the entry comes out of the cache.
    rig.setBits(context, 2n);
    rig.poke(entry, TARGET | 3n);
    rig.flush();
    expect(rig.read(PAGE)).toBe(0);
    expect(rig.read(0x8000n)).toMatchObject({ code: 0x79, silenced: "fpd" });
    const legacy = new VtdRig({ capabilities: SERVER, mode: "legacy" });
    legacy.legacyContext({ FPD: 1, SSPTPTR: legacy.page() });
    expect(legacy.read(PAGE)).toMatchObject({ code: 0x06, silenced: "fpd" });
  });

  test("VTD-FAULT-02: the unqualified faults, which FPD does not silence", () => {
    const unqualified = [...FAULT_REASONS.values()].filter((r) => !r.qualified).map((r) => r.code);
    expect(unqualified).toEqual([
      0x01, 0x08, 0x09, 0x0a, 0x20, 0x21, 0x23, 0x25, 0x30, 0x31, 0x32, 0x38, 0x39, 0x3a, 0x40,
      0x50, 0x58,
    ]);
    const { rig, context } = rigWith(TARGET | 3n);
    rig.setBits(context, 2n);
    rig.poke(context, (rig.peek(context) & 0xfffn) | NOWHERE);
    expect(rig.read(PAGE)).toMatchObject({ code: 0x50, silenced: undefined });
  });

  test("VTD-FAULT-03: a fault says who, what, where and why", () => {
    const { rig, entry } = rigWith(TARGET | 1n);
    expect(rig.write(PAGE + 0x123n)).toEqual({
      kind: "vtd",
      code: 0x85,
      message: "fault 0x85 at 0x7123: no write permission",
      remedy: "set W in every entry on the way",
      source: rig.source,
      pasid: undefined,
      address: PAGE + 0x123n,
      access: { read: false, write: true, execute: false, privileged: false },
      stage: 2,
      level: 0,
      entry: { address: entry, value: TARGET | 1n },
      silenced: undefined,
    });
    rig.poke(rig.contextEntry(), NOWHERE | 9n);
    rig.flush();
    expect(rig.read(PAGE, 70)).toMatchObject({
      pasid: 70,
      stage: 0,
      level: undefined,
      entry: { address: NOWHERE + 8n, value: undefined },
    });
  });
});
