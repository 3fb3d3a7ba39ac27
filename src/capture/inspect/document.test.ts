import { describe, expect, test } from "vitest";
import { VtdRig } from "../../../test/vtd-rig.ts";
import { SERVER } from "../../hardware/vtd/index.ts";
import { type VtdCapture, vtdRegisters, withVtdRegisters } from "../index.ts";
import { inspectCapture, inspectDocument, rangesOf } from "./index.ts";

const captureOf = (rig: VtdRig, name = "rig"): VtdCapture => ({
  iommu: "vtd",
  name,
  memory: rig.memory,
  ram: [{ base: 0n, length: 0x1000_0000n }],
  registers: withVtdRegisters(vtdRegisters(new Map()), {
    cap: SERVER.cap,
    ecap: SERVER.ecap,
    gsts: 0xc000_0000n,
    rtaddr: rig.unit.rootTableAddress,
  }),
});

/** What the server's registers do not say: its memory has 52 bits of address. */
const WIDE = { hostAddressWidth: 52 };

const textOf = (
  capture: VtdCapture,
  options: Parameters<typeof inspectCapture>[1] = WIDE,
): string => [...inspectDocument(inspectCapture(capture, options))].join("");

const nestedRig = (): VtdRig => {
  const rig = new VtdRig({ capabilities: SERVER, mode: "scalable" });
  const lower = rig.identity(0x40_0000n);
  const upper = rig.page();
  rig.context({ PASIDE: 1, DTE: 1, RID_PASID: 2 });
  rig.pasidEntry({ PGTT: 3, FSPTPTR: upper, SSPTPTR: lower, DID: 7 }, 2);
  rig.pasidEntry({ PGTT: 4, DID: 8 }, 0x1000);
  rig.pasidEntry({ PGTT: 7, DID: 9, FPD: 1 }, 3);
  rig.mapFirst(upper, 0n, 0x100007n);
  rig.mapFirst(upper, 0xffff_ffff_ffff_f000n, 0x3f_f005n);
  return rig;
};

describe("the document", () => {
  test("INSP-JSON-01: names in a fixed order, numbers of 64 bits as hexadecimal", () => {
    const rig = nestedRig();
    const document = textOf(captureOf(rig));
    const head = `{"schema":"softiommu/inspect@1","capture":"rig","iommu":"vtd","mode":"scalable","translation":true,"fault":null,"truncated":null`;
    expect(
      document.startsWith(`${head},\n"devices":[\n{"bdf":"0000:00:02.0","mode":"scalable",`),
    ).toBe(true);
    const parsed = JSON.parse(document);
    expect(Object.keys(parsed)).toEqual([
      "schema",
      "capture",
      "iommu",
      "mode",
      "translation",
      "fault",
      "truncated",
      "devices",
      "mappings",
      "findings",
    ]);
    expect(document).toContain(
      `"mappings":[\n{"bdf":"0000:00:02.0","pasid":null,"domain":7,"iova":"0x0","pa":"0x100000","size":"0x1000","perms":"rwu"},\n` +
        `{"bdf":"0000:00:02.0","pasid":null,"domain":7,"iova":"0xfffffffffffff000","pa":"0x3ff000","size":"0x1000","perms":"r-u"}]`,
    );
    expect(
      document.endsWith(
        `"findings":[\n{"code":"pass-through","bdf":["0000:00:02.0"],"pasid":4096,"iova":null,"pa":null,"size":null},\n` +
          `{"code":"ats-with-pass-through","bdf":["0000:00:02.0"],"pasid":4096,"iova":null,"pa":null,"size":null},\n` +
          `{"code":"maps-iommu-tables","bdf":["0000:00:02.0"],"pasid":null,"iova":"0x0","pa":"0x100000","size":"0x1000"}]}\n`,
      ),
    ).toBe(true);
  });

  test("INSP-JSON-02: a device and its PASIDs", () => {
    const rig = nestedRig();
    const [device] = JSON.parse(textOf(captureOf(rig))).devices;
    const { pasids, ...rest } = device;
    expect(rest).toEqual({
      bdf: "0000:00:02.0",
      mode: "scalable",
      contextEntry: `0x${rig.contextEntry().toString(16)}`,
      ats: true,
      pageRequests: false,
      pasidEnabled: true,
      ridPasid: 2,
      fpd: false,
      valid: true,
      fault: null,
    });
    expect(
      pasids.map((each: Record<string, unknown>) => [
        each["pasid"],
        each["type"],
        each["domain"],
        each["mappings"],
      ]),
    ).toEqual([
      [null, "nested", 7, 2],
      [3, "invalid", 9, 0],
      [0x1000, "pass-through", 8, 0],
    ]);
    expect(pasids[0].firstStage.levels).toBe(4);
    expect(pasids[0].secondStage.root).toMatch(/^0x1[0-9a-f]+000$/);
    expect(pasids[1]).toMatchObject({
      valid: false,
      fpd: true,
      firstStage: null,
      secondStage: null,
    });
    expect(pasids[1].fault.code).toBe("0x5b");
    expect(Object.keys(pasids[1].fault)).toEqual(["code", "text", "remedy"]);
    expect(Object.keys(pasids[0])).toEqual([
      "pasid",
      "type",
      "domain",
      "valid",
      "fault",
      "fpd",
      "firstStage",
      "secondStage",
      "mappings",
    ]);
  });

  test("INSP-JSON-03: comes in small pieces, whatever its size", () => {
    const rig = new VtdRig({ capabilities: SERVER, mode: "legacy" });
    const root = rig.page();
    for (let i = 0n; i < 512n; i++) rig.poke(root + i * 8n, root | 3n);
    rig.legacyContext({ SSPTPTR: root });
    const limits = { mappings: 100_000, findings: 10 };
    const report = inspectCapture(captureOf(rig), { ...WIDE, limits });
    const chunks = [...inspectDocument(report)];
    expect(Math.max(...chunks.map((chunk) => chunk.length))).toBeLessThan(100_000);
    const parsed = JSON.parse(chunks.join(""));
    expect(parsed.mappings).toHaveLength(100_000);
    expect(parsed.mappings[511].iova).toBe("0x1ff000");
    expect(parsed.mappings[512].iova).toBe("0x200000");
    expect(parsed.truncated).toEqual({ limit: "mappings", most: 100_000, where: "0000:00:02.0" });
    expect(parsed.findings).toHaveLength(10);
  });

  test("INSP-JSON-03: nothing is a document, too, and names are quoted", () => {
    const rig = new VtdRig({ capabilities: SERVER, mode: "legacy" });
    const text = textOf({ ...captureOf(rig, 'a"b\n'), moment: "c" });
    const { devices, mappings, findings, capture } = JSON.parse(text);
    expect({ devices, mappings, findings, capture }).toEqual({
      devices: [],
      mappings: [],
      findings: [],
      capture: 'a"b\n/c',
    });
    expect(JSON.parse(textOf(captureOf(rig), { ...WIDE, segment: 0x10 })).devices).toEqual([]);
  });
});

