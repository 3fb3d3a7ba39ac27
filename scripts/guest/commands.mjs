// Other programs: which are missing, and running them.

import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";

/** Something that has to be there is not; `exitCode` of the program is 2 then. */
export class MissingError extends Error {
  /** @override */
  name = "MissingError";
}

/** Programs, and the packages they come from. */
const PROGRAMS = {
  "apt-get": "apt",
  "apt-cache": "apt",
  "dpkg-deb": "dpkg",
  gcc: "gcc",
  ld: "binutils",
  make: "make",
  tar: "tar",
  xz: "xz-utils",
};

/** @param {string} program */
export const isThere = (program) => spawnSync(program, ["--version"]).error === undefined;

/** @throws MissingError naming everything that is missing, and what installs it */
export const checkPrograms = () => {
  const missing = Object.entries(PROGRAMS).filter(([program]) => !isThere(program));
  if (missing.length > 0) {
    const packages = [...new Set(missing.map(([, name]) => name))].join(" ");
    const names = missing.map(([program]) => program).join(", ");
    throw new MissingError(`missing: ${names}; to install them: apt-get install ${packages}`);
  }
  const check = spawnSync("gcc", ["-m32", "-x", "c", "-S", "-o", "/dev/null", "-"], { input: "" });
  if (check.status !== 0) throw new MissingError("missing: a gcc that makes 32-bit x86 programs");
};

/**
 * @typedef {{ cwd?: string, env?: Record<string, string>, log?: string }} RunOptions
 *   `log` gets all output; without it standard output is returned
 */

/**
 * @param {readonly string[]} command
 * @param {RunOptions} [options]
 * @returns {string}
 * @throws Error with the end of its output when it fails
 */
export const run = ([program, ...args], { cwd, env, log } = {}) => {
  const file = log === undefined ? undefined : openSync(log, "a");
  const { status, stdout, stderr, error } = spawnSync(/** @type {string} */ (program), args, {
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...process.env, LC_ALL: "C", ...env },
    stdio: ["ignore", file ?? "pipe", file ?? "pipe"],
    encoding: "utf8",
    maxBuffer: 64 << 20,
  });
  if (file !== undefined) closeSync(file);
  if (status === 0) return stdout ?? "";
  const said = log === undefined ? `${stdout ?? ""}${stderr ?? ""}` : readFileSync(log, "utf8");
  const end = said.trimEnd().split("\n").slice(-15).join("\n");
  throw new Error(`${program} ${args.join(" ")}: ${error?.message ?? `failed\n${end}`}`);
};
