import { describe, expect, it } from "vitest";
import { loadBundled } from "../conformance/qemu/bundled.ts";
import type { CampaignResult } from "../conformance/qemu/campaign.ts";
import { differenceText } from "../conformance/qemu/compare.ts";
import { EXCLUSIONS } from "../conformance/qemu/exclusions.ts";
import { findQemu } from "../conformance/qemu/provision.ts";
import { hasMode, MODES, type Mode } from "../conformance/qemu/qemu-process.ts";
import { onlyTopic } from "../conformance/qemu/rig.ts";
import { stepText } from "../conformance/qemu/step.ts";
import { qemuProfile } from "../src/hardware/vtd/qemu-profiles.ts";
import { lacks } from "./requirement.ts";
import { scale } from "./scale.ts";

const CASES = scale(2000, 20_000);

const textOf = ({ found, elsewhere }: CampaignResult): string[] => [
  ...found.flatMap(({ seed, topic, steps, disagreement }) => [
    `case ${seed} about ${topic}`,
    ...steps.map(stepText),
    ...disagreement.differences.map(differenceText),
    ...(disagreement.crash === undefined ? [] : [disagreement.crash]),
  ]),
  ...elsewhere.map(differenceText),
];

const excludedOf = ({ excluded }: CampaignResult): number =>
  [...excluded.values()].reduce((sum, count) => sum + count, 0);

/** What QEMU must have been seen to do, for each 1,000 cases of any mode. */
const FLOORS: Readonly<Record<string, number>> = {
  "case about tables": 300,
  "case about stale": 120,
  "case about queue": 120,
  "case about registers": 80,
  "case about interrupts": 50,
  "DMA through what is stale": 250,
  "DMA fresh after it was stale": 170,
  "page passed": 1500,
  "page refused": 900,
  "queue error": 250,
  "queue error cleared": 150,
  "status written": 60,
  "interrupt delivered": 300,
  "descriptor type 1": 1000,
  "descriptor type 2": 1000,
  "descriptor type 3": 40,
  "descriptor type 4": 120,
  "descriptor type 5": 300,
  "descriptor type 6": 100,
  "descriptor type 7": 80,
  "descriptor type 8": 20,
  "descriptor type 9": 20,
  "reason 0x01": 30,
  "reason 0x02": 20,
  "reason 0x0a": 80,
  "reason 0x0b": 25,
  "reason 0x21": 80,
  "reason 0x22": 20,
  "reason 0x24": 4,
  "reason 0x26": 4,
};

/** And in one mode. */
const FLOORS_OF: Readonly<Record<Mode, Readonly<Record<string, number>>>> = {
  legacy: {
    "reason 0x03": 20,
    "reason 0x04": 40,
    "reason 0x05": 60,
    "reason 0x06": 60,
    "reason 0x07": 20,
    "reason 0x09": 10,
    "reason 0x0c": 50,
  },
  "second-stage": {
    "reason 0x04": 40,
    "reason 0x05": 60,
    "reason 0x06": 60,
    "reason 0x07": 6,
    "reason 0x0c": 30,
    "reason 0x51": 30,
    "reason 0x58": 20,
    "reason 0x5b": 15,
  },
  "first-stage": {
    "reason 0x51": 30,
    "reason 0x58": 15,
    "reason 0x5b": 15,
    "reason 0x70": 8,
    "reason 0x71": 80,
    "reason 0x72": 8,
    "reason 0x80": 20,
    "reason 0x81": 40,
    "reason 0x85": 20,
  },
};

/** What was seen less often than the floors say, a line each. */
const lowCounts = ({ counts, cases }: CampaignResult, mode: Mode): string[] =>
  Object.entries({ ...FLOORS, ...FLOORS_OF[mode] })
    .filter(([name, floor]) => (counts.get(name) ?? 0) < Math.floor((floor * cases) / 1000))
    .map(([name]) => `${name}: ${counts.get(name) ?? 0}`);

describe.skipIf(lacks("qemu"))("beside a real QEMU", () => {
  const provision = findQemu();
  const modes = provision.ok ? MODES.filter((mode) => hasMode(provision.qemu, mode)) : [];

  it.each(modes)(
    "QEMU-CASE-01, QEMU-CASE-02, QEMU-COVER-01, QEMU-LEFT-01: %s mode: registers, memory and interrupts are the same after every step",
    async (mode) => {
      if (!provision.ok) throw new Error(provision.missing);
      // As one file it is twice as fast as module by module.
      const { runCampaign } =
        await loadBundled<typeof import("../conformance/qemu/campaign.ts")>("campaign.ts");
      const result = await runCampaign({
        qemu: provision.qemu,
        mode,
        cases: Math.ceil(CASES / modes.length),
        seed: 1,
        stop: 3,
      });
      expect(textOf(result)).toEqual([]);
      expect(excludedOf(result)).toBeLessThanOrEqual(result.cases * 0.05);
      if (onlyTopic(provision.qemu) === undefined) expect(lowCounts(result, mode)).toEqual([]);
    },
    3_600_000,
  );
});

describe("the rig", () => {
  it("QEMU-LEFT-01, QEMU-LEFT-02, QEMU-LEFT-03, QEMU-LEFT-04, QEMU-LEFT-05: leaves out few kinds of input, each by name", () => {
    expect(EXCLUSIONS.length).toBeLessThanOrEqual(15);
    expect(EXCLUSIONS.map(({ name }) => name)).toEqual([
      "context entry invalidated without its translations",
      "root table in the firmware",
      "IQA.DW changed in use",
      "RID_PASID other than 0 in QEMU 7.2",
      "PGTT 1, 3 and 4 in QEMU 7.2",
    ]);
  });
});

describe("the profile of QEMU 7.2", () => {
  it("QEMU-OLD-01: has what its recordings show", () => {
    const profile = qemuProfile("7.2.22")!;
    expect(profile.legacy.recordedWithoutPasid).toEqual({ pp: false, pv: 0xffff });
    expect(profile.scalable.recordedWithoutPasid).toEqual({ pp: true, pv: 0 });
    expect(
      [0x50, 0x51, 0x52, 0x59, 0x5a, 0x5b].map((code) => profile.scalable.reasons![code]),
    ).toEqual([0x58, 0x58, 0x58, 0x58, 0x58, 0x58]);
    expect(profile.legacy.queueWidthHidden).toBe(true);
    expect(qemuProfile("8.2.0")).toBeUndefined();
  });
});
