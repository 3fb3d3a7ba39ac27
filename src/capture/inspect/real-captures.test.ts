import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { type NodeFiles, openNamed } from "../../cli/node-files.ts";
import { DmaRequest, READ, WRITE } from "../../hardware/pci/dma-request.ts";
import { parsePciAddress } from "../../hardware/pci/requester-id.ts";
import { createCapabilities, TranslationUnit } from "../../hardware/vtd/index.ts";
import { type ExpectedMapping, readCapture, readRegisters, type VtdCapture } from "../index.ts";
import { inspectCapture, inspectDocument, type Mapping, mappingsOf, rangesOf } from "./index.ts";

const CAPTURES = fileURLToPath(new URL("../../../captures", import.meta.url));
const opened: NodeFiles[] = [];
afterAll(() => {
  for (const files of opened) files.close();
});

const openFiles = (name: string): ReturnType<typeof openNamed> => {
  const named = openNamed(`${CAPTURES}/${name}`);
  opened.push(named.files);
  return named;
};

const open = (name: string): VtdCapture => {
  const { files, moment } = openFiles(name);
  const capture = readCapture(files, moment === undefined ? {} : { moment });
  if (capture.iommu !== "vtd") throw new Error(`${name} is no VT-d capture`);
  return capture;
};

const GIVEN = [
  "vtd_legacy_k61_q72",
  "vtd_legacy_ss",
  "vtd_pt_sm",
  "vtd_sm_fs",
  "vtd_sm_ss",
  "vtd_1g_fs/g_1g",
  "vtd_1g_fs/h_unmapped",
  ...["vtd_sm_fs_cm", "vtd_legacy_cm"].flatMap((run) =>
    ["a_boot", "b_bound", "b2_claimed", "c_mapped", "d_unmapped", "e_rebound", "f_final"].map(
      (moment) => `${run}/${moment}`,
    ),
  ),
];

/** The line of an expected list and of a report, in the same words. */
const line = (mapping: Mapping | ExpectedMapping): string => {
  const { bdf, pasid, iova, pa, size, perms } = mapping;
  const device = bdf.length === 7 ? `0000:${bdf}` : bdf;
  const hex = [iova, pa, size].map((value) => value.toString(16)).join(" ");
  return `${device} ${pasid === 0 ? null : pasid} ${hex} ${perms}`;
};

const linesOf = (mappings: Iterable<Mapping | ExpectedMapping>): string[] =>
  Array.from(mappings, line);

/** The machine's devices that Linux puts into one group, and with it into one domain. */
const GROUP = ["0000:00:1f.0", "0000:00:1f.2", "0000:00:1f.3"];

describe("captures of real kernels", () => {
  test.each(GIVEN)("INSP-MAP-01: the mappings of %s are those expected", (name) => {
    const capture = open(name);
    const report = inspectCapture(capture);
    expect(report.truncated).toBeNull();
    const expected = linesOf(capture.expected!());
    const found = linesOf(mappingsOf(report));
    expect(found.length).toBe(expected.length);
    expect(found.sort()).toEqual(expected.sort());
  });

  test.each(GIVEN)("INSP-MAP-09: the mappings of %s are in order", (name) => {
    const mappings = [...mappingsOf(inspectCapture(open(name)))];
    const outOfOrder = mappings.filter(({ bdf, iova }, i) => {
      const before = mappings[i - 1];
      return (
        before !== undefined && (before.bdf > bdf || (before.bdf === bdf && before.iova >= iova))
      );
    });
    expect(mappings.length).toBeGreaterThan(500);
    expect(outOfOrder).toEqual([]);
  });

  test("INSP-MAP-01: the mappings of the ELF core are those of the same moment", () => {
    const registers = readRegisters(openFiles("vtd_sm_fs_cm/c_mapped/regs.json").files, "");
    const core = readCapture(openFiles("elf_small/guest_cut.elf.gz").files, { registers });
    if (core.iommu !== "vtd") throw new Error("not VT-d");
    const report = inspectCapture(core);
    const expected = linesOf(open("vtd_sm_fs_cm/c_mapped").expected!());
    expect(linesOf(mappingsOf(report)).sort()).toEqual(expected.sort());
    expect(report.findings).toEqual(inspectCapture(open("vtd_sm_fs_cm/c_mapped")).findings);
  });

  test.each(GIVEN)("INSP-FIND-01: what there is to say about %s", (name) => {
    const { findings, devices } = inspectCapture(open(name));
    const alone = { pasid: null, iova: null, pa: null, size: null };
    if (name === "vtd_pt_sm") {
      // Everything passes through, in domain 1, but the device that is bound to vfio-pci.
      const passing = devices.map(({ bdf }) => bdf).filter((bdf) => bdf !== "0000:00:07.0");
      expect(findings).toEqual([
        { code: "shared-domain", bdf: passing, ...alone },
        ...passing.map((bdf) => ({ code: "pass-through", bdf: [bdf], ...alone })),
      ]);
      return;
    }
    const claimed = /vtd_(sm_fs|legacy)_cm\/[cd]_/.test(name)
      ? ["0000:00:05.0", "0000:00:07.0"]
      : [];
    const shared = [claimed, GROUP].filter((bdf) => bdf.length > 0);
    expect(findings).toEqual(shared.map((bdf) => ({ code: "shared-domain", bdf, ...alone })));
  });
});

