import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { keepOutput, type Output, OutputClosed } from "./output.ts";
import { wantsColor } from "./paint.ts";
import { runCli } from "./run-cli.ts";
import { readVersion } from "./version.ts";

const CAPTURES = fileURLToPath(new URL("../../captures", import.meta.url));
/** In a command line below: the folder of captures. */
const PLACE = "captures/";
const SM_FS = `${PLACE}vtd_sm_fs`;
const WALK = ["walk", SM_FS, "--bdf", "00:03.0", "--iova", "0xfff7b000"] as const;

const placed = (argv: readonly string[]): string[] =>
  argv.map((each) => (each.startsWith(PLACE) ? `${CAPTURES}/${each.slice(PLACE.length)}` : each));

const run = async (argv: readonly string[], env: Output["env"] = {}) => {
  const output = keepOutput(env);
  const status = await runCli(placed(argv), output);
  return { status, stdout: output.stdout, stderr: output.stderr };
};

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "softiommu-cli-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Command lines that are wrong, and what has to be said about them. */
const MISTAKES: readonly (readonly [argv: readonly string[], says: RegExp, hint: RegExp])[] = [
  [["wlak"], /there is no command "wlak"/, /did you mean walk\?/],
  [["frobnicate"], /there is no command/, /the commands are inspect, walk/],
  [["walk"], /CAPTURE is missing/, /help walk/],
  [["walk", SM_FS, "--bdf", "00:03.0"], /--iova is missing/, /help walk/],
  [["walk", SM_FS, "--iova", "1"], /--bdf is missing/, /help walk/],
  [["walk", SM_FS, "--bfd", "1"], /no option --bfd/, /--bdf/],
  [[...WALK, "more"], /an argument too many, "more"/, /help walk/],
  [[...WALK, "--iova", "2"], /--iova is given twice/, /help walk/],
  [["walk", SM_FS, "--bdf", "00:03", "--iova", "1"], /"00:03" is not a device/, /help walk/],
  [["walk", SM_FS, "--bdf", "1:00:03.0", "--iova", "1"], /segment 0000/, /^$/],
  [["walk", SM_FS, "--bdf", "00:03.0", "--iova", "4Q"], /"4Q" is not a number/, /help walk/],
  [[...WALK, "--pasid", "0x100000"], /up to 0xfffff/, /help walk/],
  [[...WALK, "--privileged"], /need --pasid/, /PASID/],
  [[...WALK, "--write=1"], /--write takes no value/, /help walk/],
  [[...WALK, "--color"], /--color needs a value|not "--json"/, /help walk/],
  [[...WALK, "--color", "pink"], /auto, always, never/, /help walk/],
  [[...WALK, "--scalable"], /no meaning without --root-table/, /^$/],
  [[...WALK, "--regs", "f", "--root-table", "0"], /exclude each other/, /help walk/],
  [[...WALK, "--root-table", "0", "--aw", "38"], /39 to 57/, /^$/],
  [["completion", "bsh"], /bash, zsh, fish/, /did you mean bash\?/],
  [["help", "wlk"], /there is no command "wlk"/, /did you mean walk\?/],
  [["--quiet"], /there is no command/, /^$/],
  [["inspect", SM_FS, "--watch", "5"], /"5" is not a range START\+LENGTH/, /help inspect/],
  [
    ["inspect", SM_FS, "--fail-on", "pass-through,x"],
    /"pass-through,x" is not any/,
    /help inspect/,
  ],
];

