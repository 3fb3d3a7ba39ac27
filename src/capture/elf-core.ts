import { hex } from "../bits/hex.ts";
import type { ByteSource } from "./byte-source.ts";
import type { RamRange } from "./capture.ts";
import { CaptureError } from "./capture-error.ts";
import { type Extent, fileMemory } from "./file-region.ts";
import { MAX_RAM, MAX_RAM_RANGES, MAX_SEGMENTS } from "./limits.ts";
import type { FileMemory } from "./memory-image.ts";

/**
 * ELF64 cores, as QEMU's dump-guest-memory writes them: each PT_LOAD is a piece
 * of guest physical memory at p_paddr. Names of fields are those of the System V
 * ABI, "Object files".
 */
const HEADER_BYTES = 64;
const SECTION_BYTES = 64;
const SEGMENT_BYTES = 56;
const ET_CORE = 4;
const EM_X86_64 = 62;
const PT_LOAD = 1;
/** e_phnum of a file that has more segments than fit in it: the count is then sh_info of section 0. */
const PN_XNUM = 0xffff;

/** Whether the file begins as an ELF file does. */
export const isElf = (bytes: ByteSource): boolean => {
  if (bytes.size < 4) return false;
  const [a, b, c, d] = bytes.read(0, 4);
  return a === 0x7f && b === 0x45 && c === 0x4c && d === 0x46;
};

/** A structure of the file: its bytes and where it begins. */
class Record {
  readonly #file: string;
  readonly #at: number;
  readonly #view: DataView;

  constructor(file: string, at: number, bytes: Uint8Array) {
    this.#file = file;
    this.#at = at;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  byte(offset: number): number {
    return this.#view.getUint8(offset);
  }

  half(offset: number): number {
    return this.#view.getUint16(offset, true);
  }

  word(offset: number): number {
    return this.#view.getUint32(offset, true);
  }

  xword(offset: number): bigint {
    return this.#view.getBigUint64(offset, true);
  }

  /** The error that says that the field at `offset` is wrong. */
  wrong(offset: number, expected: string, found: bigint | number, hint?: string): CaptureError {
    return new CaptureError({
      file: this.#file,
      offset: this.#at + offset,
      expected,
      found: hex(found),
      hint,
    });
  }
}

const recordAt = (bytes: ByteSource, at: number, length: number): Record =>
  new Record(bytes.file, at, bytes.read(at, length));

const readHeader = (bytes: ByteSource): Record => {
  if (bytes.size < HEADER_BYTES) {
    throw new CaptureError({
      file: bytes.file,
      offset: bytes.size,
      expected: `an ELF header of ${HEADER_BYTES} bytes`,
      found: "the end of the file",
    });
  }
  const header = recordAt(bytes, 0, HEADER_BYTES);
  const checks: readonly [offset: number, value: number, wanted: number, expected: string][] = [
    [4, header.byte(4), 2, "a 64-bit file (EI_CLASS 2)"],
    [5, header.byte(5), 1, "a little-endian file (EI_DATA 1)"],
    [6, header.byte(6), 1, "ELF version 1 (EI_VERSION)"],
    [16, header.half(16), ET_CORE, `a core (e_type ${ET_CORE})`],
    [18, header.half(18), EM_X86_64, `an x86-64 machine's core (e_machine ${EM_X86_64})`],
    [54, header.half(54), SEGMENT_BYTES, `program headers of ${SEGMENT_BYTES} bytes (e_phentsize)`],
  ];
  for (const [offset, value, wanted, expected] of checks) {
    if (value !== wanted) throw header.wrong(offset, expected, value);
  }
  return header;
};

/** Whether `length` bytes from `offset` are in the file. */
const inFile = (bytes: ByteSource, offset: bigint, length: bigint): boolean =>
  offset + length <= BigInt(bytes.size);

const countSegments = (bytes: ByteSource, header: Record): number => {
  const count = header.half(56);
  if (count !== PN_XNUM) return count;
  const sections = header.xword(40);
  if (sections === 0n || !inFile(bytes, sections, BigInt(SECTION_BYTES))) {
    throw header.wrong(
      40,
      "section 0 inside the file (e_shoff), for it counts the segments",
      sections,
    );
  }
  const section = recordAt(bytes, Number(sections), SECTION_BYTES);
  const extended = section.word(44);
  if (extended < PN_XNUM || extended > MAX_SEGMENTS) {
    throw section.wrong(44, `from ${PN_XNUM} to ${MAX_SEGMENTS} segments (sh_info)`, extended);
  }
  return extended;
};

