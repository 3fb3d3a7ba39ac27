import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { runDemonstration } from "./demonstration.ts";
import { keepOutput } from "./output.ts";
import { createPaint } from "./paint.ts";
import { runCli } from "./run-cli.ts";

const CAPTURES = fileURLToPath(new URL("../../captures", import.meta.url));

const run = async (
  ...args: readonly string[]
): Promise<{ status: number; stdout: string; stderr: string }> => {
  const kept = keepOutput();
  const status = await runCli(["replay", ...args], kept);
  return { status, stdout: kept.stdout, stderr: kept.stderr };
};

describe("replay", () => {
  test("CLI-REPLAY-01, CLI-REPLAY-02: a recording as its QEMU writes it, exit 0", async () => {
    const { status, stdout } = await run(`${CAPTURES}/vtd_sm_ss`);
    expect(status).toBe(0);
    expect(stdout.slice(CAPTURES.length)).toMatchSnapshot();
  });

  test("CLI-REPLAY-02, CLI-REPLAY-03: by the specification, exit 1", async () => {
    const { status, stdout } = await run(`${CAPTURES}/vtd_sm_ss`, "--specification");
    expect(status).toBe(1);
    expect(stdout).toContain("4 differences\n");
    expect((await run(`${CAPTURES}/vtd_sm_fs`, "--specification")).status).toBe(0);
  });

  test("CLI-REPLAY-04: descriptors one by one, up to a moment", async () => {
    const { stdout, status } = await run(`${CAPTURES}/vtd_sm_fs_cm/b_bound`, "--descriptors", "-q");
    expect(status).toBe(0);
    expect(stdout.match(/^ {2}line \d+ {2}slot \d+ /gm)).toHaveLength(508);
    expect(stdout).toContain("  line 35  slot 1  wait  0x200000025 0x1c53804 0x0 0x0\n");
    expect(stdout).not.toContain("c_mapped");
  });

  test("CLI-REPLAY-05: the document has every descriptor, fault and deviation", async () => {
    const document = JSON.parse((await run(`${CAPTURES}/vtd_sm_ss`, "--json")).stdout);
    expect(document).toMatchObject({
      schema: "softiommu/replay@1",
      recorder: "QEMU 11.1",
      differences: [],
      more: 0,
    });
    expect(document.windows[0].descriptors).toHaveLength(394);
    expect(document.windows[0].faults[0]).toEqual({
      line: 1818,
      bdf: "0000:00:07.0",
      pasid: null,
      write: true,
      text: "a second-stage entry is not present",
      address: "0x66000000",
      recorded: "0x5",
      code: "0x79",
    });
    expect(document.deviations[2]).toMatchObject({
      what: "FRCD",
      fields: [{ name: "FR", recorded: "0x5", replayed: "0x79" }],
    });
  });

  test("CLI-ERR-03: what is no recording is exit 3", async () => {
    for (const name of [
      "amd_v1",
      "elf_small",
      "elf_small/guest_cut.elf.gz",
      "vtd_sm_fs_cm/other",
    ]) {
      const { status, stdout, stderr } = await run(`${CAPTURES}/${name}`);
      expect([status, stdout], name).toEqual([3, ""]);
      expect(stderr).toMatch(/^softiommu: .*: expected .*, found .*\nhint: .*\n$/);
    }
  });

  test("CLI-DEMO-03: the demonstration replays a kernel's run in at most 10 lines", () => {
    const written: string[] = [];
    runDemonstration((text) => written.push(text), createPaint(false));
    const section = written
      .join("")
      .split("▌")
      .find((part) => part.includes("replayed"))!;
    const lines = section
      .split("\n")
      .slice(1)
      .filter((line) => line !== "");
    expect(lines.length).toBeLessThanOrEqual(10);
    expect(lines.at(-1)).toBe("  ✓ 7 moments, 100 register words equal, 0 differences");
  });
});
