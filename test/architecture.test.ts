import { readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { NEVER, NODE_ROOMS, ONLY, ROOMS, roomOf } from "../scripts/house.mjs";
import {
  filesBelow,
  type Import,
  importsOf,
  isTestCode,
  ROOT,
  type SourceFile,
} from "./sources.ts";

const SOURCES = filesBelow("src").filter(({ path }) => path.endsWith(".ts"));
const CODE = SOURCES.filter((file) => !isTestCode(file));

const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
  readFileSync(join(ROOT, "package.json"), "utf8"),
);
const PACKAGES: readonly string[] = Object.keys(dependencies);
const OPTIONAL: readonly string[] = Object.keys(optionalDependencies);

const isNode = (specifier: string): boolean =>
  specifier.startsWith("node:") || builtinModules.includes(specifier);

const isNodeRoom = (room: string | undefined): boolean =>
  room !== undefined && NODE_ROOMS.includes(room);

/** Why a file in `room` may not import a file in `target`; the public entry lies above all that runs anywhere. */
const roomProblem = (room: string | undefined, target: string | undefined): string | undefined => {
  if (target === undefined) return "is in no room";
  if (room === undefined) return isNodeRoom(target) ? `${target} needs Node` : undefined;
  return ROOMS.indexOf(target) > ROOMS.indexOf(room) ? `${target} is above ${room}` : undefined;
};

/** `spec/` folders hold layout only: they use their own files, the tables' room and its bits. */
const specProblem = (path: string, target: string): string | undefined => {
  const spec = /^(.*\/spec\/)/.exec(path)?.[1];
  if (spec === undefined || target.startsWith(spec) || /^(bits|struct)\//.test(target)) {
    return undefined;
  }
  return "spec/ holds layout only, from bits and struct";
};

const packageProblem = (room: string | undefined, specifier: string): string | undefined => {
  if (isNode(specifier)) {
    return isNodeRoom(room) ? undefined : `only ${NODE_ROOMS.join(", ")} may use Node`;
  }
  const name = specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
  if (OPTIONAL.includes(name)) {
    return isNodeRoom(room) ? undefined : `${name} is optional: whoever has it hands it in`;
  }
  return PACKAGES.includes(name) ? undefined : `${name} is not among the dependencies`;
};

/** Why `path` may not import what it imports there; `undefined` when it may. */
const importProblem = (path: string, { specifier, target }: Import): string | undefined => {
  const room = roomOf(path);
  if (target === undefined) return packageProblem(room, specifier);
  const never = NEVER.find(({ from, to }) => path.startsWith(from) && target.startsWith(to));
  const outside = ONLY.find(
    ({ from, to, allowed }) =>
      path.startsWith(from) && target.startsWith(to) && !allowed.test(target),
  );
  return (
    never?.why ?? outside?.why ?? specProblem(path, target) ?? roomProblem(room, roomOf(target))
  );
};

const importProblems = (files: readonly SourceFile[]): readonly string[] =>
  files.flatMap((file) =>
    importsOf(file).flatMap((each) => {
      const problem = importProblem(file.path, each);
      return problem === undefined ? [] : [`${file.path} imports ${each.specifier}: ${problem}`];
    }),
  );

describe("imports", () => {
  it("every file lies in a room", () => {
    const outside = SOURCES.filter(({ path }) => path !== "index.ts" && roomOf(path) === undefined);
    expect(outside.map(({ path }) => path)).toEqual([]);
    expect(CODE.length).toBeGreaterThan(10);
  });

  it("point down, stay out of Node and keep to the rooms' own rules", () => {
    expect(importProblems(CODE)).toEqual([]);
  });

  it.each([
    ["bits/a.ts", `import { x } from "../memory/b.ts";`, "memory is above bits"],
    ["hardware/pci/a.ts", `export * from "../vtd/b.ts";`, "hardware/vtd is above hardware/pci"],
    ["hardware/vtd/a.ts", `import type { X } from "../../cli/b.ts";`, "cli is above hardware/vtd"],
    ["machine/a.ts", `const x = await import("../devfs/b.ts");`, "devfs is above machine"],
    ["machine/a.ts", `import { readFileSync } from "node:fs";`, "only devfs, studio, cli"],
    ["machine/a.ts", `import { readFileSync } from "fs";`, "only devfs, studio, cli"],
    ["cli/a.ts", `import x from "left-pad";`, "left-pad is not among the dependencies"],
    ["pc/a.ts", `import { V86 } from "v86";`, "v86 is optional"],
    ["pc/a.ts", `import { x } from "../machine/b.ts";`, "machine is above pc"],
    ["index.ts", `export * from "./cli/a.ts";`, "cli needs Node"],
    ["index.ts", `export * from "./other/a.ts";`, "is in no room"],
    ["hardware/vtd/spec/a.ts", `import { x } from "../unit.ts";`, "spec/ holds layout only"],
    ["hardware/vtd/spec/a.ts", `import { x } from "../../../trace/x.ts";`, "spec/ holds layout"],
    ["hardware/devices/a.ts", `import { x } from "../../memory/b.ts";`, "its translator only"],
    ["hardware/devices/a.ts", `import { x } from "../platform/index.ts";`, "its translator only"],
    ["linux/a.ts", `import { x } from "../hardware/vtd/unit.ts";`, "layouts only"],
    ["linux/pci/a.ts", `import { x } from "../../hardware/pci/index.ts";`, "layouts only"],
    ["page-table/formats/a.ts", `import { x } from "../../memory/b.ts";`, "a format knows entries"],
  ])("a rule broken in %s is found: %s", (path, text, problem) => {
    const found = importProblems([{ path, text }]);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(problem);
  });

  it.each([
    ["cli/a.ts", `import { readFileSync } from "node:fs";`],
    ["cli/a.ts", `const v86 = await import("v86");`],
    ["hardware/vtd/spec/a.ts", `import { x } from "./b.ts";`],
    ["hardware/vtd/spec/a.ts", `import { x } from "../../../struct/layout.ts";`],
    ["hardware/devices/a.ts", `import { x } from "../pci/dma-request.ts";`],
    ["memory/a.ts", `import { x } from "../bits/hex.ts";`],
    ["linux/a.ts", `import { x } from "../hardware/vtd/spec/registers.ts";`],
    ["linux/a.ts", `import type { X } from "../hardware/platform/index.ts";`],
    ["index.ts", `export * from "./machine/index.ts";`],
  ])("what is allowed in %s is not reported: %s", (path, text) => {
    expect(importProblems([{ path, text }])).toEqual([]);
  });
});
