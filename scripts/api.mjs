// npm run api: writes the snapshots of what others depend on, the library's declarations and the command's help.
// Without --update, as check calls it, it compares and says what differs.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { buildAll, hasProgram, PROGRAMS } from "./build.mjs";
import { ensureInstalled, ROOT } from "./install.mjs";

/**
 * @param {string} program
 * @param {readonly string[]} args
 * @returns what the program prints on a terminal without colour, 80 columns wide
 */
const output = (program, args) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    encoding: "utf8",
    env: { PATH: process.env["PATH"], NO_COLOR: "1", COLUMNS: "80" },
  });
  if (status !== 0) throw new Error(`softiommu ${args.join(" ")}: exit ${status}\n${stderr}`);
  return stdout;
};

/**
 * @returns {Record<string, string>} the command's snapshots by file; none before there is a command
 */
const commandSnapshots = () => {
  if (!hasProgram("main")) return {};
  const program = join(ROOT, PROGRAMS.main.target);
  const manual = output(program, ["help", "--man"]);
  const commands = new Set(
    [...manual.matchAll(/^\.SS softiommu (\S+)/gm)].map((found) => found[1] ?? ""),
  );
  const pages = [["help"], ...[...commands].map((command) => ["help", command])].map(
    (args) => `$ softiommu ${args.join(" ")}\n${output(program, args)}`,
  );
  return { "api/softiommu.cli.txt": pages.join("\n"), "man/softiommu.1": manual };
};

/**
 * @param {string} before
 * @param {string} after
 * @returns the first line in which two texts differ
 */
const firstDifference = (before, after) => {
  const [old, now] = [before.split("\n"), after.split("\n")];
  const at = now.findIndex((line, i) => line !== old[i]);
  const line = at < 0 ? now.length : at;
  return `line ${line + 1}:\n  - ${old[line] ?? "(end)"}\n  + ${now[line] ?? "(end)"}`;
};

/**
 * @param {boolean} update writes what differs instead of only naming it
 * @returns {Promise<boolean>} whether nothing differed or everything is written
 */
export const checkSnapshots = async (update) => {
  await buildAll();
  const snapshots = {
    "api/softiommu.api.d.ts": readFileSync(join(ROOT, "dist/index.d.ts"), "utf8"),
    ...commandSnapshots(),
  };
  let same = true;
  for (const [name, text] of Object.entries(snapshots)) {
    const file = join(ROOT, name);
    const before = existsSync(file) ? readFileSync(file, "utf8") : "";
    if (before === text) continue;
    console.log(`${name} ${update ? "written" : "differs"}, ${firstDifference(before, text)}`);
    same = false;
    if (!update) continue;
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  if (!same && !update)
    console.log("npm run api writes what is meant; its diff belongs in the review");
  return same || update;
};

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  ensureInstalled();
  process.exitCode = (await checkSnapshots(process.argv.includes("--update"))) ? 0 : 1;
}
