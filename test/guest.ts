import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { guestsFolder } from "../scripts/guest/cache.mjs";

/** A kernel and its first file system, as `npm run guest:build` makes them. */
export interface Guest {
  readonly version: string;
  readonly kernel: Uint8Array;
  readonly initrd: Uint8Array;
}

const FILES = ["bzImage", "initrd.gz"] as const;

const versionNumber = (version: string): number => {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major * 1000 + minor;
};

/** The versions that are built, newest first. */
export const guestVersions = (): readonly string[] => {
  const folder = guestsFolder();
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((version) => FILES.every((file) => existsSync(join(folder, version, file))))
    .sort((a, b) => versionNumber(b) - versionNumber(a));
};

/**
 * Reads a guest; the newest when no version is given.
 *
 * @throws Error when there is none
 */
export const readGuest = (version = guestVersions()[0]): Guest => {
  if (version === undefined) throw new Error(`no guest in ${guestsFolder()}`);
  const [kernel, initrd] = FILES.map((file) => readFileSync(join(guestsFolder(), version, file)));
  return { version, kernel: kernel!, initrd: initrd! };
};
