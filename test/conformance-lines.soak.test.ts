import { beforeAll, describe, expect, it } from "vitest";
import { loadBundled } from "../conformance/qemu/bundled.ts";
import { findQemu } from "../conformance/qemu/provision.ts";
import { MODES } from "../conformance/qemu/qemu-process.ts";
import type { Recording } from "../conformance/qemu/recording.ts";
import { onlyTopic } from "../conformance/qemu/rig.ts";
import type { Topic } from "../conformance/qemu/step.ts";
import { createCapabilities } from "../src/hardware/vtd/capabilities.ts";
import { type Deviations, NO_DEVIATIONS } from "../src/hardware/vtd/deviations.ts";
import { QEMU_11_1_LEGACY, QEMU_11_1_SCALABLE } from "../src/hardware/vtd/qemu-profiles.ts";
import { lacks } from "./requirement.ts";

/** Every line of QEMU 11.1's profiles. */
const LINES: readonly { readonly title: string; readonly key: keyof Deviations }[] = [
  { title: "QEMU-LINE-01: wholeDwordsOnly counts", key: "wholeDwordsOnly" },
  { title: "QEMU-LINE-02: eventControlAlone counts", key: "eventControlAlone" },
  { title: "QEMU-LINE-03: readOnlyBits counts", key: "readOnlyBits" },
  { title: "QEMU-LINE-04: writableBits counts", key: "writableBits" },
  { title: "QEMU-LINE-05: queueAddressLatched counts", key: "queueAddressLatched" },
  { title: "QEMU-LINE-06: queueEndsWithWait counts", key: "queueEndsWithWait" },
  { title: "QEMU-LINE-07: queueErrorsUnexplained counts", key: "queueErrorsUnexplained" },
  { title: "QEMU-LINE-08: queueResumesByTailOnly counts", key: "queueResumesByTailOnly" },
  { title: "QEMU-LINE-09: tailTakenWhenWritten counts", key: "tailTakenWhenWritten" },
  { title: "QEMU-LINE-10: statusMustBeWritten counts", key: "statusMustBeWritten" },
  { title: "QEMU-LINE-11: scalableDescriptorsAnywhere counts", key: "scalableDescriptorsAnywhere" },
  {
    title: "QEMU-LINE-12: deviceTlbDescriptorsAnywhere counts",
    key: "deviceTlbDescriptorsAnywhere",
  },
  { title: "QEMU-LINE-13: contextDomainAsGlobal counts", key: "contextDomainAsGlobal" },
  { title: "QEMU-LINE-14: pasidInvalidatesSecondStage counts", key: "pasidInvalidatesSecondStage" },
  { title: "QEMU-LINE-15: interruptMaskUnchecked counts", key: "interruptMaskUnchecked" },
  { title: "QEMU-LINE-16: rootModeIsOneBit counts", key: "rootModeIsOneBit" },
  { title: "QEMU-LINE-17: compatibleInterruptsPass counts", key: "compatibleInterruptsPass" },
  { title: "QEMU-LINE-18: interruptTableSurvivesReset counts", key: "interruptTableSurvivesReset" },
  { title: "QEMU-LINE-19: unknownSourcePasses counts", key: "unknownSourcePasses" },
  { title: "QEMU-LINE-20: extendedInterruptsAnywhere counts", key: "extendedInterruptsAnywhere" },
  { title: "QEMU-LINE-21: interruptDestinationCut counts", key: "interruptDestinationCut" },
  { title: "QEMU-LINE-22: badValidationIsMismatch counts", key: "badValidationIsMismatch" },
  { title: "QEMU-LINE-23: busRangeReversed counts", key: "busRangeReversed" },
  { title: "QEMU-LINE-24: messageDataLast counts", key: "messageDataLast" },
  { title: "QEMU-LINE-25: interruptEntriesNotKept counts", key: "interruptEntriesNotKept" },
  { title: "QEMU-LINE-26: interruptIndexWraps counts", key: "interruptIndexWraps" },
  { title: "QEMU-LINE-27: faultEventKept counts", key: "faultEventKept" },
  { title: "QEMU-LINE-28: alwaysRecorded counts", key: "alwaysRecorded" },
  { title: "QEMU-LINE-29: permissionBeforeReserved counts", key: "permissionBeforeReserved" },
  { title: "QEMU-LINE-30: interruptRangeByLeaf counts", key: "interruptRangeByLeaf" },
  { title: "QEMU-LINE-31: passThroughUnlimited counts", key: "passThroughUnlimited" },
  { title: "QEMU-LINE-32: cachedRefusalSilent counts", key: "cachedRefusalSilent" },
  { title: "QEMU-LINE-33: notReserved counts", key: "notReserved" },
  { title: "QEMU-LINE-34: reasons counts", key: "reasons" },
  { title: "QEMU-LINE-35: legacySecondStageReasons counts", key: "legacySecondStageReasons" },
  { title: "QEMU-LINE-36: rootHalvesTogether counts", key: "rootHalvesTogether" },
  { title: "QEMU-LINE-37: validityBeforePresence counts", key: "validityBeforePresence" },
  { title: "QEMU-LINE-38: pasidFpdNeedsValidity counts", key: "pasidFpdNeedsValidity" },
  { title: "QEMU-LINE-39: canonicalBySecondStageWidth counts", key: "canonicalBySecondStageWidth" },
  { title: "QEMU-LINE-40: dirtyWithAccessedOnly counts", key: "dirtyWithAccessedOnly" },
  { title: "QEMU-LINE-44: statusHalfUnheard counts", key: "statusHalfUnheard" },
  { title: "QEMU-LINE-45: pageResponsesAnywhere counts", key: "pageResponsesAnywhere" },
  { title: "QEMU-LINE-42: rootCommandsFlush counts", key: "rootCommandsFlush" },
  { title: "QEMU-LINE-43: tableAddressesCut counts", key: "tableAddressesCut" },
  { title: "QEMU-LINE-41: marksBeforeOutput counts", key: "marksBeforeOutput" },
];

