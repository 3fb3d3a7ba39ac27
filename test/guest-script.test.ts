import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { inGuest } from "../scripts/guest/cache.mjs";
import { lacks } from "./requirement.ts";
import { ROOT } from "./sources.ts";

const folder = join(tmpdir(), `softiommu-script-${process.pid}`);
const program = join(folder, "script");

/** The answers to lines, each an object or a line as it is. */
const answers = (...lines: readonly (object | string)[]): readonly unknown[] => {
  const input = lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line)));
  const { stdout, status } = spawnSync(program, {
    input: `${input.join("\n")}\n`,
    encoding: "utf8",
    maxBuffer: 64 << 20,
    timeout: 20_000,
  });
  expect(status).toBe(0);
  return stdout
    .trimEnd()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
};

const answer = (...lines: readonly (object | string)[]): unknown => answers(...lines).at(-1);

const error = (line: object | string): unknown => {
  const [first, next] = answers(line, { free: "nothing" });
  // The program goes on, and has counted the line.
  expect(next).toEqual({ error: "line 2: free: no memory is called nothing" });
  return first;
};

const FIONREAD = "0x541b";

describe.skipIf(lacks("gcc"))("the script program", () => {
  beforeAll(() => {
    mkdirSync(folder, { recursive: true });
    const sources = readdirSync(join(ROOT, "guest/script")).filter((name) => name.endsWith(".c"));
    const headers = ["7.3"].map((version) => inGuest(version, "headers")).filter(existsSync);
    execFileSync("gcc", [
      ..."-std=gnu11 -O1 -Wall -Wextra -Werror".split(" "),
      ...headers.flatMap((path) => ["-isystem", path]),
      "-o",
      program,
      ...sources.map((name) => join(ROOT, "guest/script", name)),
    ]);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it("GUEST-LINE-01: answers each line with one, and comments with none", () => {
    const lines = ["", "  # a comment", '{"schema":"softiommu/script@1"}', "#", '{"eventfd":"e"}'];
    expect(answers(...lines)).toEqual([
      { schema: "softiommu/script@1", kernel: expect.any(String) },
      { ok: true },
    ]);
  });

  it.each([
    ["", "bad", "no JSON: a value expected at character 1"],
    ["a rest", "{} x", "no JSON: the end of the line expected at character 4"],
    ["an open string", '{"a', "no JSON: the end of a string expected at character 4"],
    ["a fraction", '{"peek":1.5}', "a number is no integer"],
    ["65 bits", '{"peek":18446744073709551616}', "a number has more than 64 bits"],
    ["a key twice", '{"a":1,"a":2}', '"a" is there twice'],
    ["no object", "[]", "a line is an object"],
    ["no operation", "{}", "nothing to do: none of the operations is there"],
    ["another member", { free: "a", now: 1 }, '"now" is none of: free'],
    ["no memory", { peek: "a" }, 'peek: "a" is no number and no name of anything'],
    ["no kept result", { peek: "$a" }, "nothing is kept as $a"],
    ["no file", { read: "f" }, "no file is called f"],
    ["no name", { mem: "1", length: 4096 }, '"1" is no name'],
    [
      "no kind",
      { mem: "a", kind: "x" },
      'kind: "x" is none of private, shared, memfd, hugetlb, thp',
    ],
    ["no ioctl", { ioctl: "X" }, "no ioctl is called X here"],
    [
      "no field",
      { ioctl: "VFIO_GROUP_GET_STATUS", args: { x: 1 } },
      "struct vfio_group_status has no x",
    ],
    ["no device", { dma: { dev: "00:04.0", read: 1 } }, "dma: 0000:00:04.0 is not open"],
    ["no digit", { poke: "iommu", write: "0g" }, "'g' is no hexadecimal digit"],
    ["half a byte", { poke: "iommu", write: "0" }, "a byte has two hexadecimal digits"],
    ["another schema", { schema: "x" }, "schema: only softiommu/script@1 is spoken here"],
  ])("GUEST-LINE-02: refuses %s", (_name, line, message) => {
    expect(error(line)).toEqual({ error: `line 1: ${message}` });
  });

  it("GUEST-LINE-02: a refused line leaves no name behind", () => {
    const call = { ioctl: "VFIO_GROUP_GET_STATUS", args: { x: 1 }, as: "f" };
    expect(answer(call, { open: "somewhere", as: "f" }, { mem: "f", length: 4096 })).toEqual({
      ok: true,
      address: "0x20000000",
    });
  });

  it("GUEST-LINE-03: refuses what is too long or too deep", () => {
    const deep = `{"peek":${"[".repeat(40)}${"]".repeat(40)}}`;
    expect(error(deep)).toEqual({ error: "line 1: values lie more than 32 deep in each other" });
    expect(error(`{"run":"${"x".repeat(5 << 20)}"}`)).toEqual({
      error: "line 1: longer than 4 MiB",
    });
    expect(error({ poke: "iommu", write: { zero: 2 ** 21 } })).toEqual({
      error: "line 1: 2097152 bytes are more than 1048576",
    });
  });

  it("GUEST-LINE-04: reset forgets names, places and lines", () => {
    const lines = [{ mem: "a", length: 4096 }, { eventfd: "e" }, { reset: true }];
    expect(answers(...lines, { read: "e" }, { mem: "a", length: 4096 }).slice(3)).toEqual([
      { error: "line 1: no file is called e" },
      { ok: true, address: "0x20000000" },
    ]);
  });

  it.each([
    [16, 16],
    ["16", 16],
    ["0x10", 16],
    ["a+0x10", 0x2000_0010],
    ["a+16", 0x2000_0010],
    [-1, 0xffff_ffff],
    [true, 1],
    [null, 0],
  ])("GUEST-VALUE-01: %s is a number", (written, expected) => {
    const lines = [
      { mem: "a", length: 4096 },
      { poke: "a", write: { u32: [written] } },
    ];
    const little = Buffer.alloc(4);
    little.writeUInt32LE(expected);
    expect(answer(...lines, { peek: "a", read: 4 })).toEqual({
      ok: true,
      bytes: little.toString("hex"),
    });
  });

  it("GUEST-VALUE-01: a number that is wider than its field is refused", () => {
    const poke = (value: unknown): object => ({ poke: 0, write: { u8: [value] } });
    expect(error(poke(256))).toEqual({ error: "line 1: u8 has more than 1 bytes" });
    expect(error(poke(-129))).toEqual({ error: "line 1: u8 has more than 1 bytes" });
    expect(answer(poke(255))).toEqual({ errno: "EFAULT" });
  });

  it.each([
    ["0011ff", "0011ff"],
    [{ hex: "AAbb" }, "aabb"],
    [{ text: "aé\u{1f600}\n" }, "61c3a9f09f98800a"],
    [{ zero: 3 }, "000000"],
    [{ u8: [1, 255] }, "01ff"],
    [{ u32: [1, "0x80000000"] }, "0100000000000080"],
    [{ u64: ["0xffffffffffffffff", -2] }, "fffffffffffffffffeffffffffffffff"],
    [{ vfio_bitmap: { pgsize: "0x1000" } }, expect.stringMatching(/^0010(00){18,}/)],
  ])("GUEST-VALUE-02: places %j", (data, bytes) => {
    const lines = [
      { mem: "a", length: 4096 },
      { poke: "a", write: data },
      { peek: "a", read: 24 },
    ];
    const found = (answer(...lines) as { bytes: string }).bytes;
    if (typeof bytes === "string") expect(found).toBe(bytes.padEnd(48, "0"));
    else expect(found).toEqual(bytes);
  });

  it("GUEST-MEM-01: memory lies where the page says", () => {
    const lines = [0x1000, 0x20_0000, 0x20_1000, 1].map((length, i) => ({ mem: `m${i}`, length }));
    const placed = [
      ...answers(...lines),
      answer(...lines, { free: "m3" }, { mem: "z", length: 1 }),
    ];
    expect(placed.map((each) => (each as { address: string }).address)).toEqual([
      "0x20000000",
      "0x20400000",
      "0x20800000",
      "0x20e00000",
      "0x21200000",
    ]);
    expect(answer({ mem: "a", length: 0 })).toEqual({ errno: "EINVAL" });
    expect(answer({ mem: "a", length: "0x80000001" })).toEqual({ errno: "ENOMEM" });
  });

  it("GUEST-MEM-02: memory that is not there is EFAULT", () => {
    const mem = { mem: "a", length: 4096 };
    const efault = { errno: "EFAULT" };
    expect(answer(mem, { peek: "a+0xffc", read: 4 })).toEqual({ ok: true, bytes: "00000000" });
    expect(answer(mem, { peek: "a+0xffc", read: 5 })).toEqual(efault);
    expect(
      answer(mem, { protect: "a", length: 4096, prot: "r" }, { poke: "a", write: "00" }),
    ).toEqual(efault);
    expect(answer(mem, { protect: "a", length: 4096, prot: "none" }, { peek: "a" })).toEqual(
      efault,
    );
    expect(answer({ mem: "b", length: 4096, prot: "r" }, { poke: "b", write: "00" })).toEqual(
      efault,
    );
    expect(answer(mem, { free: "a" }, { peek: "0x20000000" })).toEqual(efault);
  });

  it("GUEST-MEM-03: a memfd is a file", () => {
    const lines = [
      { mem: "a", length: 8192, kind: "memfd" },
      { poke: "a+0x1000", write: "010203" },
      { run: "ls -l /proc/$PPID/fd | grep -c memfd:a" },
    ];
    expect(answer(...lines)).toEqual({ ok: true, exit: 0, text: "1\n" });
  });

  it("GUEST-CALL-01: a structure is filled, and a number stands for itself", () => {
    const path = join(folder, "five");
    writeFileSync(path, "12345");
    const open = { open: path, as: "f", mode: "r" };
    const call = { ioctl: FIONREAD, fd: "f", args: { u32: [0] } };
    expect(answer(open, call)).toEqual({ errno: null, out: { bytes: { u32: [5] } } });
    expect(answer(open, { ...call, args: null })).toEqual({ errno: "EFAULT" });
    const mem = { mem: "a", length: 4096 };
    const there = [mem, open, { ...call, args: "a+0x10" }, { peek: "a+0x10", read: 4 }];
    expect(answer(...there)).toEqual({ ok: true, bytes: "05000000" });
  });

  it("GUEST-CALL-02: what a failed call would have given is 0 or not open", () => {
    const call = {
      ioctl: "VFIO_GROUP_GET_STATUS",
      fd: "e",
      args: { argsz: 8 },
      bind: { flags: "$x" },
      as: "f",
    };
    const lines = [{ eventfd: "e" }, call, { read: "f" }, { peek: "$x" }];
    expect(answers(...lines).slice(1)).toEqual([
      { errno: "ENOTTY" },
      { errno: "EBADF" },
      { errno: "EFAULT" },
    ]);
    expect(error({ ...call, fd: "iommu", bind: { flog: "$x" } })).toEqual({
      error: "line 1: bind: there is no flog",
    });
  });

  it("GUEST-FILE-01: files by name", () => {
    const path = join(folder, "file");
    writeFileSync(path, "0123456789");
    const lines = [
      { open: path, as: "f" },
      { read: "f", length: 2 },
      { read: "f", length: 2, offset: 8 },
      { write: "f", data: { text: "ab" } },
      { open: path, as: "f" },
      { close: "f" },
      { close: "f" },
      { read: "f" },
      { open: `${path}-no`, as: "f" },
      { wait: "f" },
      { file: path, write: "xy" },
      { file: path },
    ];
    expect(answers(...lines)).toEqual([
      { ok: true },
      { ok: true, bytes: "3031" },
      { ok: true, bytes: "3839" },
      { ok: true, count: 2 },
      { error: "line 5: f is there already" },
      { ok: true },
      { errno: "EBADF" },
      { errno: "EBADF" },
      { errno: "ENOENT" },
      { errno: "EBADF" },
      { ok: true },
      { ok: true, text: "xyab456789" },
    ]);
  });

  it("GUEST-FILE-02: a counter of events", () => {
    const write = { write: "e", data: { u64: [2] } };
    const wait = { wait: "e", ms: 10 };
    expect(answers({ eventfd: "e" }, wait, write, write, wait, wait).slice(1)).toEqual([
      { errno: "ETIMEDOUT" },
      { ok: true, count: 8 },
      { ok: true, count: 8 },
      { ok: true, count: 4 },
      { errno: "ETIMEDOUT" },
    ]);
  });

  it("GUEST-RUN-01: a command", () => {
    expect(answer({ run: "echo out; echo err >&2; exit 3" })).toEqual({
      ok: true,
      exit: 3,
      text: "out\nerr\n",
    });
    expect(answer({ run: "echo begun; sleep 10", ms: 200 })).toEqual({
      errno: "ETIMEDOUT",
      text: "begun\n",
    });
    expect(answer({ run: "printf '\\377\"'" })).toEqual({ ok: true, exit: 0, text: 'ÿ"' });
  });

  describe.skipIf(lacks("root"))("with privilege to drop", () => {
    it("GUEST-USER-01: a user without privilege, and back", () => {
      const limit = { user: 1000, memlock: 8192 };
      const read = { run: "id -u; grep CapEff /proc/self/status; ulimit -l" };
      const [, low, , high] = answers(limit, read, { user: 0 }, { run: "id -u" });
      expect(low).toEqual({
        ok: true,
        exit: 0,
        text: expect.stringMatching(/^1000\nCapEff:\t0+\n8\n$/),
      });
      expect(high).toEqual({ ok: true, exit: 0, text: "0\n" });
    });
  });
});
