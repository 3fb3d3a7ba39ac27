import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import {
  type Capture,
  memoryFiles,
  readCapture,
  readRegisters,
  writeCapture,
} from "../capture/index.ts";
import { gunzip, type NodeFiles, openNamed } from "./node-files.ts";

const CAPTURES = fileURLToPath(new URL("../../captures", import.meta.url));
const opened: NodeFiles[] = [];
afterAll(() => {
  for (const files of opened) files.close();
});

const open = (name: string): Capture => {
  const { files, moment } = openNamed(`${CAPTURES}/${name}`);
  opened.push(files);
  return readCapture(files, moment === undefined ? {} : { moment });
};

/** Every capture, with the counts of its pages and of the lines of its expected list. */
const GIVEN = [
  ["vtd_legacy_k61_q72", 49, 14_183],
  ["vtd_legacy_ss", 50, 1987],
  ["vtd_pt_sm", 44, 592],
  ["vtd_sm_fs", 76, 1987],
  ["vtd_sm_ss", 76, 1987],
  ["vtd_1g_fs/g_1g", 68, 1909],
  ["vtd_1g_fs/h_unmapped", 68, 1907],
  ["vtd_sm_fs_cm/a_boot", 64, 1395],
  ["vtd_sm_fs_cm/b_bound", 64, 1351],
  ["vtd_sm_fs_cm/b2_claimed", 59, 1351],
  ["vtd_sm_fs_cm/c_mapped", 72, 2535],
  ["vtd_sm_fs_cm/d_unmapped", 72, 1493],
  ["vtd_sm_fs_cm/e_rebound", 65, 1395],
  ["vtd_sm_fs_cm/f_final", 66, 1137],
  ["vtd_legacy_cm/a_boot", 38, 1395],
  ["vtd_legacy_cm/b_bound", 38, 1351],
  ["vtd_legacy_cm/b2_claimed", 33, 1351],
  ["vtd_legacy_cm/c_mapped", 46, 2535],
  ["vtd_legacy_cm/d_unmapped", 46, 1493],
  ["vtd_legacy_cm/e_rebound", 39, 1395],
  ["vtd_legacy_cm/f_final", 41, 1137],
  ["amd_pt", 30, 590],
  ["amd_v1", 54, 1580],
] as const;

const pageAt = (capture: Capture, pa: bigint): Uint8Array => {
  const page = new Uint8Array(4096);
  if (!capture.memory.read(pa, page)) throw new Error(`no memory at 0x${pa.toString(16)}`);
  return page;
};

describe("captures of real machines", () => {
  test.each(GIVEN)("CAP-DIR-01: %s has %i pages and %i mappings", (name, pages, mappings) => {
    const capture = open(name);
    expect(capture.iommu).toBe(name.startsWith("amd") ? "amd" : "vtd");
    expect(capture.storedPages).toHaveLength(pages);
    expect(capture.expected?.()).toHaveLength(mappings);
    const size = name.startsWith("vtd_1g_fs") ? 2560n << 20n : 256n << 20n;
    expect(capture.ram).toEqual([{ base: 0n, length: size }]);
    expect(capture.memory.read64(size)).toBeUndefined();
    if (capture.iommu === "vtd") {
      const root = capture.registers.rtaddr & ~0xfffn;
      expect(capture.storedPages?.[0]).toEqual({ pa: root, kind: "root" });
      expect(capture.registers.gsts >> 31n).toBe(1n);
      expect(pageAt(capture, root).some((byte) => byte !== 0)).toBe(true);
    }
  });

  test("CAP-WRITE-01: each is written and read back the same", () => {
    for (const [name] of GIVEN) {
      const capture = open(name);
      const { storedPages = [] } = capture;
      const files = memoryFiles(name, new Map(), gunzip);
      writeCapture({ ...capture, storedPages }, files, { gzip: gzipSync });
      const again = readCapture(files);
      expect(again.registers).toEqual(capture.registers);
      expect(again.storedPages).toEqual(storedPages);
      for (const { pa } of storedPages) {
        expect(Buffer.compare(pageAt(again, pa), pageAt(capture, pa))).toBe(0);
      }
    }
  });

  test("CAP-ELF-03: the core has the pages of the capture of the same moment, byte for byte", () => {
    const capture = open("vtd_sm_fs_cm/c_mapped");
    const regs = openNamed(`${CAPTURES}/vtd_sm_fs_cm/c_mapped/regs.json`).files;
    const { files } = openNamed(`${CAPTURES}/elf_small/guest_cut.elf.gz`);
    opened.push(regs, files);
    const core = readCapture(files, { registers: readRegisters(regs, "") });
    expect(core.registers).toEqual(capture.registers);
    expect(core.ram).toHaveLength(42);
    const pages = core.ram.flatMap(({ base, length }) =>
      Array.from({ length: Number(length >> 12n) }, (_, i) => base + BigInt(i) * 4096n),
    );
    expect(pages).toEqual(
      capture.storedPages?.map(({ pa }) => pa).sort((a, b) => (a < b ? -1 : 1)),
    );
    for (const pa of pages) {
      expect(Buffer.compare(pageAt(core, pa), pageAt(capture, pa)), `page ${pa}`).toBe(0);
    }
  });
});
