// npm start: installs what is missing, builds the demo and runs it. The demo's last line is its counts.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { ensureProgram, hasProgram, PROGRAMS } from "./build.mjs";
import { finish, noCounts, parseCountsLine } from "./counts.mjs";
import { ensureInstalled, ROOT } from "./install.mjs";

/**
 * Runs `program` and passes its output on, all but a last line of counts.
 *
 * @param {string} program
 * @returns {Promise<import("./counts.mjs").Counts>} what it counted; a program that ends without, or badly, has failed
 */
const runDemo = async (program) => {
  // Its output goes through here, so it cannot see the terminal.
  const color = process.stdout.isTTY && process.env["NO_COLOR"] === undefined;
  const env = color ? { ...process.env, FORCE_COLOR: "1" } : process.env;
  const child = spawn(process.execPath, [program, ...process.argv.slice(2)], {
    cwd: ROOT,
    env,
    stdio: ["inherit", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => child.on("close", resolve));
  /** @type {string | undefined} */
  let held;
  for await (const line of createInterface({ input: child.stdout })) {
    if (held !== undefined) console.log(held);
    held = line;
  }
  const status = await ended;
  const counts = held === undefined ? undefined : parseCountsLine(held);
  if (counts === undefined && held !== undefined) console.log(held);
  const known = counts ?? noCounts();
  const silentFailure = known.failed === 0 && (counts === undefined || status !== 0);
  return silentFailure ? { ...known, failed: 1 } : known;
};

ensureInstalled();
if (hasProgram("demo")) {
  finish(await runDemo(await ensureProgram("demo")));
} else {
  console.error(`start: ${PROGRAMS.demo.source} does not exist: there is nothing to show yet`);
  finish(noCounts());
}
