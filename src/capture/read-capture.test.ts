import { describe, expect, test } from "vitest";
import { CaptureError } from "./capture-error.ts";
import type { MemoryFiles } from "./memory-files.ts";
import { type ReadOptions, readCapture } from "./read-capture.ts";
import { assumedVtdRegisters } from "./registers.ts";
import { bytesOf, plainFiles, sampleElf, sampleFiles } from "./sample-files.ts";

const assumed = { iommu: "vtd", registers: assumedVtdRegisters(0n, false) } as const;

const problemOf = (files: MemoryFiles, options?: ReadOptions): CaptureError => {
  try {
    readCapture(files, options);
  } catch (error) {
    if (error instanceof CaptureError) return error;
    throw error;
  }
  throw new Error("was read");
};

const textOf = (files: MemoryFiles, path: string): string =>
  new TextDecoder().decode(files.contents.get(path));

/** The sample capture with a piece of one file's text replaced. */
const edited = (path: string, from: string | RegExp, to: string): MemoryFiles => {
  const files = sampleFiles();
  const text = textOf(files, path);
  const changed = text.replace(from, to);
  if (changed === text) throw new Error(`${path} does not contain ${from}`);
  files.write(path, bytesOf(changed));
  return files;
};

/** The sample capture as the moments `early` and `late`. */
const momentFiles = (): MemoryFiles => {
  const files = plainFiles();
  for (const moment of ["early", "late"]) {
    for (const [path, bytes] of sampleFiles().contents) files.write(`${moment}/${path}`, bytes);
  }
  files.write(
    "moments.json",
    bytesOf('{"moments":[{"name":"early","trace_line":1},{"name":"late"}]}'),
  );
  return files;
};

describe("capture folders", () => {
  test("CAP-DIR-01: a folder with registers, index and pages is a capture", () => {
    const capture = readCapture(sampleFiles());
    expect(capture).toMatchObject({
      name: "sample",
      iommu: "vtd",
      ram: [{ base: 0n, length: 0x10_0000n }],
    });
    expect(capture.moment).toBeUndefined();
    expect(capture.storedPages).toEqual([
      { pa: 0x5000n, kind: "root" },
      { pa: 0x4000n, kind: "context" },
      { pa: 0xf_f000n, kind: "sspt1" },
    ]);
    expect(capture.memory.read64(0xf_fff8n)).toBe(0xf_f000n * 0x1_0001n + 0xff8n);
  });

  test.each(["regs.json", "pages.json", "pages.bin"])(
    "CAP-DIR-01: a folder without %s is none",
    (path) => {
      const files = sampleFiles();
      files.contents.delete(path);
      const problem = problemOf(files);
      expect(problem.message).toBe(
        `sample: expected a capture, with ${path} or ${path}.gz in it, found neither`,
      );
      expect(problem.hint).toContain("docs/capture-format.md");
    },
  );

  test("CAP-DIR-01: other registers may be given", () => {
    const files = sampleFiles();
    files.contents.delete("regs.json");
    expect(readCapture(files, { registers: assumed }).registers).toBe(assumed.registers);
  });

  test("CAP-DIR-02: a moment is read by its name", () => {
    expect(readCapture(momentFiles(), { moment: "late" })).toMatchObject({
      name: "sample",
      moment: "late",
    });
  });

  test("CAP-DIR-02: without a name, or with an unknown one, the error lists them", () => {
    for (const options of [{}, { moment: "never" }]) {
      expect(problemOf(momentFiles(), options).hint).toBe("its moments are early, late");
    }
    expect(problemOf(sampleFiles(), { moment: "early" }).message).toContain(
      "expected a capture with moments",
    );
  });

  test("CAP-DIR-02: a moment that is listed and missing is an error", () => {
    const files = momentFiles();
    files.contents.delete("late/pages.json");
    expect(problemOf(files, { moment: "late" }).file).toBe("sample/late");
  });

  test.each(["../..", "..", ".", "", "a/b", "/etc", "a\\u0000", "-x", "late\\n", "x".repeat(65)])(
    "CAP-DIR-03: %j is no moment's name",
    (name) => {
      const files = plainFiles();
      files.write("moments.json", bytesOf(`{"moments":[{"name":"${name}"}]}`));
      expect(problemOf(files).message).toContain(
        "sample/moments.json: at byte 0x14: expected a moment's name",
      );
    },
  );

  test.each([
    ['{"moments":[]}', "expected at least one moment"],
    ['{"moments":[{"name":"a"},{"name":"a"}]}', 'a second "a"'],
    ['{"moments":{}}', "expected an array"],
    ["{}", 'expected an object with "moments"'],
  ])("CAP-BAD-01: the list of moments %s is refused", (text, message) => {
    const files = plainFiles();
    files.write("moments.json", bytesOf(text));
    expect(problemOf(files).message).toContain(message);
  });

  test.each([
    ["a kind of page", () => edited("pages.json", '"sspt1"', '"devtab"')],
    [
      "the command line",
      () => {
        const files = sampleFiles();
        files.write("cmdline.txt", bytesOf("qemu-system-x86_64 -device amd-iommu,intremap=on"));
        return files;
      },
    ],
  ])("CAP-DIR-04: %s makes it AMD's", (_, make) => {
    expect(readCapture(make()).iommu).toBe("amd");
  });

  test("the expected list is read when asked for", () => {
    expect(readCapture(sampleFiles()).expected?.()).toEqual([
      { bdf: "00:03.0", pasid: null, iova: 0xfff7b000n, pa: 0x47e2000n, size: 4096n, perms: "-w" },
      {
        bdf: "0000:1f:1f.7",
        pasid: 0xfffff,
        iova: 0xffff_ffff_ffe0_0000n,
        pa: 0n,
        size: 0x20_0000n,
        perms: "rwu",
      },
    ]);
    const files = sampleFiles();
    files.contents.delete("mappings.jsonl");
    expect(readCapture(files).expected).toBeUndefined();
  });

  test.each([
    [/"-w"/, '"wr"', "expected permissions"],
    [/00:03.0/, "00:03.8", "expected bus:device.function"],
    [/: 4096/, ": 0", "expected a whole number from 1"],
    [/1048575/, "1048576", "expected a whole number from 0 to 1048575, found 1048576"],
    [/\n/, "\n\n", "expected a JSON value, found the end of the text"],
    [/}\n/, "}}\n", "expected the end of the JSON text"],
  ])("CAP-BAD-01: a line of the list with %s as %s is refused", (from, to, message) => {
    const { expected } = readCapture(edited("mappings.jsonl", from, to));
    expect(() => expected?.()).toThrow(/^sample\/mappings.jsonl: at byte 0x/);
    expect(() => expected?.()).toThrow(message);
  });
});

