import { describe, expect, it } from "vitest";
import { lacking, lacks, parseRequired } from "./requirement.ts";

const probe = (present: boolean) => ({ what: "a thing", present: () => present });
const probes = (present: boolean) => ({
  gcc: probe(present),
  qemu: probe(present),
  v86: probe(present),
  guest: probe(present),
  fuse: probe(present),
  root: probe(present),
});

describe("SOFTIOMMU_REQUIRE", () => {
  it("names only what is known, in this run too", () => {
    expect(() => parseRequired(process.env["SOFTIOMMU_REQUIRE"] ?? "")).not.toThrow();
    expect(parseRequired("")).toEqual(new Set());
    expect(parseRequired("gcc,root")).toEqual(new Set(["gcc", "root"]));
    expect(() => parseRequired("gcc,roott")).toThrow("roott");
  });

  it("turns a skip into a failure", () => {
    expect(lacking(new Set(["gcc"]), probes(true))("gcc")).toBe(false);
    expect(lacking(new Set(["root"]), probes(false))("gcc")).toBe(true);
    expect(() => lacking(new Set(["gcc"]), probes(false))("gcc")).toThrow("has no gcc: a thing");
  });

  it("probes the machine without an error", () => {
    const allowed = ["gcc", "qemu", "v86", "guest", "fuse", "root"] as const;
    const required = parseRequired(process.env["SOFTIOMMU_REQUIRE"] ?? "");
    for (const name of allowed.filter((each) => !required.has(each))) {
      expect(typeof lacks(name)).toBe("boolean");
    }
    for (const name of required) expect(lacks(name)).toBe(false);
  });
});
