// Installs the dependencies where they are missing or not the lockfile's. Imports nothing but Node.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The repository's folder. */
export const ROOT = join(import.meta.dirname, "..");

/**
 * @typedef {{ version?: string, integrity?: string, optional?: boolean }} LockedPackage
 * @param {string} file
 * @returns {Record<string, LockedPackage> | undefined} the packages by their folder; `undefined` where there is no such file
 */
const packagesOf = (file) => {
  try {
    const { "": _root, ...packages } = JSON.parse(readFileSync(file, "utf8")).packages;
    return packages;
  } catch {
    return undefined;
  }
};

/**
 * Whether node_modules holds what the lockfile asks for. The two are compared
 * by content: the times of files say nothing after a checkout. An optional
 * package may be absent, since most are for other machines.
 *
 * @param {string} root
 */
export const isInstalled = (root) => {
  const wanted = packagesOf(join(root, "package-lock.json"));
  const present = packagesOf(join(root, "node_modules", ".package-lock.json"));
  if (wanted === undefined || present === undefined) return false;
  const same = Object.entries(wanted).every(([folder, { version, integrity, optional }]) => {
    const found = present[folder];
    if (found === undefined) return optional === true;
    return found.version === version && found.integrity === integrity;
  });
  return same && Object.keys(present).every((folder) => folder in wanted);
};

/** Runs `npm ci` where it is needed. Ends the process when that fails. */
export const ensureInstalled = () => {
  if (isInstalled(ROOT)) return;
  console.log("Installing what package-lock.json names (npm ci)");
  const { status } = spawnSync("npm", ["ci", "--no-audit", "--no-fund"], {
    cwd: ROOT,
    // npm's own lines go to stderr: stdout is for results.
    stdio: ["ignore", 2, 2],
    shell: process.platform === "win32",
  });
  if (status !== 0) {
    console.error("npm ci failed; its output is above");
    console.log("0 passed, 1 failed, 0 skipped");
    process.exit(1);
  }
};