/** Evenly spread items, the first and the last among them. */
const sample = <T>(items: readonly T[], count: number): T[] =>
  items.filter((_, i) => i === items.length - 1 || i % Math.ceil(items.length / count) === 0);

/** What a device finds at `address`. */
const dma = (unit: TranslationUnit, bdf: string, address: bigint, access: number): string => {
  const request = new DmaRequest();
  request.source = parsePciAddress(bdf).requesterId;
  request.hi = Number(address >> 32n) | 0;
  request.lo = Number(address & 0xffff_ffffn) | 0;
  request.access = access;
  if (!unit.translate(request)) return "refused";
  return ((BigInt(request.outHi >>> 0) << 32n) | BigInt(request.outLo >>> 0)).toString(16);
};

describe("the report and the unit", () => {
  test.each(GIVEN)("INSP-MAP-02: DMA on %s goes where the report says", (name) => {
    const { memory, registers } = open(name);
    const mappings = Array.from(mappingsOf(inspectCapture(open(name))));
    const capabilities = createCapabilities({ ...registers, unsnoopedUpdates: true });
    const unit = new TranslationUnit({ capabilities, memory });
    unit.setRootTable(registers.rtaddr);
    unit.setTranslation(true);
    const known = new Map(mappings.map((mapping) => [`${mapping.bdf} ${mapping.iova}`, mapping]));
    const ends = new Set(mappings.map(({ bdf, iova, size }) => `${bdf} ${iova + size}`));
    for (const { bdf, iova, pa, size, perms } of sample(mappings, 120)) {
      for (const offset of [0n, size - 1n]) {
        const to = (pa + offset).toString(16);
        expect(dma(unit, bdf, iova + offset, READ)).toBe(perms[0] === "r" ? to : "refused");
        expect(dma(unit, bdf, iova + offset, WRITE)).toBe(perms[1] === "w" ? to : "refused");
      }
      if (!known.has(`${bdf} ${iova + size}`))
        expect(dma(unit, bdf, iova + size, READ)).toBe("refused");
      if (iova > 0n && !ends.has(`${bdf} ${iova}`)) {
        expect(dma(unit, bdf, iova - 1n, READ)).toBe("refused");
      }
    }
  });
});

describe("the report for programs and for people", () => {
  test("INSP-JSON-01: the document of a real capture has its mappings, in order", () => {
    const capture = open("vtd_legacy_k61_q72");
    const report = inspectCapture(capture);
    const document = JSON.parse([...inspectDocument(report)].join(""));
    const numbers = (mapping: Record<string, string | number | null>): Mapping =>
      ({
        ...mapping,
        ...Object.fromEntries(
          ["iova", "pa", "size"].map((field) => [field, BigInt(mapping[field]!)]),
        ),
      }) as unknown as Mapping;
    expect(document.mappings.map(numbers)).toEqual([...mappingsOf(report)]);
    expect(document.devices).toHaveLength(report.devices.length);
  });

  test("INSP-RANGE-01: ranges cover the same bytes in fewer lines", () => {
    const report = inspectCapture(open("vtd_legacy_k61_q72"));
    const ranges = [...rangesOf(report)];
    const leaves = ranges.reduce((sum, range) => sum + range.leaves, 0);
    expect(leaves).toBe(14_183);
    // The 16 MiB that the group's devices map one to one are one range each.
    const wide = ranges.filter(({ size }) => size === 0x100_0000n);
    expect(wide.map(({ bdf, leaves: count }) => [bdf, count])).toEqual(
      GROUP.map((bdf) => [bdf, 4096]),
    );
    expect(ranges.length).toBeLessThan(1500);
  });
});
