import { describe, expect, it } from "vitest";
import { countsLine, parseCountsLine } from "../scripts/counts.mjs";
import { ROOT } from "../scripts/install.mjs";
import { summarise } from "../scripts/vitest.mjs";

const file = (path: string, status: string, ...tests: string[]) => ({
  name: `${ROOT}/${path}`,
  status,
  startTime: 1000,
  endTime: 2500,
  assertionResults: tests.map((each) => ({ status: each })),
});

describe("the line that commands end with", () => {
  it("reads as it is written, and stands alone", () => {
    const counts = { passed: 12, failed: 1, skipped: 0 };
    expect(countsLine(counts)).toBe("12 passed, 1 failed, 0 skipped");
    expect(parseCountsLine(countsLine(counts))).toEqual(counts);
    expect(parseCountsLine("Tests: 12 passed, 1 failed, 0 skipped")).toBeUndefined();
    expect(parseCountsLine("12 passed, 1 failed, 0 skipped.")).toBeUndefined();
  });
});

describe("the counts of a test run", () => {
  const suites = (...files: ReturnType<typeof file>[]) => summarise({ testResults: files });

  it("are summed by room, with the time", () => {
    expect(
      suites(
        file("src/bits/log2.test.ts", "passed", "passed", "pending"),
        file("src/bits/hex.test.ts", "failed", "passed", "failed", "todo"),
        file("src/hardware/vtd/unit.test.ts", "passed", "passed"),
        file("test/architecture.test.ts", "passed", "passed", "passed"),
      ),
    ).toEqual([
      { suite: "bits", counts: { passed: 2, failed: 1, skipped: 2 }, seconds: 3 },
      { suite: "hardware/vtd", counts: { passed: 1, failed: 0, skipped: 0 }, seconds: 1.5 },
      { suite: "test", counts: { passed: 2, failed: 0, skipped: 0 }, seconds: 1.5 },
    ]);
  });

  it("have a failure for a file that could not be loaded", () => {
    expect(suites(file("src/bits/log2.test.ts", "failed"))[0]?.counts.failed).toBe(1);
    expect(suites(file("src/bits/log2.test.ts", "failed", "passed"))[0]?.counts.failed).toBe(1);
  });
});
