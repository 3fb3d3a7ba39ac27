// npm run check: everything that must hold before a change is merged. Goes on after a failure and ends with the counts.

import { spawn } from "node:child_process";
import { join } from "node:path";
import { addCounts, finish, noCounts } from "./counts.mjs";
import { ensureInstalled, ROOT } from "./install.mjs";
import { runTests } from "./vitest.mjs";

/** @param {string} path inside node_modules */
const tool = (path) => join(ROOT, "node_modules", path);

/** @param {string} name */
const script = (name) => join(ROOT, "scripts", name);

/**
 * Name, program and arguments. The slow ones first: two run at a time.
 *
 * @type {readonly [string, string, ...string[]][]}
 */
const STEPS = [
  ["API and CLI snapshots", script("api.mjs")],
  ["types", tool("typescript/bin/tsc"), "--noEmit"],
  ["unused files, exports and dependencies", tool("knip/bin/knip.js")],
  ["package", script("package.mjs")],
  ["format and lint", tool("@biomejs/biome/bin/biome"), "ci", "--error-on-warnings"],
  ["rules and their tests", script("rules.mjs")],
];

/** How many steps run at a time. */
const LANES = 2;

/**
 * @param {readonly string[]} args
 * @returns {Promise<{ status: number, text: string }>}
 */
const runStep = async (args) => {
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (part) => {
      text += part;
    });
  }
  const status = await new Promise((resolve) => child.on("close", resolve));
  return { status: status ?? 1, text };
};

/** @param {number} since in milliseconds, from `performance.now()` */
const secondsSince = (since) => ((performance.now() - since) / 1000).toFixed(1).padStart(5);

/** Steps that say something worth reading when they pass. */
const TELLS = "rules and their tests";

/** @param {(typeof STEPS)[number]} step */
const checkStep = async ([name, ...args]) => {
  const began = performance.now();
  const { status, text } = await runStep(args);
  console.log(`${secondsSince(began)} s  ${status === 0 ? "ok    " : "FAILED"}  ${name}`);
  if (status !== 0 || name === TELLS) console.log(text.trimEnd());
  return status === 0 ? { passed: 1, failed: 0, skipped: 0 } : { passed: 0, failed: 1, skipped: 0 };
};

ensureInstalled();
const began = performance.now();
const waiting = [...STEPS];
let counts = noCounts();
const lane = async () => {
  for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
    const one = await checkStep(step);
    counts = addCounts(counts, one);
  }
};
await Promise.all(Array.from({ length: LANES }, lane));
const failedSteps = counts.failed;
const tests = runTests([]);
console.log(`${secondsSince(began)} s  in all`);
if (failedSteps > 0) console.log(`${failedSteps} of ${STEPS.length} steps failed: see above`);
finish(addCounts(counts, tests));