describe("bounds", () => {
  test("INSP-BOUND-07: findings end at their limit, and the report says so", () => {
    const rig = new VtdRig({ capabilities: SERVER, mode: "legacy" });
    for (let device = 0; device < 8; device++) rig.legacyContext({ TT: 2, DID: 1 }, device << 3);
    const found = (findings: number): unknown[] => {
      const report = inspectCapture(captureOf(rig), { ...WIDE, limits: { findings } });
      return [report.findings.map(({ code }) => code).join(" "), report.truncated];
    };
    const all = `shared-domain${" pass-through".repeat(8)}`;
    expect(found(9)).toEqual([all, null]);
    expect(found(3)).toEqual([
      "shared-domain pass-through pass-through",
      { limit: "findings", most: 3, where: "the findings" },
    ]);
  });
});

describe("ranges", () => {
  test("INSP-RANGE-01: leaves are joined where both addresses go on and permissions are the same", () => {
    const rig = new VtdRig({ capabilities: SERVER, mode: "legacy" });
    const root = rig.page();
    rig.legacyContext({ SSPTPTR: root, DID: 3 });
    const pages = [
      [0x1f_f000n, 0x5f_f003n, 0],
      [0x20_0000n, 0x60_0083n, 1],
      [0x40_0000n, 0x80_0003n, 0],
      [0x40_1000n, 0x80_1001n, 0],
      [0x40_2000n, 0x80_3001n, 0],
      [0x40_4000n, 0x80_4001n, 0],
    ] as const;
    for (const [at, leaf, level] of pages) rig.map(root, 4, at, leaf, level);
    const ranges = [...rangesOf(inspectCapture(captureOf(rig), WIDE))];
    const brief = ranges.map(
      ({ iova, pa, size, perms, leaves }) =>
        `${[iova, pa, size].map((value) => value.toString(16)).join(" ")} ${perms} ${leaves}`,
    );
    expect(brief).toEqual([
      "1ff000 5ff000 202000 rw 3",
      "401000 801000 1000 r- 1",
      "402000 803000 1000 r- 1",
      "404000 804000 1000 r- 1",
    ]);
    expect(ranges[0]).toMatchObject({ bdf: "0000:00:02.0", pasid: null, domain: 3 });
  });
});
