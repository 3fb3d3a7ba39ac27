import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { FAULT_REASONS } from "../src/hardware/vtd/spec/fault-reasons.ts";

const ROW = /^\| ([0-9a-f]{2}) \| (q?r?) ?\| (.+?) \| (VTD-[A-Z]+-\d+|-) \|$/;

const rows = readFileSync("docs/spec/vtd-faults.md", "utf8")
  .split("\n")
  .flatMap((line) => {
    const found = ROW.exec(line);
    return found === null
      ? []
      : [{ code: found[1]!, kind: found[2]!, state: found[3]!, rule: found[4]! }];
  });

describe("the table of fault reasons", () => {
  test("VTD-TABLE-01: has every reason, of the kind it is, and a rule for it", () => {
    const expected = [...FAULT_REASONS.values()].map(({ code, qualified, recoverable }) => ({
      code: code.toString(16).padStart(2, "0"),
      kind: `${qualified ? "q" : ""}${recoverable ? "r" : ""}`,
    }));
    expect(rows.map(({ code, kind }) => ({ code, kind }))).toEqual(expected);
    const rules = ["vtd", "vtd-registers", "vtd-unit"]
      .map((name) => readFileSync(`docs/spec/${name}.md`, "utf8"))
      .join();
    for (const { code, rule } of rows) {
      if (rule !== "-")
        expect([code, rule, rules.includes(`**${rule}**`)]).toEqual([code, rule, true]);
    }
  });

  test("VTD-TABLE-01: at most 8 reasons that nothing raises, each with why", () => {
    const never = rows.filter(({ rule }) => rule === "-");
    expect(never.length).toBeLessThanOrEqual(8);
    for (const { state } of never) expect(state).toMatch(/^none: .{20}/);
  });
});