describe("the page index", () => {
  test.each([
    [
      "an address inside a page",
      '"0x4000"',
      '"0x4008"',
      "expected a page's address, a multiple of 0x1000",
    ],
    [
      "an address beyond RAM",
      '"0x4000"',
      '"0x100000"',
      "expected an address in RAM, found 0x100000",
    ],
    ["an address twice", '"0x4000"', '"0x5000"', "expected each page once, found a second 0x5000"],
    [
      "a negative address",
      '"0x4000"',
      '"-0x4000"',
      "expected a hexadecimal number of at most 52 bits",
    ],
    [
      "a huge address",
      '"0x4000"',
      '"0x10000000000000"',
      "expected a hexadecimal number of at most 52 bits",
    ],
    [
      "a number for an address",
      '"0x4000"',
      "16384",
      "expected a hexadecimal number of at most 52 bits",
    ],
    ["no address", '"pa":"0x4000"', '"ap":0', 'expected an object with "pa"'],
    ["a kind that is a path", '"root"', '"../root"', "expected a kind of page"],
  ])("CAP-PAGE-01: %s is refused", (_, from, to, message) => {
    const problem = problemOf(edited("pages.json", from, to));
    expect(problem.message).toContain(message);
    expect(problem.file).toBe("sample/pages.json");
    expect(problem.offset).toBeGreaterThan(0);
  });

  test("CAP-PAGE-01: pages are counted", () => {
    const list = `[${"0,".repeat(2 ** 17)}0]`;
    const problem = problemOf(edited("pages.json", /\[.*\]/, list));
    expect(problem.message).toContain("expected at most 131072 items, found 131073");
  });

  test.each([
    ["one byte fewer", -1],
    ["one byte more", 1],
    ["a page fewer", -4096],
    ["a page more", 4096],
  ])("CAP-PAGE-02: %s in pages.bin is refused", (_, change) => {
    const files = sampleFiles();
    const bytes = new Uint8Array(3 * 4096 + change);
    files.write("pages.bin", bytes);
    expect(problemOf(files)).toMatchObject({
      file: "sample/pages.bin",
      offset: Math.min(bytes.length, 12288),
      expected: "12288 bytes: 4096 for each of the 3 pages of pages.json",
      found: `${bytes.length} bytes`,
    });
  });

  test("CAP-PAGE-03: another version is refused, none is not", () => {
    expect(problemOf(edited("pages.json", "capture@1", "capture@2")).message).toContain(
      'expected "softiommu/capture@1", found "softiommu/capture@2"',
    );
    expect(readCapture(edited("pages.json", '"schema":"softiommu/capture@1",', "")).iommu).toBe(
      "vtd",
    );
  });

  test.each([
    ["0", "from 4096"],
    ["-4096", "from 4096"],
    ["1048577", "a multiple of 4096"],
    ["1e300", "from 4096 to 4503599627370496"],
    ['"0x100000"', "a whole number"],
    ["null", "a whole number"],
  ])("CAP-PAGE-04: %s bytes of RAM are refused", (size, message) => {
    expect(problemOf(edited("pages.json", "1048576", size)).message).toContain(message);
  });

  const withRam = (ranges: string, size: number): MemoryFiles =>
    edited("pages.json", '"ram_size":1048576', `"ram_size":${size},"ram":[${ranges}]`);

  test("CAP-PAGE-04: RAM may be in several ranges", () => {
    const files = withRam(
      '{"base":"0x4000","length":"0x2000"},{"base":"0xff000","length":"0x1000"}',
      0x3000,
    );
    const { ram, memory } = readCapture(files);
    expect(ram).toEqual([
      { base: 0x4000n, length: 0x2000n },
      { base: 0xf_f000n, length: 0x1000n },
    ]);
    expect([0x3fffn, 0x4000n, 0x6000n].map((at) => memory.read8(at) !== undefined)).toEqual([
      false,
      true,
      false,
    ]);
  });

  test.each([
    ['{"base":"0x0","length":"0x100000"}', 0x10_1000, "the size of all ranges"],
    ['{"base":"0x800","length":"0x100000"}', 0x10_0000, "whole pages below 2^52"],
    [
      '{"base":"0x0","length":"0x0"},{"base":"0x0","length":"0x100000"}',
      0x10_0000,
      "whole pages below 2^52",
    ],
    ['{"base":"0xfffffffff0000","length":"0x100000"}', 0x10_0000, "whole pages below 2^52"],
    [
      '{"base":"0x0","length":"0x80000"},{"base":"0x7f000","length":"0x81000"}',
      0x10_1000,
      "by address, and apart",
    ],
    [
      '{"base":"0x80000","length":"0x80000"},{"base":"0x0","length":"0x80000"}',
      0x10_0000,
      "by address, and apart",
    ],
  ])("CAP-PAGE-04: the ranges %s of %i bytes are refused", (ranges, size, message) => {
    expect(problemOf(withRam(ranges, size)).message).toContain(message);
  });
});

