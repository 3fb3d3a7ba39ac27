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

/** Biome would colour what goes through a pipe. */
const COLORS = process.stdout.isTTY ? "--colors=force" : "--colors=off";

/** @typedef {readonly [string, string, ...string[]]} Step name, program and arguments */

/**
 * The lanes run at a time, the steps of a lane one after another: the package is checked as the snapshots' step built it.
 *
 * @type {readonly (readonly Step[])[]}
 */
const LANES = [
  [
    ["API and CLI snapshots", script("api.mjs")],
    ["package", script("package.mjs")],
    ["rules and their tests", script("rules.mjs")],
  ],
  [
    ["format and lint", tool("@biomejs/biome/bin/biome"), "ci", "--error-on-warnings", COLORS],
    ["types", tool("typescript/bin/tsc"), "--noEmit"],
    ["unused files, exports and dependencies", tool("knip/bin/knip.js")],
  ],
];

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

/** @param {Step} step */
const checkStep = async ([name, ...args]) => {
  const began = performance.now();
  const { status, text } = await runStep(args);
  console.log(`${secondsSince(began)} s  ${status === 0 ? "ok    " : "FAILED"}  ${name}`);
  if (status !== 0 || name === TELLS) console.log(text.trimEnd());
  return status === 0 ? { passed: 1, failed: 0, skipped: 0 } : { passed: 0, failed: 1, skipped: 0 };
};

ensureInstalled();
const began = performance.now();
let counts = noCounts();
await Promise.all(
  LANES.map(async (steps) => {
    for (const step of steps) {
      const outcome = await checkStep(step);
      counts = addCounts(counts, outcome);
    }
  }),
);
const failedSteps = counts.failed;
const tests = runTests([]);
console.log(`${secondsSince(began)} s  in all`);
if (failedSteps > 0)
  console.log(`${failedSteps} of ${LANES.flat().length} steps failed: see above`);
finish(addCounts(counts, tests));