/** A PT_LOAD: where it is in memory, and how much of it the file has. The rest is zero. */
interface Segment {
  readonly address: number;
  readonly memoryBytes: number;
  readonly offset: number;
  readonly fileBytes: number;
  /** Where its program header is, for messages. */
  readonly record: Record;
}

const toSegment = (bytes: ByteSource, record: Record): Segment | undefined => {
  const offset = record.xword(8);
  const address = record.xword(24);
  const fileBytes = record.xword(32);
  const memoryBytes = record.xword(40);
  if (memoryBytes === 0n && fileBytes === 0n) return undefined;
  if (address >= MAX_RAM) throw record.wrong(24, "an address below 2^52 (p_paddr)", address);
  if (address + memoryBytes > MAX_RAM) {
    throw record.wrong(
      40,
      `at most ${hex(MAX_RAM - address)} bytes up to 2^52 (p_memsz)`,
      memoryBytes,
    );
  }
  if (fileBytes > memoryBytes) {
    throw record.wrong(32, `at most p_memsz, ${hex(memoryBytes)} bytes (p_filesz)`, fileBytes);
  }
  if (fileBytes !== 0n && !inFile(bytes, offset, fileBytes)) {
    throw record.wrong(
      8,
      `${hex(fileBytes)} bytes inside the file of ${hex(bytes.size)} (p_offset)`,
      offset,
      "the core was cut short, or the disk was full when it was written",
    );
  }
  return {
    address: Number(address),
    memoryBytes: Number(memoryBytes),
    offset: fileBytes === 0n ? 0 : Number(offset),
    fileBytes: Number(fileBytes),
    record,
  };
};

const readSegments = (bytes: ByteSource): Segment[] => {
  const header = readHeader(bytes);
  const count = countSegments(bytes, header);
  const start = header.xword(32);
  if (!inFile(bytes, start, BigInt(count * SEGMENT_BYTES))) {
    throw header.wrong(32, `${count} program headers inside the file (e_phoff)`, start);
  }
  const at = Number(start);
  const table = bytes.read(at, count * SEGMENT_BYTES);
  const segments: Segment[] = [];
  for (let i = 0; i < table.length; i += SEGMENT_BYTES) {
    const record = new Record(bytes.file, at + i, table.subarray(i, i + SEGMENT_BYTES));
    const segment = record.word(0) === PT_LOAD ? toSegment(bytes, record) : undefined;
    if (segment !== undefined) segments.push(segment);
  }
  if (segments.length === 0)
    throw header.wrong(56, "at least one PT_LOAD with memory in it", count);
  return segments.sort((a, b) => a.address - b.address);
};

const requireApart = (segments: readonly Segment[]): void => {
  segments.forEach(({ address, record }, i) => {
    const before = segments[i - 1];
    const end = before === undefined ? 0 : before.address + before.memoryBytes;
    if (address >= end) return;
    throw record.wrong(
      24,
      `a PT_LOAD that does not overlap the one up to ${hex(end)} (p_paddr)`,
      address,
      "dump with paging=false, that is without -p",
    );
  });
};

/** The pages that segments touch, those side by side joined. */
const joinPages = (file: string, segments: readonly Segment[]): RamRange[] => {
  const ram: { base: bigint; length: bigint }[] = [];
  for (const { address, memoryBytes } of segments) {
    const base = BigInt(address) & ~0xfffn;
    const end = (BigInt(address + memoryBytes) + 0xfffn) & ~0xfffn;
    const last = ram.at(-1);
    if (last !== undefined && base <= last.base + last.length) last.length = end - last.base;
    else ram.push({ base, length: end - base });
  }
  if (ram.length <= MAX_RAM_RANGES) return ram;
  throw new CaptureError({
    file,
    expected: `at most ${MAX_RAM_RANGES} ranges of memory`,
    found: `${ram.length}`,
  });
};

/**
 * Memory out of an ELF core. Notes and sections are not looked at.
 *
 * @throws CaptureError when the file is not a core that this reads
 */
export const readElfCore = (bytes: ByteSource): FileMemory => {
  const segments = readSegments(bytes);
  requireApart(segments);
  const ram = joinPages(bytes.file, segments);
  const extents = segments
    .filter(({ fileBytes }) => fileBytes > 0)
    .map(({ address, fileBytes, offset }): Extent => ({ address, length: fileBytes, offset }));
  return { memory: fileMemory(bytes, extents, ram), ram };
};
