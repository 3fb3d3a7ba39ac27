import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ExpectedMapping, writeCapture } from "../capture/index.ts";
import { inspectCapture } from "../capture/inspect/index.ts";
import { legacyMachine } from "../machine/sample-machines.ts";
import { runDemonstration } from "./demonstration.ts";
import { checkExpected } from "./expected-check.ts";
import { nodeSink } from "./node-files.ts";
import { openCapture } from "./open-capture.ts";
import { keepOutput } from "./output.ts";
import { createPaint } from "./paint.ts";
import { runCli } from "./run-cli.ts";

const CAPTURES = fileURLToPath(new URL("../../captures", import.meta.url));
const PROGRAM = fileURLToPath(new URL("../../bin/softiommu", import.meta.url));

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "softiommu-inspect-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const run = async (...argv: readonly string[]) => {
  const output = keepOutput();
  const status = await runCli(argv, output);
  return { status, stdout: output.stdout.replaceAll(`${CAPTURES}/`, ""), stderr: output.stderr };
};

const inspect = (name: string, ...more: readonly string[]) =>
  run("inspect", `${CAPTURES}/${name}`, ...more);

const expectedOf = (name: string): readonly ExpectedMapping[] => {
  const { capture, close } = openCapture(`${CAPTURES}/${name}`);
  const list = capture.expected!();
  close();
  return list;
};

/** A mapping of a document as its line in the expected list. */
const asExpected = (mapping: Record<string, string | number | null>, pasid: number | null) => ({
  bdf: String(mapping["bdf"]).slice("0000:".length),
  pasid,
  iova: BigInt(mapping["iova"]!),
  pa: BigInt(mapping["pa"]!),
  size: BigInt(mapping["size"]!),
  perms: mapping["perms"],
});