/** Input that cannot be read. */
const UNREADABLE: readonly (readonly [argv: readonly string[], says: RegExp])[] = [
  [["walk", "/no/such/thing", ...WALK.slice(2)], /\/no\/such\/thing: expected a file or folder/],
  [["walk", `${PLACE}vtd_1g_fs`, ...WALK.slice(2)], /one moment of the capture/],
  [["walk", `${PLACE}vtd_1g_fs/x`, ...WALK.slice(2)], /one of its moments/],
  [["walk", `${PLACE}amd_v1`, ...WALK.slice(2)], /it is a capture of an AMD IOMMU/],
  [["inspect", `${PLACE}amd_pt`], /it is a capture of an AMD IOMMU/],
  [["walk", `${PLACE}elf_small/guest_cut.elf.gz`, ...WALK.slice(2)], /registers beside/],
  [[...WALK, "--regs", "/no/such/file"], /\/no\/such\/file/],
  [[...WALK, "--root-table", "1"], /--root-table: expected a multiple of 4096/],
];

describe("errors", () => {
  test.each(MISTAKES)("CLI-ERR-01: %j is refused with exit 2", async (argv, says, hint) => {
    const { status, stdout, stderr } = await run(argv);
    const [first = "", second = "", ...rest] = stderr.split("\n").filter((line) => line !== "");
    expect([status, stdout, rest]).toEqual([2, "", []]);
    expect(first).toMatch(/^softiommu: .+: .+/);
    expect(first).toMatch(says);
    expect(second.replace(/^hint: /, "")).toMatch(hint);
  });

  test.each(MISTAKES)(
    "CLI-ERR-02: %j with --json is one line of JSON on stderr",
    async (argv, says) => {
      const { status, stdout, stderr } = await run([...argv, "--json"]);
      expect([status, stdout]).toEqual([2, ""]);
      expect(stderr.trimEnd()).not.toContain("\n");
      const { error } = JSON.parse(stderr);
      expect(Object.keys(error)).toEqual(["code", "message", "hint", "details"]);
      expect(error.code).toBe("usage");
      expect(error.message).toMatch(says);
    },
  );

  test.each(UNREADABLE)("CLI-ERR-03: %j is refused with exit 3", async (argv, says) => {
    const { status, stdout, stderr } = await run(argv);
    expect([status, stdout]).toEqual([3, ""]);
    expect(stderr).toMatch(says);
    expect(stderr).not.toMatch(/\n\s+at /);
    const { error } = JSON.parse((await run([...argv, "--json"])).stderr);
    expect(error.code).toBe("input");
  });

  test("CLI-ERR-03: a damaged capture names the file, the byte and what was expected", async () => {
    const path = join(folder, "damaged");
    mkdirSync(path);
    writeFileSync(join(path, "pages.json"), '{"ram_size": 4096, "pages": [{"pa": 3}]}');
    const { error } = JSON.parse((await run(["walk", path, ...WALK.slice(2), "--json"])).stderr);
    expect(error.details).toMatchObject({ file: `${path}/pages.json`, offset: 36 });
    expect(Object.keys(error.details)).toEqual(["file", "offset", "expected", "found"]);
  });

  test("CLI-ERR-04: a stack trace is shown with --debug only", async () => {
    const argv = ["walk", "/no/such/thing", ...WALK.slice(2)];
    expect((await run(argv)).stderr).not.toContain("node-files");
    expect((await run([...argv, "--debug"])).stderr).toContain("node-files");
    const { error } = JSON.parse((await run([...argv, "--debug", "--json"])).stderr);
    expect(error.details.stack).toContain("node-files");
  });

  test("CLI-ERR-05: --quiet leaves the hint out", async () => {
    expect((await run(["wlak"])).stderr).toContain("hint:");
    expect((await run(["help", "wlk", "--quiet"])).stderr).not.toContain("hint:");
  });

  test("CLI-ERR-06: a bug is exit 1 and says so", async () => {
    const output = keepOutput();
    const broken: Output = {
      ...output,
      out: () => {
        throw new TypeError("it broke");
      },
      err: output.err,
    };
    expect(await runCli(["version"], broken)).toBe(1);
    expect(output.stderr).toMatch(/^softiommu: internal error: it broke\nhint: this is a bug/);
  });

  test("CLI-ERR-07: when nobody reads the output any more, the command ends quietly", async () => {
    const output = keepOutput();
    const closed: Output = {
      ...output,
      out: () => {
        throw new OutputClosed("closed");
      },
      err: output.err,
    };
    expect(await runCli(placed(WALK), closed)).toBe(0);
    expect(output.stderr).toBe("");
  });
});

