import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { IntelRig, must } from "../../../../test/intel-rig.ts";
import { readCapture, type VtdCapture } from "../../../capture/index.ts";
import { type NodeFiles, openNamed } from "../../../cli/node-files.ts";
import { createCapabilities } from "../../../hardware/vtd/index.ts";
import {
  CONTEXT_ENTRY,
  PASID_DIRECTORY_ENTRY,
  PASID_ENTRY,
  RTADDR,
  SCALABLE_CONTEXT_ENTRY,
} from "../../../hardware/vtd/spec/index.ts";
import type { PhysicalMemory } from "../../../memory/index.ts";
import type { Layout } from "../../../struct/layout.ts";

const CAPTURES = fileURLToPath(new URL("../../../../captures", import.meta.url));
const IOVA = 0x4000_0000n;
const PAGE = 4096n;
const LARGE = 1n << 21n;

const opened: NodeFiles[] = [];
afterAll(() => {
  for (const files of opened) files.close();
});

const open = (name: string): VtdCapture => {
  const { files } = openNamed(`${CAPTURES}/${name}`);
  opened.push(files);
  return readCapture(files) as VtdCapture;
};

/** The first entry that a capture lists with a table of its own, as the kernel wrote it. */
interface ListedEntry {
  readonly pgtt?: number;
  readonly raw: readonly string[];
  readonly raw_ctx?: readonly string[];
  readonly root?: string;
}

const listed = (name: string, wanted: (entry: ListedEntry & { nmap: number }) => boolean) => {
  const lines = readFileSync(`${CAPTURES}/${name}/contexts.jsonl`, "utf8").trim().split("\n");
  return lines.map((line) => JSON.parse(line)).find(wanted) as ListedEntry;
};

/** What an entry says, but for where tables are and which number the domain has. */
const structureOf = (layout: Layout<string>, words: readonly bigint[]) =>
  Object.fromEntries(
    Object.entries(layout.decode([...words])).map(([name, value]) => {
      const { kind } = layout.fields[name]!;
      return [name, kind === "address" || name === "DID" ? value !== 0n : value];
    }),
  );

const wordsAt = (memory: PhysicalMemory, address: bigint, bytes: number): readonly bigint[] =>
  Array.from({ length: bytes / 8 }, (_, i) => memory.read64(address + BigInt(i * 8))!);

const addressIn = (word: bigint): bigint => word & 0xf_ffff_ffff_f000n;

/** Every kind of used entry below a table: its level, and its bits but the address. */
const kindsOfEntries = (memory: PhysicalMemory, table: bigint, level: number): Set<string> => {
  const kinds = new Set<string>();
  for (const word of wordsAt(memory, table, 4096)) {
    if (word === 0n) continue;
    const leaf = level === 0 || (word & 0x80n) !== 0n;
    kinds.add(
      `${leaf ? "leaf" : "table"} of level ${level}: ${(word & ~addressIn(word)).toString(16)}`,
    );
    if (leaf) continue;
    for (const kind of kindsOfEntries(memory, addressIn(word), level - 1)) kinds.add(kind);
  }
  return kinds;
};

/** Our driver on a unit like the one in a capture, for one device at 00:02.0. */
const ours = (capture: VtdCapture, unclaimed: "identity" | "blocked") => {
  const { cap, ecap } = capture.registers;
  const rig = new IntelRig(
    { units: [{ capabilities: createCapabilities({ cap, ecap }) }] },
    { unclaimed },
  );
  const { memory } = rig.machine;
  const { readMmio, firmware } = rig.machine.platform;
  const { RTA, TTM } = RTADDR.decode([readMmio(firmware.units[0]!.base + 0x20n, 8)]);
  const contexts = () => addressIn(memory.read64(RTA)!);
  const context = (): readonly bigint[] =>
    wordsAt(memory, contexts() + 0x10n * (TTM === 0n ? 16n : 32n), TTM === 0n ? 16 : 32);
  const entry = (): readonly bigint[] => {
    const directory = PASID_DIRECTORY_ENTRY.decode([memory.read64(addressIn(context()[0]!))!]);
    return wordsAt(memory, directory.SMPTBLPTR, 64);
  };
  return { rig, memory, context, entry };
};

const hexWords = (words: readonly string[]): readonly bigint[] => words.map(BigInt);

describe("tables as Linux writes them", () => {
  it("INTEL-TABLE-01: a context entry of legacy mode", () => {
    const { rig, context } = ours(open("vtd_legacy_ss"), "blocked");
    must(rig.iommu.attach(rig.device(0), rig.paging()));
    const { raw } = listed("vtd_legacy_ss", ({ nmap }) => nmap > 0);
    expect(structureOf(CONTEXT_ENTRY, context())).toEqual(
      structureOf(CONTEXT_ENTRY, hexWords(raw)),
    );
  });

  it.each([
    ["vtd_sm_ss", 2],
    ["vtd_sm_fs", 1],
    ["vtd_pt_sm", 4],
  ])("INTEL-TABLE-02: context and PASID entries of scalable mode: %s", (name, type) => {
    const { rig, context, entry } = ours(open(name), type === 4 ? "identity" : "blocked");
    if (type !== 4) must(rig.iommu.attach(rig.device(0), rig.paging()));
    const { raw, raw_ctx } = listed(name, ({ pgtt }) => pgtt === type);
    expect(structureOf(SCALABLE_CONTEXT_ENTRY, context())).toEqual(
      structureOf(SCALABLE_CONTEXT_ENTRY, hexWords(raw_ctx!)),
    );
    expect(structureOf(PASID_ENTRY, entry())).toEqual(structureOf(PASID_ENTRY, hexWords(raw)));
  });

  it.each(["vtd_legacy_ss", "vtd_sm_ss", "vtd_sm_fs"])(
    "INTEL-TABLE-03: entries of page tables have no bits that the kernel's do not have: %s",
    (name) => {
      const capture = open(name);
      const { rig, memory } = ours(capture, "blocked");
      const domain = rig.paging();
      const pages = BigInt(rig.frames.allocateBlock(9)!) * PAGE;
      for (const [at, length] of [
        [0n, PAGE],
        [LARGE, LARGE],
      ] as const) {
        must(domain.map(IOVA + at, pages, length, 3));
      }
      const kernel = new Set<string>();
      const lines = readFileSync(`${CAPTURES}/${name}/contexts.jsonl`, "utf8").trim().split("\n");
      for (const { root, nmap } of lines.map((line) => JSON.parse(line))) {
        if (nmap === 0) continue;
        for (const kind of kindsOfEntries(capture.memory, BigInt(root), 3)) kernel.add(kind);
      }
      // Hardware has set accessed and dirty flags in the kernel's tables; one bit that it ignores tells
      // the kernel that it has written a table back to memory, which needs no help here.
      const unused = (kind: string) => {
        const [what, bits] = kind.split(": ") as [string, string];
        const flags = name === "vtd_sm_fs" ? 0x260n : 0x700n;
        return `${what}: ${(BigInt(`0x${bits}`) & ~flags).toString(16)}`;
      };
      const known = new Set([...kernel].map(unused));
      const mine = [...kindsOfEntries(memory, BigInt(domain.table.rootPfn) * PAGE, 3)].map(unused);
      expect(mine.length).toBe(5);
      expect(mine.filter((kind) => !known.has(kind))).toEqual([]);
    },
  );
});
