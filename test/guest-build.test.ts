import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { configuredSources, ownSources } from "../scripts/guest/archive.mjs";
import {
  inGuest,
  isCurrent,
  readManifest,
  replaceFile,
  VERSIONS,
  writeManifest,
} from "../scripts/guest/cache.mjs";
import { archive, characterDevice, directory, file, link } from "../scripts/guest/cpio.mjs";
import { ROOT } from "./sources.ts";

interface Found {
  readonly path: string;
  readonly mode: number;
  readonly data: string;
  readonly device: readonly number[];
}

/** Reads an archive by the offsets of the format's document. */
const entriesOf = (bytes: Buffer): readonly Found[] => {
  const found: Found[] = [];
  for (let at = 0; ; ) {
    const field = (index: number): number =>
      Number.parseInt(bytes.toString("latin1", at + 6 + 8 * index, at + 14 + 8 * index), 16);
    expect(bytes.toString("latin1", at, at + 6)).toBe("070701");
    const name = at + 110;
    const data = (name + field(11) + 3) & ~3;
    const path = bytes.toString("latin1", name, name + field(11) - 1);
    if (path === "TRAILER!!!") return found;
    found.push({
      path,
      mode: field(1),
      data: bytes.toString("latin1", data, data + field(6)),
      device: [field(9), field(10)],
    });
    at = (data + field(6) + 3) & ~3;
  }
};

let folder: string;
const before = process.env["SOFTIOMMU_GUEST"];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "softiommu-guest-"));
  process.env["SOFTIOMMU_GUEST"] = folder;
});

afterEach(() => {
  rmSync(folder, { recursive: true });
  if (before === undefined) delete process.env["SOFTIOMMU_GUEST"];
  else process.env["SOFTIOMMU_GUEST"] = before;
});

describe("the guest's build", () => {
  it("GUEST-BUILD-01: writes newc archives", () => {
    const bytes = archive([
      directory("dev"),
      characterDevice("dev/console", 5, 1),
      file("init", Buffer.from("12345"), 0o755),
      file("empty", new Uint8Array()),
      link("sh", "busybox"),
    ]);
    expect(bytes.length % 512).toBe(0);
    expect(entriesOf(bytes)).toEqual([
      { path: "dev", mode: 0o040755, data: "", device: [0, 0] },
      { path: "dev/console", mode: 0o020600, data: "", device: [5, 1] },
      { path: "init", mode: 0o100755, data: "12345", device: [0, 0] },
      { path: "empty", mode: 0o100644, data: "", device: [0, 0] },
      { path: "sh", mode: 0o120777, data: "busybox", device: [0, 0] },
    ]);
  });

  it("GUEST-BUILD-02: asks the machine's mirror, in either notation", () => {
    const etc = join(folder, "apt");
    mkdirSync(join(etc, "sources.list.d"), { recursive: true });
    expect(ownSources(configuredSources(etc), undefined)).toBeUndefined();
    writeFileSync(
      join(etc, "sources.list.d", "debian.sources"),
      "Types: deb\n# a comment\nURIs: http://a.example/debian\nSuites: bookworm bookworm-updates\n\n" +
        "Types: deb\nURIs: http://a.example/debian-security\nSuites:\n bookworm-security\nComponents: main\n",
    );
    const wanted = (uri: string): unknown => ({
      archive: VERSIONS.suites.map((suite) =>
        expect.stringMatching(`^deb \\[.*\\] ${uri} ${suite} main$`),
      ),
      security: [
        expect.stringMatching(/ http:\/\/a.example\/debian-security bookworm-security main$/),
      ],
    });
    expect(ownSources(configuredSources(etc), undefined)).toEqual(
      wanted("http://a.example/debian"),
    );
    expect(ownSources(configuredSources(etc), "http://b.example/d")).toEqual(
      wanted("http://b.example/d"),
    );
    writeFileSync(
      join(etc, "sources.list"),
      "# deb http://c.example/debian x main\ndeb [arch=amd64] http://d.example/debian/ trixie main\n",
    );
    expect(ownSources(configuredSources(etc), undefined)?.archive[0]).toContain(
      " http://d.example/debian/ ",
    );
  });

  it("GUEST-BUILD-03: knows what is made already", () => {
    expect(readManifest("7.3")).toEqual({ schema: "softiommu/guest@1" });
    const part = {
      inputs: "x",
      seconds: 1,
      files: { "initrd.gz": replaceFile(inGuest("7.3", "initrd.gz"), "12345") },
    };
    writeManifest("7.3", { initrd: part });
    const current = (inputs: string): boolean =>
      isCurrent("7.3", readManifest("7.3").initrd, inputs);
    expect(current("x")).toBe(true);
    expect(current("y")).toBe(false);
    writeFileSync(inGuest("7.3", "initrd.gz"), "1234");
    expect(current("x")).toBe(false);
    rmSync(inGuest("7.3", "initrd.gz"));
    expect(current("x")).toBe(false);
  });

  it("GUEST-BUILD-04: configures what each version requires", () => {
    const config = readFileSync(join(ROOT, "guest/kernel.config"), "utf8");
    const lines = config.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    expect(lines.filter((line) => !/^CONFIG_[A-Z0-9_]+=[yn]$/.test(line))).toEqual([]);
    const names = lines.map((line) => line.slice("CONFIG_".length, line.indexOf("=")));
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
    // What another option brings with it.
    const implied = ["IOMMUFD_NOIOMMU"];
    for (const { required } of Object.values(VERSIONS.kernels)) {
      const missing = required.filter((name) => !lines.includes(`CONFIG_${name}=y`));
      expect(missing.filter((name) => !implied.includes(name))).toEqual([]);
    }
    expect(Object.keys(VERSIONS.kernels)).toEqual(["7.3", "6.1"]);
  });
});
