import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { defectProblems, readDefects } from "../scripts/defects.mjs";
import { applyPatch, readPatch } from "../scripts/patch.mjs";

const PATCH = `Defect: none
--- a/src/x.ts
+++ b/src/x.ts
@@ -2,3 +2,3 @@
 two
-three
+drei
 four
@@ -9 +9,2 @@
 nine
+ten
`;

const TEXT = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n";

describe("known defects", () => {
  const defects = readDefects();
  const listed = [
    ...readFileSync("docs/spec/defects.md", "utf8").matchAll(/^\| `([a-z0-9-]+)` \|/gm),
  ].map((found) => found[1]!);

  it.each(defects.map((defect) => [defect.id, defect] as const))(
    "%s can be put back, and a suite is named that must notice",
    (_, defect) => {
      expect(defectProblems(defect)).toEqual([]);
    },
  );

  it("are all in docs/spec/defects.md", () => {
    expect(listed.sort()).toEqual(defects.map(({ id }) => id));
    expect(defects.length).toBeGreaterThan(25);
  });

  it("say what is wrong with a file that does not fit", () => {
    const [defect] = defects;
    const files = readPatch(PATCH.replaceAll("src/x.ts", "src/index.ts"));
    expect(defectProblems({ ...defect!, suite: "src/nothing.test.ts", source: "", files })).toEqual(
      [
        'has no line "Source: …"',
        "names the suite src/nothing.test.ts, which is not there",
        "does not fit src/index.ts any more",
      ],
    );
    expect(defectProblems({ ...defect!, rule: "VTD-NONE-01", files: [] })).toEqual([
      `${defect!.suite} has no test of VTD-NONE-01`,
      "changes nothing",
    ]);
  });
});

describe("patches", () => {
  const [patch] = readPatch(PATCH);

  it("are applied where their lines are", () => {
    expect(patch!.path).toBe("src/x.ts");
    const result = TEXT.replace("three", "drei").replace("nine", "nine\nten");
    expect(applyPatch(TEXT, patch!)).toBe(result);
    expect(applyPatch(`zero\n${TEXT}`, patch!)).toBe(`zero\n${result}`);
  });

  it("do not fit where a line differs", () => {
    expect(applyPatch(TEXT.replace("four", "fore"), patch!)).toBeUndefined();
    expect(applyPatch(TEXT.replace("nine", "neuf"), patch!)).toBeUndefined();
  });

  it("do not fit anywhere when they only add lines and name none beside them", () => {
    const [added] = readPatch("--- a/x\n+++ b/x\n@@ -1,0 +2 @@\n+b\n");
    expect(applyPatch("a\n", added!)).toBeUndefined();
  });

  it("change the place that is nearest to where they say, when there are several", () => {
    const [twice] = readPatch("--- a/x\n+++ b/x\n@@ -4 +4 @@\n-a\n+b\n");
    expect(applyPatch("a\nx\na\nx", twice!)).toBe("a\nx\nb\nx");
  });
});
