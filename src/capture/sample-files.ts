import { createSparseMemory } from "../memory/create.ts";
import type { StoredPage } from "./capture.ts";
import { type MemoryFiles, memoryFiles } from "./memory-files.ts";
import { setRegister, vtdRegisters, withVtdRegisters } from "./registers.ts";
import { type CaptureContents, writeCapture } from "./write-capture.ts";

/** Small files for tests. */

/** A machine of 1 MiB with three pages worth keeping; the page at 0x3000 is not kept. */
export const sampleMachine = (): CaptureContents => {
  const ram = [{ base: 0n, length: 0x10_0000n }];
  const memory = createSparseMemory(ram);
  const storedPages: StoredPage[] = [
    { pa: 0x5000n, kind: "root" },
    { pa: 0x4000n, kind: "context" },
    { pa: 0xf_f000n, kind: "sspt1" },
  ];
  for (const { pa } of storedPages) {
    for (let at = 0n; at < 4096n; at += 8n) memory.write64(pa + at, pa * 0x1_0001n + at);
  }
  memory.write64(0x3000n, 1n);
  const words = new Map<number, number>();
  setRegister(words, 0x228, 8, 0xffff_0500_0000_0038n);
  const registers = withVtdRegisters(vtdRegisters(words), {
    ver: 0x10n,
    cap: 0x00d2_008c_2226_0206n,
    ecap: 0xf0_0f4an,
    gsts: 0xc700_0000n,
    rtaddr: 0x5000n,
  });
  return { iommu: "vtd", registers, memory, ram, storedPages };
};

/** Text as bytes. */
export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

const MAPPINGS = `{"bdf": "00:03.0", "pasid": null, "iova": "0xfff7b000", "pa": "0x47e2000", "size": 4096, "perms": "-w", "raw": "0x47e2002"}
{"bdf": "0000:1f:1f.7", "pasid": 1048575, "iova": "0xffffffffffe00000", "pa": "0x0", "size": 2097152, "perms": "rwu"}
`;

/** Files that have nothing compressed among them. */
export const plainFiles = (
  contents: Map<string, Uint8Array> = new Map(),
  name = "sample",
): MemoryFiles => memoryFiles(name, contents, () => ({ failed: "corrupt", offset: 0 }));

/** The sample machine as an uncompressed capture, with an expected list. */
export const sampleFiles = (): MemoryFiles => {
  const files = plainFiles();
  writeCapture(sampleMachine(), files);
  files.write("mappings.jsonl", bytesOf(MAPPINGS));
  return files;
};

/** One program header, with the bytes that it puts into the file. */
export interface SampleSegment {
  readonly type?: number;
  readonly address: bigint;
  readonly bytes: Uint8Array;
  /** p_memsz; the count of bytes when absent. */
  readonly memoryBytes?: bigint;
  /** p_offset; where the bytes are when absent. */
  readonly offset?: bigint;
  /** p_filesz; the count of bytes when absent. */
  readonly fileBytes?: bigint;
}

/**
 * An ELF core: header, section 0, program headers, bytes of the segments.
 *
 * @param extended whether e_phnum is PN_XNUM and section 0 has the count
 */
export const sampleElf = (segments: readonly SampleSegment[], extended = false): Uint8Array => {
  const start = 128 + segments.length * 56;
  const file = new Uint8Array(start + segments.reduce((sum, { bytes }) => sum + bytes.length, 0));
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 4, true);
  view.setUint16(18, 62, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(32, 128n, true);
  view.setBigUint64(40, 64n, true);
  view.setUint16(52, 8, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, extended ? 0xffff : segments.length, true);
  view.setUint32(64 + 44, segments.length, true);
  let offset = start;
  segments.forEach(({ bytes, ...segment }, i) => {
    const at = 128 + i * 56;
    view.setUint32(at, segment.type ?? 1, true);
    view.setBigUint64(at + 8, segment.offset ?? BigInt(offset), true);
    view.setBigUint64(at + 24, segment.address, true);
    view.setBigUint64(at + 32, segment.fileBytes ?? BigInt(bytes.length), true);
    view.setBigUint64(at + 40, segment.memoryBytes ?? BigInt(bytes.length), true);
    file.set(bytes, offset);
    offset += bytes.length;
  });
  return file;
};
