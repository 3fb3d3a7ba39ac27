import ts from "typescript";
import { describe, expect, it } from "vitest";
import { citationsIn, ruleProblems, rulesIn } from "../scripts/rules.mjs";

const SPEC = `# A room

- **PT-MAP-01** One. *(section)*
- **PT-MAP-02** Two, like **PT-MAP-03** that is no item. *(section)*
* **PT-MAP-04** Not written as a rule is.
`;

const citations = (text: string): readonly string[] => citationsIn(ts, { path: "a.test.ts", text });

describe("the rule count", () => {
  it("finds the rules of a document", () => {
    expect(rulesIn(SPEC)).toEqual(["PT-MAP-01", "PT-MAP-02"]);
  });

  it("finds what titles cite, and not what comments and messages say", () => {
    expect(citations(`it("PT-MAP-01: maps", () => {});`)).toEqual(["PT-MAP-01"]);
    expect(citations(`it("PT-MAP-01, PT-MAP-02: maps", f);`)).toEqual(["PT-MAP-01", "PT-MAP-02"]);
    expect(citations(`it.each(x)(\`VTD-CTX-10: \${y}\`, f);`)).toEqual(["VTD-CTX-10"]);
    expect(citations(`const rows = [["PT-MAP-01: maps", 1]];`)).toEqual(["PT-MAP-01"]);
    expect(citations(`// PT-MAP-01: maps\nit("maps (PT-MAP-01)", f);`)).toEqual([]);
    expect(citations(`const encoding = "UTF-16";`)).toEqual([]);
  });

  it("reports rules without tests, tests without rules and rules told twice", () => {
    const specs = [{ path: "a.md", text: SPEC }];
    const test = (...ids: string[]) => [{ path: "a.test.ts", ids }];
    expect(ruleProblems(specs, test("PT-MAP-01", "PT-MAP-02"))).toEqual([]);
    expect(ruleProblems(specs, test("PT-MAP-01"))).toEqual(["PT-MAP-02 has no test"]);
    expect(ruleProblems(specs, test("PT-MAP-01", "PT-MAP-02", "PT-MAP-09"))).toEqual([
      "a.test.ts cites PT-MAP-09, which is no rule",
    ]);
    expect(
      ruleProblems(
        [...specs, { path: "b.md", text: "- **PT-MAP-01** again" }],
        [...test("PT-MAP-01", "PT-MAP-02")],
      ),
    ).toEqual(["PT-MAP-01 is there twice"]);
  });
});
