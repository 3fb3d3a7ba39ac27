import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { countBoot } from "../bench/boot-report.ts";
import { lacks } from "./requirement.ts";
import { ROOT } from "./sources.ts";

const COUNTS = JSON.parse(readFileSync(`${ROOT}/bench/boot-counts.json`, "utf8"));

describe.skipIf(lacks("guest"))("what a kernel does to the unit", () => {
  it.each(["strict", "pass-through"] as const)(
    "LINUX-COUNT-01: as often as bench/boot-counts.json says, %s",
    async (domains) => {
      expect(await countBoot(domains)).toEqual(COUNTS[domains]);
    },
    300_000,
  );
});
