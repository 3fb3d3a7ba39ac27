import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { lacks } from "../../test/requirement.ts";
import { readRecording, replayRecording } from "../capture/replay/index.ts";
import { keptInput } from "./input.ts";
import { nodeFiles } from "./node-files.ts";
import { keepOutput } from "./output.ts";
import { runCli } from "./run-cli.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "softiommu-boot-command-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const boot = async (typed: string, ...argv: readonly string[]) => {
  const output = keepOutput(process.env);
  const status = await runCli(["boot", ...argv], output, keptInput(typed));
  return { status, stdout: output.stdout, stderr: output.stderr };
};

const MINUTES = 60_000;

const SCRIPT = `# the first answer is a refusal by the kernel, the second by the script program
{"open":"/nothing","as":"n"}
{"run":"cat /proc/uptime"}
{"nothing":1}
`;

describe("softiommu boot", () => {
  test("BOOT-MISS-01: without a guest it is exit 3, and says what makes one", async () => {
    const output = keepOutput({ SOFTIOMMU_GUEST: join(folder, "none") });
    expect(await runCli(["boot"], output)).toBe(3);
    expect(output.stderr).toContain("softiommu: guest kernel: it is not built: nothing in");
    expect(output.stderr).toContain("hint: npm run guest:build");
    expect(output.stdout).toBe("");
  });

  test.each([
    [["--restore", "x", "--kernel", "7.3"], /--restore and --kernel exclude each other/],
    [["--restore", "x", "--save-capture", "y"], /exclude each other/],
    [["--intel-iommu", "amd"], /legacy, scalable-fs, scalable-ss, nested/],
    [["--domains", "none"], /strict, lazy, pass-through, off/],
  ])("BOOT-MODE-02: %j is a mistake", async (argv, says) => {
    const { status, stderr } = await boot("", ...argv);
    expect([status, stderr]).toEqual([2, expect.stringMatching(says)]);
  });

  test("BOOT-SAVE-02: what is no saved guest is exit 3", async () => {
    writeFileSync(join(folder, "bad"), "x");
    const { status, stderr } = await boot("", "--restore", join(folder, "bad"));
    expect([status, stderr]).toEqual([3, expect.stringContaining("it is no saved guest")]);
    expect((await boot("", "--script", join(folder, "none"))).status).toBe(3);
  });
});

describe.skipIf(lacks("guest"))("softiommu boot with a guest", () => {
  test(
    "BOOT-RUN-01, BOOT-TRACE-02, BOOT-SAVE-02, BOOT-REC-01: to a shell with a trace, saved, gone on with, recorded",
    async () => {
      const saved = join(folder, "guest.gz");
      const capture = join(folder, "run");
      const first = await boot(
        "dmesg | grep DMAR\n",
        ...["--intel-iommu", "legacy", "--trace", "--save", saved, "--save-capture", capture],
      );
      expect(first.status).toBe(0);
      expect(first.stdout).toContain("DMAR: Intel(R) Virtualization Technology for Directed I/O");
      expect(first.stderr).toMatch(/ s {2}write {3}GCMD 0x8\w{7} {2}.*TE/);
      const files = nodeFiles(capture);
      const report = replayRecording(readRecording(files));
      files.close();
      expect([report.differences, report.windows.length > 2]).toEqual([[], true]);

      const script = join(folder, "script.jsonl");
      writeFileSync(script, SCRIPT);
      const second = await boot("", "--restore", saved, "--script", script);
      const answers = second.stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line));
      expect(answers.map(({ errno }) => errno)).toEqual(["ENOENT", undefined, undefined]);
      expect(answers[2].error).toContain("line 4");
      expect([second.status, second.stderr]).toEqual([
        3,
        expect.stringContaining("line 4 is no line of a script"),
      ]);

      const third = await boot("echo $((6*7))\n", "--restore", saved, "--json");
      const lines = third.stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line));
      expect([third.status, lines.at(-1)]).toEqual([0, { end: "off" }]);
      expect(lines).toContainEqual({ console: "42" });
    },
    10 * MINUTES,
  );
});
