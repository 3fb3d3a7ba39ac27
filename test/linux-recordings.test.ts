import { describe, expect, it } from "vitest";
import { readCapture } from "../src/capture/index.ts";
import { inspectCapture, type PasidReport } from "../src/capture/inspect/index.ts";
import { READ } from "../src/hardware/pci/index.ts";
import { machineFromCapture, recordWalk } from "../src/machine/index.ts";
import { recordedFiles, replay } from "./recorded-files.ts";

/** The DMA engine of the guest's PC, 00:04.0. */
const ENGINE = 0x20;

const pasidsAt = (name: string, moment: string): readonly PasidReport[] => {
  const capture = readCapture(recordedFiles(name), { moment });
  if (capture.iommu !== "vtd") throw new Error(`${name} is not of a VT-d unit`);
  const { devices } = inspectCapture(capture);
  return devices.find(({ bdf }) => bdf === "0000:00:04.0")?.pasids ?? [];
};

describe("recordings of a real Linux on our own unit", () => {
  it("LINUX-REC-01: linux_nested, with PASIDs and page requests, replays without a difference", () => {
    const { differences, windows, recorder } = replay(recordedFiles("linux_nested"));
    expect([recorder, differences]).toEqual([null, []]);
    const kinds = new Set(
      windows.flatMap(({ descriptors }) => descriptors.map(({ kind }) => kind)),
    );
    expect([...kinds]).toEqual(
      expect.arrayContaining(["pasid-iotlb page", "device TLB", "page group response"]),
    );
    expect(windows.filter(({ moment }) => moment?.endsWith("page-request"))).toHaveLength(2);
    expect(windows.flatMap(({ faults }) => faults.map(({ pasid }) => pasid))).toEqual([6, 5]);
  });

  it("LINUX-REC-01: linux_sm_fs, the disk's domains and VFIO's on stage 1, too", () => {
    const { differences, windows } = replay(recordedFiles("linux_sm_fs"));
    expect(differences).toEqual([]);
    expect(windows.flatMap(({ faults }) => faults.map(({ code }) => code))).toEqual([0x85, 0x71]);
  });

  it("LINUX-REC-02: every moment of linux_nested can be inspected: nested domains and a PASID are there", () => {
    const { windows } = replay(recordedFiles("linux_nested"));
    const found = windows.flatMap(({ moment }) => pasidsAt("linux_nested", moment!));
    expect(found.some(({ type, mappings }) => type === "nested" && mappings === 1)).toBe(true);
    expect(found.some(({ pasid, mappings }) => pasid === 5 && mappings === 16)).toBe(true);
    expect(found.filter(({ fault }) => fault !== null)).toEqual([]);
  });

  it("LINUX-REC-02: a nested walk of 4 over 4 levels, in tables of a real kernel", () => {
    const files = recordedFiles("linux_nested");
    const moment = replay(files).windows.find(({ moment }) =>
      pasidsAt("linux_nested", moment!).some(
        ({ type, mappings }) => type === "nested" && mappings > 0,
      ),
    )!.moment!;
    const capture = readCapture(files, { moment });
    if (capture.iommu !== "vtd") throw new Error("not of a VT-d unit");
    const { unit } = machineFromCapture(capture, { caches: "off" });
    const walk = recordWalk(unit, { source: ENGINE, iova: 0x1234_5000n, access: READ });
    expect(walk.outcome.ok).toBe(true);
    const entries = walk.steps.flatMap((step) =>
      step.kind === "entry" ? [`${step.stage} ${step.level} ${step.input}`] : [],
    );
    expect(new Set(entries).size).toBe(24);
  });
});