describe("memory images", () => {
  const image = (bytes: Uint8Array, options: ReadOptions = {}) =>
    readCapture(plainFiles(new Map([["", bytes]]), "ram.img"), { registers: assumed, ...options });

  test("CAP-IMG-01: the file is RAM from 0 on, or from a base", () => {
    const bytes = new Uint8Array(8192).fill(5);
    expect(image(bytes).ram).toEqual([{ base: 0n, length: 8192n }]);
    expect(image(bytes).memory.read64(0x1ff8n)).toBe(0x0505_0505_0505_0505n);
    const moved = image(bytes, { base: 0x1_0000_0000n });
    expect(moved.memory.read8(0x1_0000_1fffn)).toBe(5);
    expect(moved.memory.read8(0n)).toBeUndefined();
    expect(moved.storedPages).toBeUndefined();
  });

  test("CAP-IMG-01: a base makes a file that looks like a core an image", () => {
    const core = new Uint8Array(4096);
    core.set(sampleElf([]));
    expect(image(core, { base: 0n }).memory.read8(1n)).toBe(0x45);
  });

  test.each([
    ["nothing", new Uint8Array(0), {}, "ram.img: expected a memory image, found an empty file"],
    ["half a page", new Uint8Array(6144), {}, "ram.img: at byte 0x1800: expected 2048 more bytes"],
    [
      "a base inside a page",
      new Uint8Array(4096),
      { base: 8n },
      "--base: expected a multiple of 4096, found 8",
    ],
    [
      "a negative base",
      new Uint8Array(4096),
      { base: -4096n },
      "--base: expected a multiple of 4096",
    ],
    [
      "an end beyond 2^52",
      new Uint8Array(8192),
      { base: (1n << 52n) - 4096n },
      "ends at or below 2^52",
    ],
  ])("CAP-IMG-01: %s is refused", (_, bytes, options, message) => {
    expect(() => image(bytes, options)).toThrow(CaptureError);
    expect(() => image(bytes, options)).toThrow(message);
  });

  test.each([
    ["KDUMP   ", "a compressed kdump"],
    ["makedumpfile", "a flattened kdump"],
    ["PAGEDU64", "a Windows crash dump"],
    ["\xfd7zXZ\0", "xz data"],
    ["(\xb5/\xfd", "zstd data"],
    ["QFI\xfb", "a qcow2 disk image"],
  ])("CAP-IMG-02: %j is named", (magic, what) => {
    const bytes = new Uint8Array(4096);
    bytes.set(Array.from(magic, (char) => char.charCodeAt(0)));
    expect(() => image(bytes)).toThrow(
      `ram.img: at byte 0x0: expected a memory image or an ELF core, found ${what}`,
    );
  });

  test("CAP-REG-03: a file of memory alone needs registers", () => {
    const files = plainFiles(new Map([["", new Uint8Array(4096)]]), "ram.img");
    expect(problemOf(files)).toMatchObject({
      file: "ram.img",
      hint: expect.stringContaining("--regs FILE"),
    });
  });
});