describe("softiommu inspect", () => {
  test.each([
    ["vtd_sm_fs_cm/c_mapped", 0],
    ["vtd_legacy_ss", null],
  ] as const)(
    "CLI-INSPECT-01: the process's JSON for %s has the expected mappings",
    (name, pasid) => {
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        [PROGRAM, "inspect", `${CAPTURES}/${name}`, "--json"],
        { encoding: "utf8", maxBuffer: 2 ** 26 },
      );
      expect([status, stderr]).toEqual([0, ""]);
      const document = JSON.parse(stdout);
      expect(document.schema).toBe("softiommu/inspect@1");
      for (const mapping of document.mappings) expect(mapping.pasid).toBeNull();
      const key = (mapping: { bdf: string; iova: bigint }) =>
        `${mapping.bdf} ${mapping.iova.toString(16).padStart(16, "0")}`;
      const byKey = (a: { bdf: string; iova: bigint }, b: { bdf: string; iova: bigint }) =>
        key(a) < key(b) ? -1 : 1;
      const found = document.mappings.map((each: Record<string, string>) =>
        asExpected(each, pasid),
      );
      expect(found.sort(byKey)).toEqual([...expectedOf(name)].sort(byKey));
    },
  );

  test("CLI-INSPECT-02: devices, ranges and findings for people", async () => {
    const { status, stdout } = await inspect("vtd_1g_fs/g_1g", "--device", "00:07.0");
    expect(status).toBe(0);
    expect(stdout.split("\n").slice(0, 24).join("\n")).toMatchSnapshot();
    expect((await inspect("vtd_pt_sm", "--summary")).stdout).toMatchSnapshot();
  });

  test("CLI-INSPECT-02: devices with the same tables show them once", async () => {
    const { stdout } = await inspect("vtd_sm_fs");
    expect(stdout).toContain("0000:00:1f.3 reaches the same as 0000:00:1f.0");
    expect(stdout.match(/^ {2}0x0 +→ 0x0 +16M/gm)).toHaveLength(1);
  });

  test("CLI-INSPECT-03: --device keeps that device and what concerns it", async () => {
    const { stdout } = await inspect("vtd_sm_fs_cm/c_mapped", "--device", "0x38", "--json");
    const document = JSON.parse(stdout);
    expect(document.devices.map(({ bdf }: { bdf: string }) => bdf)).toEqual(["0000:00:07.0"]);
    expect(document.mappings).toHaveLength(592);
    expect(document.findings).toMatchObject([
      { code: "shared-domain", bdf: ["0000:00:05.0", "0000:00:07.0"] },
    ]);
    expect(
      JSON.parse((await inspect("vtd_sm_fs", "--device", "00:0a.0", "--json")).stdout),
    ).toMatchObject({
      devices: [],
      mappings: [],
    });
  });

  test("CLI-INSPECT-04: --watch finds who can write a range, given several times", async () => {
    const watch = ["--watch", "0x8fe7000+4K", "--watch", "0xfff_ffff+1"] as const;
    const codes = async (...more: readonly string[]) =>
      JSON.parse((await inspect("vtd_legacy_ss", ...more, "--json")).stdout).findings.map(
        ({ code }: { code: string }) => code,
      );
    // 00:07.0 may only read the first of them at 0x40000.
    expect(await codes(...watch)).toEqual(await codes());
    const { findings } = JSON.parse(
      (await inspect("vtd_legacy_ss", "--watch", "0x47e2800+1", "--json")).stdout,
    );
    expect(findings.at(-1)).toMatchObject({
      code: "maps-given-range",
      bdf: ["0000:00:03.0"],
      iova: "0xfff7b800",
      pa: "0x47e2800",
      size: "0x1",
    });
  });

  test("CLI-EXIT-02: findings are exit 4 only where --fail-on asks for them", async () => {
    expect((await inspect("vtd_pt_sm")).status).toBe(0);
    expect((await inspect("vtd_pt_sm", "--fail-on", "any", "--summary")).status).toBe(4);
    expect(
      (await inspect("vtd_pt_sm", "--fail-on", "reserved-bit,pass-through", "--json")).status,
    ).toBe(4);
    expect((await inspect("vtd_pt_sm", "--fail-on", "reserved-bit")).status).toBe(0);
    expect((await inspect("vtd_pt_sm", "--fail-on", "any", "--device", "00:07.0")).status).toBe(0);
  });

  test("CLI-INSPECT-05: what stands above everything else is said first", async () => {
    const machine = legacyMachine();
    machine.unit.setTranslation(false);
    writeCapture(machine.capture(), nodeSink(join(folder, "off")));
    expect((await run("inspect", join(folder, "off"))).stdout).toMatch(/^translation is off/m);
    machine.unit.setRootTable(0x800n);
    writeCapture(machine.capture([{ pa: 0x1000n, kind: "root" }]), nodeSink(join(folder, "bad")));
    expect((await run("inspect", join(folder, "bad"))).stdout).toMatch(
      /^every request is refused: fault 0x30/m,
    );
  });
});

describe("checking against expected lists", () => {
  test("CLI-DEMO-01: a mapping that is missing, extra or wrong is counted as that", () => {
    const { capture, close } = openCapture(`${CAPTURES}/vtd_sm_fs`);
    const report = inspectCapture(capture);
    const list = capture.expected!();
    close();
    const [first, second, ...rest] = list;
    expect(checkExpected(report, list)).toEqual({ expected: 1987, missing: 0, extra: 0, wrong: 0 });
    expect(checkExpected(report, rest)).toMatchObject({ missing: 0, extra: 2, wrong: 0 });
    const moved = { ...first!, pa: first!.pa + 4096n };
    const reduced = { ...second!, perms: "r-u" };
    expect(checkExpected(report, [moved, reduced, ...rest])).toMatchObject({
      wrong: 2,
      missing: 0,
    });
    const other = { ...first!, pasid: 1 };
    expect(checkExpected(report, [...list, other, first!])).toMatchObject({ missing: 2, extra: 0 });
  });

  test("CLI-DEMO-02: the demonstration passes, and fits two screens", () => {
    const written: string[] = [];
    const tally = runDemonstration((text) => written.push(text), createPaint(false));
    expect(tally).toMatchObject({ passed: 25, failed: 0, skipped: 2 });
    const lines = written.join("").split("\n");
    expect(lines.length).toBeLessThan(90);
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThan(116);
  });
});
