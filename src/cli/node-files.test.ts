import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CaptureError } from "../capture/capture-error.ts";
import { readUnpacked } from "../capture/file-source.ts";
import { readCapture } from "../capture/read-capture.ts";
import { assumedVtdRegisters } from "../capture/registers.ts";
import { sampleFiles, sampleMachine } from "../capture/sample-files.ts";
import { writeCapture } from "../capture/write-capture.ts";
import { nodeFiles, nodeSink, openNamed } from "./node-files.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "softiommu-files-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const problemOf = (action: () => unknown): CaptureError => {
  try {
    action();
  } catch (error) {
    if (error instanceof CaptureError) return error;
    throw error;
  }
  throw new Error("nothing was wrong");
};

const writeSample = (path: string): string => {
  for (const [name, bytes] of sampleFiles().contents) nodeSink(path).write(name, bytes);
  return path;
};

const registers = { iommu: "vtd", registers: assumedVtdRegisters(0n, false) } as const;

describe("files on disk", () => {
  test("CAP-WRITE-01: a compressed capture is written and read", () => {
    writeCapture(sampleMachine(), nodeSink(folder), { gzip: gzipSync });
    const { files } = openNamed(`${folder}/`);
    const capture = readCapture(files);
    expect(capture.name).toBe(folder);
    expect(capture.registers).toEqual(sampleMachine().registers);
    expect(capture.memory.read64(0xf_fff8n)).toBe(sampleMachine().memory.read64(0xf_fff8n));
    files.close();
  });

  test("CAP-DIR-02: CAPTURE/MOMENT is split where moments.json is", () => {
    writeSample(join(folder, "early"));
    writeFileSync(join(folder, "moments.json"), '{"moments":[{"name":"early"}]}');
    for (const path of [
      join(folder, "early"),
      `${join(folder, "early")}/`,
      join(folder, "early", "."),
    ]) {
      const { files, moment } = openNamed(path);
      expect([files.name, moment]).toEqual([folder, "early"]);
      expect(readCapture(files, { moment: "early" }).moment).toBe("early");
      files.close();
    }
    const never = openNamed(join(folder, "never"));
    expect(problemOf(() => readCapture(never.files, { moment: "never" })).hint).toBe(
      "its moments are early",
    );
    expect(openNamed(folder).moment).toBeUndefined();
    expect(openNamed(join(folder, "moments.json")).moment).toBeUndefined();
  });

  test("CAP-DIR-03: a name that leads elsewhere is no moment", () => {
    writeSample(folder);
    const inner = join(folder, "inner");
    mkdirSync(inner);
    writeFileSync(join(inner, "moments.json"), '{"moments":[{"name":".."}]}');
    for (const moment of ["..", "../..", "../inner"]) {
      const problem = problemOf(() => readCapture(nodeFiles(inner), { moment }));
      expect(problem.message).toContain("expected a moment's name");
    }
  });

  test("CAP-DIR-05: a link out of the folder is refused, one inside it is not", () => {
    const capture = writeSample(join(folder, "capture"));
    writeFileSync(join(folder, "secret"), "secret");
    rmSync(join(capture, "regs.json"));
    symlinkSync("../secret", join(capture, "regs.json"));
    const problem = problemOf(() => readCapture(nodeFiles(capture)));
    expect(problem.message).toBe(
      `${capture}/regs.json: expected a file inside the folder, found a link that leads out of it`,
    );
    rmSync(join(capture, "regs.json"));
    writeSample(join(capture, "other"));
    symlinkSync("other/regs.json", join(capture, "regs.json"));
    expect(readCapture(nodeFiles(capture)).iommu).toBe("vtd");
    symlinkSync("capture", join(folder, "link"));
    expect(readCapture(nodeFiles(join(folder, "link"))).iommu).toBe("vtd");
  });

  test("CAP-DIR-05: devices, pipes and links in a circle are refused without waiting", () => {
    expect(
      problemOf(() => readCapture(openNamed("/dev/zero").files, { registers })).found,
    ).toContain("a device");
    const pipe = join(folder, "pages.json");
    expect(spawnSync("mkfifo", [pipe]).status).toBe(0);
    expect(problemOf(() => readCapture(nodeFiles(folder))).file).toBe(pipe);
    expect(problemOf(() => nodeFiles(folder).readRange("pages.json", 0, 1)).found).toContain(
      "pipe",
    );
    symlinkSync("round", join(folder, "round"));
    expect(problemOf(() => openNamed(join(folder, "round"))).found).toContain("ELOOP");
    expect(problemOf(() => openNamed(join(folder, "none"))).message).toBe(
      `${folder}/none: expected a file or folder that can be read, found nothing (ENOENT)`,
    );
  });

  test("CAP-MEM-02: a large image is not read whole", () => {
    const path = join(folder, "ram.img");
    writeFileSync(path, new Uint8Array(4096).fill(3));
    truncateSync(path, 2 ** 40);
    const { files } = openNamed(path);
    const { memory, ram } = readCapture(files, { registers });
    expect(ram).toEqual([{ base: 0n, length: 1n << 40n }]);
    expect(memory.read8(5n)).toBe(3);
    expect(memory.read64((1n << 40n) - 8n)).toBe(0n);
    truncateSync(path, 2 ** 20);
    expect(problemOf(() => memory.read64(1n << 39n)).message).toBe(
      `${path}: at byte 0x8000000000: expected 4096 more bytes, found the end of the file`,
    );
    files.close();
  });
});

