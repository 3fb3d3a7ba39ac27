// A kernel and its headers, from Debian's source package.

import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { ROOT } from "../install.mjs";
import { fetchPackage, newestKernelSource, offeredVersion } from "./archive.mjs";
import {
  hashOf,
  inGuest,
  isCurrent,
  readManifest,
  replaceFile,
  VERSIONS,
  writeManifest,
} from "./cache.mjs";
import { run } from "./commands.mjs";
import { toolEnvironment } from "./toolchain.mjs";

/** Counts changes of this file that make another kernel. */
const RECIPE = 1;

const CONFIG = join(ROOT, "guest/kernel.config");

/** What would tell two builds of the same source apart. */
const SAME_EVERYWHERE = {
  KBUILD_BUILD_TIMESTAMP: "1970-01-01",
  KBUILD_BUILD_USER: "softiommu",
  KBUILD_BUILD_HOST: "softiommu",
  KBUILD_BUILD_VERSION: "1",
};

/** @param {string} version */
const inputsOf = (version) =>
  hashOf([String(RECIPE), readFileSync(CONFIG), JSON.stringify(VERSIONS.kernels[version])]);

/**
 * The source, unpacked; one that an interrupted build has left is used again.
 *
 * @param {string} version
 * @param {string} name the package
 * @param {string} packageVersion
 */
const unpackedSource = (version, name, packageVersion) => {
  const work = inGuest(version, "work");
  const tree = join(work, "linux");
  const mark = join(work, "package");
  const wanted = `${name} ${packageVersion}\n`;
  if (existsSync(mark) && readFileSync(mark, "utf8") === wanted) return tree;
  run(["rm", "-rf", work]);
  mkdirSync(tree, { recursive: true });
  const file = fetchPackage(name);
  const inner = `./usr/src/${name}.tar.xz`;
  // One shell line, since the archive in the archive is never wanted as a file.
  const unpack = `dpkg-deb --fsys-tarfile "$1" | tar xOf - "$2" | tar xJf - -C "$3" --strip-components=1`;
  run(["sh", "-ec", unpack, "sh", file, inner, tree]);
  rmSync(file);
  writeFileSync(mark, wanted);
  return tree;
};

/**
 * @param {string} tree
 * @param {string} version
 * @throws Error naming the options that must be there and are not
 */
const checkConfiguration = (tree, version) => {
  const config = readFileSync(join(tree, ".config"), "utf8");
  const lacking = VERSIONS.kernels[version]?.required.filter(
    (name) => !config.includes(`\nCONFIG_${name}=y\n`),
  );
  if (lacking !== undefined && lacking.length > 0) {
    throw new Error(`${version}: the configuration has no ${lacking.join(", ")}`);
  }
};

/**
 * The headers of the interface, and of the test operations where there are
 * some: those are no part of it, so the kernel exports them nowhere.
 *
 * @param {string} tree
 * @param {string} version
 */
const keepHeaders = (tree, version) => {
  const target = inGuest(version, "headers");
  const part = `${target}.${process.pid}`;
  rmSync(part, { recursive: true, force: true });
  cpSync(join(tree, "usr/include"), part, {
    recursive: true,
    filter: (path) => !/\/(\.[^/]*|Makefile|headers_check\.pl)$/.test(path),
  });
  const test = join(tree, "drivers/iommu/iommufd/iommufd_test.h");
  if (existsSync(test)) cpSync(test, join(part, "iommufd_test.h"));
  rmSync(target, { recursive: true, force: true });
  renameSync(part, target);
};

/**
 * @param {string} version
 * @param {(text: string) => void} say
 * @returns {{ name: string, packageVersion: string }} the package: the one that is named, or else the newest there is
 */
const choosePackage = (version, say) => {
  const wanted = VERSIONS.kernels[version]?.package ?? "";
  const offered = offeredVersion(wanted);
  if (offered !== undefined) return { name: wanted, packageVersion: offered };
  const name = newestKernelSource();
  const packageVersion = name === undefined ? undefined : offeredVersion(name);
  if (name === undefined || packageVersion === undefined) {
    throw new Error(`the archive offers neither ${wanted} nor another kernel's source`);
  }
  say(`the archive has no ${wanted}: ${name} instead`);
  return { name, packageVersion };
};

/**
 * Makes `bzImage`, `config` and `headers/`, where they are not made of these inputs already.
 *
 * @param {string} version a name in guest/versions.json
 * @param {{ openArchive: () => void, say: (text: string) => void, keepsSource: boolean }} options
 */
export const buildKernel = (version, { openArchive, say, keepsSource }) => {
  const inputs = inputsOf(version);
  if (isCurrent(version, readManifest(version).kernel, inputs)) return;
  const began = performance.now();
  openArchive();
  const env = { ...SAME_EVERYWHERE, ...toolEnvironment(openArchive) };
  const { name, packageVersion } = choosePackage(version, say);
  say(`unpacking ${name} ${packageVersion}`);
  const tree = unpackedSource(version, name, packageVersion);
  const log = inGuest(version, "work/build.log");
  /** @param {string[]} args */
  const make = (...args) => run(["make", "-s", "-C", tree, "ARCH=i386", ...args], { env, log });
  make("allnoconfig", `KCONFIG_ALLCONFIG=${CONFIG}`);
  checkConfiguration(tree, version);
  const jobs = availableParallelism();
  say(`building, ${jobs} jobs at a time (output in ${log})`);
  make(`-j${jobs}`, "bzImage");
  make("headers");
  keepHeaders(tree, version);
  const release = readFileSync(join(tree, "include/config/kernel.release"), "utf8").trim();
  const files = {
    bzImage: replaceFile(
      inGuest(version, "bzImage"),
      readFileSync(join(tree, "arch/x86/boot/bzImage")),
    ),
    config: replaceFile(inGuest(version, "config"), readFileSync(join(tree, ".config"))),
  };
  const seconds = Math.round((performance.now() - began) / 1000);
  writeManifest(version, {
    kernel: { package: name, packageVersion, release, inputs, seconds, files },
  });
  // Ninety thousand files: Node takes minutes.
  if (!keepsSource) run(["rm", "-rf", inGuest(version, "work")]);
  say(`kernel ${release}: ${files.bzImage.bytes} bytes in ${seconds} s`);
};
