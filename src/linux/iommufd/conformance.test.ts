import { describe, expect, it } from "vitest";
import { inProcessHarness } from "./conformance/in-process.ts";
import { iommufdRules } from "./conformance/suite.ts";

describe("iommufd in process", () => {
  iommufdRules((title, run) => {
    it(title, async () => {
      const harness = inProcessHarness();
      await run(harness);
      expect(await harness.leaks()).toEqual([]);
    });
  });
});
