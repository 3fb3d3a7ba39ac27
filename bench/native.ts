import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Anchor } from "./cases.ts";

/** The C programs' folder; the built program lies as deep as its source. */
const SOURCES = fileURLToPath(new URL("../bench/native/", import.meta.url));
const TARGETS = fileURLToPath(new URL("../.cache/bench/", import.meta.url));

const PROGRAMS: Readonly<Record<Anchor["program"], readonly string[]>> = {
  translate: ["translate.c", "unit.c"],
  "hash-table": ["hash-table.c"],
  "page-table": ["page-table.c"],
};

/** The C programs that could be built, and why the others could not. */
export interface NativePrograms {
  /** What `gcc --version` says first; `undefined` where there is no gcc. */
  readonly compiler: string | undefined;
  /** GLib's version; `undefined` where it is not. */
  readonly glib: string | undefined;
  /** Where each program is. */
  readonly paths: ReadonlyMap<Anchor["program"], string>;
}

const outputOf = (program: string, ...args: readonly string[]): string | undefined => {
  const { status, stdout } = spawnSync(program, args, { encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
};

const compile = (name: Anchor["program"], flags: readonly string[]): string => {
  const target = join(TARGETS, name);
  const sources = PROGRAMS[name].map((file) => join(SOURCES, file));
  const args = ["-O2", "-std=gnu11", "-Wall", "-Wextra", "-o", target, ...sources, ...flags];
  const { status, stderr } = spawnSync("gcc", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`gcc could not compile ${name}:\n${stderr}`);
  return target;
};

/** Builds what the machine has compiler and libraries for. */
export const buildNativePrograms = (): NativePrograms => {
  const compiler = outputOf("gcc", "--version")?.split("\n")[0];
  if (compiler === undefined) return { compiler, glib: undefined, paths: new Map() };
  mkdirSync(TARGETS, { recursive: true });
  const paths = new Map<Anchor["program"], string>([
    ["translate", compile("translate", [])],
    ["page-table", compile("page-table", [])],
  ]);
  const glib = outputOf("pkg-config", "--modversion", "glib-2.0");
  const flags = outputOf("pkg-config", "--cflags", "--libs", "glib-2.0")?.split(/\s+/);
  if (flags !== undefined) paths.set("hash-table", compile("hash-table", [...flags, "-pthread"]));
  return { compiler, glib, paths };
};