const provision = lacks("qemu") ? undefined : findQemu();
const isWhole = provision?.ok === true && onlyTopic(provision.qemu) === undefined;

/** What is recorded: enough of each topic for every line to show. */
const RECORDED: readonly (readonly [topic: Topic, cases: number])[] = [
  ["tables", 250],
  ["queue", 90],
  ["registers", 230],
  ["interrupts", 60],
  ["stale", 80],
];

/** A recording, to be held against a unit that has the specification's way in place of one line. */
const without = (recording: Recording, line: keyof Deviations): Recording => {
  const { cap, ecap, unsnoopedUpdates, deviations } = recording.capabilities;
  const changed = { ...deviations, [line]: NO_DEVIATIONS[line] };
  const capabilities = createCapabilities({ cap, ecap, unsnoopedUpdates, deviations: changed });
  return { ...recording, capabilities };
};

describe.skipIf(!isWhole)("a unit without one line of the profile", () => {
  const recordings: Recording[] = [];
  let rig: typeof import("../conformance/qemu/recording.ts");

  beforeAll(async () => {
    if (provision?.ok !== true) throw new Error("no QEMU");
    rig = await loadBundled("recording.ts");
    for (const mode of MODES)
      for (const [topic, cases] of RECORDED)
        recordings.push(await rig.record(provision.qemu, mode, 1, cases, topic));
  }, 240_000);

  it.each(LINES)(
    "$title",
    ({ key }) => {
      expect(
        recordings.some((recording) => rig.casesUntilFound(without(recording, key)) !== undefined),
      ).toBe(true);
    },
    60_000,
  );
});

describe("the lines of the profiles", () => {
  it("QEMU-LINE-00: are all in the table", () => {
    const profiles = Object.keys({ ...QEMU_11_1_LEGACY, ...QEMU_11_1_SCALABLE });
    expect(LINES.map(({ key }) => key).sort()).toEqual(profiles.sort());
    // What no profile of 11.1 says is said of 7.2 alone.
    const rest = Object.keys(NO_DEVIATIONS).filter((key) => !profiles.includes(key));
    expect(rest.sort()).toEqual(["queueWidthHidden", "recordedWithoutPasid"]);
  });
});
