import { rolldown } from "rolldown";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { NODE_ROOMS, roomOf } from "../scripts/house.mjs";
import { filesBelow, isTestCode, ROOT } from "./sources.ts";

/** What runs anywhere: all but the tests and the rooms that need Node. */
const PORTABLE = filesBelow("src").filter(
  (file) =>
    file.path.endsWith(".ts") && !isTestCode(file) && !NODE_ROOMS.includes(roomOf(file.path) ?? ""),
);

const ENTRY = "portable-entry";

/** Bundles a module with `text` for a browser. Whatever does not resolve there comes back by name. */
const bundleForBrowser = async (text: string): Promise<readonly string[]> => {
  const problems: string[] = [];
  const build = await rolldown({
    input: ENTRY,
    platform: "browser",
    tsconfig: true,
    cwd: ROOT,
    treeshake: false,
    onLog: (_level, { code, message }) => {
      problems.push(`${code ?? "LOG"}: ${message}`);
    },
    plugins: [
      {
        name: ENTRY,
        resolveId: (id) => (id === ENTRY ? ENTRY : null),
        load: (id) => (id === ENTRY ? text : null),
      },
    ],
  });
  try {
    await build.generate({ format: "esm", codeSplitting: false });
  } catch (error) {
    problems.push(String(error));
  } finally {
    await build.close();
  }
  return problems;
};

/** Globals that only Node has. */
const NODE_GLOBALS = new Set([
  "Buffer",
  "process",
  "global",
  "require",
  "module",
  "__dirname",
  "__filename",
  "setImmediate",
  "clearImmediate",
]);

/** Whether `node` reads the variable it names, rather than naming a property or declaring something. */
const isRead = (node: ts.Identifier): boolean => {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent) || ts.isQualifiedName(parent)) {
    return (ts.isPropertyAccessExpression(parent) ? parent.expression : parent.left) === node;
  }
  return !("name" in parent && parent.name === node) && !ts.isBindingElement(parent);
};

const nodeGlobalsIn = (path: string, text: string): readonly string[] => {
  // Parsing takes its time, and most files have none of the names in any place.
  if (![...NODE_GLOBALS].some((name) => text.includes(name))) return [];
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const declared = new Set<string>();
  const read: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node) && NODE_GLOBALS.has(node.text)) {
      if (isRead(node)) read.push(node.text);
      else if (!ts.isPropertyAccessExpression(node.parent)) declared.add(node.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return read.filter((name) => !declared.has(name)).map((name) => `${path} uses ${name}`);
};

describe("everything below devfs", () => {
  it("is built for the browser", async () => {
    const imports = PORTABLE.map(({ path }) => `import "${ROOT}/src/${path}";`);
    expect(imports.length).toBeGreaterThan(10);
    expect(await bundleForBrowser(imports.join("\n"))).toEqual([]);
  });

  it("uses no global of Node", () => {
    expect(PORTABLE.flatMap(({ path, text }) => nodeGlobalsIn(path, text))).toEqual([]);
  });

  it.each([
    ["a module of Node", `export { readFileSync } from "node:fs";`, "node:fs"],
    ["a package that is not there", `export * from "left-pad";`, "left-pad"],
    ["a file that is not there", `import "${ROOT}/src/none.ts";`, "none.ts"],
  ])("%s fails the build", async (_what, text, name) => {
    expect((await bundleForBrowser(text)).join("\n")).toContain(name);
  });

  it("a global of Node is found", () => {
    expect(nodeGlobalsIn("a.ts", "export const x = Buffer.from([1]);")).toEqual([
      "a.ts uses Buffer",
    ]);
    expect(nodeGlobalsIn("a.ts", "export const x = process.env;")).toEqual(["a.ts uses process"]);
    expect(nodeGlobalsIn("a.ts", "const process = { pid: 1 }; export const x = process;")).toEqual(
      [],
    );
    expect(nodeGlobalsIn("a.ts", "export const x = queue.process(1);")).toEqual([]);
  });
});
