import { describe, expect, test } from "vitest";
import { SOURCE, UnitRig } from "../../../test/unit-rig.ts";
import { NO_PASID } from "../../hardware/pci/index.ts";
import { SERVER } from "../../hardware/vtd/index.ts";
import { readCapture } from "../index.ts";
import { type MemoryFiles, memoryFiles } from "../memory-files.ts";
import { type ReplayReport, readRecording, replayRecording } from "../replay/index.ts";
import { UnitRecorder } from "./recorder.ts";

const RAM = [{ base: 0n, length: 0x1000_0000n }];

const filesOf = (recorder: UnitRecorder): MemoryFiles => {
  const contents = new Map<string, Uint8Array>();
  recorder.write({ write: (path, bytes) => void contents.set(path, bytes) });
  return memoryFiles("recorded", contents, () => ({ failed: "corrupt" }));
};

const textOf = (files: MemoryFiles, path: string): string =>
  new TextDecoder().decode(files.contents.get(path));

/** A driver's life: queue, tables, messages, invalidations, refusals of each kind, a page request. */
const record = (moments?: number): { files: MemoryFiles; report: ReplayReport } => {
  const rig = new UnitRig(SERVER);
  const { unit, memory } = rig;
  // The device may ask for pages.
  const context = 0x12_1000n + BigInt(SOURCE) * 32n;
  memory.write64(context, memory.read64(context)! | 0x10n);
  const recorder = new UnitRecorder({
    unit,
    memory,
    ram: RAM,
    ...(moments === undefined ? {} : { moments }),
  });
  rig.enableQueue();
  for (const [address, vector] of [
    [0x40, 0x51],
    [0xe8, 0x52],
  ] as const) {
    rig.write32(address - 4, vector);
    rig.write32(address, 0xfee0_0000);
    rig.write32(address - 8, 0);
  }
  rig.write64(0xd0, 0x15_0000n);
  rig.enable();
  rig.submit([0x17n], [0x12n], UnitRig.wait(1n));
  rig.read(0x7000n);
  rig.mapSecond(0x30_0000n);
  rig.submit([0x32n | (1n << 16n), 0x7000n], UnitRig.wait(2n));
  rig.read(0x9000n);
  rig.write64(0x228, 1n << 63n);
  rig.read(0x9000n, 5);
  rig.write64(0x228 + 16, 1n << 63n);
  rig.read(0x7000n, 9);
  unit.requestPage({
    source: SOURCE,
    pasid: 5,
    address: 0x1234_5000n,
    read: true,
    write: true,
    execute: false,
    privileged: false,
    group: 3,
    last: true,
  });
  unit.requestPage({
    source: SOURCE,
    pasid: NO_PASID,
    address: 0x1000n,
    read: true,
    write: false,
    execute: false,
    privileged: false,
    group: 4,
    last: true,
  });
  recorder.close();
  rig.write32(0x18, 0);
  const files = filesOf(recorder);
  return { files, report: replayRecording(readRecording(files)) };
};

describe("a recording of our own unit", () => {
  test("REPLAY-REC-01, REPLAY-REC-02: replays without a difference, refusals with PASIDs and page requests too", () => {
    const { files, report } = record();
    expect(report.differences).toEqual([]);
    expect(report.windows.flatMap(({ faults }) => faults).map(({ pasid }) => pasid)).toEqual([
      null,
      5,
      9,
    ]);
    const trace = textOf(files, "regtrace.txt");
    expect(trace).toContain("vtd_dmar_fault sid 0x10 fault 121 addr 0x9000 write 0\n");
    expect(trace).toMatch(
      /^unit_refused sid 0x10 fault \d+ addr 0x9000 access 1 type 0 pasid 0x5$/m,
    );
    expect(trace).toContain(
      "unit_page_request sid 0x10 addr 0x12345000 flags 0x13 group 3 pasid 0x5\n",
    );
    expect(trace).toContain("vtd_irq_generate addr 0xfee00000 data 0x52\n");
    expect(trace.trimEnd().split("\n").at(-1)).not.toContain("addr 0x18");
  });

  test("REPLAY-REC-03: has a moment at each invalidation, refusal and page request, and one at the end", () => {
    const { files, report } = record();
    expect(report.windows.map(({ moment }) => moment?.slice(4))).toEqual([
      "invalidation",
      "invalidation",
      "refusal",
      "refusal",
      "refusal",
      "page-request",
      "page-request",
      "end",
    ]);
    const before = readCapture(files, { moment: "001_invalidation" });
    const after = readCapture(files, { moment: "002_invalidation" });
    const leaf = 0x13_3038n;
    expect([before, after].map(({ memory }) => memory.read64(leaf)! & ~0xfffn)).toEqual([
      0x20_0000n,
      0x30_0000n,
    ]);
  });

  test("REPLAY-REC-03: keeps refusals when there are too many moments", () => {
    const { report } = record(1);
    expect(report.windows.map(({ moment }) => moment)).toEqual([
      "001_invalidation",
      "002_refusal",
      "003_refusal",
      "004_refusal",
      "005_end",
    ]);
    expect(report.differences).toEqual([]);
  });

  test("REPLAY-REC-01: one bit of a refused request's PASID is a difference", () => {
    const { files } = record();
    const contents = new Map(files.contents);
    const changed = textOf(files, "regtrace.txt").replace("pasid 0x5\n", "pasid 0x4\n");
    contents.set("regtrace.txt", new TextEncoder().encode(changed));
    const spoilt = memoryFiles("recorded", contents, files.gunzip);
    expect(replayRecording(readRecording(spoilt)).differences.length).toBeGreaterThan(0);
  });
});
