import { beforeAll, describe, expect, it } from "vitest";
import { MUTANTS } from "../conformance/qemu/mutants.ts";
import { buildMutant } from "../conformance/qemu/mutate.ts";
import { findQemu } from "../conformance/qemu/provision.ts";
import { hasMode, MODES } from "../conformance/qemu/qemu-process.ts";
import { casesUntilFound, type Recording, record } from "../conformance/qemu/recording.ts";
import { onlyTopic } from "../conformance/qemu/rig.ts";
import { UnitSubject } from "../conformance/qemu/unit-subject.ts";
import { lacks } from "./requirement.ts";

/** Cases of each mode within which every mutant must be found. */
const CASES = 160;

const provision = lacks("qemu") ? undefined : findQemu();
/** Some are found by one topic alone, and of older versions only tables are compared. */
const isWhole = provision?.ok === true && onlyTopic(provision.qemu) === undefined;

describe.skipIf(!isWhole)("units with one thing wrong", () => {
  const recordings: Recording[] = [];

  beforeAll(async () => {
    if (provision?.ok !== true) throw new Error("no QEMU");
    for (const mode of MODES.filter((each) => hasMode(provision.qemu, each)))
      recordings.push(await record(provision.qemu, mode, 1, CASES));
  }, 120_000);

  const found = (Subject: typeof UnitSubject): boolean =>
    recordings.some((recording) => casesUntilFound(recording, Subject) !== undefined);

  it.each(MUTANTS)("QEMU-MUTANT-01: $name", async (mutant) => {
    expect(found(await buildMutant(mutant))).toBe(true);
  });

  it("QEMU-MUTANT-01: nothing wrong, and nothing is found", () => {
    expect(found(UnitSubject)).toBe(false);
  });
});

describe("the building of mutants", () => {
  it("QEMU-MUTANT-02: fails where the text to change is gone", async () => {
    const gone = { name: "", file: "second-stage.ts", from: "no such text", to: "" };
    await expect(buildMutant(gone)).rejects.toThrow("does not have once");
    const elsewhere = { name: "", file: "no-such-file.ts", from: "x", to: "" };
    await expect(buildMutant(elsewhere)).rejects.toThrow("no part of the unit");
  });
});
