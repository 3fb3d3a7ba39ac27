import { describe, expect, test } from "vitest";
import { readCapture } from "./read-capture.ts";
import { amdRegisters } from "./registers.ts";
import { bytesOf, plainFiles, sampleMachine } from "./sample-files.ts";
import { writeCapture } from "./write-capture.ts";

describe("writing captures", () => {
  test("CAP-WRITE-01: what is written reads back the same", () => {
    const machine = sampleMachine();
    const files = plainFiles();
    writeCapture(machine, files);
    const capture = readCapture(files);
    expect([...files.contents.keys()]).toEqual(["regs.json", "pages.json", "pages.bin"]);
    expect(capture.registers).toEqual(machine.registers);
    expect(capture.ram).toEqual(machine.ram);
    expect(capture.storedPages).toEqual(machine.storedPages);
    for (const { pa } of machine.storedPages) {
      const [written, read] = [new Uint8Array(4096), new Uint8Array(4096)];
      machine.memory.read(pa, written);
      capture.memory.read(pa, read);
      expect(read).toEqual(written);
    }
  });

  test("CAP-WRITE-01: a capture that was read writes the same bytes", () => {
    const first = plainFiles();
    writeCapture(sampleMachine(), first);
    const { storedPages = [], ...capture } = readCapture(first);
    const second = plainFiles();
    writeCapture({ ...capture, storedPages }, second);
    expect(second.contents).toEqual(first.contents);
  });

  test("CAP-WRITE-01: RAM with holes, an AMD machine, no pages", () => {
    const ram = [
      { base: 0x1000n, length: 0x1000n },
      { base: 0x1_0000_0000n, length: 0x2000n },
    ];
    const registers = amdRegisters(
      new Map([
        [0, 0x1000],
        [0x2000, 0x20],
      ]),
    );
    const files = plainFiles();
    writeCapture({ ...sampleMachine(), iommu: "amd", registers, ram, storedPages: [] }, files);
    expect(readCapture(files)).toMatchObject({ iommu: "amd", ram, storedPages: [], registers });
  });

  test("CAP-WRITE-01: an injected compressor packs index and pages", () => {
    const files = plainFiles();
    writeCapture(sampleMachine(), files, { gzip: (bytes) => bytesOf(`${bytes.length}`) });
    expect([...files.contents.keys()]).toEqual(["regs.json", "pages.json.gz", "pages.bin.gz"]);
    expect(files.contents.get("pages.bin.gz")).toEqual(bytesOf("12288"));
  });

  test.each([
    ["outside memory", 0x10_0000n],
    ["inside a page", 0x4008n],
    ["listed twice", 0x5000n],
  ])("CAP-WRITE-02: a page %s is the caller's mistake", (_, pa) => {
    const machine = sampleMachine();
    const files = plainFiles();
    const storedPages = [...machine.storedPages, { pa, kind: "root" }];
    expect(() => writeCapture({ ...machine, storedPages }, files)).toThrow(RangeError);
    expect(files.contents.size).toBe(0);
  });
});