describe("compressed files", () => {
  const unpack = (bytes: Uint8Array, most: number): Uint8Array => {
    writeFileSync(join(folder, "a.gz"), bytes);
    return readUnpacked(nodeFiles(folder), "a.gz", most);
  };
  const text = Uint8Array.from({ length: 20_000 }, (_, i) => (i * i * 31) >>> 5);
  const packed = gzipSync(text);

  test("CAP-BAD-02: sound data unpacks, up to its bound", () => {
    expect(Buffer.compare(unpack(packed, text.length), text)).toBe(0);
    expect(problemOf(() => unpack(packed, text.length - 1)).message).toContain(
      "expected gzip data that unpacks to at most 19999 bytes, found more",
    );
  });

  test("CAP-BAD-02: data that unpacks to far more than it is stops at its bound", () => {
    const bomb = gzipSync(new Uint8Array(2 ** 26));
    expect(bomb.length).toBeLessThan(2 ** 17);
    expect(problemOf(() => unpack(bomb, 2 ** 16)).message).toContain("at most 65536 bytes");
  });

  test("CAP-BAD-02: cut data is reported where it ends", () => {
    for (const length of [2, 9, 10, 11, packed.length >> 1, packed.length - 1]) {
      expect(problemOf(() => unpack(packed.subarray(0, length), 2 ** 20))).toMatchObject({
        offset: length,
        expected: "the rest of the gzip data",
        found: "the end of the file",
      });
    }
  });

  test("CAP-BAD-02: damaged data is reported at or behind the damage", () => {
    for (const at of [2, 3, 40, packed.length >> 1, packed.length - 8, packed.length - 1]) {
      const damaged = Uint8Array.from(packed);
      damaged[at] = damaged[at]! ^ 0xe0;
      const problem = problemOf(() => unpack(damaged, 2 ** 20));
      expect(problem.offset).toBeGreaterThanOrEqual(at);
      expect(problem.offset).toBeLessThanOrEqual(packed.length);
    }
  });

  test("CAP-BAD-02: damage in data that unpacks to much is not searched for", () => {
    const damaged = gzipSync(new Uint8Array(2 ** 25));
    damaged[damaged.length - 6] = damaged[damaged.length - 6]! ^ 1;
    const problem = problemOf(() => unpack(damaged, 2 ** 26));
    expect(problem).toMatchObject({ offset: undefined, expected: "intact gzip data" });
    expect(problem.message).toContain("found damaged data");
  });

  test("CAP-BAD-02: a name that ends in .gz promises gzip data", () => {
    expect(problemOf(() => unpack(text, 2 ** 20)).message).toBe(
      `${folder}/a.gz: at byte 0x0: expected gzip data (bytes 1f 8b), found bytes 00 00`,
    );
    expect(problemOf(() => unpack(new Uint8Array(0), 1)).found).toBe("an empty file");
  });
});
