import { spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { createRequire } from "node:module";
import { findQemu } from "../conformance/qemu/provision.ts";
import { isKnownVersion } from "../conformance/qemu/rig.ts";
import { guestVersions } from "./guest.ts";

/** What some tests need and not every machine has. */
export type Requirement = "gcc" | "qemu" | "v86" | "guest" | "fuse" | "root";

const runs = (command: string, ...args: readonly string[]): boolean =>
  spawnSync(command, args, { stdio: "ignore" }).status === 0;

const opensForWriting = (path: string): boolean => {
  try {
    closeSync(openSync(path, "r+"));
    return true;
  } catch {
    return false;
  }
};

const resolves = (name: string): boolean => {
  try {
    createRequire(import.meta.url).resolve(name);
    return true;
  } catch {
    return false;
  }
};

interface Probe {
  /** What is missing, as a sentence's object. */
  readonly what: string;
  readonly present: () => boolean;
}

const PROBES: { readonly [R in Requirement]: Probe } = {
  gcc: { what: "a C compiler called gcc", present: () => runs("gcc", "--version") },
  qemu: {
    what: "a QEMU whose deviations are known: npm run conformance:qemu makes a folder with one",
    present: () => {
      const found = findQemu();
      return found.ok && isKnownVersion(found.qemu);
    },
  },
  v86: { what: "the npm package v86", present: () => resolves("v86") },
  guest: {
    what: "a guest kernel: npm run guest:build makes one",
    present: () => resolves("v86") && guestVersions().length > 0,
  },
  fuse: {
    what: "/dev/fuse, opened for reading and writing, and a mount namespace of our own",
    present: () =>
      opensForWriting("/dev/fuse") &&
      (runs("unshare", "-m", "true") || runs("unshare", "-Urm", "true")),
  },
  root: { what: "user id 0", present: () => process.getuid?.() === 0 },
};

/**
 * @param list as `SOFTIOMMU_REQUIRE` has it: names between commas
 * @throws Error when a name is none of the requirements: a misspelt one would forbid nothing
 */
export const parseRequired = (list: string): ReadonlySet<Requirement> => {
  const names = list.split(",").filter((name) => name !== "");
  const unknown = names.filter((name) => !Object.hasOwn(PROBES, name));
  if (unknown.length > 0) {
    const known = Object.keys(PROBES).join(", ");
    throw new Error(`SOFTIOMMU_REQUIRE: ${unknown.join(", ")}: expected names of ${known}`);
  }
  return new Set(names as Requirement[]);
};

/** Answers whether tests must be skipped for lack of something. */
export const lacking =
  (required: ReadonlySet<Requirement>, probes: typeof PROBES = PROBES) =>
  (requirement: Requirement): boolean => {
    const { what, present } = probes[requirement];
    if (present()) return false;
    if (!required.has(requirement)) return true;
    throw new Error(
      `SOFTIOMMU_REQUIRE names ${requirement}, and this machine has no ${requirement}: ${what}`,
    );
  };

/**
 * Whether this machine lacks something, for `describe.skipIf(lacks("gcc"))`.
 *
 * @throws Error when `SOFTIOMMU_REQUIRE` says that it must be there, so that
 *   the file fails instead of being skipped
 */
export const lacks = (requirement: Requirement): boolean =>
  lacking(parseRequired(process.env["SOFTIOMMU_REQUIRE"] ?? ""))(requirement);
