// Where the guests are kept, and what is known about each: a manifest beside its files.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { ROOT } from "../install.mjs";

/**
 * @typedef {{ bytes: number, sha256: string }} KnownFile
 * @typedef {{ inputs: string, seconds: number, files: Record<string, KnownFile> }} Part
 *   what was made, from what (a hash), and how long that took
 * @typedef {Part & { package: string, packageVersion: string, release: string }} KernelPart
 * @typedef {{ schema: "softiommu/guest@1", kernel?: KernelPart, initrd?: Part }} Manifest
 * @typedef {{ package: string, required: readonly string[] }} KernelVersion
 * @typedef {{ kernels: Record<string, KernelVersion>, suites: readonly string[], securitySuites: readonly string[], toolSuite: string, busybox: string, libraries: readonly string[] }} Versions
 */

/** What guest/versions.json says. @type {Versions} */
export const VERSIONS = JSON.parse(readFileSync(join(ROOT, "guest/versions.json"), "utf8"));

/** The folder with a folder for each kernel: the one SOFTIOMMU_GUEST names, or one in the user's cache. */
export const guestsFolder = () =>
  process.env["SOFTIOMMU_GUEST"] ??
  join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "softiommu/guest");

/** @param {string} version @param {string[]} path */
export const inGuest = (version, ...path) => join(guestsFolder(), version, ...path);

/** @param {readonly (string | Uint8Array)[]} pieces */
export const hashOf = (pieces) => {
  const hash = createHash("sha256");
  for (const piece of pieces) hash.update(createHash("sha256").update(piece).digest());
  return hash.digest("hex");
};

/**
 * Writes a file whole: a reader sees the old one or the new one.
 *
 * @param {string} path
 * @param {string | Uint8Array} data
 * @returns {KnownFile}
 */
export const replaceFile = (path, data) => {
  const part = `${path}.${process.pid}`;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(part, data);
  renameSync(part, path);
  return {
    bytes: Buffer.byteLength(data),
    sha256: createHash("sha256").update(data).digest("hex"),
  };
};

/** @param {string} version @returns {Manifest} empty where there is none, or none of ours */
export const readManifest = (version) => {
  try {
    const manifest = JSON.parse(readFileSync(inGuest(version, "manifest.json"), "utf8"));
    if (manifest.schema === "softiommu/guest@1") return manifest;
  } catch {
    // As good as none.
  }
  return { schema: "softiommu/guest@1" };
};

/** @param {string} version @param {Partial<Manifest>} part */
export const writeManifest = (version, part) => {
  const manifest = { ...readManifest(version), ...part };
  replaceFile(inGuest(version, "manifest.json"), `${JSON.stringify(manifest, undefined, 2)}\n`);
};

/**
 * Whether what was made of these inputs is there. Sizes are compared, not
 * contents: a cache that somebody edits is theirs.
 *
 * @param {string} version
 * @param {Part | undefined} part
 * @param {string} inputs
 */
export const isCurrent = (version, part, inputs) =>
  part?.inputs === inputs &&
  Object.entries(part.files).every(
    ([name, { bytes }]) =>
      statSync(inGuest(version, name), { throwIfNoEntry: false })?.size === bytes,
  );
