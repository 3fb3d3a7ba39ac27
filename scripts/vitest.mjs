// Runs the tests and counts them.

import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { addCounts, noCounts } from "./counts.mjs";
import { roomOf } from "./house.mjs";
import { ROOT } from "./install.mjs";

/**
 * @typedef {import("./counts.mjs").Counts} Counts
 * @typedef {{ status: string }} Assertion
 * @typedef {{ name: string, status: string, startTime: number, endTime: number, assertionResults: Assertion[] }} FileResult
 * @typedef {{ testResults: FileResult[] }} Report what vitest's JSON reporter writes, as far as it is read here
 * @typedef {{ suite: string, counts: Counts, seconds: number }} SuiteResult
 */

/**
 * A file that failed without a failed test, because it could not be loaded or
 * a hook threw, is one failure: what it would have tested was not tested.
 *
 * @param {FileResult} file
 * @returns {Counts}
 */
const countFile = ({ status, assertionResults }) => {
  /** @param {string} wanted */
  const having = (wanted) => assertionResults.filter((test) => test.status === wanted).length;
  const passed = having("passed");
  const failed = having("failed");
  return {
    passed,
    failed: failed === 0 && status === "failed" ? 1 : failed,
    skipped: assertionResults.length - passed - failed,
  };
};

/**
 * @param {string} path relative to the root
 * @returns the suite a test file belongs to: its room, or its top folder
 */
const suiteOf = (path) => {
  const [top] = path.split("/");
  return top === "src" ? (roomOf(path.slice("src/".length)) ?? "src") : (top ?? path);
};

/**
 * @param {Report} report
 * @returns {SuiteResult[]} in the order of their names
 */
export const summarise = (report) => {
  /** @type {Map<string, SuiteResult>} */
  const suites = new Map();
  for (const file of report.testResults) {
    const suite = suiteOf(relative(ROOT, file.name).replaceAll("\\", "/"));
    const { counts, seconds } = suites.get(suite) ?? { counts: noCounts(), seconds: 0 };
    suites.set(suite, {
      suite,
      counts: addCounts(counts, countFile(file)),
      seconds: seconds + Math.max(0, file.endTime - file.startTime) / 1000,
    });
  }
  return [...suites.values()].sort((a, b) => (a.suite < b.suite ? -1 : 1));
};

/** @param {SuiteResult[]} suites */
const printSuites = (suites) => {
  const width = Math.max(0, ...suites.map(({ suite }) => suite.length));
  for (const { suite, counts, seconds } of suites) {
    const { passed, failed, skipped } = counts;
    const parts = [
      `${String(passed).padStart(6)} passed`,
      failed > 0 ? `${failed} failed` : "",
      skipped > 0 ? `${skipped} skipped` : "",
    ].filter((part) => part !== "");
    console.log(`${suite.padEnd(width)} ${seconds.toFixed(1).padStart(6)} s ${parts.join(", ")}`);
  }
};

/**
 * @param {string} file
 * @returns {Report}
 */
const readReport = (file) => {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return { testResults: [] };
  }
};

/**
 * Runs vitest, prints what failed and then the time of each suite.
 *
 * @param {readonly string[]} args passed on to vitest
 * @param {Record<string, string>} env added to the environment
 * @returns {Counts}
 */
export const runTests = (args, env = {}) => {
  const folder = join(ROOT, ".cache");
  const file = join(folder, `tests-${process.pid}.json`);
  mkdirSync(folder, { recursive: true });
  const vitest = join(ROOT, "node_modules/vitest/vitest.mjs");
  const reporters = ["--reporter=dot", "--reporter=json", `--outputFile.json=${file}`];
  const { status } = spawnSync(process.execPath, [vitest, "run", ...reporters, ...args], {
    cwd: ROOT,
    stdio: "inherit",
    env: { ...process.env, ...env },
  });
  const suites = summarise(readReport(file));
  rmSync(file, { force: true });
  printSuites(suites);
  const counts = suites.reduce((sum, suite) => addCounts(sum, suite.counts), noCounts());
  // An error outside every test, or a crash: vitest says so above, and no count has it.
  return status !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
};
