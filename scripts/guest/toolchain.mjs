// What the build needs and the machine lacks, unpacked beside the guests instead of installed.

import { existsSync, renameSync, rmSync } from "node:fs";
import { delimiter, join } from "node:path";
import { unpackPackages } from "./archive.mjs";
import { guestsFolder, hashOf, VERSIONS } from "./cache.mjs";
import { isThere, run } from "./commands.mjs";

/** Programs of a kernel's build that many machines lack, and the packages each is in. */
const TOOLS = {
  flex: ["flex", "m4", "libsigsegv2"],
  bison: ["bison", "m4", "libsigsegv2"],
  bc: ["bc", "libreadline8", "libtinfo6"],
};

/**
 * A folder with packages unpacked in it, named after them.
 *
 * @param {string} name
 * @param {readonly string[]} packages
 * @param {() => void} openArchive
 */
const folderOf = (name, packages, openArchive) => {
  const key = hashOf([VERSIONS.toolSuite, ...packages]).slice(0, 12);
  const folder = join(guestsFolder(), `${name}-${key}`);
  if (!existsSync(folder)) {
    openArchive();
    const part = `${folder}.${process.pid}`;
    rmSync(part, { recursive: true, force: true });
    unpackPackages(packages, part);
    renameSync(part, folder);
  }
  return folder;
};

/**
 * @param {() => void} openArchive called before something is fetched
 * @returns {Record<string, string>} the environment in which a kernel's build finds its tools
 */
export const toolEnvironment = (openArchive) => {
  const missing = Object.entries(TOOLS).filter(([program]) => !isThere(program));
  if (missing.length === 0) return {};
  const packages = [...new Set(missing.flatMap(([, names]) => names))].sort();
  const folder = folderOf("tools", packages, openArchive);
  const libraries = run(["gcc", "-print-multiarch"]).trim();
  return {
    PATH: [join(folder, "usr/bin"), process.env["PATH"] ?? ""].join(delimiter),
    LD_LIBRARY_PATH: [join(folder, "usr/lib", libraries), join(folder, "lib", libraries)].join(
      delimiter,
    ),
    ...(packages.includes("m4") ? { M4: join(folder, "usr/bin/m4") } : {}),
    ...(packages.includes("bison") ? { BISON_PKGDATADIR: join(folder, "usr/share/bison") } : {}),
  };
};

/**
 * @param {() => void} openArchive
 * @returns {string} the folder with busybox, as `bin/busybox`
 */
export const busyboxFolder = (openArchive) => folderOf("busybox", [VERSIONS.busybox], openArchive);

/**
 * @param {() => void} openArchive
 * @returns {readonly string[]} what makes gcc build static programs for i386
 */
export const staticCompiler = (openArchive) => {
  const folder = folderOf("i386", VERSIONS.libraries, openArchive);
  const version = /libgcc-(\d+)-dev/.exec(VERSIONS.libraries.join(" "))?.[1];
  const own = join(folder, "usr/lib/gcc/i686-linux-gnu", version ?? "");
  return ["gcc", "-m32", "-static", `--sysroot=${folder}`, `-B${own}`, `-L${own}`];
};
