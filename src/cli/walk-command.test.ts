import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CaptureContents, writeCapture } from "../capture/index.ts";
import { machineFromCapture } from "../machine/index.ts";
import { legacyMachine, nestedMachine } from "../machine/sample-machines.ts";
import { nodeSink } from "./node-files.ts";
import { openCapture } from "./open-capture.ts";
import { keepOutput } from "./output.ts";
import { runCli } from "./run-cli.ts";

const CAPTURES = fileURLToPath(new URL("../../captures", import.meta.url));

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "softiommu-walk-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const run = async (...argv: readonly string[]) => {
  const output = keepOutput();
  const status = await runCli(argv, output);
  const hide = (text: string): string =>
    text.replaceAll(`${CAPTURES}/`, "").replaceAll(`${folder}/`, "");
  return { status, stdout: hide(output.stdout), stderr: output.stderr };
};

const walk = (name: string, bdf: string, iova: string, ...more: readonly string[]) =>
  run("walk", `${CAPTURES}/${name}`, "--bdf", bdf, "--iova", iova, ...more);

const saved = (name: string, contents: CaptureContents): string => {
  const path = join(folder, name);
  writeCapture(contents, nodeSink(path));
  return path;
};

describe("softiommu walk", () => {
  test("CLI-WALK-01: first stage", async () => {
    const { status, stdout } = await walk("vtd_sm_fs", "00:03.0", "0xfff7b000");
    expect(status).toBe(0);
    expect(stdout).toMatchSnapshot();
  });

  test("CLI-WALK-01: second stage in scalable mode, a 2M page", async () => {
    const { status, stdout } = await walk("vtd_sm_ss", "00:1f.2", "0x212345", "--write");
    expect(status).toBe(0);
    expect(stdout).toMatchSnapshot();
  });

  test("CLI-WALK-01: legacy mode, three levels", async () => {
    const { status, stdout } = await walk("vtd_legacy_k61_q72", "00:03.0", "0xfffff000");
    expect(status).toBe(0);
    expect(stdout).toMatchSnapshot();
  });

  test("CLI-WALK-01: a 1G page", async () => {
    const { status, stdout } = await walk("vtd_1g_fs/g_1g", "00:07.0", "0x4000_1234");
    expect(status).toBe(0);
    expect(stdout).toMatchSnapshot();
  });

  test("CLI-WALK-01: pass-through", async () => {
    const { status, stdout } = await walk("vtd_pt_sm", "00:03.0", "0x1234");
    expect(status).toBe(0);
    expect(stdout).toMatchSnapshot();
  });

  test("CLI-WALK-02: an address that is not mapped", async () => {
    const { status, stdout, stderr } = await walk("vtd_sm_fs", "00:07.0", "0x66000000", "--write");
    expect([status, stderr]).toEqual([5, ""]);
    expect(stdout).toMatchSnapshot();
  });

  test("CLI-WALK-02: a write to a page that may only be read", async () => {
    const { status, stdout } = await walk("vtd_sm_fs_cm/c_mapped", "00:07.0", "0x40000", "--write");
    expect(status).toBe(5);
    expect(stdout).toMatchSnapshot();
  });

  test("CLI-WALK-02: a device without a context entry", async () => {
    const { status, stdout } = await walk("vtd_legacy_ss", "00:0a.0", "0");
    expect(status).toBe(5);
    expect(stdout).toMatchSnapshot();
  });

  test("CLI-WALK-03: the second stage is inside the first, and what it is for is said", async () => {
    const path = saved("nested", nestedMachine().capture());
    const machine = openCapture(path);
    machine.close();
    const { status, stdout } = await run("walk", path, "--bdf", "0x18", "--iova", "0x12345678");
    expect(status).toBe(0);
    expect(stdout).toMatchSnapshot();
  });

  test("CLI-WALK-04: flags that the request sets are shown, and the files stay as they are", async () => {
    const path = saved("flags", nestedMachine().capture());
    const argv = ["walk", path, "--bdf", "0x18", "--iova", "0x12345678", "--write"] as const;
    const first = await run(...argv);
    expect(first.stdout).toContain("+accessed +dirty");
    expect(await run(...argv)).toEqual(first);
  });

  test("CLI-WALK-05: --json says the same as data", async () => {
    const { status, stdout } = await walk("vtd_sm_fs", "00:03.0", "0xfff7b123", "--json");
    const document = JSON.parse(stdout);
    expect(status).toBe(0);
    expect(Object.keys(document)).toEqual([
      "schema",
      "capture",
      "request",
      "steps",
      "reads",
      "result",
      "fault",
    ]);
    expect(document).toMatchObject({
      schema: "softiommu/walk@1",
      request: { bdf: "0000:00:03.0", pasid: null, iova: "0xfff7b123", read: true, write: false },
      reads: { structures: 4, entries: 4 },
      result: { pa: "0x4ce4123", size: "0x1000", perms: "rwu" },
      fault: null,
    });
    expect(document.steps.at(-1)).toEqual({
      entry: "stage 1 level 0 entry",
      stage: 1,
      level: 0,
      leaf: true,
      nested: false,
      input: "0xfff7b123",
      address: "0x324fbd8",
      words: ["0x4ce4067"],
      fields: {
        present: "0x1",
        writable: "0x1",
        user: "0x1",
        accessed: "0x1",
        dirty: "0x1",
        address: "0x4ce4000",
      },
      reserved: null,
      flagsSet: "0x0",
    });
  });

  test("CLI-WALK-05: a fault in --json has code, place, reason and changes", async () => {
    const path = saved("readonly", legacyMachine(0x5001n).capture());
    const { status, stdout } = await run(
      "walk",
      path,
      "--bdf",
      "00:03.0",
      "--iova",
      "0x12345678",
      "--write",
      "--json",
    );
    expect(status).toBe(5);
    expect(JSON.parse(stdout)).toMatchObject({
      result: null,
      fault: {
        code: "0x5",
        stage: 2,
        level: 0,
        entry: { address: "0x13a28", value: "0x5001" },
        why: "write (bit 1) is clear in the stage 2 level 0 entry",
        changes: [
          { address: "0x13a28", change: "set write (bit 1)", from: "0x5001", to: "0x5003" },
        ],
        silenced: null,
      },
    });
  });

  test("CLI-WALK-06: an ELF core with --regs, and with --root-table, walks as its capture does", async () => {
    const core = "elf_small/guest_cut.elf.gz";
    const capture = await walk("vtd_sm_fs_cm/c_mapped", "00:07.0", "0x10000", "--quiet");
    const regs = `${CAPTURES}/vtd_sm_fs_cm/c_mapped/regs.json`;
    expect(capture.status).toBe(0);
    expect(await walk(core, "00:07.0", "0x10000", "--quiet", "--regs", regs)).toEqual(capture);
    const flags = ["--root-table", "0x3408000", "--scalable"] as const;
    expect(await walk(core, "00:07.0", "0x10000", "--quiet", ...flags)).toEqual(capture);
    expect((await walk(core, "00:07.0", "0x10000", "--root-table", "0x3408000")).status).toBe(5);
  });

  test("CLI-WALK-07: every mapping of an expected list is where walk says", async () => {
    const { capture, close } = openCapture(`${CAPTURES}/vtd_sm_fs`);
    const mappings = capture.expected!().filter((_, i) => i % 97 === 0);
    close();
    expect(mappings.length).toBeGreaterThan(15);
    for (const { bdf, iova, pa, size, perms } of mappings) {
      const address = `0x${(iova + size - 1n).toString(16)}`;
      const { stdout } = await walk("vtd_sm_fs", bdf, address, "--json");
      const { result } = JSON.parse(stdout);
      expect(result).toEqual({
        pa: `0x${(pa + size - 1n).toString(16)}`,
        size: `0x${size.toString(16)}`,
        perms,
      });
    }
  });
});

describe("machines made from captures", () => {
  test.each(["vtd_sm_fs", "vtd_legacy_ss", "vtd_pt_sm", "vtd_1g_fs/g_1g"])(
    "MACH-CAP-04: %s, saved again, keeps exactly the pages of tables that it had",
    (name) => {
      const { capture, close } = openCapture(`${CAPTURES}/${name}`);
      const { storedPages } = machineFromCapture(capture).capture();
      const tables = capture.storedPages!.filter(({ kind }) => kind !== "iq" && kind !== "irt");
      const sorted = tables.map(({ pa }) => pa).sort((a, b) => (a < b ? -1 : 1));
      expect(storedPages.map(({ pa }) => pa)).toEqual(sorted);
      close();
    },
  );
});
