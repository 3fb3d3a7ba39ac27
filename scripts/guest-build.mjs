// npm run guest:build [-- VERSION... | --all] [--keep-source]: makes the guest's kernel and its first file system, where they
// are not made already, into a folder of the user's cache. docs/guest.md says what is in them.

import { closeArchive, openArchive } from "./guest/archive.mjs";
import { guestsFolder, inGuest, VERSIONS } from "./guest/cache.mjs";
import { checkPrograms, MissingError } from "./guest/commands.mjs";
import { buildInitrd } from "./guest/initrd.mjs";
import { buildKernel } from "./guest/kernel.mjs";

const KNOWN = Object.keys(VERSIONS.kernels);

/** Opens the archive when something is fetched for the first time, and not again. */
const onceOpen = () => {
  let isOpen = false;
  return () => {
    if (isOpen) return;
    openArchive();
    isOpen = true;
  };
};

/**
 * @param {readonly string[]} versions
 * @param {boolean} keepsSource
 */
const build = (versions, keepsSource) => {
  checkPrograms();
  const open = onceOpen();
  for (const version of versions) {
    /** @param {string} text */
    const say = (text) => console.log(`${version}: ${text}`);
    buildKernel(version, { openArchive: open, say, keepsSource });
    buildInitrd(version, { openArchive: open, say });
    say(`up to date in ${inGuest(version)}`);
  }
};

const args = process.argv.slice(2);
const named = args.filter((arg) => !arg.startsWith("--"));
const unknown = [
  ...named.filter((version) => !KNOWN.includes(version)),
  ...args.filter((arg) => arg.startsWith("--") && !["--all", "--keep-source"].includes(arg)),
];
if (unknown.length > 0) {
  console.error(`guest:build: ${unknown.join(", ")}: expected ${KNOWN.join(", ")} or --all`);
  process.exitCode = 1;
} else {
  const versions = args.includes("--all") ? KNOWN : named.length > 0 ? named : KNOWN.slice(0, 1);
  try {
    build(versions, args.includes("--keep-source"));
    closeArchive();
  } catch (error) {
    console.error(`guest:build: ${error instanceof Error ? error.message : error}`);
    if (!(error instanceof MissingError)) console.error(`(in ${guestsFolder()})`);
    process.exitCode = error instanceof MissingError ? 2 : 1;
  }
}
