import ts from "typescript";
import { describe, expect, it } from "vitest";
import { filesBelow, isTestCode, type SourceFile } from "./sources.ts";

const MAX_FILE_LINES = 500;
const MAX_FUNCTION_LINES = 60;

const SOURCES = filesBelow("src").filter(({ path }) => path.endsWith(".ts"));

/** The count of lines of a text that ends with a newline. */
const lineCount = (text: string): number => text.split("\n").length - 1;

const longFiles = (files: readonly SourceFile[]): readonly string[] =>
  files
    .filter(({ text }) => lineCount(text) > MAX_FILE_LINES)
    .map(({ path, text }) => `${path} has ${lineCount(text)} lines`);

const longFunctions = ({ path, text }: SourceFile): readonly string[] => {
  if (lineCount(text) <= MAX_FUNCTION_LINES) return [];
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest);
  const found: string[] = [];
  const line = (position: number): number => source.getLineAndCharacterOfPosition(position).line;
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && "body" in node && node.body !== undefined) {
      const first = line(node.getStart(source));
      const lines = line(node.getEnd()) - first + 1;
      if (lines > MAX_FUNCTION_LINES) {
        found.push(`${path}:${first + 1} is a function of ${lines} lines`);
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
};

/** Names that say nothing about what is in a file or a folder. */
const EMPTY_NAME = /^(.*-)?(utils?|helpers?|managers?|misc|common)$|^types$/;

const emptyNames = (paths: readonly string[]): readonly string[] =>
  paths.filter((path) => path.split("/").some((part) => EMPTY_NAME.test(part.split(".")[0] ?? "")));

/** Folders of one machine, which mean nothing on another. */
const FOREIGN = /\/work\/|shared\/(facts|captures|seeds|prototypes|hooks|DESIGN)|\.\.\/shared\b/;

describe("files under src/", () => {
  it(`have at most ${MAX_FILE_LINES} lines`, () => {
    expect(longFiles(SOURCES)).toEqual([]);
    expect(longFiles([{ path: "a.ts", text: "x\n".repeat(501) }])).toEqual(["a.ts has 501 lines"]);
    expect(longFiles([{ path: "a.ts", text: "x\n".repeat(500) }])).toEqual([]);
  });

  it(`hold functions of at most ${MAX_FUNCTION_LINES} lines`, () => {
    expect(SOURCES.filter((file) => !isTestCode(file)).flatMap(longFunctions)).toEqual([]);
    const body = (lines: number): string => `const f = () => {\n${"g();\n".repeat(lines - 2)}};\n`;
    expect(longFunctions({ path: "a.ts", text: body(61) })).toHaveLength(1);
    expect(longFunctions({ path: "a.ts", text: body(60) })).toEqual([]);
  });

  it("are named after what is in them", () => {
    expect(emptyNames(SOURCES.map(({ path }) => path))).toEqual([]);
    const bad = ["bits/utils.ts", "cli/test-helpers.test.ts", "types.ts", "pin-manager/pin.ts"];
    expect(emptyNames([...bad, "linux/page-types-table.ts", "vmm/memory-map.ts"])).toEqual(bad);
  });
});

describe("text", () => {
  const texts = ["src", "docs", "scripts", "bin", "captures", "bench", "examples"].flatMap((top) =>
    filesBelow(top)
      .filter(({ path }) => !/\.(gz|xz)$/.test(path))
      .map(({ path, text }) => ({ path: `${top}/${path}`, text })),
  );

  it("speaks of no folder of one machine", () => {
    const found = texts.filter(({ text }) => FOREIGN.test(text)).map(({ path }) => path);
    expect(texts.length).toBeGreaterThan(20);
    expect(found).toEqual([]);
    expect(FOREIGN.test("see /work/x")).toBe(true);
    expect(FOREIGN.test("../shared/captures")).toBe(true);
    expect(FOREIGN.test("between shared/private pages")).toBe(false);
  });
});
