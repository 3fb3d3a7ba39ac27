// npm run defects: puts each known defect of test/defects/ into a copy of the sources and runs the suite that must notice. Arguments are parts of names.
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { finish, noCounts } from "./counts.mjs";
import { ensureInstalled, ROOT } from "./install.mjs";
import { applyPatch, readPatch } from "./patch.mjs";

/**
 * @typedef {import("./patch.mjs").FilePatch} FilePatch
 * @typedef {{ id: string, defect: string, rule: string, suite: string, source: string, files: FilePatch[] }} Defect
 * @typedef {{ failed: number, passed: number, broken: boolean }} Outcome tests, and whether the suite could not be run
 */

const FOLDER = "test/defects";
/** What is copied: all that a suite may read. */
const COPIED = [
  "src",
  "test",
  "docs",
  "scripts",
  "captures",
  "package.json",
  "tsconfig.json",
  "vitest.config.ts",
];

/** @returns {Defect[]} the defects that are kept, in the order of their names */
export const readDefects = (root = ROOT) =>
  readdirSync(join(root, FOLDER))
    .filter((name) => name.endsWith(".patch"))
    .sort()
    .map((name) => {
      const text = readFileSync(join(root, FOLDER, name), "utf8");
      /** @param {string} key */
      const header = (key) => new RegExp(`^${key}: (.+)$`, "m").exec(text)?.[1] ?? "";
      return {
        id: name.slice(0, -".patch".length),
        defect: header("Defect"),
        rule: header("Rule"),
        suite: header("Suite"),
        source: header("Source"),
        files: readPatch(text),
      };
    });

/**
 * @param {Defect} defect
 * @returns {string[]} what is wrong with its file; nothing is run
 */
export const defectProblems = ({ defect, rule, suite, source, files }, root = ROOT) => {
  /** @type {string[]} */
  const problems = [];
  for (const [key, value] of Object.entries({ Defect: defect, Rule: rule, Source: source })) {
    if (value === "") problems.push(`has no line "${key}: …"`);
  }
  const tests = existsSync(join(root, suite)) ? readFileSync(join(root, suite), "utf8") : undefined;
  if (tests === undefined) problems.push(`names the suite ${suite}, which is not there`);
  else if (!tests.includes(rule)) problems.push(`${suite} has no test of ${rule}`);
  if (files.length === 0) problems.push("changes nothing");
  for (const file of files) {
    const path = join(root, file.path);
    const text = existsSync(path) ? readFileSync(path, "utf8") : "";
    if (applyPatch(text, file) === undefined) problems.push(`does not fit ${file.path} any more`);
  }
  return problems;
};

/**
 * @param {string} root
 * @param {string} suite
 * @param {string} rule the tests that are run
 * @returns {Outcome}
 */
const runSuite = (root, suite, rule) => {
  const report = join(root, "report.json");
  rmSync(report, { force: true });
  const vitest = join(root, "node_modules/vitest/vitest.mjs");
  const args = ["run", suite, "-t", rule, "--reporter=json", `--outputFile.json=${report}`];
  spawnSync(process.execPath, [vitest, ...args], { cwd: root, stdio: "ignore", timeout: 300_000 });
  if (!existsSync(report)) return { failed: 0, passed: 0, broken: true };
  const { numFailedTests, numPassedTests } = JSON.parse(readFileSync(report, "utf8"));
  return {
    failed: numFailedTests,
    passed: numPassedTests,
    broken: numFailedTests + numPassedTests === 0,
  };
};

/**
 * @param {string} root a copy of the sources
 * @param {Defect} defect
 * @returns {Outcome}
 */
const runWith = (root, { files, suite, rule }) => {
  /** @type {[string, string][]} */
  const originals = files.map(({ path }) => [
    join(root, path),
    readFileSync(join(root, path), "utf8"),
  ]);
  files.forEach((file, i) => {
    const [path, text] = originals[i] ?? ["", ""];
    writeFileSync(path, applyPatch(text, file) ?? text);
  });
  const outcome = runSuite(root, suite, rule);
  for (const [path, text] of originals) writeFileSync(path, text);
  return outcome;
};

/** @returns {string} a copy of the sources in a folder of its own */
const copySources = () => {
  const root = mkdtempSync(join(tmpdir(), "softiommu-defects-"));
  for (const name of COPIED) cpSync(join(ROOT, name), join(root, name), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(root, "node_modules"));
  return root;
};

/**
 * @param {string} root
 * @param {Defect} defect
 * @param {Map<string, Outcome>} clean what each suite said without a defect
 * @returns {string} why it does not count as found; nothing when it does
 */
const verdictOf = (root, defect, clean) => {
  const problems = defectProblems(defect, root);
  if (problems.length > 0) return problems.join("; ");
  const key = `${defect.suite} ${defect.rule}`;
  const without = clean.get(key) ?? runSuite(root, defect.suite, defect.rule);
  clean.set(key, without);
  if (without.broken || without.failed > 0) return "the suite fails without it";
  const outcome = runWith(root, defect);
  if (outcome.broken) return "the suite cannot be run with it";
  return outcome.failed > 0 ? "" : "the suite passes in spite of it";
};

/** @param {readonly string[]} parts of names; all defects when there are none */
export const runDefects = (parts) => {
  const counts = noCounts();
  const defects = readDefects().filter(
    ({ id }) => parts.length === 0 || parts.some((part) => id.includes(part)),
  );
  const root = copySources();
  /** @type {Map<string, Outcome>} */
  const clean = new Map();
  const width = Math.max(...defects.map(({ id }) => id.length));
  try {
    for (const defect of defects) {
      const wrong = verdictOf(root, defect, clean);
      if (wrong === "") counts.passed++;
      else counts.failed++;
      const found = wrong === "" ? "found" : `NOT FOUND: ${wrong}`;
      console.log(`${defect.id.padEnd(width)}  ${defect.rule.padEnd(12)}  ${found}`);
    }
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
  console.log(`${counts.passed} of ${defects.length} known defects are found by their suites`);
  return counts;
};

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  ensureInstalled();
  finish(runDefects(process.argv.slice(2)));
}
