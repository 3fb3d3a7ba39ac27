// Builds dist/: the programs, one file each, and the library with its declarations.
// Imports nothing but Node until something is to be built, so that bin/softiommu starts quickly.

import { readdirSync, readFileSync, renameSync, statSync, utimesSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { ensureInstalled, ROOT } from "./install.mjs";

const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
  readFileSync(join(ROOT, "package.json"), "utf8"),
);

/** Never bundled: Node's own modules and the packages that are installed. */
const EXTERNAL = [/^node:/, ...Object.keys({ ...dependencies, ...optionalDependencies })];

/** @param {string} path */
const isTest = (path) => path.endsWith(".test.ts");

/**
 * @param {string} folder relative to the root
 * @returns {string[]} the files below `folder`, relative to the root; none when there is no such folder
 */
const filesBelow = (folder) => {
  try {
    return readdirSync(join(ROOT, folder), { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
  } catch {
    return [];
  }
};

/** @param {string} file */
const modified = (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** When what the programs are made of was last changed, in milliseconds. */
const sourcesModified = () =>
  [
    ...filesBelow("src"),
    ...filesBelow("bench"),
    ...filesBelow("conformance"),
    join(ROOT, "scripts", "build.mjs"),
  ]
    .filter((path) => !isTest(path))
    .reduce((latest, path) => Math.max(latest, modified(path)), 0);

/**
 * Writes a file whole: a reader sees the old one or the new one. Its time is
 * when the build began, so that a source changed meanwhile is newer.
 *
 * @param {string} file
 * @param {string} text
 * @param {Date} began
 */
const replaceFile = async (file, text, began) => {
  const part = `${file}.${process.pid}`;
  await mkdir(dirname(file), { recursive: true });
  await writeFile(part, text);
  utimesSync(part, began, began);
  renameSync(part, file);
};

/**
 * @param {string} input a source file
 * @param {"node" | "neutral"} platform
 */
const bundle = async (input, platform) => {
  const { build } = await import("rolldown");
  const { output } = await build({
    input: join(ROOT, input),
    cwd: ROOT,
    platform,
    external: EXTERNAL,
    tsconfig: true,
    logLevel: "warn",
    write: false,
    output: { format: "esm", codeSplitting: false },
  });
  return output[0].code;
};

/**
 * The programs. A target lies as deep as its source, so that
 * `new URL("../../captures/", import.meta.url)` means the same in both.
 *
 * @satisfies {Record<string, { source: string, target: string }>}
 */
export const PROGRAMS = {
  main: { source: "src/cli/main.ts", target: "dist/cli/main.js" },
  demo: { source: "src/cli/demo.ts", target: "dist/cli/demo.js" },
  bench: { source: "bench/main.ts", target: ".cache/bench.js" },
  conformanceLinux: { source: "conformance/linux/main.ts", target: ".cache/conformance/linux.js" },
  conformanceQemu: { source: "conformance/qemu/main.ts", target: ".cache/conformance/qemu.js" },
};

/** @typedef {keyof typeof PROGRAMS} Program */

/** @param {Program} name */
export const hasProgram = (name) => modified(join(ROOT, PROGRAMS[name].source)) > 0;

/**
 * @param {Program} name
 * @returns the program's path, built first when it is missing or not newer than every source
 */
export const ensureProgram = async (name) => {
  const { source, target } = PROGRAMS[name];
  const file = join(ROOT, target);
  const began = new Date();
  if (modified(file) <= sourcesModified()) {
    await replaceFile(file, await bundle(source, "node"), began);
  }
  return file;
};

/** @returns the declarations of everything `src/index.ts` exports, in one text */
export const rollUpDeclarations = async () => {
  const { build } = await import("rolldown");
  const { dts } = await import("rolldown-plugin-dts");
  const { output } = await build({
    input: join(ROOT, "src/index.ts"),
    cwd: ROOT,
    external: EXTERNAL,
    logLevel: "warn",
    write: false,
    plugins: [dts({ emitDtsOnly: true })],
    // Type checking is all of the work here, and always slow.
    checks: { pluginTimings: false },
  });
  return output[0].type === "chunk" ? sortUnions(output[0].code) : "";
};

/**
 * The compiler writes the strings of a union in the order in which it met them, which other files change.
 *
 * @param {string} text
 */
const sortUnions = (text) =>
  text.replace(/"[^"\n]*"(?: \| "[^"\n]*")+/g, (union) => union.split(" | ").sort().join(" | "));

/** Builds all of dist/. */
export const buildAll = async () => {
  if (hasProgram("main")) await ensureProgram("main");
  if (hasProgram("demo")) await ensureProgram("demo");
  const began = new Date();
  await replaceFile(join(ROOT, "dist/index.js"), await bundle("src/index.ts", "neutral"), began);
  await replaceFile(join(ROOT, "dist/index.d.ts"), await rollUpDeclarations(), began);
};

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  ensureInstalled();
  await buildAll();
}
