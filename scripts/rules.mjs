// npm run rules: the numbered rules of docs/spec/ and the tests that cite them. docs/spec/README.md says how both are written.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ensureInstalled, ROOT } from "./install.mjs";

/** For instance `PT-MAP-03`. */
const ID = "[A-Z][A-Z0-9]*(?:-[A-Z0-9]+)*-\\d{2,3}";
const RULE = new RegExp(`^- \\*\\*(${ID})\\*\\*`, "gm");
/** What a title begins with: one rule or several, then a colon. */
const CITATION = new RegExp(`^(${ID}(?:, ${ID})*):`);

/**
 * @typedef {{ path: string, text: string }} TextFile
 * @param {string} folder relative to the root
 * @param {string} ending
 * @returns {TextFile[]}
 */
const filesBelow = (folder, ending) =>
  readdirSync(join(ROOT, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((path) => ({ path: path.slice(ROOT.length + 1), text: readFileSync(path, "utf8") }));

/**
 * @param {string} text a file of docs/spec/
 * @returns {string[]} the ids of its rules, in order
 */
export const rulesIn = (text) => [...text.matchAll(RULE)].map((found) => found[1] ?? "");

/**
 * @param {typeof import("typescript")} ts
 * @param {TextFile} file a test, or a suite that tests share
 * @returns {string[]} the ids its titles begin with. A title may also stand in
 *   a table, so every string counts, and comments do not
 */
export const citationsIn = (ts, { path, text }) => {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest);
  /** @type {string[]} */
  const found = [];
  /** @param {import("typescript").Node} node */
  const visit = (node) => {
    if (ts.isStringLiteralLike(node) || node.kind === ts.SyntaxKind.TemplateHead) {
      const { text: title } = /** @type {import("typescript").StringLiteralLike} */ (node);
      found.push(...(CITATION.exec(title)?.[1]?.split(", ") ?? []));
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
};

/**
 * @param {readonly TextFile[]} specs
 * @param {readonly { path: string, ids: readonly string[] }[]} tests
 * @returns {string[]} what is wrong, a sentence each
 */
export const ruleProblems = (specs, tests) => {
  const ids = specs.flatMap(({ text }) => rulesIn(text));
  const known = new Set(ids);
  const cited = new Set(tests.flatMap((test) => test.ids));
  return [
    ...ids.filter((id, i) => ids.indexOf(id) !== i).map((id) => `${id} is there twice`),
    ...[...known].filter((id) => !cited.has(id)).map((id) => `${id} has no test`),
    ...tests.flatMap(({ path, ids: citedHere }) =>
      citedHere.filter((id) => !known.has(id)).map((id) => `${path} cites ${id}, which is no rule`),
    ),
  ];
};

/** @returns {Promise<boolean>} whether every rule has a test and every test a rule; prints the counts and what is wrong */
export const checkRules = async () => {
  const { default: ts } = await import("typescript");
  const specs = filesBelow("docs/spec", ".md").filter(({ path }) => !path.endsWith("README.md"));
  // test/rules.test.ts has made-up rules in it.
  const tests = [...filesBelow("src", ".ts"), ...filesBelow("test", ".ts")]
    .filter(({ path, text }) => text.includes('"vitest"') && path !== "test/rules.test.ts")
    .map((file) => ({ path: file.path, ids: citationsIn(ts, file) }));
  for (const { path, text } of specs) {
    console.log(`${String(rulesIn(text).length).padStart(5)} rules in ${path}`);
  }
  const problems = ruleProblems(specs, tests);
  for (const problem of problems) console.log(problem);
  const citations = tests.flatMap(({ ids }) => ids).length;
  const untested = problems.filter((problem) => problem.endsWith("has no test")).length;
  const rules = specs.flatMap(({ text }) => rulesIn(text)).length;
  console.log(`${rules} rules, ${untested} without a test, cited ${citations} times`);
  return problems.length === 0;
};

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  ensureInstalled();
  process.exitCode = (await checkRules()) ? 0 : 1;
}