describe("options of every command", () => {
  test("CLI-OPT-01: they may stand before the command", async () => {
    expect(await run(["--json", "version"])).toEqual(await run(["version", "--json"]));
    expect((await run(["--color", "never", "version"])).stdout).toBe(
      `softiommu ${readVersion()}\n`,
    );
  });

  test("CLI-OPT-02: colour is what --color says, then NO_COLOR, then FORCE_COLOR, then the terminal", () => {
    expect(wantsColor("always", { NO_COLOR: "1" }, false)).toBe(true);
    expect(wantsColor("never", { FORCE_COLOR: "1" }, true)).toBe(false);
    expect(wantsColor("auto", { NO_COLOR: "1", FORCE_COLOR: "1" }, true)).toBe(false);
    expect(wantsColor("auto", { FORCE_COLOR: "1" }, false)).toBe(true);
    expect(wantsColor("auto", { FORCE_COLOR: "0" }, true)).toBe(false);
    expect(wantsColor("auto", { NO_COLOR: "" }, true)).toBe(true);
    expect(wantsColor("auto", { TERM: "dumb" }, true)).toBe(false);
    expect(wantsColor("auto", {}, false)).toBe(false);
  });

  test("CLI-OPT-03: colour changes nothing but colours", async () => {
    const colored = (await run([...WALK], { FORCE_COLOR: "1" })).stdout;
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what it looks for.
    const stripped = colored.replace(/\u001b\[\d+m/g, "");
    expect(colored).not.toBe(stripped);
    expect(stripped).toBe((await run([...WALK])).stdout);
  });
});

describe("small commands", () => {
  test("CLI-VER-01: version, --version and version --json", async () => {
    expect((await run(["version"])).stdout).toBe(`softiommu ${readVersion()}\n`);
    expect(await run(["--version"])).toEqual(await run(["version"]));
    expect(JSON.parse((await run(["version", "--json"])).stdout)).toEqual({
      schema: "softiommu/version@1",
      version: readVersion(),
      node: process.version,
    });
  });

  test("CLI-HELP-04: help, --help, -h and help COMMAND; no command at all is a mistake", async () => {
    expect(await run(["--help"])).toEqual(await run(["help"]));
    expect(await run(["walk", "--help"])).toEqual(await run(["help", "walk"]));
    expect((await run(["walk", "-h", "--iova"])).status).toBe(2);
    expect(await run([])).toMatchObject({
      status: 2,
      stdout: "",
      stderr: (await run(["help"])).stdout,
    });
  });
});

describe("the program", () => {
  const program = fileURLToPath(new URL("../../bin/softiommu", import.meta.url));

  test("CLI-ERR-07: the real process: exit codes, streams and a closed pipe", async () => {
    const child = (argv: readonly string[]) =>
      spawnSync(process.execPath, [program, ...placed(argv)], { encoding: "utf8" });
    expect(child([...WALK]).stdout).toBe((await run([...WALK])).stdout);
    expect(child(["wlak"])).toMatchObject({ status: 2, stdout: "" });
    expect(child(["walk", SM_FS, "--bdf", "00:03.0", "--iova", "0"]).status).toBe(5);
    const piped = spawnSync(
      "bash",
      [
        "-c",
        `"${process.execPath}" "${program}" inspect "${CAPTURES}/vtd_sm_fs" --json | true; echo $\{PIPESTATUS[0]}`,
      ],
      { encoding: "utf8" },
    );
    expect(piped).toMatchObject({ stdout: "0\n", stderr: "" });
  });
});
