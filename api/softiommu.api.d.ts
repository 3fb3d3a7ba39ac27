/**
 * Branded addresses. All are unsigned 64-bit values held in a `bigint`; the
 * brand keeps an I/O virtual address from being used where a physical one is
 * meant. Only this room casts.
 */
declare const brand: unique symbol;
/** An unsigned 64-bit address in the address space named by `Space`. */
type Address<Space extends string> = bigint & {
  readonly [brand]: Space;
};
/** I/O virtual address: what a device puts on the bus. */
type Iova = Address<"iova">;
/** Guest physical address: the output of stage 1, the input of stage 2. */
type Gpa = Address<"gpa">;
/** Host physical address: what memory is addressed by. */
type Hpa = Address<"hpa">;
/** Host virtual address: an address in a process. */
type Hva = Address<"hva">;
/** 2^64 - 1, the last address. */
declare const LAST_ADDRESS = 18446744073709551615n;
/** @returns `value` modulo 2^64 as an I/O virtual address. */
declare const iova: (value: bigint | number) => Iova;
/** @returns `value` modulo 2^64 as a guest physical address. */
declare const gpa: (value: bigint | number) => Gpa;
/** @returns `value` modulo 2^64 as a host physical address. */
declare const hpa: (value: bigint | number) => Hpa;
/** @returns `value` modulo 2^64 as a host virtual address. */
declare const hva: (value: bigint | number) => Hva;
/**
 * 64-bit values as two 32-bit halves.
 *
 * Hot paths keep a 64-bit value as `(hi, lo)`, two int32 numbers, because a
 * `bigint` costs an allocation for every operation. A page frame number is
 * `address >> 12`, at most 2^52 - 1, and therefore exact in a `number`.
 */
/** log2 of the base page size in bytes. */
declare const PAGE_LG2 = 12;
/** The base page size in bytes. */
declare const PAGE_SIZE = 4096;
/** Bits 31:0 of `value` as an int32. */
declare const lowHalf: (value: bigint) => number;
/** Bits 63:32 of `value` as an int32. */
declare const highHalf: (value: bigint) => number;
/** The unsigned 64-bit value made of two 32-bit halves, signed or not. */
declare const fromHalves: (hi: number, lo: number) => bigint;
/** The page frame number of the full 64-bit address `(hi, lo)`: bits 63:12, below 2^52. */
declare const frameOf: (hi: number, lo: number) => number;
/** The page frame number in bits 51:12 of the entry `(hi, lo)`, below 2^40. */
declare const entryFrame: (hi: number, lo: number) => number;
/** Address bits 51:43 in a high half. Where one is set, the frame is no int32. */
declare const FAR = 1046528;
/** The page frame number of the address `(hi, lo)`, an int32, where no bit of `FAR` is set in `hi`. */
declare const nearFrame: (hi: number, lo: number) => number;
/** Bits 63:32 of the address of page frame `pfn`, as an int32. */
declare const frameHigh: (pfn: number) => number;
/** Bits 31:12 of the address of page frame `pfn`, in place, as an int32. */
declare const frameLow: (pfn: number) => number;
/** The address of page frame `pfn`. */
declare const frameAddress: (pfn: number) => bigint;
/** `value` as people and JSON write it here: lowercase hexadecimal, `0x`, no padding. */
declare const hex: (value: bigint | number) => string;
/** log2 arithmetic on 64-bit values. A name that ends in `Lg2` holds a log2. */
/** The mask of the low `lg2` bits; 0 ≤ `lg2` ≤ 64. */
declare const lowMask: (lg2: number) => bigint;
/** The index of the highest set bit of `value`, or -1 for 0. `value` must not be negative. */
declare const floorLg2: (value: bigint) => number;
/** The index of the lowest set bit of `value`, or 64 for 0. */
declare const trailingZeros: (value: bigint) => number;
/** `value` rounded down to a multiple of 2^`lg2`. */
declare const alignDown: (value: bigint, lg2: number) => bigint;
/** `value` rounded up to a multiple of 2^`lg2`; may be 2^64. */
declare const alignUp: (value: bigint, lg2: number) => bigint;
/** Whether `value` is a multiple of 2^`lg2`. */
declare const isAligned: (value: bigint, lg2: number) => boolean;
/** A range of addresses, both ends inclusive, so that the last byte of the space can be in one. */
interface Range {
  readonly start: bigint;
  /** The last address in the range; `last >= start`. */
  readonly last: bigint;
}
/**
 * @param length in bytes
 * @returns the range of `length` bytes from `start`, or `undefined` when it is
 *   empty or would pass 2^64 - 1
 */
declare const rangeOf: (start: bigint, length: bigint) => Range | undefined;
/** The number of bytes in `range`; 2^64 for the whole space. */
declare const rangeLength: (range: Range) => bigint;
/** Whether the two ranges have an address in common. */
declare const overlaps: (a: Range, b: Range) => boolean;
/** Whether every address of `inner` is in `outer`. */
declare const contains: (outer: Range, inner: Range) => boolean;
declare namespace index_d_exports {
  export { Address, FAR, Gpa, Hpa, Hva, Iova, LAST_ADDRESS, PAGE_LG2, PAGE_SIZE, Range, alignDown, alignUp, contains, entryFrame, floorLg2, frameAddress, frameHigh, frameLow, frameOf, fromHalves, gpa, hex, highHalf, hpa, hva, iova, isAligned, lowHalf, lowMask, nearFrame, overlaps, rangeLength, rangeOf, trailingZeros };
}
/**
 * A bank: page frames that lie side by side in one buffer. Whoever reads many
 * words, such as a page-table walker, asks once for the bank of a frame and
 * then reads its words without another call.
 */
interface Bank {
  /** The frame that `words[0]` begins. */
  readonly firstPfn: number;
  /** How many frames follow, the first included. */
  readonly frames: number;
  /** The frames as little-endian 32-bit words, 1024 to a frame. Shorter than `frames` says once a buffer has been taken away. */
  readonly words: Int32Array;
  /** The same frames as bytes. */
  readonly bytes: Uint8Array;
}
/** 32-bit words to a page frame, as a log2: `(pfn - firstPfn) << WORDS_LG2` is the index of a frame's first word. */
declare const WORDS_LG2 = 10;
/** A bank holds at most 4 GiB, so that a word index is always below 2^30. */
declare const MAX_BANK_FRAMES: number;
/** What the bank of a frame without memory is: no words at all. */
declare const NO_BANK: Bank;
/**
 * @param buffer what holds the frames
 * @param byteOffset where in `buffer` the first frame begins; a multiple of 4
 */
declare const bankOver: (buffer: ArrayBufferLike, byteOffset: number, firstPfn: number, frames: number) => Bank;
/**
 * A range of page frames with memory of one kind behind it. The kinds differ
 * only in where a bank comes from; reading and writing is the same for all.
 */
interface Region {
  /** The first frame of the region. */
  readonly firstPfn: number;
  /** The frame after the last. */
  readonly endPfn: number;
  /** The bank to read frame `pfn` from; valid until the next call. */
  bankToRead(pfn: number): Bank;
  /** The bank to write frame `pfn` to; all its frames may be written. One of several frames stays valid until its buffer is taken away. */
  bankToWrite(pfn: number): Bank;
  /** Called after `length` bytes at `offset` in frame `pfn` have been written, where somebody must hear of writes. */
  wrote?(pfn: number, offset: number, length: number): void;
}
/**
 * Physical memory: regions of frames with holes between them.
 *
 * An access outside every region is a value, `undefined` for a read and `false`
 * for a write, and has no effect. Values are little endian. Single accesses of
 * 8 to 64 bits must be naturally aligned; `read` and `write` copy any range.
 */
declare class PhysicalMemory {
  #private;
  /** The regions, by first frame. */
  readonly regions: readonly Region[];
  /** @throws RangeError when two regions overlap or one passes 2^52: a bug in the caller */
  constructor(regions: readonly Region[]);
  /**
   * The bank to read frame `pfn` from, valid until the next call; `NO_BANK`
   * outside memory. The words of the frame start at
   * `(pfn - bank.firstPfn) << WORDS_LG2`; a caller compares that with
   * `bank.words.length`, which is 0 where there is nothing to read.
   */
  bankOf(pfn: number): Bank;
  /** The bank to write frame `pfn` to, `NO_BANK` outside memory. Who writes words into it calls `wrote`. */
  bankToWrite(pfn: number): Bank;
  /** Tells whoever must know that `length` bytes at `offset` in frame `pfn` have been written. */
  wrote(pfn: number, offset: number, length: number): void;
  /** Whether `length` bytes from `address` lie in memory, in one region or several side by side. */
  covers(address: bigint, length: bigint): boolean;
  /**
   * Compares the quadword at word `word` (even, below 1024) of frame `pfn` with
   * `(hi, lo)` and, when equal, replaces it by `(newHi, newLo)`, atomically.
   *
   * @returns whether it was replaced; `false` outside memory
   */
  compareAndSwap(pfn: number, word: number, hi: number, lo: number, newHi: number, newLo: number): boolean;
  /** `compareAndSwap` with whole values; `address` is a multiple of 8. */
  compareAndSwap64(address: bigint, expected: bigint, next: bigint): boolean;
  /**
   * Copies bytes out of memory, across pages and regions.
   *
   * @returns whether all of `into` was filled; nothing beyond the first hole is copied
   */
  read(address: bigint, into: Uint8Array): boolean;
  /**
   * Copies bytes into memory, across pages and regions.
   *
   * @returns whether all of `from` was written; nothing is written when a part lies outside memory
   */
  write(address: bigint, from: Uint8Array): boolean;
  /**
   * Copies `count` bytes between `bytes` from `start` and frame `pfn` from
   * `offset`; both stay inside the frame.
   */
  copyInFrame(pfn: number, offset: number, bytes: Uint8Array, start: number, count: number, toMemory: boolean): boolean;
  /** The byte at `address`. */
  read8(address: bigint): number | undefined;
  /** The 16-bit value at `address`, a multiple of 2. */
  read16(address: bigint): number | undefined;
  /** The 32-bit value at `address`, a multiple of 4. */
  read32(address: bigint): number | undefined;
  /** The 64-bit value at `address`, a multiple of 8. */
  read64(address: bigint): bigint | undefined;
  /** Writes the low 8 bits of `value` to `address`. */
  write8(address: bigint, value: number): boolean;
  /** Writes the low 16 bits of `value` to `address`, a multiple of 2. */
  write16(address: bigint, value: number): boolean;
  /** Writes the low 32 bits of `value` to `address`, a multiple of 4. */
  write32(address: bigint, value: number): boolean;
  /** Writes `value` modulo 2^64 to `address`, a multiple of 8. */
  write64(address: bigint, value: bigint): boolean;
}
/** Why gzip data could not be unpacked. */
interface UnpackFailure {
  readonly failed: "corrupt" | "too-large";
  /** Byte of the packed data, where it is known. */
  readonly offset?: number | undefined;
}
/**
 * Where files come from: a disk, or what a web page was given. It is a tree;
 * paths in it are relative and use `/`, and `""` is its root, which is a file
 * when only one was given.
 */
interface FileSource {
  /** What the user called it: messages name files by it. */
  readonly name: string;
  /**
   * @returns the size of the file in bytes, `undefined` when there is none (a directory is no file)
   * @throws CaptureError when it cannot be looked at, is no ordinary file, or lies outside the tree
   */
  size(path: string): number | undefined;
  /**
   * @returns `length` bytes from `offset`; fewer only where the file ends
   * @throws CaptureError when it cannot be read
   */
  readRange(path: string, offset: number, length: number): Uint8Array;
  /** Unpacks gzip data, never to more than `maxBytes` bytes. */
  gunzip(packed: Uint8Array, maxBytes: number): Uint8Array | UnpackFailure;
}
/** Where written files go. */
interface FileSink {
  /** Creates or replaces the file. */
  write(path: string, bytes: Uint8Array): void;
}
/** How messages name the file at `path`. */
declare const fileName: (files: FileSource, path: string) => string;
/** Whether `bytes` begin as gzip data does (RFC 1952, section 2.3.1). */
declare const isGzip: (bytes: Uint8Array) => boolean;
/** The path of `stem` or, where that is missing, of `stem` compressed; `undefined` when both are. */
declare const findPacked: (files: FileSource, stem: string) => string | undefined;
/**
 * @returns exactly `length` bytes from `offset`
 * @throws CaptureError when the file ends before them
 */
declare const readExactly: (files: FileSource, path: string, offset: number, length: number) => Uint8Array;
/** @throws CaptureError when the file is missing, larger than `maxBytes`, or cannot be read */
declare const readWhole: (files: FileSource, path: string, maxBytes: number) => Uint8Array;
/**
 * The contents of a file that may be compressed. One whose name ends in `.gz` must be.
 *
 * @throws CaptureError when it cannot be read, is corrupt, or unpacks to more than `maxBytes`
 */
declare const readUnpacked: (files: FileSource, path: string, maxBytes: number) => Uint8Array;
/** What was wrong with a file, and where. */
interface CaptureProblem {
  /** The file, as the user named it. */
  readonly file: string;
  /** Byte in the file, counted from 0; in the unpacked contents of a compressed file. Absent when the file as a whole is wrong. */
  readonly offset?: number | undefined;
  /** What should have been there, as a noun phrase. */
  readonly expected: string;
  /** What was there, as a noun phrase. */
  readonly found: string;
  /** What the user can do about it. */
  readonly hint?: string | undefined;
}
/**
 * The only error that a capture, image, core or register file causes, however
 * hostile: `FILE: at byte 0x..: expected X, found Y`.
 */
declare class CaptureError extends Error {
  readonly name = "CaptureError";
  readonly file: string;
  readonly offset: number | undefined;
  readonly expected: string;
  readonly found: string;
  readonly hint: string | undefined;
  constructor(problem: CaptureProblem);
}
/**
 * Text out of a file, fit for a message: quoted, cut to `MAX_QUOTED`
 * characters, and with everything but printable ASCII escaped, so that a file
 * cannot send control sequences to a terminal.
 */
declare const quote: (text: string) => string;
/** What a JSON value can be. */
type JsonValue = string | number | boolean | null | Json[] | Map<string, Json>;
/**
 * A JSON value that knows where in its file it stands, so that whoever finds it
 * wrong can say where. `JSON.parse` keeps no positions and names none in half of
 * its errors. Every method throws a `CaptureError` when the value is not what is
 * asked for.
 */
declare class Json {
  readonly file: string;
  /** Byte in the file where the value begins. */
  readonly at: number;
  readonly value: JsonValue;
  constructor(file: string, at: number, value: JsonValue);
  /** The error that says that something else was expected here. */
  wrong(expected: string, found?: string, hint?: string): CaptureError;
  /** The value as a message shows it. */
  describe(): string;
  members(): Map<string, Json>;
  /** The member `name` of an object; `undefined` when it has none. */
  optional(name: string): Json | undefined;
  field(name: string): Json;
  items(most: number): readonly Json[];
  /** A string that matches `pattern`. */
  text(pattern: RegExp, expected: string): string;
  /** A number without fraction, `least` and `most` included. */
  integer(least: number, most: number): number;
  /** A string such as "0x1f", below 2^`bits`. */
  hex(bits: number): bigint;
}
/** One leaf of one device, as an expected list has it. Sizes and addresses in bytes. */
interface ExpectedMapping {
  /** Bus, device and function, such as `00:03.0`. */
  readonly bdf: string;
  /** The PASID in whose table the leaf is; `null` where the mode has none. */
  readonly pasid: number | null;
  readonly iova: bigint;
  readonly pa: bigint;
  readonly size: bigint;
  /** `r` or `-`, `w` or `-`, and `u` where a first-stage leaf is for users too. */
  readonly perms: string;
}
/**
 * Reads an expected list: one JSON object a line, compressed or not.
 *
 * @throws CaptureError when the file is missing or a line bad
 */
declare const readExpectedMappings: (files: FileSource, path: string) => ExpectedMapping[];
/** Register space as it is read from the hardware: 32-bit words, unsigned, by byte offset. Words that are 0 are left out. */
type RegisterWords = ReadonlyMap<number, number>;
/** VT-d registers that software can read (VT-d specification 11.4); write-only ones read as 0. */
declare const VTD_REGISTERS: {
  readonly ver: readonly [0, 4];
  readonly cap: readonly [8, 8];
  readonly ecap: readonly [16, 8];
  readonly gcmd: readonly [24, 4];
  readonly gsts: readonly [28, 4];
  readonly rtaddr: readonly [32, 8];
  readonly ccmd: readonly [40, 8];
  readonly fsts: readonly [52, 4];
  readonly fectl: readonly [56, 4];
  readonly fedata: readonly [60, 4];
  readonly feaddr: readonly [64, 4];
  readonly feuaddr: readonly [68, 4];
  readonly aflog: readonly [88, 8];
  readonly pmen: readonly [100, 4];
  readonly plmbase: readonly [104, 4];
  readonly plmlimit: readonly [108, 4];
  readonly phmbase: readonly [112, 8];
  readonly phmlimit: readonly [120, 8];
  readonly iqh: readonly [128, 8];
  readonly iqt: readonly [136, 8];
  readonly iqa: readonly [144, 8];
  readonly ics: readonly [156, 4];
  readonly iectl: readonly [160, 4];
  readonly iedata: readonly [164, 4];
  readonly ieaddr: readonly [168, 4];
  readonly ieuaddr: readonly [172, 4];
  readonly iqercd: readonly [176, 8];
  readonly irta: readonly [184, 8];
  readonly pqh: readonly [192, 8];
  readonly pqt: readonly [200, 8];
  readonly pqa: readonly [208, 8];
  readonly prs: readonly [220, 4];
  readonly pectl: readonly [224, 4];
  readonly pedata: readonly [228, 4];
  readonly peaddr: readonly [232, 4];
  readonly peuaddr: readonly [236, 4];
};
/** AMD IOMMU registers that software can read (AMD I/O virtualization specification 3.4). */
declare const AMD_REGISTERS: {
  readonly dtb: readonly [0, 8];
  readonly cmdbase: readonly [8, 8];
  readonly evtbase: readonly [16, 8];
  readonly control: readonly [24, 8];
  readonly exclbase: readonly [32, 8];
  readonly excllim: readonly [40, 8];
  readonly efr: readonly [48, 8];
  readonly pprbase: readonly [56, 8];
  readonly cmdhead: readonly [8192, 8];
  readonly cmdtail: readonly [8200, 8];
  readonly evthead: readonly [8208, 8];
  readonly evttail: readonly [8216, 8];
  readonly status: readonly [8224, 8];
};
/** The name of a VT-d register, in lower case. */
type VtdRegisterName = keyof typeof VTD_REGISTERS;
/** The name of an AMD register, in lower case. */
type AmdRegisterName = keyof typeof AMD_REGISTERS;
/** One fault recording register (VT-d specification 11.4.8). */
interface FaultRecord {
  readonly lo: bigint;
  readonly hi: bigint;
}
/** Every VT-d register by name, and the words that they were taken from. */
type VtdRegisters = { readonly [N in VtdRegisterName]: bigint } & {
  /** The fault records, as many as CAP says. */readonly frcd: readonly FaultRecord[];
  readonly words: RegisterWords;
};
/** Every AMD register by name, and the words that they were taken from. */
type AmdRegisters = { readonly [N in AmdRegisterName]: bigint } & {
  readonly words: RegisterWords;
};
/** The register at `offset`, `bytes` wide. */
declare const registerAt: (words: RegisterWords, offset: number, bytes: 4 | 8) => bigint;
/** Puts `value` into the register at `offset`, `bytes` wide. */
declare const setRegister: (words: Map<number, number>, offset: number, bytes: 4 | 8, value: bigint) => void;
/** Where a unit with this CAP has its fault records, and how many; none where it does not say. */
declare const faultRecordsOf: (cap: bigint) => {
  readonly offset: number;
  readonly count: number;
};
/** VT-d registers by name, out of register space. */
declare const vtdRegisters: (words: RegisterWords) => VtdRegisters;
/** AMD registers by name, out of register space. */
declare const amdRegisters: (words: RegisterWords) => AmdRegisters;
/** `registers` with some of them replaced. */
declare const withVtdRegisters: (registers: VtdRegisters, changes: { readonly [N in VtdRegisterName]?: bigint }) => VtdRegisters;
/**
 * Registers for memory that comes without any: a unit that can do everything
 * and translates with the given root table. CAP and ECAP are assumptions: no
 * entry is taken to be reserved that some unit understands.
 *
 * @param rootTable physical address of the root table
 * @throws CaptureError when `rootTable` is not a multiple of 4096 below 2^52
 */
declare const assumedVtdRegisters: (rootTable: bigint, scalable: boolean) => VtdRegisters;
/** Where RAM is. Both are multiples of 4096; `base + length` is at most 2^52. */
interface RamRange {
  readonly base: bigint;
  /** In bytes. */
  readonly length: bigint;
}
/** A page that a capture kept. */
interface StoredPage {
  /** Its physical address, a multiple of 4096. */
  readonly pa: bigint;
  /** What it is for, such as `root`, `pasidtab` or `sspt3`. */
  readonly kind: string;
}
/** What every capture has, whatever the IOMMU. */
interface CapturedMachine {
  /** What the user called it. */
  readonly name: string;
  /** Which of several moments this is. */
  readonly moment?: string;
  /**
   * RAM. A page that was not kept reads as zeros; outside `ram` there is no
   * memory. Reading throws a `CaptureError` when the file can no longer be
   * read; writing never changes the file.
   */
  readonly memory: PhysicalMemory;
  /** Where RAM is, by address. */
  readonly ram: readonly RamRange[];
  /** The pages that were kept, in the order of the file. Absent when all of RAM was. */
  readonly storedPages?: readonly StoredPage[];
  /** Reads the list of mappings that ought to be found. Absent when there is none. */
  readonly expected?: () => ExpectedMapping[];
}
/** A machine with an Intel VT-d unit. */
interface VtdCapture extends CapturedMachine {
  readonly iommu: "vtd";
  readonly registers: VtdRegisters;
}
/** A machine with an AMD IOMMU. */
interface AmdCapture extends CapturedMachine {
  readonly iommu: "amd";
  readonly registers: AmdRegisters;
}
/** A machine's memory and IOMMU registers at one moment. */
type Capture = VtdCapture | AmdCapture;
/** The registers of either IOMMU, with its name. */
type CapturedRegisters = Pick<VtdCapture, "iommu" | "registers"> | Pick<AmdCapture, "iommu" | "registers">;
/**
 * Packed structures as tables. A structure is declared once, with the bit
 * position of every field and the section it comes from; decoding, encoding,
 * reserved-bit masks, dumps and documentation all derive from the table.
 * Bits that no field covers are reserved.
 */
/** One field of a layout, as it is declared. Bit 0 is the lowest bit of the first byte. */
interface FieldDeclaration {
  /** Position of the lowest bit. A field does not cross a 64-bit boundary. */
  readonly at: number;
  /** Width in bits; 1 when absent. */
  readonly width?: number;
  /** `address`: the value keeps its place in the quadword, and bits from the host address width up are reserved. */
  readonly kind?: "address";
  /** Hardware ignores the field: it is not reserved and has no meaning. */
  readonly ignored?: true;
  /** Capability without which the field is reserved. */
  readonly needs?: string;
  /** Register access: read-only, read-write, write-1-to-clear, write-only. Absent in memory structures. */
  readonly access?: "ro" | "rw" | "w1c" | "wo";
  /** What the field means, in a few words. */
  readonly doc: string;
}
/** A field with the positions that code needs. */
interface Field extends FieldDeclaration {
  readonly name: string;
  readonly width: number;
  /** Index of the 64-bit word the field lies in. */
  readonly qword: number;
  /** Position of the lowest bit inside that word. */
  readonly shift: bigint;
  /** The field's bits inside that word, in place. */
  readonly mask: bigint;
  /** Index of the 32-bit word that holds the lowest bit. */
  readonly dword: number;
  /** Position of the lowest bit inside that 32-bit word. */
  readonly dshift: number;
  /** The field's bits inside that 32-bit word, in place, as an int32: bits beyond it are left out. */
  readonly dmask: number;
}
/** What a reserved-bit mask depends on besides the layout. */
interface ReservedBy {
  /** Whether the hardware has the named capability. */
  has(capability: string): boolean;
  /** Number of physical address bits; those above are reserved in `address` fields. */
  readonly hostAddressWidth: number;
}
/** A structure's table. */
interface Layout<Name extends string> {
  readonly name: string;
  /** Size in bytes; a multiple of 4. */
  readonly bytes: number;
  /** Where the structure is specified. */
  readonly section: string;
  readonly fields: { readonly [N in Name]: Field };
  /**
   * @param qwords the structure as little-endian 64-bit words
   * @returns every field's value: shifted down, except that an `address` stays in place
   */
  decode(qwords: readonly bigint[]): { readonly [N in Name]: bigint };
  /**
   * The inverse of `decode`; fields left out are 0.
   *
   * @throws RangeError when a value does not fit its field: a bug in the caller
   */
  encode(values: { readonly [N in Name]?: bigint | number | boolean }): bigint[];
  /** The bits of each 64-bit word that must be 0. */
  reservedMask(by: ReservedBy): bigint[];
}
/**
 * Declares a layout.
 *
 * @throws RangeError when fields overlap or cross a word: a bug in the table
 */
declare const defineLayout: <Name extends string>(declaration: {
  readonly name: string;
  readonly bytes: number;
  readonly section: string;
  readonly fields: { readonly [N in Name]: FieldDeclaration };
}) => Layout<Name>;
/** The value of `field` in a structure whose 32-bit words start at `words[at]`; the field must not cross a dword. */
declare const fieldAt: (words: Int32Array, at: number, field: Field) => number;
/**
 * What an implementation does otherwise than the specification. Each field is
 * one fact; all of them `false`, or empty, is the specification.
 */
interface Deviations {
  /** Registers answer accesses of 4 and 8 bytes at multiples of their width; others read 0 and write nothing. */
  readonly wholeDwordsOnly: boolean;
  /** The event control registers take the low half of an 8-byte write; the data register behind them gets nothing. */
  readonly eventControlAlone: boolean;
  /** An 8-byte write that begins where no register is clears what is in its upper half, FSTS or ICS, and withdraws no event. */
  readonly statusHalfUnheard: boolean;
  /** Bits that software cannot write although the specification has them writable, by register. */
  readonly readOnlyBits: Readonly<Record<string, bigint>>;
  /** IQA reads the address of the queue in use, within the host's width, 0 before one is; its size and width as written. */
  readonly queueAddressLatched: boolean;
  /** The queue can be switched off only when it is empty and the last descriptor was a wait. */
  readonly queueEndsWithWait: boolean;
  /** GCMD.CFI does nothing; messages in compatibility format pass, in extended interrupt mode too. */
  readonly compatibleInterruptsPass: boolean;
  /** A fault event that waits for its mask is withdrawn by writing FSTS only, not by freeing the last record. */
  readonly faultEventKept: boolean;
  /** Pass-through passes addresses beyond the host width. */
  readonly passThroughUnlimited: boolean;
  /** Reasons that FPD does not silence although they are qualified. */
  readonly alwaysRecorded: readonly number[];
  /** Both stages check at each level the permission, then reserved bits. */
  readonly permissionBeforeReserved: boolean;
  /** A request that a cached translation does not permit is refused without a record, whatever the tables say by now. */
  readonly cachedRefusalSilent: boolean;
  /** A leaf whose page reaches into the interrupt range is refused, wherever in it the request goes. */
  readonly interruptRangeByLeaf: boolean;
  /** Reasons recorded in place of others, by code. */
  readonly reasons: Readonly<Record<number, number>>;
  /** A second stage in scalable mode is recorded with the reasons of legacy mode, but for 87. */
  readonly legacySecondStageReasons: boolean;
  /** Reserved bits that are not looked at, by structure and quadword. */
  readonly notReserved: Readonly<Record<string, readonly bigint[]>>;
  /** A PASID entry is checked for its type before P. */
  readonly validityBeforePresence: boolean;
  /** Descriptors of scalable mode are taken in legacy mode too. */
  readonly scalableDescriptorsAnywhere: boolean;
  /** IQERCD.IQEI stays 0: why the queue has stopped is not told. */
  readonly queueErrorsUnexplained: boolean;
  /** A context-cache invalidation by domain is done, and reported, as one of all. */
  readonly contextDomainAsGlobal: boolean;
  /** Device-TLB descriptors are taken without ECAP.DT, and do nothing. */
  readonly deviceTlbDescriptorsAnywhere: boolean;
  /** Clearing FSTS.IQE does not set the queue going again; writing IQT does. */
  readonly queueResumesByTailOnly: boolean;
  /** Bits that software can write although the specification has them reserved, by register; they do nothing. */
  readonly writableBits: Readonly<Record<string, bigint>>;
  /** The tail counts as it was written: one that is no multiple of 32 in a 256-bit queue is an error at once, on or off, and moves nothing. */
  readonly tailTakenWhenWritten: boolean;
  /** A wait whose status cannot be written stops the queue; its event is raised all the same. */
  readonly statusMustBeWritten: boolean;
  /** An invalidation of a whole PASID drops second-stage translations too, those of PASID 0. */
  readonly pasidInvalidatesSecondStage: boolean;
  /** Of RTADDR.TTM only its low bit counts, and not even that without scalable mode: there is no abort mode, and no wrong one. */
  readonly rootModeIsOneBit: boolean;
  /** The interrupt remapping table in use survives a reset. */
  readonly interruptTableSurvivesReset: boolean;
  /** The source of a message is not compared where it is ffff, which stands for one that nobody knows. */
  readonly unknownSourcePasses: boolean;
  /** IRTA.EIME counts without ECAP.EIM. */
  readonly extendedInterruptsAnywhere: boolean;
  /** A destination beyond 8 bits is cut without extended interrupt mode, not refused. */
  readonly interruptDestinationCut: boolean;
  /** SVT=3 is refused as a source that does not match. */
  readonly badValidationIsMismatch: boolean;
  /** SVT=2 takes the first bus from SID 7:0 and the last from SID 15:8. */
  readonly busRangeReversed: boolean;
  /** A message's upper data is looked at once the entry has been found good, and its fault recorded without an index. */
  readonly messageDataLast: boolean;
  /** Interrupt remapping entries are read anew for each message. */
  readonly interruptEntriesNotKept: boolean;
  /** The sum of handle and subhandle has 16 bits. */
  readonly interruptIndexWraps: boolean;
  /** The mask of an interrupt entry invalidation may be beyond ECAP.MHMV. */
  readonly interruptMaskUnchecked: boolean;
  /** FRCD.PP and PV of a request without a PASID that page tables have refused; 0 and 0 when absent. */
  readonly recordedWithoutPasid: {
    readonly pp: boolean;
    readonly pv: number;
  } | undefined;
  /** IQA.DW reads 0, whatever was written. */
  readonly queueWidthHidden: boolean;
  /** Setting the root table and switching translation on or off drop everything cached. */
  readonly rootCommandsFlush: boolean;
  /** Addresses of the root and the interrupt remapping table are cut to the host's width. */
  readonly tableAddressesCut: boolean;
  /** Page group responses with a PASID are taken without ECAP.PRS and in queues of either width, and do nothing. */
  readonly pageResponsesAnywhere: boolean;
  /** FPD of a PASID directory entry or a PASID entry counts only once the PASID entry is found to be valid. */
  readonly pasidFpdNeedsValidity: boolean;
  /** Reserved bits are looked at in both halves of a scalable root entry. */
  readonly rootHalvesTogether: boolean;
  /** A first-stage leaf is marked dirty only by a write that marks it accessed too, and is not looked at again for it. */
  readonly dirtyWithAccessedOnly: boolean;
  /** First-stage addresses must be canonical for the width in the PASID entry's AW. */
  readonly canonicalBySecondStageWidth: boolean;
  /** The first stage marks a leaf before it looks where the output is. */
  readonly marksBeforeOutput: boolean;
}
/** What a unit can do: its two capability registers decoded, and what they do not say. */
interface Capabilities extends ReservedBy {
  /** CAP as software reads it. */
  readonly cap: bigint;
  /** ECAP as software reads it. */
  readonly ecap: bigint;
  /** Number of physical address bits. */
  readonly hostAddressWidth: number;
  /** Number of guest address bits, CAP.MGAW + 1. */
  readonly guestAddressWidth: number;
  /** Second-stage widths as in CAP.SAGAW: bit n stands for n + 2 levels. */
  readonly secondStageWidths: number;
  /** PASIDs the unit accepts: below 2^`pasidBits`. */
  readonly pasidBits: number;
  /** Fault records, CAP.NFR + 1. */
  readonly faultRecords: number;
  /** The largest address mask of a page invalidation, CAP.MAMV. */
  readonly largestAddressMask: number;
  /** The largest index mask of an interrupt entry invalidation, ECAP.MHMV. */
  readonly largestHandleMask: number;
  /** Erratum 772415: accessed and dirty updates of nested first-stage entries skip the second stage's write permission. */
  readonly erratum772415: boolean;
  /** Accessed and dirty flags are updated even where page walks are not snooped, as QEMU does. */
  readonly unsnoopedUpdates: boolean;
  /** What it does otherwise than the specification. */
  readonly deviations: Deviations;
  /** Whether a one-bit field of CAP or ECAP, or a feature that one of them announces, is there. */
  has(capability: string): boolean;
}
/** What makes up a unit's capabilities. */
interface CapabilityOptions {
  readonly cap: bigint;
  readonly ecap: bigint;
  /** Physical address bits; that of the guest address when absent, for the registers do not say. */
  readonly hostAddressWidth?: number;
  readonly erratum772415?: boolean;
  readonly unsnoopedUpdates?: boolean;
  readonly deviations?: Partial<Deviations>;
}
/** Decodes a unit's capability registers. */
declare const createCapabilities: (options: CapabilityOptions) => Capabilities;
/**
 * How much of a unit's tables an enumeration looks at. Tables may point at
 * themselves, and then describe more than could ever be listed: each bound is
 * far above what a machine has, and together they keep time and memory small.
 */
interface EnumerationLimits {
  /** Pages with root, context and PASID directory or table entries. */
  readonly structurePages: number;
  /** Present PASID entries, all devices together. */
  readonly pasidEntries: number;
  /** Paging entries looked at; reading a table page counts as `PAGE_COST` of them. */
  readonly pagingEntries: number;
  /** Leaves listed, all devices together: a list that devices share counts for each. */
  readonly mappings: number;
  /** Entries refused, those side by side counted once. */
  readonly problems: number;
}
/** What is looked at when nobody says otherwise: 16 GiB in 4 KiB pages, 170,000 tables, a second or two of hostile ones. */
declare const ENUMERATION_LIMITS: EnumerationLimits;
/** Which bound ended an enumeration, and where it was. */
interface Truncation {
  readonly limit: keyof EnumerationLimits;
  /** The bound. */
  readonly most: number;
  /** The requester ID of the device whose tables were being looked at; `undefined` when none was. */
  readonly source: number | undefined;
  /** The PASID, `null` for the requests without one. */
  readonly pasid: number | null;
}
/** What is left of the limits. When one is used up everything stops. */
declare class Budget {
  #private;
  /** The limit that was used up. */
  truncation: Truncation | undefined;
  constructor(limits: EnumerationLimits);
  /** Whether a limit is used up. */
  get exhausted(): boolean;
  left(limit: keyof EnumerationLimits): number;
  /** Notes whose tables are looked at from now on. */
  enter(source: number | undefined, pasid: number | null): void;
  /** @returns whether there was enough left; when not, nothing is left of anything */
  spend(limit: keyof EnumerationLimits, count: number): boolean;
  /** Notes that `limit` is used up. */
  exceed(limit: keyof EnumerationLimits): void;
}
/** Why an entry leads nowhere: it has reserved bits, or it points at a table where there is no memory. */
type ProblemKind = "outside-memory" | "reserved-bit";
/** Paging entries that were refused: those side by side that have the same kind of problem. */
interface PagingProblem {
  readonly kind: ProblemKind;
  /**
   * Physical address of the first refused entry, or where the table would be
   * that the first one points to; a guest physical address where a second stage
   * leaves a first-stage table out.
   */
  readonly address: bigint;
  /** The first input address that is lost, as a page frame number. */
  readonly iovaFrame: number;
  /** How many page frames of the input are lost. */
  readonly frames: number;
}
/**
 * What the page tables of one address space map: the leaves by input address,
 * in columns, and the entries that were refused.
 */
declare class LeafList {
  #private;
  count: number;
  /** Input address as a page frame number, sign-extended to 52 bits. */
  iovaFrames: Float64Array;
  /** Output address as a page frame number. */
  outFrames: Float64Array;
  /** log2 of the size in bytes. */
  sizesLg2: Uint8Array;
  /** `PROT_READ`, `PROT_WRITE` and `PROT_USER`, of all levels and stages. */
  prots: Uint8Array;
  /** By input address. */
  readonly problems: PagingProblem[];
  /** The code of the fault that every request meets because the top table cannot be read; 0 when it can. */
  fault: number;
  constructor(budget: Budget);
  /** Adds a leaf of 2^`framesLg2` page frames. */
  add(iovaFrame: number, outFrame: number, framesLg2: number, prot: number): void;
  /** Adds an entry that was refused, to the one before it where they are neighbours in the input and in memory. */
  addProblem(kind: ProblemKind, address: bigint, iovaFrame: number, framesLg2: number): void;
}
/**
 * How the requests of one device and PASID are translated: what a context entry
 * in legacy mode, or a PASID entry in scalable mode, says, decoded. Numbers are
 * those of PASID_ENTRY.PGTT.
 */
declare class Target {
  /** `FIRST_STAGE`, `SECOND_STAGE`, `NESTED` or `PASS_THROUGH`; 0 when nothing is here. */
  type: number;
  domain: number;
  /** The PASID whose entry it is, the RID's included; -1 in legacy mode. */
  pasid: number;
  /** FPD of this entry or one on the way to it. */
  fpd: boolean;
  /** Frame of the first stage's top table: guest physical when nested. */
  firstStagePfn: number;
  firstStageLevels: number;
  /** Frame of the second stage's top table. */
  secondStagePfn: number;
  secondStageLevels: number;
  /** Second-stage accessed and dirty flags are kept. */
  secondStageFlags: boolean;
  /** Page walks are snooped, so that they may update flags. */
  snooped: boolean;
  supervisorRequests: boolean;
  /** Supervisor writes obey R/W. */
  writeProtect: boolean;
  extendedAccessed: boolean;
  /** Fault codes are those of legacy mode. */
  legacy: boolean;
}
/** A root, context or PASID entry that was refused, or points to where there is no memory. */
interface StructureProblem {
  readonly kind: ProblemKind;
  /** Requester ID of the device it belongs to; `undefined` for the root table and what its entries point to. */
  readonly source: number | undefined;
  /** Of a PASID entry; `null` for requests without a PASID, and where no single PASID is concerned. */
  readonly pasid: number | null;
  /** Physical address of the entry, or what is pointed to. */
  readonly address: bigint;
}
/** How the requests of one device with one PASID, or without any, are treated. */
interface FoundSpace {
  /** `null` for requests without a PASID. */
  readonly pasid: number | null;
  /** PASID_ENTRY.PGTT, or what a legacy context entry amounts to. */
  readonly type: number;
  readonly domain: number;
  /** FPD of the PASID entry or one on the way to it. */
  readonly fpd: boolean;
  /** The code of the fault that the entry, or one on the way to it, causes; 0 when it is valid. */
  readonly code: number;
  /** How hardware takes the entry; `undefined` when it is not valid. */
  readonly target: Target | undefined;
}
/** A device with a context entry. */
interface FoundDevice {
  /** Requester ID. */
  readonly source: number;
  /** Physical address of its context entry. */
  readonly contextAddress: bigint;
  /** Device TLBs are served: TT=01, or DTE. */
  readonly deviceTlb: boolean;
  /** Requests with a PASID are served. */
  readonly pasidEnabled: boolean;
  readonly pageRequests: boolean;
  /** FPD of the context entry. */
  readonly fpd: boolean;
  /** The PASID of requests without one; `undefined` in legacy mode. */
  readonly ridPasid: number | undefined;
  /** The code of the fault that the entries for requests without a PASID cause; 0 when there is none. */
  readonly code: number;
  /** Requests without a PASID first, then by PASID. */
  readonly spaces: readonly FoundSpace[];
}
/** RTADDR.TTM in words; `invalid` for what the unit does not have. */
type TableMode = "abort" | "invalid" | "legacy" | "scalable";
/** Whose tables to look at, and how much of them. */
interface EnumerateOptions {
  readonly capabilities: Capabilities;
  /** Only read; it must not change meanwhile. */
  readonly memory: PhysicalMemory;
  /** The root table address register. */
  readonly rtaddr: bigint;
  /** Bounds other than `ENUMERATION_LIMITS`. */
  readonly limits?: Partial<EnumerationLimits>;
}
/** An address space of a device, and what its page tables map. */
interface EnumeratedSpace extends FoundSpace {
  /** The code of the fault that every request meets, because of an entry or an unreadable top table; 0 when there is none. */
  readonly fault: number;
  /** Shared by all spaces with the same page tables. */
  readonly leaves: LeafList;
  /** How many of `leaves` are within the bounds: all, unless the enumeration was truncated. */
  readonly leafCount: number;
}
/** A device, and everything that its requests can reach. */
interface EnumeratedDevice extends Omit<FoundDevice, "spaces"> {
  readonly spaces: readonly EnumeratedSpace[];
}
/** Everything that a unit's tables say. */
interface UnitEnumeration {
  readonly mode: TableMode;
  /** The code of the fault that every request meets; 0 when there is none. In abort-DMA mode that is 0 too. */
  readonly fault: number;
  /** By requester ID. */
  readonly devices: readonly EnumeratedDevice[];
  readonly problems: readonly StructureProblem[];
  /** The frames of all tables that the unit reads. */
  readonly tablePfns: ReadonlySet<number>;
  /** Which bound ended the enumeration; `undefined` when none did. */
  readonly truncation: Truncation | undefined;
}
/**
 * Lists every device, PASID and leaf in a unit's tables, as the unit would read
 * them for a request: what it would refuse leads nowhere and is a problem.
 * Nothing is written, and whatever the tables say it ends soon.
 */
declare const enumerateUnit: (options: EnumerateOptions) => UnitEnumeration;
/** Version of the report, as a document. */
declare const INSPECT_SCHEMA = "softiommu/inspect@1";
/** Why requests are refused. */
interface Refusal {
  /** Fault reason, as hardware would record it. */
  readonly code: number;
  /** What is wrong. */
  readonly text: string;
  /** What would have to change. */
  readonly remedy: string;
}
/** The top of one stage's tables. */
interface StageReport {
  readonly levels: number;
  /** Physical address; guest physical for a first stage that is nested. */
  readonly root: bigint;
}
/** How requests are translated; `invalid` where the entry asks for something that does not exist. */
type TranslationType = "first-stage" | "invalid" | "nested" | "pass-through" | "second-stage";
/** What requests of one device with one PASID, or without any, can reach. */
interface PasidReport {
  /** `null` for requests without a PASID. */
  readonly pasid: number | null;
  readonly type: TranslationType;
  readonly domain: number;
  /** Why every request is refused; `null` when the entries are valid. */
  readonly fault: Refusal | null;
  /** Faults are not recorded. */
  readonly fpd: boolean;
  readonly firstStage: StageReport | null;
  readonly secondStage: StageReport | null;
  /** What the tables map, shared by all that use the same tables. */
  readonly leaves: LeafList;
  /** How many of `leaves` count. */
  readonly mappings: number;
}
/** A device with a context entry. */
interface DeviceReport {
  readonly bdf: string;
  readonly mode: "legacy" | "scalable";
  /** Where its context entry is. */
  readonly contextEntry: Hpa;
  /** Device TLBs are served. */
  readonly ats: boolean;
  readonly pageRequests: boolean;
  /** Requests with a PASID are served. */
  readonly pasidEnabled: boolean;
  /** The PASID whose entry serves requests without one; `null` in legacy mode. */
  readonly ridPasid: number | null;
  /** Faults are not recorded, whatever the PASID. */
  readonly fpd: boolean;
  /** Why every request without a PASID is refused; `null` when the entries are valid. */
  readonly fault: Refusal | null;
  /** Requests without a PASID first, then by PASID. */
  readonly pasids: readonly PasidReport[];
}
/** What a finding is about, in the order of the report. */
declare const FINDING_CODES: readonly ["shared-domain", "pass-through", "ats-with-pass-through", "maps-iommu-tables", "maps-given-range", "msi-window-mapped", "reserved-bit", "table-outside-ram"];
/** What a finding is about. */
type FindingCode = (typeof FINDING_CODES)[number];
/** Something that ought to be looked at. What does not apply is `null`. */
interface Finding {
  readonly code: FindingCode;
  /** The devices, in order; none where something is wrong above them. */
  readonly bdf: readonly string[];
  readonly pasid: number | null;
  readonly iova: Iova | null;
  /** Where in memory: of a mapping its output, of an entry its place, of a pointer its target. */
  readonly pa: Hpa | null;
  /** In bytes. */
  readonly size: bigint | null;
}
/** Where and why an inspection ended early. */
interface InspectTruncation {
  /** The bound that was reached: one of `EnumerationLimits`, or `findings`. */
  readonly limit: string;
  /** The bound. */
  readonly most: number;
  /** Whose tables were being looked at, for people. */
  readonly where: string;
}
/** Everything that the tables of a captured machine's IOMMU say. */
interface InspectReport {
  readonly schema: typeof INSPECT_SCHEMA;
  /** `NAME`, or `NAME/MOMENT`. */
  readonly capture: string;
  readonly iommu: "vtd";
  readonly mode: TableMode;
  /** Whether the unit translates; if not, every request passes, whatever the tables say. */
  readonly translation: boolean;
  /** Why every request of every device is refused; `null` when the root table can be used. */
  readonly fault: Refusal | null;
  /** By bus, device and function. */
  readonly devices: readonly DeviceReport[];
  readonly findings: readonly Finding[];
  /** `null` when nothing was left out. */
  readonly truncated: InspectTruncation | null;
}
/**
 * The report as one JSON document, `softiommu/inspect@1`, in pieces: their
 * concatenation is the document. The order of the names is fixed, and each
 * device, mapping and finding has a line of its own.
 */
declare function inspectDocument(report: InspectReport): Generator<string, void, undefined>;
/** Findings kept: far more than anybody reads. */
declare const MAX_FINDINGS: number;
/** Physical addresses that nobody should be able to write. */
interface WatchedRange {
  readonly base: bigint;
  /** In bytes. */
  readonly length: bigint;
}
/** How to look at a capture. */
interface InspectOptions {
  readonly watch?: readonly WatchedRange[];
  /** Physical address bits; CAP.MGAW + 1 when absent. */
  readonly hostAddressWidth?: number;
  /** The PCI segment of the unit's devices; 0 when absent. */
  readonly segment?: number;
  /** Bounds other than `ENUMERATION_LIMITS` and `MAX_FINDINGS`. */
  readonly limits?: Partial<EnumerationLimits> & {
    readonly findings?: number;
  };
}
/**
 * Lists what the tables of a captured VT-d unit say: every device, what it can
 * reach, and what is wrong. The capture is not changed.
 *
 * @throws CaptureError when the capture's memory can no longer be read
 */
declare const inspectCapture: (capture: VtdCapture, options?: InspectOptions) => InspectReport;
/** One leaf, or several that lie side by side. */
interface Mapping {
  readonly bdf: string;
  /** `null` for requests without a PASID. */
  readonly pasid: number | null;
  readonly domain: number;
  readonly iova: Iova;
  readonly pa: Hpa;
  /** In bytes. */
  readonly size: bigint;
  /** `r` or `-`, `w` or `-`, and `u` where a first stage allows requests without privilege. */
  readonly perms: string;
}
/** Leaves of one address space that continue each other in both spaces, with the same permissions. */
interface MappedRange extends Mapping {
  /** How many. */
  readonly leaves: number;
}
/** Every leaf of every device, in the order bdf, PASID, IOVA. */
declare function mappingsOf(report: InspectReport): Generator<Mapping, void, undefined>;
/** The same for people: neighbours joined. */
declare function rangesOf(report: InspectReport): Generator<MappedRange, void, undefined>;
/** Files held in memory, read and written: what a web page was given, or a capture on its way elsewhere. */
interface MemoryFiles extends FileSource, FileSink {
  readonly contents: Map<string, Uint8Array>;
}
/**
 * @param name what messages call the whole
 * @param contents each file by its path; one at `""` is the only one
 * @param gunzip as in `FileSource`
 */
declare const memoryFiles: (name: string, contents: Map<string, Uint8Array>, gunzip: FileSource["gunzip"]) => MemoryFiles;
/** What a file does not say by itself. */
interface ReadOptions {
  /** Which of a capture's moments. */
  readonly moment?: string;
  /** Registers, for a file of memory alone; instead of its own, for a capture. */
  readonly registers?: CapturedRegisters;
  /** The file is a plain image whose first byte is at this physical address, even if it looks like a core. */
  readonly base?: bigint;
}
/**
 * Reads a machine's memory and registers: a capture when `files` is a folder,
 * else an ELF core or a plain memory image, told apart by its first bytes and
 * compressed or not.
 *
 * Memory is read when it is asked for, so `files` must stay open.
 *
 * @throws CaptureError when there is no such thing, or anything about it is bad
 */
declare const readCapture: (files: FileSource, options?: ReadOptions) => Capture;
/** Something holds what cannot be saved; the message names it. */
declare class SaveRefusedError extends Error {
  constructor(what: string);
}
/** What was saved does not fit what it is to be restored into, or is damaged. */
declare class RestoreError extends Error {
  constructor(why: string);
}
/** The 32-bit words of some bytes that are not 0: pairs of an offset in bytes, a multiple of 4, and a value. */
type SavedWords = readonly (readonly [offset: number, value: number])[];
/** @param bytes their count is a multiple of 4 */
declare const saveWords: (bytes: Uint8Array) => SavedWords;
/**
 * Puts `bytes` back to what `saveWords` saw.
 *
 * @throws RestoreError when a word lies outside
 */
declare const restoreWords: (bytes: Uint8Array, words: SavedWords) => void;
/**
 * The event channel. Every change of state is an event whose type is declared
 * beside the code that emits it and whose name is `room.event`. With no
 * listener an event costs one test of a boolean:
 *
 * ```ts
 * if (trace.enabled) trace.emit(IOTLB_MISS, { source, iova });
 * ```
 */
/** What kind of event it is: its name and, in the type, what it carries. */
interface EventType<Payload> {
  /** `room.event`, for instance `vtd.iotlb-miss`. */
  readonly name: string;
  /** Only in the type: carries `Payload`. */
  readonly payload?: Payload;
}
/** One event as a listener receives it. */
interface TraceEvent {
  readonly name: string;
  readonly payload: unknown;
}
/** Called for each event whose name matches. Must not change what it is given. */
type TraceListener = (event: TraceEvent) => void;
/** Declares an event type. */
declare const defineEvent: <Payload>(name: `${string}.${string}`) => EventType<Payload>;
/** Where a machine's rooms send their events and listeners receive them. */
declare class TraceChannel {
  #private;
  /** Whether anybody listens. Emitters test it first, so that a silent channel is free. */
  enabled: boolean;
  /**
   * Listens to events.
   *
   * @param glob which names, with `*` for any run of characters
   * @returns a function that ends the subscription
   */
  listen(glob: string, listener: TraceListener): () => void;
  /** Delivers an event to each listener whose glob matches, in the order of subscription. */
  emit<Payload>(type: EventType<Payload>, payload: Payload): void;
}
/** A message-signalled interrupt on its way: a write to FEE0_0000 to FEEF_FFFF. */
interface MsiMessage {
  /** Requester ID of who sends it. */
  readonly source: number;
  /** Where it is written; bits 63:32 are used in the units' own events only. */
  readonly address: bigint;
  /** What is written, 32 bits. */
  readonly data: number;
}
/** An interrupt as a local APIC gets it. */
interface Interrupt {
  /** 0 to 255. */
  readonly vector: number;
  /** APIC ID, 8 bits, or 32 where extended interrupt mode is on. */
  readonly destination: number;
  readonly destinationMode: "logical" | "physical";
  readonly redirectionHint: boolean;
  /** 0 fixed, 1 lowest priority, 2 SMI, 4 NMI, 5 INIT, 7 ExtINT. */
  readonly deliveryMode: number;
  readonly triggerMode: "edge" | "level";
}
/** Where interrupts end: a local APIC, or a test's list. */
interface InterruptSink {
  deliver(interrupt: Interrupt): void;
}
/** First address of the range that interrupts are written to. */
declare const INTERRUPT_RANGE_START = 4276092928n;
/** Last address of that range. */
declare const INTERRUPT_RANGE_LAST = 4277141503n;
/**
 * Reads a message in compatibility format (Intel SDM volume 3, 11.11): what an
 * APIC makes of it when nothing remaps it.
 *
 * @param extendedDestination bits 31:8 of the destination, which only a unit's own events carry
 */
declare const decodeCompatibleMessage: ({
  address,
  data
}: MsiMessage, extendedDestination?: number) => Interrupt;
/** A naturally aligned range of addresses, as ATS names it. */
interface AtsRange {
  /** First address; a multiple of the size. */
  readonly address: bigint;
  /** log2 of the size in bytes, 12 to 64; 64 is every address. */
  readonly sizeLg2: number;
}
/** A range as it is on the wire and in descriptors: bits 63:12 of an address field, and the S bit. */
interface AtsRangeEncoding {
  readonly address: bigint;
  /** Whether the range is larger than 4 KiB. */
  readonly s: boolean;
}
/**
 * Encodes a range: with S set, the lowest 0 bit from bit 12 up ends a run of
 * ones, and the range has twice the size that its position stands for
 * (PCIe 6.3 §10.2.3.2).
 *
 * @param range `sizeLg2` is 12 to 64; address bits below the size are ignored
 */
declare const encodeAtsRange: ({
  address,
  sizeLg2
}: AtsRange) => AtsRangeEncoding;
/**
 * Decodes a range. Ones from bit 12 to 63 name no range in the specification;
 * they are taken as every address, so that nothing stale survives.
 */
declare const decodeAtsRange: ({
  address,
  s
}: AtsRangeEncoding) => AtsRange;
/** What a device's cache of translations has to drop (PCIe 6.3 §10.3). */
interface AtsInvalidation extends AtsRange {
  /** Translations of requests with this PASID, or `NO_PASID` for those without. */
  readonly pasid: number;
  /** Whatever the PASID; only for devices that advertise Global Invalidate. */
  readonly global: boolean;
}
/** A device's cache of translations, as a remapping unit sees it. */
interface AtsTarget {
  /**
   * Drops what `invalidation` covers. `completed` is called once no request in
   * flight uses a dropped translation any more: at once, or later, exactly once
   * (§10.3.3), with `false` by a device whose answer names another invalidation.
   * A device that does not answer never calls it.
   */
  invalidate(invalidation: AtsInvalidation, completed: (right?: boolean) => void): void;
  /** Takes the answer to a group of page requests; absent where the device has no page request interface. */
  respond?(response: PageGroupResponse): void;
}
/** A page request message (PCIe 6.3 §10.4.1). */
interface PageRequest {
  /** Requester ID. */
  readonly source: number;
  /** The PASID, or `NO_PASID`. */
  readonly pasid: number;
  /** First address of the page. */
  readonly address: bigint;
  readonly read: boolean;
  readonly write: boolean;
  readonly execute: boolean;
  readonly privileged: boolean;
  /** Page request group index, 9 bits. */
  readonly group: number;
  /** Whether it is the last one of its group, so that a response is due. */
  readonly last: boolean;
}
/**
 * Whether a page request is a Stop Marker: one with a PASID that asks neither to
 * read nor to write, and has the last-request bit. It says that the requests
 * before it were the last ones with the PASID, and nobody answers it (PCIe 6.3
 * §10.4.1.2).
 */
declare const isStopMarker: ({
  pasid,
  read,
  write,
  last
}: Omit<PageRequest, "source">) => boolean;
/** What became of a page request: software has it, the unit answered it itself, or it was refused. */
type PageRequestOutcome = "overflow" | "queued" | "refused";
/** Every request of the group was served (PCIe 6.3 §10.4.2.1). */
declare const PAGE_RESPONSE_SUCCESS = 0;
/** A page of the group is not there, or not with that permission. */
declare const PAGE_RESPONSE_INVALID_REQUEST = 1;
/** Something is broken; the function may ask no more. */
declare const PAGE_RESPONSE_FAILURE = 15;
/** The answer to a group of page requests (PCIe 6.3 §10.4.2). */
interface PageGroupResponse {
  /** Requester ID that the group came from. */
  readonly destination: number;
  /** The PASID, or `NO_PASID`. */
  readonly pasid: number;
  /** Page request group index, 9 bits. */
  readonly group: number;
  /** `PAGE_RESPONSE_SUCCESS`, `PAGE_RESPONSE_INVALID_REQUEST` or `PAGE_RESPONSE_FAILURE`; hardware takes others as failure. */
  readonly code: number;
}
/** Permissions and properties of a request; or-ed together in `DmaRequest.access`. */
declare const READ = 1;
/** Writes memory. A request that reads and writes is an AtomicOp. */
declare const WRITE = 2;
/** Asks to execute what it reads; only with a PASID. */
declare const EXECUTE = 4;
/** Comes with supervisor privilege; only with a PASID. */
declare const PRIVILEGED = 8;
/** An ordinary request: its address is to be translated (PCIe AT 00b). */
declare const UNTRANSLATED = 0;
/** An ATS translation request: it wants the translation, not the data (PCIe AT 01b). */
declare const TRANSLATION_REQUEST = 1;
/** A request whose address a device has translated before (PCIe AT 10b). */
declare const TRANSLATED$1 = 2;
/** What `DmaRequest.pasid` is for a request without a PASID. */
declare const NO_PASID = -1;
/** Why a request was refused. Units refine it; a device only learns that it was. */
interface DmaFault {
  /** The architecture's number for the reason. */
  readonly code: number;
  /** One sentence that says what was wrong. */
  readonly message: string;
}
/**
 * One request on its way to memory, and its answer.
 *
 * A device owns the object and uses it again for the next request, so that
 * translating allocates nothing. Address halves are int32, as in `bits/halves`.
 * A request does not cross a 4 KiB boundary; whoever moves more data splits it.
 */
declare class DmaRequest {
  /** Requester ID: bus 15:8, device 7:3, function 2:0. */
  source: number;
  /** The request's PASID, 20 bits, or `NO_PASID`. */
  pasid: number;
  /** Bits 63:32 of the address. */
  hi: number;
  /** Bits 31:0 of the address. */
  lo: number;
  /** Bytes from the address on; at least 1, and inside one 4 KiB page. */
  length: number;
  /** `READ`, `WRITE`, `EXECUTE` and `PRIVILEGED`, or-ed. */
  access: number;
  /** `UNTRANSLATED`, `TRANSLATION_REQUEST` or `TRANSLATED`. */
  addressType: number;
  /** Answer: bits 63:32 of the physical address of the first byte. */
  outHi: number;
  /** Answer: bits 31:0 of the physical address of the first byte. */
  outLo: number;
  /** Answer: log2 of the size of the page that holds it, in both spaces alike; 64 when nothing was translated. */
  pageLg2: number;
  /** Answer: which of `READ`, `WRITE`, `EXECUTE` the translation grants; what ATS returns. */
  granted: number;
  /** Answer: why the request was refused; `undefined` when it was not. */
  fault: DmaFault | undefined;
}
/** What translates requests: a remapping unit, or the absence of one. */
interface Translator {
  /**
   * Translates `request` and puts the answer into it.
   *
   * @returns `false` when it is refused, with `request.fault` set
   */
  translate(request: DmaRequest): boolean;
  /** Takes a page request; absent where nobody serves page requests. An answer may come before this returns. */
  requestPage?(request: PageRequest): PageRequestOutcome;
}
/** Time as a machine sees it. Nobody reads the host's clock. */
interface Clock {
  /** Nanoseconds since the machine began. */
  now(): bigint;
  /**
   * Calls `callback` once `ns` nanoseconds have passed.
   *
   * @returns a function that calls it off
   */
  after(ns: bigint, callback: () => void): () => void;
}
/** A clock that stands still until it is told to go on. Alarms ring in the order of their times, then of their setting. */
declare class ManualClock implements Clock {
  #private;
  now(): bigint;
  after(ns: bigint, callback: () => void): () => void;
  /** Lets `ns` nanoseconds pass; alarms set meanwhile ring too when their time comes. */
  advance(ns: bigint): void;
}
/** log2 of the number of entries of each of a unit's caches. */
interface CacheSizes {
  /** Context entries, 0 to 16. */
  readonly contextsLg2?: number;
  /** PASID entries, 0 to 16. */
  readonly pasidsLg2?: number;
  /** Translations of 4 KiB pages, 0 to 20; a quarter of it for each larger page size. */
  readonly iotlbLg2?: number;
  /** Paging structures of each stage and level, 0 to 20. */
  readonly structuresLg2?: number;
}
/** What a unit has when nobody says otherwise. */
declare const DEFAULT_CACHES: Required<CacheSizes>;
/** The sizes in force, or those of a unit without caches. */
declare const cacheSizes: (given: CacheSizes | "off" | undefined) => Required<CacheSizes>;
declare const VER: Layout<"MAJOR" | "MINOR">;
/** Commands: level bits keep their state as long as they are written 1, one-shot bits act once. Reads 0. */
declare const GCMD: Layout<"CFI" | "EAFL" | "IRE" | "QIE" | "SFL" | "SIRTP" | "SRTP" | "TE" | "WBF">;
declare const GSTS: Layout<"AFLS" | "CFIS" | "FLS" | "IRES" | "IRTPS" | "QIES" | "RTPS" | "TES" | "WBFS">;
/** Context-cache invalidation by register. Writing ICC starts it. */
declare const CCMD: Layout<"CAIG" | "CIRG" | "DID" | "FM" | "ICC" | "SID">;
declare const FSTS: Layout<"AFO" | "APF" | "FRI" | "ICE" | "IQE" | "ITE" | "PFO" | "PPF">;
declare const FECTL: Layout<"IM" | "IP">;
declare const FEDATA: Layout<"DATA" | "EXTENDED">;
declare const FEADDR: Layout<"MA">;
declare const FEUADDR: Layout<"MUA">;
declare const PMEN: Layout<"EPM" | "PRS">;
declare const PLMBASE: Layout<"BASE">;
declare const PLMLIMIT: Layout<"LIMIT">;
declare const PHMBASE: Layout<"BASE">;
declare const PHMLIMIT: Layout<"LIMIT">;
declare const IQH: Layout<"QH">;
declare const IQT: Layout<"QT">;
declare const IQA: Layout<"DW" | "IQA" | "QS">;
declare const ICS: Layout<"IWC">;
declare const IECTL: Layout<"IM" | "IP">;
declare const IEDATA: Layout<"DATA" | "EXTENDED">;
declare const IEADDR: Layout<"MA">;
declare const IEUADDR: Layout<"MUA">;
/** Why the queue stopped. */
declare const IQERCD: Layout<"ICESID" | "IQEI" | "ITESID">;
declare const IRTA: Layout<"EIME" | "IRTA" | "S">;
declare const PQH: Layout<"PQH">;
declare const PQT: Layout<"PQT">;
declare const PQA: Layout<"PQA" | "PQS">;
declare const PRS: Layout<"PPR" | "PRO">;
declare const PECTL: Layout<"IM" | "IP">;
declare const PEDATA: Layout<"DATA" | "EXTENDED">;
declare const PEADDR: Layout<"MA">;
declare const PEUADDR: Layout<"MUA">;
/** Invalidation address, at IRO*16. */
declare const IVA: Layout<"ADDR" | "AM" | "IH">;
/** IOTLB invalidation by register, at IRO*16 + 8. Writing IVT starts it. */
declare const IOTLB: Layout<"DID" | "DR" | "DW" | "IAIG" | "IIRG" | "IVT">;
/** Fault record, at FRO*16 + 16n. */
declare const FRCD: Layout<"AT" | "EXE" | "F" | "FI" | "FR" | "PP" | "PRIV" | "PV" | "SID" | "T1" | "T2">;
/** The registers of the fault event. */
declare const FAULT_EVENT: {
  readonly control: Layout<"IM" | "IP">;
  readonly data: Layout<"DATA" | "EXTENDED">;
  readonly address: Layout<"MA">;
  readonly upper: Layout<"MUA">;
};
/** The registers of the completion event. */
declare const COMPLETION_EVENT: {
  readonly control: Layout<"IM" | "IP">;
  readonly data: Layout<"DATA" | "EXTENDED">;
  readonly address: Layout<"MA">;
  readonly upper: Layout<"MUA">;
};
/** The registers of the page request event. */
declare const PAGE_REQUEST_EVENT: {
  readonly control: Layout<"IM" | "IP">;
  readonly data: Layout<"DATA" | "EXTENDED">;
  readonly address: Layout<"MA">;
  readonly upper: Layout<"MUA">;
};
/** A register as one row: where it is, what it is, what it holds at reset. */
interface RegisterRow {
  readonly layout: Layout<string>;
  readonly offset: number;
  /** Value at reset, low quadword first. */
  readonly reset: bigint;
  /** Capability without which the register reads 0 and ignores writes. */
  readonly needs?: string;
}
/** Every register of a unit with these values of CAP and ECAP, which say where some of them are. */
declare const registerRows: (cap: bigint, ecap: bigint) => readonly RegisterRow[];
/** Size in bytes of the register window of a unit whose CAP and ECAP keep to the first page. */
declare const REGISTER_WINDOW = 4096;
/** Widths of an access in bytes. */
type RegisterWidth = 1 | 2 | 4 | 8;
/**
 * Called after a write that touched the register.
 *
 * @param written the bits that were written to it; others are 0
 * @param touched which bits those are
 */
type RegisterHandler = (written: bigint, touched: bigint) => void;
/**
 * A unit's registers as software sees them: bytes, and for each bit whether it
 * can be read, written, or cleared by writing 1. Accesses of any width at any
 * place are answered; what is no register reads 0 and ignores writes.
 */
declare class RegisterFile {
  #private;
  readonly rows: readonly RegisterRow[];
  /** Bytes of the window: 2^N pages, as many as CAP and ECAP make it (§8.3). */
  readonly size: number;
  readonly deviations: Deviations;
  /** @throws RangeError when no unit can have these capabilities, naming the field: a bug in the caller */
  constructor(capabilities: Capabilities);
  /** Puts every register into its reset state. */
  reset(): void;
  /** Every register, as it is. */
  save(): SavedWords;
  /** Puts every register back, unheard by handlers. */
  restore(words: SavedWords): void;
  /** Has `handler` called after each write to any of the register's bytes. */
  onWrite(layout: Layout<string>, handler: RegisterHandler): void;
  /** Reads `width` bytes at `offset`; bytes beyond the window are 0. */
  read(offset: number, width: RegisterWidth): bigint;
  /** Writes the low `width` bytes of `value` at `offset`, then tells the registers they touch, in their order. */
  write(offset: number, width: RegisterWidth, value: bigint): void;
  /** The value of a field, as hardware sees it. `index` picks one of several registers with this layout. */
  get<Name extends string>(layout: Layout<Name>, name: NoInfer<Name>, index?: number): bigint;
  /** Whether a one-bit field is set. */
  has<Name extends string>(layout: Layout<Name>, name: NoInfer<Name>, index?: number): boolean;
  /** Sets a field, as hardware does: whatever software may do with it. */
  set<Name extends string>(layout: Layout<Name>, name: NoInfer<Name>, value: bigint | number | boolean, index?: number): void;
}
/** How a unit reaches the translation caches of devices: a fabric, usually. */
interface DeviceTlbs {
  /**
   * Sends an invalidation to the device with requester ID `source`.
   *
   * @param answered called when the device answers; with `false` when the answer
   *   is not one to this invalidation
   * @returns `false` when nobody takes it
   */
  invalidate(source: number, what: AtsInvalidation, answered: (right: boolean) => void): boolean;
}
/** Why nothing is recorded although a request was refused. */
type Silence = "fpd" | "recoverable" | SilentRefusal;
/** What refuses requests without a fault reason of its own. */
type SilentRefusal = "abort-dma" | "cached-rights" | "protected-memory";
/** The entry that refused a request, and where it was read. */
interface FaultyEntry {
  /** Physical address of the entry. */
  readonly address: bigint;
  /** The entry's first quadword; `undefined` when it could not be read. */
  readonly value: bigint | undefined;
}
/** A request refused by a remapping unit. */
interface VtdFault extends DmaFault {
  readonly kind: "vtd";
  /** Fault reason, §7.1.3; 0 where the architecture has none: abort-DMA mode, protected memory. */
  readonly code: number;
  readonly message: string;
  /** What would have to change for the request to pass. */
  readonly remedy: string;
  /** Requester ID. */
  readonly source: number;
  /** The request's PASID; `undefined` when it came without one. */
  readonly pasid: number | undefined;
  readonly address: Iova;
  readonly access: {
    readonly read: boolean;
    readonly write: boolean;
    readonly execute: boolean;
    readonly privileged: boolean;
  };
  /** The stage that refused; 0 before any page table was reached. */
  readonly stage: 0 | 1 | 2;
  /** The level of the paging entry, 0 the leaf; `undefined` where none was involved. */
  readonly level: number | undefined;
  readonly entry: FaultyEntry | undefined;
  /** Set when hardware records nothing. */
  readonly silenced: Silence | undefined;
}
/** Where a translation stopped. One object, used again for every translation. */
declare class FaultSite {
  /** The stage that refused; 0 before any page table was reached. */
  stage: 0 | 1 | 2;
  /** Level of the paging entry that refused; -1 where none was involved. */
  level: number;
  /** FPD in any entry consulted so far. */
  fpd: boolean;
  entry: FaultyEntry | undefined;
  /** Qualified reasons that FPD does not silence. */
  readonly alwaysRecorded: readonly number[];
  constructor(alwaysRecorded?: readonly number[]);
  /** Forgets the last translation. */
  clear(): void;
}
/** Whether FPD in an entry consulted silences a fault with the reason `code`. */
declare const isSilencedByFpd: (code: number, {
  fpd,
  alwaysRecorded
}: FaultSite) => boolean;
/** Makes the value for the refusal of `request` with the reason `code` at `site`. */
declare const createFault: (code: number, request: DmaRequest, site: FaultSite) => VtdFault;
/** Makes the value for a refusal that has no reason code and is never recorded. */
declare const createSilentFault: (why: SilentRefusal, request: DmaRequest) => VtdFault;
/** What a unit has done so far. */
declare class Counters {
  /** Page-table entries read. */
  tableReads: number;
  /** Root, context and PASID entries read. */
  structureReads: number;
  /** Translations that needed a walk. */
  walks: number;
  /** Those of them that met nothing out of the ordinary. */
  quickWalks: number;
  /** Accessed, dirty and extended-accessed updates made. */
  flagUpdates: number;
  /** Requests refused. */
  faults: number;
}
/** Which context entries; `functionMask` 1 to 3 leaves out the low bits b2, b2:1, b2:0 of the function. */
type ContextInvalidation = {
  readonly granularity: "global";
} | {
  readonly granularity: "domain";
  readonly domain: number;
} | {
  readonly granularity: "device";
  readonly source: number;
  readonly functionMask: number;
};
/** Which PASID entries; the domain is the one that was cached. */
type PasidInvalidation = {
  readonly granularity: "global";
} | {
  readonly granularity: "domain";
  readonly domain: number;
} | {
  readonly granularity: "pasid";
  readonly domain: number;
  readonly pasid: number;
};
/** 2^`mask` pages of 4 KiB around `address`; `hint` keeps the paging-structure caches. */
interface PageRange {
  readonly address: bigint;
  readonly mask: number;
  readonly hint: boolean;
}
/** Which translations, of all stages. */
type IotlbInvalidation = {
  readonly granularity: "global";
} | {
  readonly granularity: "domain";
  readonly domain: number;
} | ({
  readonly granularity: "page";
  readonly domain: number;
} & PageRange);
/** Which first-stage and nested translations. */
type PasidIotlbInvalidation = {
  readonly granularity: "pasid";
  readonly domain: number;
  readonly pasid: number;
} | ({
  readonly granularity: "page";
  readonly domain: number;
  readonly pasid: number;
} & PageRange);
/** Everything that software can ask a unit to invalidate, decoded. */
type Invalidation = {
  readonly kind: "context";
  readonly what: ContextInvalidation;
} | {
  readonly kind: "pasid";
  readonly what: PasidInvalidation;
} | {
  readonly kind: "iotlb";
  readonly what: IotlbInvalidation;
  readonly drain: boolean;
} | {
  readonly kind: "pasid-iotlb";
  readonly what: PasidIotlbInvalidation;
} | {
  readonly kind: "device-tlb";
  readonly source: number;
  readonly what: AtsInvalidation;
} /** 2^`mask` interrupt remapping entries around `index`; all when there is no index. */ | {
  readonly kind: "interrupt-entry";
  readonly index: number | undefined;
  readonly mask: number;
};
/**
 * Whoever must do its part before an invalidation counts as done: a virtual
 * machine monitor that shadows the tables, for instance.
 */
interface InvalidationSubscriber {
  /**
   * Called after the unit has dropped its own entries and before the
   * invalidation completes.
   *
   * @param done to be called once, now or later; waits behind the invalidation
   *   complete only then
   */
  invalidated(invalidation: Invalidation, done: () => void): void;
}
/** A unit's state as plain data. Addresses are hexadecimal strings. */
interface UnitInspection {
  readonly schema: "softiommu/vtd-unit@1";
  readonly capabilities: {
    readonly cap: string;
    readonly ecap: string;
    readonly hostAddressWidth: number;
  };
  readonly enabled: boolean;
  readonly rootTableAddress: string;
  readonly counters: Readonly<Record<string, number>>;
  readonly caches: {
    /** Requester IDs with a cached context entry. */readonly contexts: readonly number[];
    readonly pasids: readonly {
      readonly source: number;
      readonly pasid: number;
      readonly domain: number;
    }[]; /** Cached translations by page size. */
    readonly iotlb: {
      readonly "4K": number;
      readonly "2M": number;
      readonly "1G": number;
    };
  };
}
/** What a unit is made of. */
interface TranslationUnitOptions {
  readonly capabilities: Capabilities;
  /** Where its tables are and what its output addresses. */
  readonly memory: PhysicalMemory;
  /** Where its events go; nowhere when absent. */
  readonly trace?: TraceChannel;
  /** Sizes of its caches; `off` for a unit that reads every table for every request. */
  readonly caches?: CacheSizes | "off";
}
/**
 * A VT-d remapping unit's translation: from a request to a physical address or
 * a fault, through tables in memory and caches that software must invalidate.
 */
declare class TranslationUnit implements Translator {
  #private;
  readonly capabilities: Capabilities;
  readonly counters: Counters;
  readonly trace: TraceChannel;
  constructor(options: TranslationUnitOptions);
  /** Whether requests are translated; if not, they pass. */
  get enabled(): boolean;
  /** The root table address register as it was set last. */
  get rootTableAddress(): bigint;
  /** Whether that register puts the unit into scalable mode. */
  get isScalable(): boolean;
  /**
   * Makes the unit use another root table, as GCMD.SRTP does.
   *
   * @param rtaddr the root table address register: the table and its mode
   */
  setRootTable(rtaddr: bigint): void;
  /** Switches translation on or off, as GCMD.TE does. */
  setTranslation(enabled: boolean): void;
  /** Translates `request`; `false` when it is refused, with `request.fault` set. */
  translate(request: DmaRequest): boolean;
  /** Invalidates context entries (§6.5.1.1). */
  invalidateContext(what: ContextInvalidation): void;
  /** Invalidates PASID entries (§6.5.1.2). */
  invalidatePasid(what: PasidInvalidation): void;
  /** Invalidates translations of a domain, in all stages (§6.5.1.3). */
  invalidateIotlb(what: IotlbInvalidation): void;
  /** Invalidates first-stage and nested translations of a PASID (§6.5.1.4). */
  invalidatePasidIotlb(what: PasidIotlbInvalidation): void;
  /**
   * As `invalidatePasidIotlb` for the 2^`mask` pages of 4 KiB around the address
   * `(hi, lo)`; `hint` keeps the paging-structure caches.
   */
  invalidatePasidPages(domain: number, pasid: number, hi: number, lo: number, mask: number, hint: boolean): void;
  /** What refuses a page request of a device; see `Translation.pageRequestRefusal`. */
  pageRequestRefusal(source: number, pasid: number): {
    readonly code: number;
    readonly recorded: boolean;
  } | undefined;
  /**
   * Drops the first-stage or nested translation of the page that a device asks
   * for (§6.5): what is cached of it is what the device could not use.
   */
  invalidateRequestedPage(source: number, pasid: number, address: bigint): void;
  /** Puts everything into its reset state: translation off, no root table, empty caches. */
  reset(): void;
  /** The unit's state as plain data. */
  inspect(): UnitInspection;
}
/** What interrupt remapping knows besides the registers. */
interface InterruptRemappingState {
  readonly enabled: boolean;
  readonly compatible: boolean;
  /** Address of the table in use, as hexadecimal. */
  readonly table: string;
  readonly entries: number;
  readonly extended: boolean;
}
/** What a queue knows besides its registers while nothing is under way. */
interface QueueState {
  /** Address and size in bytes of the queue in use, as hexadecimal and number. */
  readonly base: string;
  readonly bytes: number;
  readonly step: 16 | 32;
  readonly asked: string;
  readonly endsWithWait: boolean;
}
/**
 * Invalidation by register: CCMD for contexts, IVA and IOTLB for translations
 * (§6.5.1). Software must not use it while the queue is on; what it asks for
 * then stays undone.
 */
declare class RegisterInvalidation {
  #private;
  constructor(registers: RegisterFile, capabilities: Capabilities, perform: (invalidation: Invalidation, done: () => void) => void);
  /** What was written and cannot be read, as hexadecimal. */
  save(): {
    readonly contextCommand: string;
    readonly address: string;
  };
  restore(state: ReturnType<RegisterInvalidation["save"]>): void;
  /** Forgets what was written and cannot be read. */
  reset(): void;
}
/** A unit's state as `RemappingUnit.save` gives it: plain data, addresses as hexadecimal. */
interface UnitState {
  readonly schema: "softiommu/vtd-unit-state@1";
  readonly registers: SavedWords;
  readonly enabled: boolean;
  /** The root table in use: RTADDR may have been written since. */
  readonly rootTableAddress: string;
  readonly nextFaultRecord: number;
  readonly queue: QueueState;
  readonly registerInvalidation: ReturnType<RegisterInvalidation["save"]>;
  readonly interruptRemapping: InterruptRemappingState;
}
/** What a whole unit is made of. */
interface RemappingUnitOptions {
  readonly capabilities: Capabilities;
  /** Where its tables and queues are, and what its output addresses. */
  readonly memory: PhysicalMemory;
  /** Where interrupts go, remapped ones and its own events. */
  readonly interrupts: InterruptSink;
  readonly trace?: TraceChannel;
  readonly caches?: CacheSizes | "off";
  /** How it reaches devices' translation caches; without it there are none. */
  readonly deviceTlbs?: DeviceTlbs;
  /** What it drains: requests that it has translated and that have not touched memory yet. */
  readonly inFlight?: {
    whenEarlierDone(callback: () => void): void;
  };
  /** Delivers page group responses to devices. */
  readonly respond?: (response: PageGroupResponse) => void;
  /** Time for devices to answer in; without it they have all of it. */
  readonly clock?: Clock;
  /** Its own requester ID, for its events. */
  readonly source?: number;
}
/**
 * A VT-d remapping unit, whole: what software sees of it is a page of registers
 * and what it reads and writes in memory; what devices see is that their
 * requests are translated or refused.
 */
declare class RemappingUnit implements Translator {
  #private;
  readonly translation: TranslationUnit;
  readonly trace: TraceChannel;
  readonly capabilities: Capabilities;
  /** @throws RangeError when no unit can have these capabilities, naming the field: a bug in the caller */
  constructor(options: RemappingUnitOptions);
  /** Bytes of its register window: one page, or 2^N where CAP and ECAP put registers beyond it. */
  get registerWindow(): number;
  /** Reads `width` bytes of the register window at `offset`; any place, any alignment. */
  readRegister(offset: number, width: RegisterWidth): bigint;
  /** Every word of the register window that is not 0, by offset; nobody hears of it. */
  get registerWords(): SavedWords;
  /** Writes the low `width` bytes of `value`. What it sets going has happened, or waits for others, when this returns. */
  writeRegister(offset: number, width: RegisterWidth, value: bigint): void;
  /** Translates a request; one that is refused is recorded, unless it is silenced. */
  translate(request: DmaRequest): boolean;
  /**
   * Takes an interrupt message from a device, remaps it and delivers it.
   *
   * @returns `false` when it is blocked
   */
  deliver(message: MsiMessage): boolean;
  /** Takes a page request from a device (§7.4). */
  requestPage(request: PageRequest): PageRequestOutcome;
  /**
   * Has `subscriber` told of every invalidation before it completes.
   *
   * @returns a function that ends it; what it still owes counts as done
   */
  subscribe(subscriber: InvalidationSubscriber): () => void;
  /**
   * Everything that software or a device could notice, as plain data. Caches
   * are left out: hardware may drop what they hold at any time.
   *
   * @throws SaveRefusedError while an invalidation or a switch of translation is not over
   */
  save(): UnitState;
  /**
   * Puts everything back to what `save` saw; subscribers stay.
   *
   * @throws RestoreError when it was another kind of unit
   */
  restore(state: UnitState): void;
  /** Puts everything into its reset state; subscribers stay. */
  reset(): void;
}
/** Memory that somebody else holds: an emulator's RAM, the bytes of a file. */
interface ExternalBuffer {
  /** Physical address of the first byte; a multiple of 4096. */
  readonly base: bigint;
  /** Size in bytes; a multiple of 4096. What the view does not cover is not there yet. */
  readonly length: bigint;
  /**
   * The buffer's current view, its first byte the one at `base`. Asked again
   * whenever the last one has been taken away, as WebAssembly does when a
   * memory grows. Its offset in the buffer must be a multiple of 4.
   */
  readonly view: () => Uint8Array;
  /** Called after each write, with the physical address of the first byte and the count of bytes. */
  readonly onWrite?: (address: bigint, length: number) => void;
}
/** @throws RangeError when `base` or `length` is not page aligned, or the view not word aligned */
declare const bufferRegion: (external: ExternalBuffer) => Region;
/**
 * Memory of which only written frames take space.
 *
 * @param ranges where it is: `base` and `length` in bytes, both multiples of
 *   4096, up to 2^52; all of the 52-bit space when absent
 */
declare const createSparseMemory: (ranges?: readonly {
  readonly base: bigint;
  readonly length: bigint;
}[]) => PhysicalMemory;
/** Memory over buffers that somebody else holds, each at its own place. */
declare const createBufferMemory: (...buffers: readonly ExternalBuffer[]) => PhysicalMemory;
/**
 * Memory of which only what has been written takes space. A frame that was
 * never written reads as zeros and costs nothing, wherever it is.
 *
 * @param firstPfn the first frame
 * @param frames how many; the whole space of 2^40 frames is as cheap as one
 */
declare const sparseRegion: (firstPfn: number, frames: number) => Region;
declare namespace index_d_exports$5 {
  export { Bank, ExternalBuffer, MAX_BANK_FRAMES, NO_BANK, PhysicalMemory, Region, WORDS_LG2, bankOver, bufferRegion, createBufferMemory, createSparseMemory, sparseRegion };
}
/** What a capture is made of; a `Capture` that has stored pages is one. */
type CaptureContents = CapturedRegisters & {
  readonly memory: PhysicalMemory; /** Where RAM is, by address and apart. */
  readonly ram: readonly RamRange[]; /** The pages to keep, in the order in which they are written. */
  readonly storedPages: readonly StoredPage[];
};
/** How a capture is written. */
interface WriteOptions {
  /** Compresses to gzip data; without it, files are written as they are. */
  readonly gzip?: (bytes: Uint8Array) => Uint8Array;
}
/**
 * Writes a capture: `regs.json`, `pages.json` and `pages.bin`, the last two
 * with `.gz` behind their names when they are compressed.
 *
 * @throws RangeError when a page is not in memory or listed twice: a bug in the caller
 */
declare const writeCapture: (contents: CaptureContents, sink: FileSink, options?: WriteOptions) => void;
/** What is recorded. */
interface RecorderOptions {
  /** In its reset state: a recording begins there. */
  readonly unit: RemappingUnit;
  readonly memory: PhysicalMemory;
  /** Where RAM is, by address and apart. */
  readonly ram: readonly RamRange[];
  /** The most moments that are kept, besides those of refusals and the last one; 256 when absent. */
  readonly moments?: number;
}
/**
 * Records what happens to a unit from its reset state on: every register
 * access, descriptor, refusal and message as a line, and registers and tables
 * at each invalidation, refusal and page request. What comes of it is a capture
 * that `replay` takes.
 */
declare class UnitRecorder {
  #private;
  constructor(options: RecorderOptions);
  /** Ends the recording with a last moment, as it is now. */
  close(): void;
  /** How much there is. */
  get counts(): {
    readonly lines: number;
    readonly descriptors: number;
    readonly moments: number;
  };
  /**
   * Writes the recording: `regtrace.txt`, `descs.txt`, `moments.json`, and a
   * folder for each moment.
   */
  write(sink: FileSink, options?: WriteOptions): void;
}
/**
 * The registers in the text of a `regs.json`.
 *
 * @throws CaptureError when it is not one, or contradicts itself
 */
declare const parseRegisterFile: (json: Json) => CapturedRegisters;
/**
 * Reads a file of the shape of `regs.json`, compressed or not.
 *
 * @throws CaptureError when it is missing or bad
 */
declare const readRegisters: (files: FileSource, path: string) => CapturedRegisters;
/** The text of a `regs.json` that holds `captured`. */
declare const formatRegisterFile: (captured: CapturedRegisters) => string;
/** Version of the report, as a document. */
declare const REPLAY_SCHEMA = "softiommu/replay@1";
/** What the unit and the recording disagree about. */
type DifferenceKind = "descriptor" | "entry" | "fault" | "mapping" | "message" | "queue" | "record" | "register" | "status" | "wait";
/** A field of a register that differs. */
interface FieldDifference {
  readonly name: string;
  readonly recorded: bigint;
  readonly replayed: bigint;
}
/** Something that the recording has and the unit has otherwise. */
interface Difference {
  readonly kind: DifferenceKind;
  /** The trace line, counted from 1; that of the moment for its registers. */
  readonly line: number;
  /** What is compared, such as `FRCD 0` or `0000:00:07.0 writes 0x10000`. */
  readonly what: string;
  readonly recorded: string;
  readonly replayed: string;
  /** Of a register. */
  readonly fields: readonly FieldDifference[];
}
/** A difference that is known of whoever recorded. */
interface Deviation extends Difference {
  /** What is known, one line. */
  readonly fact: string;
}
/** A descriptor that software submitted. */
interface ReplayedDescriptor {
  readonly line: number;
  readonly slot: number;
  /** Such as `iotlb page`, or `error` with the queue error's number. */
  readonly kind: string;
  readonly words: readonly bigint[];
}
/** A request that was refused. */
interface ReplayedFault {
  readonly line: number;
  readonly bdf: string;
  /** `null` for a request without a PASID. */
  readonly pasid: number | null;
  readonly address: bigint;
  readonly write: boolean;
  /** What was recorded. */
  readonly recorded: number;
  /** The specification's code; 0 when the unit lets the request pass. */
  readonly code: number;
  /** Why the unit refuses it. */
  readonly text: string;
}
/** What came and went inside a window, so that neither moment shows it. */
interface Unseen {
  /** Page invalidations for addresses that are mapped at neither end. */
  readonly pages: number;
  /** Domains that were invalidated and that no device has at either end. */
  readonly domains: readonly number[];
  /** Devices whose context was invalidated and that have none at either end. */
  readonly devices: readonly string[];
  /** Fault records that were filled and cleared again. */
  readonly records: number;
  /** Descriptors that others have overwritten in the queue. */
  readonly descriptors: number;
}
/** The trace between two moments. */
interface ReplayedWindow {
  /** The moment that ends it; `null` in a capture of one. */
  readonly moment: string | null;
  readonly firstLine: number;
  readonly lastLine: number;
  readonly writes: number;
  readonly descriptors: readonly ReplayedDescriptor[];
  readonly faults: readonly ReplayedFault[];
  /** Registers compared at its end that hold something. */
  readonly registers: number;
  /** Mappings of the moment's list that were translated; 0 without one. */
  readonly mappings: number;
  /** Entries of the moment's other lists that were compared: contexts, PASIDs, interrupts. */
  readonly entries: number;
  /**
   * Requests to pages of this moment or the one before that a unit with warm
   * caches answers as before: their invalidation is still to come.
   */
  readonly stale: number;
  readonly unseen: Unseen;
}
/** What came of a replay. */
interface ReplayReport {
  readonly schema: typeof REPLAY_SCHEMA;
  readonly capture: string;
  /** Who recorded it, where that is known and allowed for. */
  readonly recorder: string | null;
  readonly windows: readonly ReplayedWindow[];
  readonly differences: readonly Difference[];
  /** Differences that are not listed, beyond a bound. */
  readonly more: number;
  readonly deviations: readonly Deviation[];
}
/** The report as the JSON document `softiommu/replay@1`. */
declare const replayDocument: (report: ReplayReport) => object;
/** A descriptor as `descs.txt` has it. */
interface ListedDescriptor {
  /** Its number in the queue. */
  readonly slot: number;
  readonly type: string;
  /** Four quadwords; those that were never seen are 0. */
  readonly words: readonly [bigint, bigint, bigint, bigint];
}
/** An entry of a root, context, PASID or interrupt table, as a moment's list has it. */
interface ListedEntry {
  /** What it is, for people. */
  readonly what: string;
  /** Where it is in memory. */
  readonly address: bigint;
  /** Its quadwords. */
  readonly raw: readonly bigint[];
}
/** A mapping of a moment's list, and its leaf entry where the list has it. */
interface ListedMapping extends ExpectedMapping {
  readonly raw: bigint | undefined;
}
/** More about a request, as in `DmaRequest`. */
interface RequestDetails {
  readonly access: number;
  readonly addressType: number;
  readonly pasid: number;
}
/** What one line of a trace says, as far as replaying needs it. */
type TraceEntry = /** The unit was put into its reset state. */{
  readonly kind: "reset";
} /** Software wrote a register. */ | {
  readonly kind: "write";
  readonly offset: number;
  readonly width: RegisterWidth;
  readonly value: bigint;
} | {
  readonly kind: "read";
  readonly offset: number;
  readonly width: RegisterWidth;
} /** GSTS before a write of GCMD. */ | {
  readonly kind: "status";
  readonly before: bigint;
} /** Which descriptor is fetched next: its number in the queue. */ | {
  readonly kind: "head";
  readonly slot: number;
} /** The descriptor that was fetched: its first two quadwords. */ | {
  readonly kind: "descriptor";
  readonly type: string;
  readonly low: bigint;
  readonly high: bigint;
} /** A wait wrote its status. */ | {
  readonly kind: "wait";
  readonly address: bigint;
  readonly data: number;
} /** A request of a device was refused. */ | {
  readonly kind: "fault";
  readonly source: number;
  readonly code: number;
  readonly address: bigint;
  readonly write: boolean; /** What only our own trace says: absent, it reads or writes, untranslated and without a PASID. */
  readonly request?: RequestDetails;
} /** A device asked for a page. */ | {
  readonly kind: "page";
  readonly request: PageRequest;
} /** A fault record was filled; F is not set yet. */ | {
  readonly kind: "record";
  readonly index: number;
  readonly low: bigint;
  readonly high: bigint;
} /** FSTS.PPF became this. */ | {
  readonly kind: "pending";
  readonly set: boolean;
} /** The unit sent a message of its own. */ | {
  readonly kind: "message";
  readonly address: bigint;
  readonly data: number;
} /** Says nothing that a replay needs. */ | {
  readonly kind: "other";
  readonly name: string;
};
/** A trace line, and where it stands. */
interface TraceLine {
  /** Counted from 1. */
  readonly number: number;
  /** Byte in the unpacked file where it begins. */
  readonly offset: number;
  readonly entry: TraceEntry;
}
/** A moment of a recording: the machine's state after a line of the trace. */
interface RecordedMoment {
  /** Absent in a capture of one moment. */
  readonly name?: string;
  /** The last trace line before it, counted from 1. */
  readonly lastLine: number;
  /** @throws CaptureError when its files are bad */
  open(): VtdCapture;
  /**
   * The entries that its lists have, and where they are.
   *
   * @throws CaptureError when a list is bad
   */
  entries(capture: VtdCapture): Iterable<ListedEntry>;
  /**
   * The mappings that its list has.
   *
   * @throws CaptureError when the list is bad
   */
  mappings(): readonly ListedMapping[];
}
/** What happened to a unit, and its state at one moment or several. */
interface Recording {
  /** What the user called it. */
  readonly name: string;
  /** The trace file as messages call it. */
  readonly traceFile: string;
  /** Every line up to the last moment. */
  readonly lines: readonly TraceLine[];
  /** By trace line; absent where only the trace shows them. */
  readonly descriptors?: ReadonlyMap<number, ListedDescriptor>;
  /** In the order of time, at least one. */
  readonly moments: readonly RecordedMoment[];
  /** Version of the QEMU that recorded it, as `regs.json` has it. */
  readonly recorder?: string;
}
/**
 * Reads a recording: a capture with `regtrace.txt` beside it.
 *
 * @param until the moment to stop at; the last when absent
 * @throws CaptureError when there is no trace, or anything about it is bad
 */
declare const readRecording: (files: FileSource, until?: string) => Recording;
/** How a recording is replayed. */
interface ReplayOptions {
  /** Nothing is allowed for that whoever recorded is known to do otherwise. */
  readonly specification?: boolean;
}
/**
 * Replays a recording: its register writes and descriptors, in order, on a
 * unit over its memory. At each moment the unit's registers are held against
 * those that were recorded.
 *
 * @throws CaptureError when the recording is bad
 */
declare const replayRecording: (recording: Recording, options?: ReplayOptions) => ReplayReport;
declare namespace index_d_exports$1 {
  export { AMD_REGISTERS, AmdCapture, AmdRegisterName, AmdRegisters, Capture, CaptureContents, CaptureError, CaptureProblem, CapturedMachine, CapturedRegisters, Deviation, DeviceReport, Difference, DifferenceKind, ExpectedMapping, FINDING_CODES, FaultRecord, FieldDifference, FileSink, FileSource, Finding, FindingCode, INSPECT_SCHEMA, InspectOptions, InspectReport, InspectTruncation, MAX_FINDINGS, MappedRange, Mapping, MemoryFiles, PasidReport, REPLAY_SCHEMA, RamRange, ReadOptions, RecordedMoment, RecorderOptions, Recording, Refusal, RegisterWords, ReplayOptions, ReplayReport, ReplayedDescriptor, ReplayedFault, ReplayedWindow, StageReport, StoredPage, TranslationType, UnitRecorder, UnpackFailure, Unseen, VTD_REGISTERS, VtdCapture, VtdRegisterName, VtdRegisters, WatchedRange, WriteOptions, amdRegisters, assumedVtdRegisters, faultRecordsOf, fileName, findPacked, formatRegisterFile, inspectCapture, inspectDocument, isGzip, mappingsOf, memoryFiles, parseRegisterFile, quote, rangesOf, readCapture, readExactly, readExpectedMappings, readRecording, readRegisters, readUnpacked, readWhole, registerAt, replayDocument, replayRecording, setRegister, vtdRegisters, withVtdRegisters, writeCapture };
}
/**
 * Capability structures. A field that `needs` another one of the same
 * structure is reserved while that one is 0: an enable bit can only be set
 * where the capability beside it is advertised.
 */
interface PciCapability<Name extends string> {
  /** Capability ID, or extended capability ID. */
  readonly id: number;
  /** Whether it belongs into extended configuration space, from offset 0x100 on. */
  readonly extended: boolean;
  readonly version: number;
  readonly layout: Layout<Name>;
}
/** Message Signaled Interrupts with a 64-bit address and without masks (PCIe 6.3 §7.7.1). */
declare const MSI_CAPABILITY: {
  readonly id: 5;
  readonly extended: false;
  readonly version: 0;
  readonly layout: Layout<"address64" | "capabilityId" | "messageAddress" | "messageData" | "messageUpperAddress" | "msiEnable" | "multipleMessageCapable" | "multipleMessageEnable" | "nextCapability">;
};
/** PCI Express capability (PCIe 6.3 §7.5.3). Slot and root registers are not implemented. */
declare const PCI_EXPRESS_CAPABILITY: {
  readonly id: 16;
  readonly extended: false;
  readonly version: 2;
  readonly layout: Layout<"capabilityId" | "correctableDetected" | "correctableReporting" | "endEndPrefix" | "endEndPrefixBlocking" | "extendedFmt" | "fatalDetected" | "fatalReporting" | "functionLevelReset" | "initiateReset" | "linkSpeed" | "linkWidth" | "maxEndEndPrefixes" | "maxLinkSpeed" | "maxLinkWidth" | "maxPayload" | "maxPayloadSupported" | "maxReadRequest" | "nextCapability" | "noSnoop" | "nonFatalDetected" | "nonFatalReporting" | "portNumber" | "portType" | "relaxedOrdering" | "roleBasedErrors" | "structureVersion" | "transactionsPending" | "unsupportedDetected" | "unsupportedReporting">;
};
/** Access Control Services (PCIe 6.3 §7.7.11). */
declare const ACS_CAPABILITY: {
  readonly id: 13;
  readonly extended: true;
  readonly version: 1;
  readonly layout: Layout<"capabilityId" | "capabilityVersion" | "completionRedirect" | "completionRedirectEnable" | "directTranslated" | "directTranslatedEnable" | "egressControl" | "egressControlEnable" | "egressVectorSize" | "nextCapability" | "requestRedirect" | "requestRedirectEnable" | "sourceValidation" | "sourceValidationEnable" | "translationBlocking" | "translationBlockingEnable" | "upstreamForwarding" | "upstreamForwardingEnable">;
};
/** Address Translation Services (PCIe 6.3 §10.5.1). */
declare const ATS_CAPABILITY: {
  readonly id: 15;
  readonly extended: true;
  readonly version: 1;
  readonly layout: Layout<"atsEnable" | "capabilityId" | "capabilityVersion" | "globalInvalidate" | "invalidateQueueDepth" | "nextCapability" | "pageAlignedRequest" | "smallestTranslationUnit">;
};
/** Page Request Interface (PCIe 6.3 §10.5.2). */
declare const PAGE_REQUEST_CAPABILITY: {
  readonly id: 19;
  readonly extended: true;
  readonly version: 1;
  readonly layout: Layout<"allocation" | "capabilityId" | "capabilityVersion" | "capacity" | "nextCapability" | "pageRequestEnable" | "pageRequestReset" | "responseFailure" | "responsePasidRequired" | "stopped" | "unexpectedGroupIndex">;
};
/** Process Address Space ID (PCIe 6.3 §7.8.9). */
declare const PASID_CAPABILITY: {
  readonly id: 27;
  readonly extended: true;
  readonly version: 1;
  readonly layout: Layout<"capabilityId" | "capabilityVersion" | "executePermission" | "executePermissionEnable" | "maxPasidWidth" | "nextCapability" | "pasidEnable" | "privilegedMode" | "privilegedModeEnable">;
};
/** Size in bytes of a PCI Express function's configuration space. */
declare const EXTENDED_CONFIG_SIZE = 4096;
/** Size in bytes of a conventional function's configuration space. */
declare const CONVENTIONAL_CONFIG_SIZE = 256;
/** Width in bytes of one configuration access. */
type ConfigWidth = 1 | 2 | 4;
/** Values of a layout's fields; those left out are 0. */
type FieldValues<Name extends string> = { readonly [N in Name]?: number | boolean };
/** Called after software has written, with the offset, the width in bytes and what it wrote. */
type ConfigWriteListener = (offset: number, width: ConfigWidth, value: number) => void;
/**
 * A function's configuration space: bytes, of which software may change some.
 *
 * What a field does to a write comes from its `access`: `rw` bits take the new
 * value, `w1c` bits are cleared by a 1, all others keep theirs. A `wo` bit reads
 * 0; whoever acts on it hears of it through `onWrite`.
 */
declare class ConfigSpace {
  #private;
  /** Size in bytes; accesses beyond it read all ones and write nothing. */
  readonly size: number;
  /** What to call after each write by software. */
  onWrite: ConfigWriteListener | undefined;
  /** @param size `EXTENDED_CONFIG_SIZE` or `CONVENTIONAL_CONFIG_SIZE` */
  constructor(size: number);
  /**
   * Puts a structure at `offset`, a multiple of 4; `values` are its reset values.
   *
   * @throws RangeError when it does not fit the space, or a value its field: a bug in the caller
   */
  place<Name extends string>(layout: Layout<Name>, offset: number, values: FieldValues<Name>): void;
  /**
   * Appends a capability to the list it belongs to, at the next free dword.
   *
   * @returns its offset
   * @throws RangeError when there is no room left: a bug in the caller
   */
  append<Name extends string>(capability: PciCapability<Name>, values: FieldValues<Name>): number;
  /** Where a structure is; `undefined` when the function does not have it. */
  offsetOf(layout: object): number | undefined;
  /** The value of a field; 0 when the function does not have the structure. */
  get<Name extends string>(layout: Layout<Name>, name: Name): number;
  /** Whether a one-bit field is set. */
  has<Name extends string>(layout: Layout<Name>, name: Name): boolean;
  /** Changes a field as hardware does: whatever its access, unheard by `onWrite`, until the next reset. */
  set<Name extends string>(layout: Layout<Name>, name: Name, value: number): void;
  /** Changes a field and its reset value. */
  hardwire<Name extends string>(layout: Layout<Name>, name: Name, value: number): void;
  /** Reads at any offset, aligned or not; bytes outside the space read 0xff. The result is unsigned. */
  read(offset: number, width: ConfigWidth): number;
  /** Writes the low `width` bytes of `value` as software does, at any offset, aligned or not. */
  write(offset: number, width: ConfigWidth, value: number): void;
  /** Puts every field back to its reset value. */
  reset(): void;
  /** Writes a field as software does, with one access of 32 bits around it; other fields keep their values. */
  writeField<Name extends string>(layout: Layout<Name>, name: Name, value: number): void;
  /** Every register, as it is. */
  save(): SavedWords;
  /** Puts every register back, unheard by `onWrite`. */
  restore(words: SavedWords): void;
  /** A copy of the space as it is. */
  inspect(): Uint8Array;
}
/** A memory base address register as it is declared. */
interface BarDeclaration {
  /** 0 to 5; one of 64 bits takes the next index too. */
  readonly index: number;
  /** log2 of the bytes behind it, 4 to 31, or to 63 with 64 bits. */
  readonly sizeLg2: number;
  /** Bits of the address; 32 when absent. */
  readonly width?: 32 | 64;
  readonly prefetchable?: boolean;
}
/** One base address register of a function. */
declare class BaseAddressRegister {
  #private;
  readonly index: number;
  /** log2 of the bytes behind it. */
  readonly sizeLg2: number;
  readonly width: 32 | 64;
  /** @throws RangeError when the register does not fit the header: a bug in the caller */
  constructor(config: ConfigSpace, declaration: BarDeclaration);
  /** The first address it claims, whether or not memory accesses are answered. */
  get address(): bigint;
  /** Writes an address as firmware does. */
  assign(address: bigint): void;
}
/**
 * The registers of a function.
 *
 * @throws RangeError when two of them overlap: a bug in the caller
 */
declare const placeBaseAddresses: (config: ConfigSpace, declarations: readonly BarDeclaration[]) => readonly BaseAddressRegister[];
/**
 * What a function is, and where it may sit. The PCI Express kinds are the
 * device/port types of PCIe 6.3 §7.5.3.2; the conventional ones have no PCI
 * Express capability and 256 bytes of configuration space.
 */
type FunctionKind = /** Endpoint on a link. */"endpoint" /** Legacy endpoint on a link. */ | "legacy-endpoint" /** Endpoint that is part of the root complex. */ | "integrated-endpoint" /** Port of the root complex. */ | "root-port" /** Port of a switch towards the root. */ | "upstream-port" /** Port of a switch away from the root. */ | "downstream-port" /** Bridge from a link to a conventional bus. */ | "pcie-to-pci-bridge" /** Conventional function: a host bridge, a device of an old chipset, a card on a conventional bus. */ | "conventional" /** Conventional PCI-to-PCI bridge. */ | "pci-bridge";
/** The facts of one kind. */
interface KindFacts {
  /** Device/port type; `undefined` for conventional kinds. */
  readonly portType: number | undefined;
  /** Whether there is a bus behind it. */
  readonly bridge: boolean;
  /** What the bus it sits on may belong to; `root` is a bus of the root complex. */
  readonly below: readonly (FunctionKind | "root")[];
  /** Whether what is behind it is a link, which ends in device 0 only. */
  readonly link: boolean;
}
/** Facts of every kind (PCIe 6.3 §1.3, §7.5.3.2). */
declare const KINDS: { readonly [K in FunctionKind]: KindFacts };
/** Which access control services a function has; all are disabled after reset. */
interface AcsDeclaration {
  readonly sourceValidation?: boolean;
  readonly translationBlocking?: boolean;
  readonly requestRedirect?: boolean;
  readonly completionRedirect?: boolean;
  readonly upstreamForwarding?: boolean;
  readonly directTranslated?: boolean;
}
/** A function as it is described before it exists. */
interface FunctionDeclaration {
  readonly kind: FunctionKind;
  /** 0 to 31. */
  readonly device: number;
  /** 0 to 7; 0 when absent. */
  readonly function?: number;
  readonly vendorId?: number;
  readonly deviceId?: number;
  readonly revisionId?: number;
  /** Base class, sub-class and interface, 24 bits; a bridge's when absent and it is one. */
  readonly classCode?: number;
  readonly subsystemVendorId?: number;
  readonly subsystemId?: number;
  /** 1 to 4: INTA to INTD. */
  readonly interruptPin?: number;
  /** Takes and passes on end-end TLP prefixes; `true` when absent. */
  readonly endEndPrefix?: boolean;
  /** Can reset itself; `true` for an endpoint when absent. */
  readonly functionLevelReset?: boolean;
  /** Memory base address registers; bridges have none. */
  readonly bars?: readonly BarDeclaration[];
  /** log2 of the vectors it wants. */
  readonly msi?: {
    readonly vectorsLg2: number;
  };
  readonly acs?: AcsDeclaration;
  readonly ats?: {
    /** Invalidations taken at once, 1 to 32; 32 when absent. */readonly invalidateQueueDepth?: number; /** `true` when absent. */
    readonly pageAlignedRequest?: boolean;
    readonly globalInvalidate?: boolean;
  };
  readonly pageRequest?: {
    /** Page requests it can have outstanding. */readonly capacity: number;
    readonly responsePasidRequired?: boolean;
  };
  readonly pasid?: {
    /** Bits of the largest PASID, 1 to 20. */readonly width: number;
    readonly execute?: boolean;
    readonly privileged?: boolean;
  };
}
/**
 * The configuration space that a declaration describes.
 *
 * @throws RangeError when a conventional function declares an extended
 *   capability or a value does not fit its field: a bug in the caller
 */
declare const configSpaceOf: (declaration: FunctionDeclaration) => ConfigSpace;
/** Width of an access in bytes. */
type MmioWidth = 1 | 2 | 4 | 8;
/** What is behind a function's base address registers. */
interface MmioTarget {
  /**
   * @param bar index of the base address register
   * @param offset bytes from its beginning; the access ends inside it
   */
  readRegister(bar: number, offset: number, width: MmioWidth): bigint;
  /** Writes the low `width` bytes of `value`. */
  writeRegister(bar: number, offset: number, width: MmioWidth, value: bigint): void;
}
/** Which function answers which memory address: what base address registers and bridge windows say at the moment. */
declare class MmioMap {
  #private;
  constructor(topology: Topology);
  /** Reads `width` bytes; all ones where nobody answers. */
  read(segment: number, address: bigint, width: MmioWidth): bigint;
  /**
   * Writes the low `width` bytes of `value`.
   *
   * @returns `false` when nobody answers
   */
  write(segment: number, address: bigint, width: MmioWidth, value: bigint): boolean;
}
/**
 * Gives every base address register of a bus, and of what is behind it, an
 * address and every bridge its window, as firmware does, and switches memory
 * accesses on. All of it goes below 4 GiB, not prefetchable.
 *
 * @param start first address to use
 * @returns the first address not used
 * @throws RangeError when it does not fit below 4 GiB: a bug in the caller
 */
declare const assignMemory: (bus: Bus, start: bigint) => bigint;
/** What the fabric itself refuses a request for. */
type PciFaultReason = /** The function is not in the machine, or a bus on the way has no number. */"unknown-requester" /** Bus Master Enable is clear in the function or a bridge above it (PCIe 6.3 §7.5.1.1.3). */ | "bus-master-disabled" /** The request crosses a 4 KiB boundary (§2.2.7). */ | "crosses-page" /** A PASID, although the function has none enabled (§6.20.1). */ | "pasid-disabled" /** A PASID with more bits than the function advertises (§7.8.9.2). */ | "pasid-too-wide" /** Execute or privilege without the PASID that would carry it (§6.20.2.3, §6.20.2.4). */ | "pasid-missing" /** Asks to execute, which is not enabled (§7.8.9.3). */ | "execute-disabled" /** Asks with privilege, which is not enabled (§7.8.9.3). */ | "privileged-disabled" /** Something on the way takes no end-end TLP prefix (§2.2.10.4). */ | "prefix-unsupported" /** A translation request or a translated address, although ATS is not enabled (§10.5.1.3). */ | "ats-disabled" /** ACS Translation Blocking at a port on the way (§6.12.1.1). */ | "translation-blocked" /** A translation request, and nothing that translates (§10.2.2). */ | "no-translation-agent" /** A page request, although they are not enabled (§10.5.2.2). */ | "page-requests-disabled" /** A page request after a Response Failure (§10.5.2.3). */ | "page-requests-failed" /** A page request beyond the outstanding ones that the function may have (§10.5.2.5). */ | "page-requests-exhausted" /** A page request, and nobody who serves them. */ | "no-page-request-service" /** An interrupt, and nobody to deliver it to. */ | "no-interrupt-port" /** An interrupt that remapping did not let pass. */ | "interrupt-blocked" /** There is no memory at the physical address. */ | "no-memory" /** The function was reset or removed while the request was in flight. */ | "aborted";
/** How a completion says that a request failed (PCIe 6.3 §2.2.9). */
type CompletionStatus = "completer-abort" | "unsupported-request";
/** A request that the fabric refused. */
interface PciFault extends DmaFault {
  readonly kind: "pci";
  readonly reason: PciFaultReason;
  readonly status: CompletionStatus;
  /** Completion status: 1 Unsupported Request, 4 Completer Abort. */
  readonly code: number;
}
/** @param message one sentence that says what was wrong, and where */
declare const pciFault: (reason: PciFaultReason, message: string) => PciFault;
/** A function's page request interface: which requests wait for an answer, and what its registers say of them (PCIe 6.3 §10.4). */
declare class PageRequestInterface {
  #private;
  constructor(config: ConfigSpace);
  /** How many requests wait for an answer. */
  get outstanding(): number;
  /**
   * Why no request may be sent now; `undefined` when one may (§10.5.2.2, §10.5.2.5).
   *
   * @param isMarker whether it is a Stop Marker, which is never outstanding (§10.4.1.2)
   */
  refusal(isMarker?: boolean): PciFaultReason | undefined;
  /** A request goes out. */
  sent({
    group,
    pasid
  }: Pick<PageRequest, "group" | "pasid">): void;
  /**
   * An answer comes in.
   *
   * @returns whether anybody waits for it; if not, Unexpected Page Request Group Index is set (§10.5.2.3)
   */
  answered({
    group,
    pasid,
    code
  }: PageGroupResponse): boolean;
  /** Software has written to configuration space. */
  written(offset: number, width: ConfigWidth, value: number): void;
  /** Which requests wait for an answer: groups and how many there are in each. */
  save(): readonly (readonly [group: string, count: number])[];
  restore(groups: readonly (readonly [group: string, count: number])[]): void;
  /** The function has been reset: nobody waits any more. */
  reset(): void;
}
/** Software has written to a function's configuration space. */
declare const PCI_CONFIG_WRITE: EventType<{
  readonly function: string;
  readonly offset: number;
  readonly width: ConfigWidth;
  readonly value: number;
}>;
/** A function has been reset, by itself or from the bridge above it. */
declare const PCI_RESET: EventType<{
  readonly function: string;
}>;
/** A function's state as plain data. */
interface FunctionState {
  readonly device: number;
  readonly function: number;
  readonly kind: FunctionKind;
  readonly config: SavedWords;
  readonly pageRequests: readonly (readonly [group: string, count: number])[];
  readonly secondaryInReset: boolean;
}
/** A function: something with a requester ID and a configuration space. */
declare class PciFunction {
  #private;
  readonly bus: Bus;
  /** 0 to 31. */
  readonly device: number;
  /** 0 to 7. */
  readonly function: number;
  readonly kind: FunctionKind;
  readonly config: ConfigSpace;
  /** The bus behind it, when it is a bridge. */
  readonly secondary: Bus | undefined;
  /** Its base address registers. */
  readonly bars: readonly BaseAddressRegister[];
  /** What is behind them; nobody answers while there is nothing. */
  mmioTarget: MmioTarget | undefined;
  /** Its page requests that wait for an answer. */
  readonly pageRequests: PageRequestInterface;
  /** What drops cached translations, when the device has such a cache. */
  atsTarget: AtsTarget | undefined;
  /** Set once it has been taken out of the machine. */
  removed: boolean;
  constructor(topology: Topology, bus: Bus, declaration: FunctionDeclaration);
  /** Its requester ID; `undefined` while its bus has no number. */
  get requesterId(): number | undefined;
  /** Its address as `ssss:bb:dd.f`; bus 00 while the bus has no number. */
  get address(): string;
  /** Whether Bus Master Enable is set: it may issue memory requests, or pass those from behind it on. */
  get busMaster(): boolean;
  /** The other functions of its device, in order. */
  get peers(): readonly PciFunction[];
  /**
   * Calls `listener` after each reset and after removal.
   *
   * @returns a function that ends it
   */
  onReset(listener: () => void): () => void;
  /** Calls `listener` after each write by software to its configuration space. */
  onConfigWrite(listener: () => void): void;
  /** Resets it: configuration space first, then whoever holds something on its behalf (PCIe 6.3 §6.6.2). */
  reset(): void;
  /** Its registers and what waits for an answer, as plain data. */
  save(): FunctionState;
  /**
   * Puts back what `save` saw; nobody hears of it as of a write or a reset.
   *
   * @throws RestoreError when it was another kind of function, or elsewhere
   */
  restore(state: FunctionState): void;
}
/** The functions that share one bus number: a link, a conventional bus, or the inside of a switch or root complex. */
declare class Bus {
  #private;
  readonly segment: number;
  /** The bridge in front of it; `undefined` for a bus of the root complex. */
  readonly bridge: PciFunction | undefined;
  constructor(topology: Topology, segment: number, bridge: PciFunction | undefined, rootNumber?: number);
  /** The functions on it, by device and function. */
  get functions(): readonly PciFunction[];
  /** Its number: what the bridge's Secondary Bus register says, `undefined` while that is 0. */
  get number(): number | undefined;
  /**
   * Puts a function on the bus. Bridges begin without bus numbers; see `assignBusNumbers`.
   *
   * @throws RangeError when the place is taken or the kind cannot sit here: a bug in the caller
   */
  add(declaration: FunctionDeclaration): PciFunction;
  /** Takes a function, and what is behind it, out of the machine; their requests in flight are aborted. */
  remove(fn: PciFunction): void;
}
/** Every function on `bus` and behind its bridges, each bridge before what is behind it. */
declare const functionsBelow: (bus: Bus) => PciFunction[];
/** One function as `Topology.inspect` shows it. */
interface FunctionInspection {
  readonly address: string;
  readonly kind: FunctionKind;
  readonly vendorId: number;
  readonly deviceId: number;
  /** What is behind it, when it is a bridge. */
  readonly secondary?: BusInspection;
}
/** One bus as `Topology.inspect` shows it. */
interface BusInspection {
  readonly segment: number;
  readonly number: number | null;
  readonly functions: readonly FunctionInspection[];
}
/**
 * Every segment of a machine: buses, bridges and functions.
 *
 * Bus numbers are what the bridges' registers say, so software that writes them
 * renumbers the machine. Lookup routes as configuration requests do: from a
 * root bus through bridges whose Secondary to Subordinate window covers the bus.
 */
declare class Topology {
  #private;
  readonly trace: TraceChannel;
  /** The root complex's buses, in the order they were added. */
  readonly rootBuses: Bus[];
  /** Grows with each change of a configuration register or of the tree; who keeps a conclusion compares it. */
  generation: number;
  constructor(trace?: TraceChannel);
  /**
   * Adds a bus of the root complex.
   *
   * @throws RangeError when the segment has a root bus of that number: a bug in the caller
   */
  addRootBus(segment?: number, number?: number): Bus;
  /** Every function, each bridge before what is behind it. */
  functions(): PciFunction[];
  /**
   * Numbers every bus depth first, as firmware does.
   *
   * @throws RangeError when a root bus has more buses behind it than there are numbers before the next one
   */
  assignBusNumbers(): void;
  /** The function with a requester ID; `undefined` when there is none. */
  lookup(segment: number, id: number): PciFunction | undefined;
  /** Reads configuration space; all ones where there is no function. */
  readConfig(segment: number, id: number, offset: number, width: ConfigWidth): number;
  /** Writes configuration space; nothing happens where there is no function. */
  writeConfig(segment: number, id: number, offset: number, width: ConfigWidth, value: number): void;
  /** The tree as plain data. */
  inspect(): {
    readonly schema: "softiommu/pci-topology@1";
    readonly rootBuses: readonly BusInspection[];
  };
}
/** The services that decide where a request may go without passing the root complex (PCIe 6.3 §6.12.1). */
declare const ACS_SERVICES: readonly ["sourceValidation", "translationBlocking", "requestRedirect", "completionRedirect", "upstreamForwarding", "egressControl", "directTranslated"];
/** One access control service. */
type AcsService = (typeof ACS_SERVICES)[number];
/** A place on the way to the root complex where requests could turn off towards a peer. */
interface AcsHop {
  readonly function: PciFunction;
  /** The services it has; `undefined` when it has no ACS capability. */
  readonly supported: ReadonlySet<AcsService> | undefined;
  /** The services that are enabled. */
  readonly enabled: ReadonlySet<AcsService>;
  /**
   * Whether peer-to-peer requests and completions are sent towards the root
   * complex: the capability is there, and every redirecting service that it has
   * is enabled. A service that an ACS capability lacks stands for a way that
   * does not exist (§6.12.1.1).
   */
  readonly redirects: boolean;
}
/**
 * The hops of a function's requests, from the function up. The function itself
 * and a switch's upstream port count only where their device has other
 * functions; ports that a link ends in and bridges always do.
 */
declare const acsPath: (fn: PciFunction) => AcsHop[];
/**
 * The requester IDs under which memory requests of a function can reach the
 * root complex: its own first, then one for each bridge on the way that puts
 * its own in place, the outermost last. Empty while a bus on the way has no number.
 *
 * A PCI Express to PCI bridge takes ownership of what comes from behind it with
 * its secondary bus, device 0, function 0 (PCI Express to PCI/PCI-X Bridge
 * Specification 1.0 §2.3); a conventional bridge uses its own requester ID.
 * Ports of switches and of the root complex change nothing.
 */
declare const aliasesOf: (fn: PciFunction) => number[];
/** The requester ID that the root complex sees; `undefined` while a bus on the way has no number. */
declare const requesterOf: (fn: PciFunction) => number | undefined;
/** A transfer that did not end well. */
interface TransferFailure {
  readonly ok: false;
  readonly fault: DmaFault;
  /** Bytes that reached their destination before the fault. */
  readonly transferred: number;
}
/** What became of a transfer. */
type TransferResult = {
  readonly ok: true;
} | TransferFailure;
/** The result of every transfer that ended well. */
declare const TRANSFERRED: TransferResult;
/** Requests that have been translated and have not touched memory yet. */
declare class InFlightRequests {
  #private;
  /** How many there are. */
  get count(): number;
  /** Adds a request and returns its ticket. */
  enter(): number;
  /** The request with this ticket has touched memory, or never will. */
  leave(ticket: number): void;
  /**
   * Calls `callback` once each request that is in flight now has touched memory
   * or been aborted: before returning when there is none. Callbacks come in the
   * order in which they were given.
   */
  whenEarlierDone(callback: () => void): void;
}
/** The 32-bit value at `at`, little endian, unsigned. */
declare const dwordAt: (bytes: Uint8Array, at: number) => number;
/** One piece of a transfer: bytes of one page frame. */
interface TransferPiece {
  readonly pfn: number;
  /** First byte in the frame. */
  readonly offset: number;
  /** Bytes. */
  readonly count: number;
  /** Set when the piece is no memory but an interrupt: sends it, and tells why it did not arrive. */
  readonly interrupt: ((data: number) => DmaFault | undefined) | undefined;
}
/** What a transfer in flight needs of the port it came from. */
interface InFlightContext {
  readonly memory: PhysicalMemory;
  /** Where it is counted. */
  readonly counted: readonly InFlightRequests[];
  /** The fault for an address without memory. */
  readonly noMemory: (pfn: number) => DmaFault;
  /** Called when it is over, before anybody who waits for it. */
  readonly ended: (transfer: InFlight, result: TransferResult) => void;
}
/**
 * A transfer whose addresses have been translated and which has not touched
 * memory yet. What the tables say from now on makes no difference to it: the
 * window in which a page that has been unmapped can still be hit.
 */
declare class InFlight {
  #private;
  /** Bytes asked for. */
  readonly length: number;
  /** Bytes that could be translated; the rest begins with the one that `fault` is about. */
  readonly translated: number;
  /** Whether it writes memory. */
  readonly writes: boolean;
  /** Why the rest could not be translated. */
  readonly fault: DmaFault | undefined;
  constructor(pieces: readonly TransferPiece[], asked: {
    readonly length: number;
    readonly writes: boolean;
    readonly fault: DmaFault | undefined;
  }, context: InFlightContext);
  /** Whether it has not been finished or aborted yet. */
  get pending(): boolean;
  /**
   * Touches memory: stores `bytes`, or fills them when the transfer reads.
   *
   * @param bytes exactly `length` of them
   * @throws RangeError when there are more or fewer, Error when it was finished before: bugs in the caller
   */
  finish(bytes: Uint8Array): TransferResult;
  /** Gives it up without touching memory; nothing happens when it is over. */
  abort(fault: DmaFault): void;
}
/** A write into the interrupt range, as it arrives at the root complex. */
interface InterruptRequest {
  /** Requester ID at the root complex. */
  readonly source: number;
  /** FEE0_0000 to FEEF_FFFC, a multiple of 4. */
  readonly address: bigint;
  /** The DWORD that was written. */
  readonly data: number;
}
/**
 * Where interrupt requests go.
 *
 * @param translator what translates the sender's memory requests: the unit that
 *   remaps its interrupts too, where there are several
 * @returns `false` when the interrupt is blocked
 */
type InterruptPort = (request: InterruptRequest, translator: Translator | undefined) => boolean;
/** Whether `request` is no memory request but an interrupt: a DWORD written into the range without a PASID (VT-d 4.1 §3.14). */
declare const isInterruptRequest: (request: DmaRequest) => boolean;
/** What the way from a function to memory looks like, worked out once until something on it changes. */
interface Route {
  /** Requester ID that arrives at the root complex; 0 when `blocked`. */
  readonly source: number;
  /** What translates there; `undefined` when nothing does. */
  readonly translator: Translator | undefined;
  /** Why every request is refused. */
  readonly blocked: PciFault | undefined;
  /** Why every request with a PASID is refused. */
  readonly pasidBlocked: PciFault | undefined;
  /** The largest PASID. */
  readonly lastPasid: number;
  readonly tooWide: PciFault;
  /** Why every request that asks to execute is refused. */
  readonly executeBlocked: PciFault | undefined;
  /** Why every request with privilege is refused. */
  readonly privilegedBlocked: PciFault | undefined;
  readonly pasidMissing: PciFault;
  /** Why every translation request and every translated one is refused. */
  readonly translationBlocked: PciFault | undefined;
  readonly crossesPage: PciFault;
}
/** Works out the way of a function's requests. */
declare const routeFrom: (fn: PciFunction, translator: Translator | undefined) => Route;
/** Why `request` does not get to the root complex; `undefined` when it does. */
declare const refusalOf: (route: Route, request: DmaRequest) => PciFault | undefined;
/** A request has been translated or refused. */
declare const PCI_REQUEST: EventType<{
  readonly function: string; /** Requester ID at the root complex. */
  readonly source: number;
  readonly pasid: number;
  readonly address: bigint;
  readonly length: number;
  readonly access: number;
  readonly addressType: number; /** Where it goes; `undefined` when it was refused. */
  readonly physical: bigint | undefined;
  readonly fault: DmaFault | undefined;
}>;
/** A transfer that was held between translation and memory has touched memory or been aborted. */
declare const PCI_TRANSFER_ENDED: EventType<{
  readonly function: string;
  readonly length: number;
  readonly writes: boolean;
  readonly result: TransferResult;
}>;
/** A function has sent an interrupt. */
declare const PCI_INTERRUPT: EventType<{
  readonly function: string; /** Requester ID at the root complex. */
  readonly source: number;
  readonly address: bigint;
  readonly data: number;
  readonly fault: DmaFault | undefined;
}>;
/** The bytes that were read, or why they were not. */
type ReadResult = {
  readonly ok: true;
  readonly bytes: Uint8Array;
} | TransferFailure;
/** What a device's cache of translations learns. */
type TranslationResult = {
  readonly ok: true; /** Physical address of the page that was asked for. */
  readonly address: Hpa; /** log2 of the size of the aligned range that holds it and is translated alike. */
  readonly sizeLg2: number; /** `READ`, `WRITE` and `EXECUTE`, or-ed; 0 when there is no translation. */
  readonly granted: number;
} | {
  readonly ok: false;
  readonly fault: DmaFault;
};
/** What became of a page request; its answer, if there is one, goes to the function's `AtsTarget`. */
type PageRequestResult = {
  readonly ok: true;
  readonly outcome: PageRequestOutcome;
} | {
  readonly ok: false;
  readonly fault: PciFault;
};
/** How a port reaches the fabric it belongs to. */
interface PortFabric {
  readonly memory: PhysicalMemory;
  readonly trace: TraceChannel;
  /** Changes when a route may have. */
  generation(): number;
  routeOf(fn: PciFunction): Route;
  /** Where interrupts go; `undefined` when nobody takes them. */
  interruptPort(): InterruptPort | undefined;
  /** Where a transfer through `route` is counted besides at its port. */
  countedBy(route: Route): readonly InFlightRequests[];
}
/**
 * Where a function's requests enter the fabric. It splits what crosses pages,
 * and uses one `DmaRequest` again and again: a transfer allocates nothing but
 * its result.
 *
 * Addresses run on from 2^64 - 1 to 0, as a device's counter does.
 */
declare class DmaPort {
  #private;
  readonly function: PciFunction;
  /** The function's own transfers in flight; its translation cache waits for them before it answers an invalidation. */
  readonly inFlight: InFlightRequests;
  constructor(fabric: PortFabric, fn: PciFunction);
  /** The way its requests take at present. */
  get route(): Route;
  /**
   * Sends one request up to the root complex and has it translated. Puts the
   * requester ID and the answer into `request`.
   *
   * @returns `false` when it is refused, with `request.fault` set
   */
  translate(request: DmaRequest): boolean;
  /**
   * Reads memory.
   *
   * @param length in bytes; 0 reads nothing and succeeds
   * @param flags `EXECUTE` and `PRIVILEGED`, or-ed
   */
  read(address: bigint, length: number, pasid?: number, flags?: number): ReadResult;
  /** Writes memory. Pages before the one that is refused have been written. */
  write(address: bigint, bytes: Uint8Array, pasid?: number, flags?: number): TransferResult;
  /**
   * Moves `bytes` to memory when `access` has `WRITE`, from memory otherwise,
   * page by page: each is translated and touched before the next is translated.
   *
   * @param addressType `UNTRANSLATED`, or `TRANSLATED` for an address that ATS returned
   */
  transfer(address: bigint, bytes: Uint8Array, access: number, pasid?: number, addressType?: number): TransferResult;
  /**
   * Translates a transfer and holds it before it touches memory.
   *
   * @param length in bytes
   * @param access as for `transfer`
   * @returns the transfer, to be finished or aborted; when its first page was
   *   refused it holds nothing and nobody waits for it
   */
  begin(address: bigint, length: number, access: number, pasid?: number, addressType?: number): InFlight;
  /**
   * Asks for the translation of the page at `address` (ATS translation request).
   *
   * @param access what the device wants to do: `READ`, `WRITE`, `EXECUTE`, `PRIVILEGED`, or-ed
   */
  requestTranslation(address: bigint, access: number, pasid?: number): TranslationResult;
  /**
   * Sends a page request message (PCIe 6.3 §10.4). The answer goes to the
   * function's `AtsTarget`, perhaps before this returns.
   */
  requestPage(request: Omit<PageRequest, "source">): PageRequestResult;
}
/** Which functions a translator serves, as the device scopes of firmware tables say it (VT-d 4.1 §8.3.1). */
type TranslatorScope = /** Every function of the segment that no other scope names. */{
  readonly kind: "segment";
  readonly segment: number;
} /** A bridge and everything behind it. */ | {
  readonly kind: "subtree";
  readonly bridge: PciFunction;
} /** These functions; a bridge among them stands for the requests that it takes ownership of. */ | {
  readonly kind: "functions";
  readonly functions: readonly PciFunction[];
};
/** A device's translation cache was told to drop something. */
declare const PCI_DEVICE_INVALIDATION: EventType<{
  readonly function: string;
  readonly invalidation: AtsInvalidation;
}>;
/** A group of page requests was answered. */
declare const PCI_PAGE_RESPONSE: EventType<{
  readonly function: string;
  readonly response: PageGroupResponse; /** Whether the function waited for it. */
  readonly expected: boolean;
}>;
/** The fabric as plain data. */
interface FabricInspection {
  readonly schema: "softiommu/pci-fabric@1";
  readonly inFlight: number;
  readonly ports: readonly {
    readonly function: string; /** Requester ID at the root complex. */
    readonly source: number;
    readonly translated: boolean; /** Why every request is refused; `null` when it is not so. */
    readonly blocked: string | null;
    readonly inFlight: number;
  }[];
}
/**
 * The way from devices to memory: ports and bridges, then whatever translates
 * for the requester, then physical memory. Without a translator the address of
 * a request is the physical one.
 */
declare class Fabric {
  #private;
  readonly topology: Topology;
  readonly memory: PhysicalMemory;
  readonly trace: TraceChannel;
  /** Every transfer that is held between translation and memory. */
  readonly inFlight: InFlightRequests;
  constructor(topology: Topology, memory: PhysicalMemory);
  /**
   * Has `translator` serve what `scope` names.
   *
   * @returns a function that ends it; transfers in flight are not touched
   * @throws RangeError when the scope is taken: a bug in the caller
   */
  attach(translator: Translator, scope: TranslatorScope): () => void;
  /**
   * What translates a function's requests: the most particular scope wins, which
   * is the function's own, then that of the nearest bridge, then the segment's.
   */
  translatorOf(fn: PciFunction): Translator | undefined;
  /** Where a function's requests enter; the same port each time. */
  port(fn: PciFunction): DmaPort;
  /** The transfers in flight that `translator` has translated: what a unit drains. */
  inFlightThrough(translator: Translator): InFlightRequests;
  /**
   * Sends an invalidation to the translation cache of a function.
   *
   * @param id requester ID
   * @param completed called once the device has answered, with `false` when wrongly: at once, later, or never
   * @returns `false` when nobody takes it: no such function, ATS not enabled, or no cache
   */
  invalidateDevice(segment: number, id: number, invalidation: AtsInvalidation, completed: (right?: boolean) => void): boolean;
  /**
   * Delivers the answer to a group of page requests.
   *
   * @returns `false` when the function does not wait for it or does not exist
   */
  respondToDevice(segment: number, response: PageGroupResponse): boolean;
  /**
   * Has `port` take the interrupts of every function: DWORD writes without a
   * PASID to FEE0_0000 to FEEF_FFFF, which are never memory. Without a port
   * they are refused.
   *
   * @returns a function that ends it
   * @throws RangeError when there is a port already: a bug in the caller
   */
  attachInterrupts(port: InterruptPort): () => void;
  /** Reads device memory as a processor does; all ones where nobody answers. */
  readMmio(segment: number, address: bigint, width: MmioWidth): bigint;
  /**
   * Writes device memory as a processor does.
   *
   * @returns `false` when nobody answers
   */
  writeMmio(segment: number, address: bigint, width: MmioWidth, value: bigint): boolean;
  /** The fabric's state as plain data; only functions whose port has been asked for. */
  inspect(): FabricInspection;
}
/**
 * Sends a function's message-signalled interrupt: a DWORD written where its MSI
 * capability says (PCIe 6.3 §6.1.4). With several vectors granted, `vector`
 * takes the place of the data's low bits; one beyond them is sent as the last.
 *
 * @returns what became of the write; `undefined` when MSI is not enabled
 */
declare const sendMsi: (port: DmaPort, vector?: number) => TransferResult | undefined;
/**
 * Requester IDs: 16 bits that name a function inside its segment, bus in 15:8,
 * device in 7:3, function in 2:0 (PCIe 6.3 §2.2.6.2). Text is `ssss:bb:dd.f`,
 * hexadecimal, as lspci prints it.
 */
/** A function's address in the whole machine. */
interface PciAddress {
  /** Segment, the group of buses also called domain; 0 to 0xffff. */
  readonly segment: number;
  /** Requester ID inside the segment. */
  readonly requesterId: number;
}
/** Text that names no function. */
declare class PciAddressError extends Error {
  /** What was given. */
  readonly text: string;
  constructor(text: string, expected: string);
}
/**
 * @param bus 0 to 255
 * @param device 0 to 31
 * @param fn 0 to 7
 */
declare const requesterId: (bus: number, device: number, fn: number) => number;
/** The bus of a requester ID. */
declare const busOf: (id: number) => number;
/** The device of a requester ID. */
declare const deviceOf: (id: number) => number;
/** The function of a requester ID. */
declare const functionOf: (id: number) => number;
/** A requester ID as `bb:dd.f`. */
declare const formatRequesterId: (id: number) => string;
/** An address as `ssss:bb:dd.f`. */
declare const formatPciAddress: ({
  segment,
  requesterId: id
}: PciAddress) => string;
/**
 * Reads `ssss:bb:dd.f`, or `bb:dd.f` in segment 0. Leading zeros may be left out.
 *
 * @throws PciAddressError when the text is something else, or a device or function is out of range
 */
declare const parsePciAddress: (text: string) => PciAddress;
/** Header of an endpoint (PCIe 6.3 §7.5.1.2). Base address registers differ in size and are declared by the function. */
declare const TYPE_0_HEADER: Layout<"bist" | "busMasterEnable" | "cacheLineSize" | "capabilitiesList" | "capabilitiesPointer" | "classCode" | "detectedParityError" | "deviceId" | "headerType" | "interruptDisable" | "interruptLine" | "interruptPin" | "interruptStatus" | "ioSpaceEnable" | "latencyTimer" | "masterDataParityError" | "memorySpaceEnable" | "multiFunction" | "parityErrorResponse" | "receivedMasterAbort" | "receivedTargetAbort" | "revisionId" | "serrEnable" | "signaledSystemError" | "signaledTargetAbort" | "subsystemId" | "subsystemVendorId" | "vendorId">;
/** Header of a bridge, which every port of a root complex or switch is too (PCIe 6.3 §7.5.1.3). */
declare const TYPE_1_HEADER: Layout<"bist" | "bridgeParityErrorResponse" | "bridgeSerrEnable" | "busMasterEnable" | "cacheLineSize" | "capabilitiesList" | "capabilitiesPointer" | "classCode" | "detectedParityError" | "deviceId" | "headerType" | "interruptDisable" | "interruptLine" | "interruptPin" | "interruptStatus" | "ioBase" | "ioLimit" | "ioSpaceEnable" | "isaEnable" | "latencyTimer" | "masterDataParityError" | "memoryBase" | "memoryLimit" | "memorySpaceEnable" | "multiFunction" | "parityErrorResponse" | "prefetchable64" | "prefetchableBase" | "prefetchableBaseUpper" | "prefetchableLimit" | "prefetchableLimit64" | "prefetchableLimitUpper" | "primaryBus" | "receivedMasterAbort" | "receivedTargetAbort" | "revisionId" | "secondaryBus" | "secondaryBusReset" | "secondaryStatus" | "serrEnable" | "signaledSystemError" | "signaledTargetAbort" | "subordinateBus" | "vendorId" | "vgaEnable">;
declare namespace index_d_exports$8 {
  export { ACS_CAPABILITY, ACS_SERVICES, ATS_CAPABILITY, AcsDeclaration, AcsHop, AcsService, AtsInvalidation, AtsRange, AtsRangeEncoding, AtsTarget, BarDeclaration, BaseAddressRegister, Bus, BusInspection, CONVENTIONAL_CONFIG_SIZE, CompletionStatus, ConfigSpace, ConfigWidth, ConfigWriteListener, DmaFault, DmaPort, DmaRequest, EXECUTE, EXTENDED_CONFIG_SIZE, Fabric, FabricInspection, FieldValues, FunctionDeclaration, FunctionInspection, FunctionKind, FunctionState, InFlight, InFlightContext, InFlightRequests, InterruptPort, InterruptRequest, KINDS, KindFacts, MSI_CAPABILITY, MmioMap, MmioTarget, MmioWidth, NO_PASID, PAGE_REQUEST_CAPABILITY, PAGE_RESPONSE_FAILURE, PAGE_RESPONSE_INVALID_REQUEST, PAGE_RESPONSE_SUCCESS, PASID_CAPABILITY, PCI_CONFIG_WRITE, PCI_DEVICE_INVALIDATION, PCI_EXPRESS_CAPABILITY, PCI_INTERRUPT, PCI_PAGE_RESPONSE, PCI_REQUEST, PCI_RESET, PCI_TRANSFER_ENDED, PRIVILEGED, PageGroupResponse, PageRequest, PageRequestInterface, PageRequestOutcome, PageRequestResult, PciAddress, PciAddressError, PciCapability, PciFault, PciFaultReason, PciFunction, PortFabric, READ, ReadResult, Route, TRANSFERRED, TRANSLATED$1 as TRANSLATED, TRANSLATION_REQUEST, TYPE_0_HEADER, TYPE_1_HEADER, Topology, TransferFailure, TransferPiece, TransferResult, TranslationResult, Translator, TranslatorScope, UNTRANSLATED, WRITE, acsPath, aliasesOf, assignMemory, busOf, configSpaceOf, decodeAtsRange, deviceOf, dwordAt, encodeAtsRange, formatPciAddress, formatRequesterId, functionOf, functionsBelow, isInterruptRequest, isStopMarker, parsePciAddress, pciFault, placeBaseAddresses, refusalOf, requesterId, requesterOf, routeFrom, sendMsi };
}
/** How a device answers invalidations. */
type InvalidationAnswers = /** Once its requests that use what was dropped are over. */"in-time" /** When `answer` is called. */ | "late" | "never" /** In time, but naming another invalidation. */ | "wrong";
/** A translation that a device keeps. */
interface CachedTranslation {
  /** The PASID, or `NO_PASID`. */
  readonly pasid: number;
  /** Whether it was asked for with privilege. */
  readonly privileged: boolean;
  /** First address of the range. */
  readonly address: bigint;
  /** log2 of its size in bytes. */
  readonly sizeLg2: number;
  /** Physical address of its first byte. */
  readonly target: bigint;
  /** `READ`, `WRITE` and `EXECUTE`, or-ed. */
  readonly granted: number;
}
/**
 * A device's cache of translations. It keeps what ATS answered until it is told
 * to drop it: a translation that the tables no longer hold is used meanwhile.
 */
declare class DeviceTlb {
  #private;
  /** @param inFlight the device's own requests in flight */
  constructor(answers: InvalidationAnswers, inFlight: InFlightRequests);
  /** The translations kept, oldest first. */
  get translations(): readonly CachedTranslation[];
  /** Invalidations that `answer` would answer. */
  get owed(): number;
  /** The translation that holds `address`. */
  find(address: bigint, pasid: number, privileged: boolean): CachedTranslation | undefined;
  /** Keeps a translation in place of one that holds the same address. */
  keep(translation: CachedTranslation): void;
  /** Drops what `what` covers, and answers in its way (PCIe 6.3 §10.3.3). */
  invalidate(what: AtsInvalidation, completed: (right?: boolean) => void): void;
  /** Answers everything that has been put off. */
  answer(): void;
  /** Drops everything, unasked. */
  clear(): void;
}
/** What may differ from one engine to the next. */
interface DmaEngineOptions {
  readonly answers?: InvalidationAnswers;
  /** Commands wait for `step`, instead of being carried out as they are written. */
  readonly stepped?: boolean;
}
/** The engine as PCI describes it: one 4 KiB base address register, MSI, ATS, page requests, PASIDs. */
declare const engineDeclaration: (place: Pick<FunctionDeclaration, "device" | "function" | "kind">) => FunctionDeclaration;
/** What `DmaEngine.save` gives: plain data. */
interface EngineState {
  readonly schema: "softiommu/dma-engine-state@1";
  readonly page: SavedWords;
  /** Whether a command waits for a step. */
  readonly waits: boolean;
  /** Group of the page request whose answer ends the command. */
  readonly awaited: number | null;
}
/** The engine as plain data. */
interface EngineInspection {
  readonly schema: "softiommu/dma-engine@1";
  readonly function: string;
  readonly status: number;
  readonly held: boolean;
  readonly translations: number;
}
/**
 * A trivial DMA engine: software writes address, length and command, and reads
 * status. It moves memory to and from its own buffer, fills memory, asks for
 * translations and pages, and can hold a transfer between translation and
 * memory, so that everything a remapping unit promises can be seen by DMA.
 *
 * It does nothing by itself: a command is carried out when it is written, or
 * at the next `step`.
 */
declare class DmaEngine implements MmioTarget, AtsTarget {
  #private;
  readonly function: PciFunction;
  readonly port: DmaPort;
  /** Its cache of translations. */
  readonly tlb: DeviceTlb;
  constructor(fabric: Fabric, fn: PciFunction, options?: DmaEngineOptions);
  readRegister(_bar: number, offset: number, width: MmioWidth): bigint;
  /** A write that covers the operation's byte starts the command; one that comes while another is not done is not heard. */
  writeRegister(_bar: number, offset: number, width: MmioWidth, value: bigint): void;
  /**
   * Carries out the command that waits.
   *
   * @returns whether there was one
   */
  step(): boolean;
  invalidate(what: AtsInvalidation, completed: (right?: boolean) => void): void;
  respond({
    group,
    code
  }: PageGroupResponse): void;
  /**
   * Everything that software could notice, as plain data; cached translations
   * are left out, which the engine may drop at any time.
   *
   * @throws SaveRefusedError while it holds a transfer, or owes an answer to an invalidation
   */
  save(): EngineState;
  /** Puts everything back to what `save` saw. */
  restore(state: EngineState): void;
  /** The engine's state as plain data. */
  inspect(): EngineInspection;
}
/**
 * Puts an engine on a bus.
 *
 * @throws RangeError when it cannot sit there: a bug in the caller
 */
declare const addDmaEngine: (fabric: Fabric, bus: Bus, place: Pick<FunctionDeclaration, "device" | "function" | "kind">, options?: DmaEngineOptions) => DmaEngine;
/** Bytes behind the engine's one base address register. */
declare const ENGINE_BAR_SIZE = 4096;
/** Where the engine's buffer lies in them. */
declare const ENGINE_BUFFER = 2048;
/** Bytes in the buffer, and the longest transfer to or from it. */
declare const ENGINE_BUFFER_SIZE = 2048;
/** The longest fill in bytes. */
declare const ENGINE_FILL_LIMIT = 65536;
declare const IDENTITY: Layout<"id">;
declare const ADDRESS: Layout<"address">;
declare const LENGTH: Layout<"length">;
declare const PASID: Layout<"pasid" | "tagged">;
/** Writing the byte of `operation` starts it. */
declare const COMMAND: Layout<"execute" | "group" | "hold" | "interrupt" | "last" | "operation" | "privileged" | "translated" | "wantsWrite">;
declare const STATUS: Layout<"busy" | "done" | "error" | "fault" | "held">;
declare const PATTERN: Layout<"pattern">;
declare const TRANSLATION: Layout<"address" | "execute" | "read" | "sizeLg2" | "write">;
declare const RESPONSE: Layout<"code" | "group" | "valid">;
/** COMMAND.operation; others are refused. */
declare const OPERATIONS: {
  /** Memory to buffer. */readonly read: 1; /** Buffer to memory. */
  readonly write: 2; /** PATTERN to memory. */
  readonly fill: 3; /** Asks for the translation of the page at ADDRESS, and keeps it. */
  readonly translate: 4; /** Asks for the page at ADDRESS. */
  readonly requestPage: 5; /** Lets the transfer go that is held. */
  readonly release: 6; /** Says that no page is asked for any more with the PASID. */
  readonly stopMarker: 7;
};
/** STATUS.fault where the engine itself refuses; what comes from outside keeps its code. */
declare const ENGINE_FAULTS: {
  /** No such operation, nothing to release, a transfer is held already, or a Stop Marker without a PASID. */readonly command: 240; /** LENGTH is 0, or beyond the buffer or the limit. */
  readonly length: 241; /** The translation does not grant what the transfer needs. */
  readonly permission: 242;
};
/** A register's place in the window and its value after reset. */
interface EngineRegisterRow {
  readonly offset: number;
  readonly layout: Layout<string>;
  readonly reset: bigint;
}
/** Every register of the engine. */
declare const ENGINE_REGISTERS: readonly EngineRegisterRow[];
declare namespace index_d_exports$2 {
  export { ADDRESS, COMMAND, CachedTranslation, DeviceTlb, DmaEngine, DmaEngineOptions, ENGINE_BAR_SIZE, ENGINE_BUFFER, ENGINE_BUFFER_SIZE, ENGINE_FAULTS, ENGINE_FILL_LIMIT, ENGINE_REGISTERS, EngineInspection, EngineRegisterRow, EngineState, IDENTITY, InvalidationAnswers, LENGTH, OPERATIONS, PASID, PATTERN, RESPONSE, STATUS, TRANSLATION, addDmaEngine, engineDeclaration };
}
declare namespace index_d_exports$3 {
  export { INTERRUPT_RANGE_LAST, INTERRUPT_RANGE_START, Interrupt, InterruptSink, MsiMessage, decodeCompatibleMessage };
}
/** A function, or a bridge with everything behind it, as firmware names it. */
interface DeviceScope {
  /** Requester ID. */
  readonly source: number;
  /** What is behind it belongs to it too. */
  readonly subtree: boolean;
}
/** A remapping unit as firmware describes it (VT-d 4.1 §8.3). */
interface UnitDescription$1 {
  /** Address of its registers. */
  readonly base: bigint;
  readonly segment: number;
  /** What it serves; `all` is what no other unit of the segment names. */
  readonly scope: "all" | readonly DeviceScope[];
}
/** Memory that devices use without being told: it must stay mapped to itself for them (§8.4). */
interface ReservedMemory {
  readonly segment: number;
  readonly start: bigint;
  /** Its last address. */
  readonly last: bigint;
  readonly devices: readonly DeviceScope[];
}
/** What firmware tells an operating system of remapping and of PCI: DMAR and the host bridges. */
interface FirmwareTables {
  /** Buses of the root complex. */
  readonly rootBuses: readonly {
    readonly segment: number;
    readonly number: number;
  }[];
  readonly units: readonly UnitDescription$1[];
  readonly reservedMemory: readonly ReservedMemory[];
  /** Root ports whose devices may use ATS (§8.5), by segment; `all` for every one. */
  readonly atsRootPorts: "all" | readonly {
    readonly segment: number;
    readonly source: number;
  }[];
}
/** Width in bytes of an access to registers. */
type AccessWidth = 1 | 2 | 4 | 8;
/** A run of physical addresses. */
interface PhysicalRange {
  readonly base: bigint;
  /** Bytes. */
  readonly length: bigint;
}
/** A message that software has had made for itself. */
interface InterruptConnection {
  /** What a device or unit writes to. */
  readonly address: bigint;
  /** What it writes. */
  readonly data: number;
  /** Whatever comes with the message is dropped from now on. */
  disconnect(): void;
}
/**
 * A machine as an operating system sees it: memory, registers, configuration
 * space, interrupts, time, and what firmware says. Who has this port has no
 * other way to the hardware.
 */
interface Platform {
  readonly memory: PhysicalMemory;
  /** Memory that software may use, apart from what is in `reserved`. */
  readonly ram: readonly PhysicalRange[];
  /** Parts of `ram` that firmware keeps for itself. */
  readonly reserved: readonly PhysicalRange[];
  readonly clock: Clock;
  readonly firmware: FirmwareTables;
  /** Reads registers; all ones where nobody answers. */
  readMmio(address: bigint, width: AccessWidth): bigint;
  /** Writes the low `width` bytes of `value`. */
  writeMmio(address: bigint, width: AccessWidth, value: bigint): void;
  /** Reads configuration space of the function with requester ID `source`; all ones where there is none. */
  readConfig(segment: number, source: number, offset: number, width: 1 | 2 | 4): number;
  writeConfig(segment: number, source: number, offset: number, width: 1 | 2 | 4, value: number): void;
  /** Does nothing for `ns` nanoseconds: what hardware does in that time has been done afterwards. */
  pause(ns: bigint): void;
  /**
   * A message of the caller's own, for whose arrival `handler` is called.
   *
   * @returns `undefined` when there is no vector left
   */
  connectInterrupt(handler: () => void): InterruptConnection | undefined;
}
declare namespace index_d_exports$9 {
  export { AccessWidth, Clock, DeviceScope, FirmwareTables, InterruptConnection, ManualClock, PhysicalRange, Platform, ReservedMemory, UnitDescription$1 as UnitDescription };
}
/** An entry of the root, context or PASID structures was read. */
declare const STRUCTURE_READ: EventType<{
  /** The layout's name, for instance `PASID entry`. */structure: string;
  address: bigint; /** The entry's quadwords; `undefined` when it could not be read. */
  words: readonly bigint[] | undefined;
}>;
/** A page-table entry was read. */
declare const ENTRY_READ: EventType<{
  stage: 1 | 2; /** 0 is the leaf level. */
  level: number;
  address: bigint; /** `undefined` when it could not be read. */
  value: bigint | undefined; /** What is being translated: an I/O virtual address in stage 1 or alone in stage 2, else a guest physical one. */
  input: bigint;
}>;
/** Accessed, dirty or extended-accessed flags were set in a page-table entry. */
declare const FLAGS_SET: EventType<{
  stage: 1 | 2;
  level: number;
  address: bigint;
  bits: number;
}>;
/** A request found its translation in the IOTLB. */
declare const IOTLB_HIT: EventType<{
  source: number;
  pasid: number | undefined;
  iova: bigint;
  address: bigint;
}>;
/** A request was translated by a walk, or without one. */
declare const TRANSLATED: EventType<{
  source: number;
  pasid: number | undefined;
  iova: bigint;
  address: bigint;
  pageLg2: number;
}>;
/** A request was refused. */
declare const FAULT: EventType<VtdFault>;
/** Caches were invalidated. */
declare const INVALIDATED: EventType<{
  cache: "context" | "iotlb" | "pasid" | "pasid-iotlb";
  granularity: string;
  domain?: number;
  pasid?: number;
  source?: number;
  address?: bigint;
  mask?: number;
}>;
/** The root table was set. */
declare const ROOT_TABLE_SET: EventType<{
  rtaddr: bigint;
}>;
/** Translation was switched on or off. */
declare const TRANSLATION_SWITCHED: EventType<{
  enabled: boolean;
}>;
/** The queue has fetched a descriptor: 2 or 4 quadwords. */
declare const DESCRIPTOR_FETCHED: EventType<{
  address: bigint;
  words: readonly bigint[];
}>;
/** An invalidation wait has completed. */
declare const WAIT_COMPLETED: EventType<{
  status: {
    address: bigint;
    data: number;
  } | undefined;
}>;
/** Software has written a register. */
declare const REGISTER_WRITTEN: EventType<{
  offset: number;
  width: number;
  value: bigint;
}>;
/** Software has read a register, and found this. */
declare const REGISTER_READ: EventType<{
  offset: number;
  width: number;
  value: bigint;
}>;
/** A register write, a refusal or a page request has had all the effects that do not wait for others. */
declare const SETTLED: EventType<Record<string, never>>;
/** The unit was put into its reset state. */
declare const UNIT_RESET: EventType<Record<string, never>>;
/** The unit has sent the message of one of its own events. */
declare const EVENT_SENT: EventType<{
  address: bigint;
  data: number;
}>;
/** A page request was put into the queue, or answered by the unit itself. */
declare const PAGE_REQUESTED: EventType<{
  source: number;
  pasid: number | undefined;
  address: bigint;
  read: boolean;
  write: boolean;
  execute: boolean;
  privileged: boolean;
  group: number;
  last: boolean;
  outcome: string;
}>;
/** A device's request was refused, and the unit records it if it has room; `access` and `addressType` as in `DmaRequest`. */
declare const REFUSAL_RECORDED: EventType<{
  source: number;
  pasid: number | undefined;
  address: bigint;
  access: number;
  addressType: number;
  code: number;
}>;
/** An interrupt was remapped, passed, or blocked. */
declare const INTERRUPT_REMAPPED: EventType<{
  source: number;
  address: bigint;
  data: number;
  index: number | undefined;
  code: number;
}>;
/** The translation caches of the devices of one segment, as a unit reaches them. */
declare const deviceTlbsOf: (fabric: Fabric, segment: number) => DeviceTlbs;
/** What a unit is made of besides what its fabric gives it. */
type LinkedUnitOptions = Omit<RemappingUnitOptions, "deviceTlbs" | "inFlight" | "memory" | "respond">;
/**
 * Makes a unit that serves a segment of `fabric`: it translates what `scope`
 * names, or what no other scope does when absent, drains what it has
 * translated, reaches devices' translation caches and answers their page
 * requests. Interrupts are the machine's: see `remappedInterrupts`.
 *
 * @throws RangeError when the scope has a translator: a bug in the caller
 */
declare const attachUnit: (fabric: Fabric, segment: number, options: LinkedUnitOptions, scope?: TranslatorScope) => RemappingUnit;
/** Where the interrupts of a fabric go: through the unit that serves the sender, else straight to `sink`. */
declare const remappedInterrupts: (sink: InterruptSink) => InterruptPort;
/** QEMU 7.2 `intel-iommu` as it comes: legacy mode, 39 bits. */
declare const QEMU_7_2: Capabilities;
/** QEMU 11.1 with `scalable-mode=on`: second stage only, 48 bits. */
declare const QEMU_11_1_SECOND_STAGE: Capabilities;
/** QEMU 11.1 with `scalable-mode=on,fsts=on`: first stage only, 48 bits. */
declare const QEMU_11_1_FIRST_STAGE: Capabilities;
/** A server's unit: every translation type, 5 levels in both stages, 20-bit PASIDs, 52-bit physical addresses. */
declare const SERVER: Capabilities;
/** The server's unit with erratum 772415, as Sapphire Rapids has it. */
declare const SERVER_ERRATUM_772415: Capabilities;
/** One row of the fault table (§7.1.3). */
interface FaultReason {
  /** What hardware records in FRCD.FR. */
  readonly code: number;
  /** What was wrong, without address or device. */
  readonly text: string;
  /** What would have to change for the request to pass. */
  readonly remedy: string;
  /** FPD in an entry consulted silences it. */
  readonly qualified: boolean;
  /** A translation request that meets it is answered with no permission, and nothing is recorded. */
  readonly recoverable: boolean;
}
/** The fault table by code. */
declare const FAULT_REASONS: ReadonlyMap<number, FaultReason>;
/** Capability register, offset 08 (§11.4.2). All fields are read-only. */
declare const CAP: Layout<"AFL" | "CM" | "DRD" | "DWD" | "ECMDS" | "ESIRTPS" | "ESRTPS" | "FRO" | "FS1GP" | "FS5LP" | "MAMV" | "MGAW" | "ND" | "NFR" | "PHMR" | "PI" | "PLMR" | "PSI" | "RWBF" | "SAGAW" | "SSLPS" | "ZLR">;
/** Extended capability register, offset 10 (§11.4.3). All fields are read-only. */
declare const ECAP: Layout<"ADMS" | "C" | "DIT" | "DT" | "EAFS" | "EIM" | "ERS" | "FSTS" | "IR" | "IRO" | "MHMV" | "MTS" | "NEST" | "NWFS" | "PASID" | "PDS" | "PMS" | "PRS" | "PSS" | "PT" | "QI" | "RPRIVS" | "RPS" | "SC" | "SMPWCS" | "SMS" | "SMTS" | "SRS" | "SSADS" | "SSTS" | "VCS">;
/** Legacy context entry, one for each device and function (§9.3). */
declare const CONTEXT_ENTRY: Layout<"AW" | "DID" | "FPD" | "IGN" | "P" | "SSPTPTR" | "TT">;
/** CONTEXT_ENTRY.TT: translate untranslated requests. */
declare const TT_TRANSLATE = 0;
/** CONTEXT_ENTRY.TT: translate, and serve a device TLB. */
declare const TT_DEVICE_TLB = 1;
/** CONTEXT_ENTRY.TT: pass untranslated requests through. */
declare const TT_PASS_THROUGH = 2;
/** Scalable context entry (§9.4). */
declare const SCALABLE_CONTEXT_ENTRY: Layout<"DTE" | "FPD" | "P" | "PASIDDIRPTR" | "PASIDE" | "PDTS" | "PRE" | "RID_PASID" | "RID_PRIV">;
declare const CONTEXT_CACHE_DESCRIPTOR: Layout<"DID" | "FM" | "G" | "SID" | "TYPE" | "TYPE_HIGH">;
declare const IOTLB_DESCRIPTOR: Layout<"ADDR" | "AM" | "DID" | "DR" | "DW" | "G" | "IH" | "TYPE" | "TYPE_HIGH">;
declare const DEVICE_TLB_DESCRIPTOR: Layout<"ADDR" | "MIP" | "PFSID_HIGH" | "PFSID_LOW" | "S" | "SID" | "TYPE" | "TYPE_HIGH">;
declare const INTERRUPT_ENTRY_DESCRIPTOR: Layout<"G" | "IIDX" | "IM" | "TYPE" | "TYPE_HIGH">;
declare const WAIT_DESCRIPTOR: Layout<"FN" | "IF" | "PD" | "STADDR" | "STDATA" | "SW" | "TYPE" | "TYPE_HIGH">;
declare const PASID_IOTLB_DESCRIPTOR: Layout<"ADDR" | "AM" | "DID" | "G" | "IH" | "PASID" | "TYPE" | "TYPE_HIGH">;
declare const PASID_CACHE_DESCRIPTOR: Layout<"DID" | "G" | "PASID" | "TYPE" | "TYPE_HIGH">;
declare const PASID_DEVICE_TLB_DESCRIPTOR: Layout<"ADDR" | "G" | "MIP" | "PASID" | "PFSID_HIGH" | "PFSID_LOW" | "S" | "SID" | "TYPE" | "TYPE_HIGH">;
declare const PAGE_GROUP_RESPONSE_DESCRIPTOR: Layout<"LPIG" | "PASID" | "PP" | "PRGI" | "RC" | "RID" | "TYPE" | "TYPE_HIGH">;
/** IQERCD.IQEI: why the queue stopped (§11.4.9.9). */
declare const QUEUE_ERRORS: {
  readonly tail: 1;
  readonly fetch: 2;
  readonly type: 3;
  readonly reserved: 4;
  readonly width: 5;
  readonly tailAlignment: 6;
  readonly mode: 7;
};
/** Interrupt remapping table entry (§9.9). Posted interrupts are not offered: IM is reserved. */
declare const INTERRUPT_ENTRY: Layout<"AVAIL" | "DLM" | "DM" | "DST" | "FPD" | "P" | "RH" | "SID" | "SQ" | "SVT" | "TM" | "V">;
/** Address of a message in remappable format (§5.1.2.2). */
declare const REMAPPABLE_ADDRESS: Layout<"FORMAT" | "HANDLE" | "HANDLE_15" | "IGN" | "RANGE" | "SHV">;
/** Page request descriptor, as the unit writes it (§7.4.1.1). */
declare const PAGE_REQUEST_DESCRIPTOR: Layout<"ADDR" | "EXR" | "LPIG" | "PASID" | "PMR" | "PP" | "PRGI" | "R" | "RID" | "TYPE" | "W">;
/** PASID directory entry: one for 64 PASIDs (§9.5). */
declare const PASID_DIRECTORY_ENTRY: Layout<"FPD" | "P" | "SMPTBLPTR">;
/** PASID table entry (§9.6). */
declare const PASID_ENTRY: Layout<"AW" | "CD" | "DID" | "EAFE" | "EMTE" | "FPD" | "FSPM" | "FSPTPTR" | "NXE_SMEP" | "P" | "PAT" | "PGSNP" | "PGTT" | "PWSNP" | "SRE" | "SSADE" | "SSPTPTR" | "WPE">;
/** PASID_ENTRY.PGTT: stage 1 alone. */
declare const PGTT_FIRST_STAGE = 1;
/** PASID_ENTRY.PGTT: stage 2 alone. */
declare const PGTT_SECOND_STAGE = 2;
/** PASID_ENTRY.PGTT: stage 1 over stage 2. */
declare const PGTT_NESTED = 3;
/** PASID_ENTRY.PGTT: no translation. */
declare const PGTT_PASS_THROUGH = 4;
/** Legacy root entry, one for each bus (§9.1). */
declare const ROOT_ENTRY: Layout<"CTP" | "P">;
/** Half of a scalable root entry: the lower for devices 0 to 15, the upper for 16 to 31 (§9.2). */
declare const SCALABLE_ROOT_HALF: Layout<"CTP" | "P">;
/** Root table address register, offset 20 (§11.4.5). */
declare const RTADDR: Layout<"RTA" | "TTM">;
/** RTADDR.TTM: context entries of 16 bytes. */
declare const TTM_LEGACY = 0;
/** RTADDR.TTM: context entries of 32 bytes and PASID tables. */
declare const TTM_SCALABLE = 1;
/** RTADDR.TTM: every request is aborted. */
declare const TTM_ABORT = 3;
declare namespace index_d_exports$12 {
  export { CAP, CCMD, COMPLETION_EVENT, CONTEXT_CACHE_DESCRIPTOR, CONTEXT_ENTRY, CacheSizes, Capabilities, CapabilityOptions, ContextInvalidation, Counters, DEFAULT_CACHES, DESCRIPTOR_FETCHED, DEVICE_TLB_DESCRIPTOR, DeviceTlbs, ECAP, ENTRY_READ, ENUMERATION_LIMITS, EVENT_SENT, EnumerateOptions, EnumeratedDevice, EnumeratedSpace, EnumerationLimits, FAULT, FAULT_EVENT, FAULT_REASONS, FEADDR, FECTL, FEDATA, FEUADDR, FLAGS_SET, FRCD, FSTS, FaultReason, FaultSite, FaultyEntry, FoundDevice, FoundSpace, GCMD, GSTS, ICS, IEADDR, IECTL, IEDATA, IEUADDR, INTERRUPT_ENTRY, INTERRUPT_ENTRY_DESCRIPTOR, INTERRUPT_REMAPPED, INVALIDATED, IOTLB, IOTLB_DESCRIPTOR, IOTLB_HIT, IQA, IQERCD, IQH, IQT, IRTA, IVA, Invalidation, InvalidationSubscriber, IotlbInvalidation, LeafList, LinkedUnitOptions, PAGE_GROUP_RESPONSE_DESCRIPTOR, PAGE_REQUESTED, PAGE_REQUEST_DESCRIPTOR, PAGE_REQUEST_EVENT, PASID_CACHE_DESCRIPTOR, PASID_DEVICE_TLB_DESCRIPTOR, PASID_DIRECTORY_ENTRY, PASID_ENTRY, PASID_IOTLB_DESCRIPTOR, PEADDR, PECTL, PEDATA, PEUADDR, PGTT_FIRST_STAGE, PGTT_NESTED, PGTT_PASS_THROUGH, PGTT_SECOND_STAGE, PHMBASE, PHMLIMIT, PLMBASE, PLMLIMIT, PMEN, PQA, PQH, PQT, PRS, PageRange, PagingProblem, PasidInvalidation, PasidIotlbInvalidation, ProblemKind, QEMU_11_1_FIRST_STAGE, QEMU_11_1_SECOND_STAGE, QEMU_7_2, QUEUE_ERRORS, REFUSAL_RECORDED, REGISTER_READ, REGISTER_WINDOW, REGISTER_WRITTEN, REMAPPABLE_ADDRESS, ROOT_ENTRY, ROOT_TABLE_SET, RTADDR, RegisterRow, RegisterWidth, RemappingUnit, RemappingUnitOptions, SCALABLE_CONTEXT_ENTRY, SCALABLE_ROOT_HALF, SERVER, SERVER_ERRATUM_772415, SETTLED, STRUCTURE_READ, Silence, SilentRefusal, StructureProblem, TRANSLATED, TRANSLATION_SWITCHED, TTM_ABORT, TTM_LEGACY, TTM_SCALABLE, TT_DEVICE_TLB, TT_PASS_THROUGH, TT_TRANSLATE, TableMode, TranslationUnit, TranslationUnitOptions, Truncation, UNIT_RESET, UnitEnumeration, UnitInspection, UnitState, VER, VtdFault, WAIT_COMPLETED, WAIT_DESCRIPTOR, attachUnit, cacheSizes, createCapabilities, createFault, createSilentFault, deviceTlbsOf, enumerateUnit, isSilencedByFpd, registerRows, remappedInterrupts };
}
/** An entry or a mapping allows reads. */
declare const PROT_READ = 1;
/** An entry or a mapping allows writes. */
declare const PROT_WRITE = 2;
/** An entry of a format with a user bit allows requests without supervisor privilege. Only reported; `map` always sets it. */
declare const PROT_USER = 4;
/** Permissions as `inspect` writes them: `rw`, `r-`, `-w` or `--`, and `u` after it for `PROT_USER`. */
declare const protText: (prot: number) => string;
/** Bits of an index into a table, as a log2 of the entries: every table but AMD v1's sixth level has 512. */
declare const INDEX_LG2 = 9;
/** What can differ between tables of one format. */
interface EntryFlags {
  /** Leaves make every access coherent: SNP in the second stage, FC in AMD v1. */
  readonly forceSnoop: boolean;
}
/**
 * What one page-table format says about single entries, and nothing else: a
 * format never touches memory and knows no algorithm.
 *
 * What the algorithms ask for each entry is data, not functions. All formats
 * are objects of one shape, so that one compiled map, unmap and walk serves
 * them all at full speed. An entry is `(hi, lo)`, two int32 halves. Levels count
 * from 0, the table of the smallest pages; an entry of level `n` covers
 * 2^(12 + 9n) bytes.
 */
interface PageTableFormat {
  readonly name: string;
  /** The fewest levels that a table can have. */
  readonly minLevels: number;
  /** The most levels that a table can have. */
  readonly maxLevels: number;
  /** log2 of the largest input space, whatever the levels. */
  readonly maxInputLg2: number;
  /** log2 of the largest output space. */
  readonly maxOutputLg2: number;
  /** Every size that a leaf can have and `map` may make: bit n stands for 2^n bytes. */
  readonly pageSizes: bigint;
  /** What `EntryFlags.forceSnoop` may be: the format has a bit for it. */
  readonly canForceSnoop: boolean;
  /** Whether the input space may be two halves, the upper one sign-extended. */
  readonly canSignExtend: boolean;
  /** Whether a new level can be put above the top of a live table. */
  readonly canGrow: boolean;
  /** Bits of `lo`; an entry is empty when none of these and of `usedHi` is set. */
  readonly usedLo: number;
  /** Bits of `hi`; see `usedLo`. */
  readonly usedHi: number;
  /** Above level 0, a used entry with `(lo & tableMask) === tableValue + level * tableStep` is a table. */
  readonly tableMask: number;
  readonly tableValue: number;
  readonly tableStep: number;
  /** By level: a used entry with `(lo & leafMask) === leafValue` that is no table is a leaf of one entry. */
  readonly leafMask: Int32Array;
  readonly leafValue: Int32Array;
  /** Bits of `lo` that, all set, make a leaf whose size is in its address; 0 where there is no such leaf. */
  readonly encodedSizeLo: number;
  /** The bit of `lo` in a leaf that says that the page has been written; 0 where software cannot rely on it. */
  readonly dirtyLo: number;
  /** Bits 63:0 of a table entry of `level`, without the address. It has all permissions. */
  tableAttributes(level: number): bigint;
  /** Bits 63:0 of a leaf of `level`, of the level's own size and without the address. */
  leafAttributes(level: number, prot: number, flags: EntryFlags): bigint;
  /** What the entry by itself allows: `PROT_READ`, `PROT_WRITE`, `PROT_USER`. */
  permissions(hi: number, lo: number): number;
  /** log2 of the size in bytes that is in the address of a leaf with `encodedSizeLo`; 0 when there is none. */
  encodedSizeLg2(hi: number, lo: number): number;
  /** What has to be added to the frame number of a page of 2^`sizeLg2` bytes to put its size into its address. */
  encodedSizeFrames(sizeLg2: number): number;
  /** The bits of an entry of `level` that is a leaf or a table. */
  layoutOf(level: number, leaf: boolean): Layout<string>;
}
/** Which of `pageSizes` a leaf in a table of `levels` levels can have. */
declare const sizesWithin: (format: PageTableFormat, levels: number) => bigint;
/** A field of an entry and what it holds; an address keeps its place. */
interface FieldValue {
  readonly field: Field;
  readonly value: bigint;
}
/** What every step has. */
interface StepPlace {
  /** Physical address of the entry. */
  readonly address: bigint;
  /** The entry as it was read; `undefined` where there is no memory. */
  readonly words: readonly bigint[] | undefined;
  /** What its bits are. */
  readonly layout: Layout<string>;
}
/** A root, context or PASID entry was read. */
interface StructureStep extends StepPlace {
  readonly kind: "structure";
}
/** A page-table entry was read. */
interface EntryStep extends StepPlace {
  readonly kind: "entry";
  readonly stage: 1 | 2;
  /** 0 is the level of 4 KiB pages. */
  readonly level: number;
  /** Whether it is the place of a page and not of a table, present or not. */
  readonly leaf: boolean;
  /** Inside a first stage: the second stage translates an address that the first one needs. */
  readonly nested: boolean;
  /** What is being translated: the request's address, or a guest physical one where nested. */
  readonly input: bigint;
  /** Accessed, dirty and extended-accessed flags that were set after it was read. */
  readonly flagsSet: bigint;
}
/** One read of a translation, in the order in which they happened. */
type WalkStep = StructureStep | EntryStep;
/** A request to translate. */
interface WalkRequest {
  /** Requester ID. */
  readonly source: number;
  /** Absent for a request without a PASID. */
  readonly pasid?: number | undefined;
  readonly iova: bigint;
  /** As in `DmaRequest`. */
  readonly access: number;
}
/** A translation that went through. */
interface WalkedTo {
  readonly ok: true;
  readonly address: bigint;
  /** log2 of the size of the page; 64 where the address was not translated. */
  readonly pageLg2: number;
  /** What the entries on the way allow together, as `PROT_READ`, `PROT_WRITE` and `PROT_USER`. */
  readonly prot: number;
}
/** A translation that was refused. */
interface Refused {
  readonly ok: false;
  readonly fault: VtdFault;
}
/** One translation with every read that it made. */
interface RecordedWalk {
  readonly request: WalkRequest;
  readonly steps: readonly WalkStep[];
  readonly outcome: WalkedTo | Refused;
  readonly reads: {
    /** Root, context and PASID entries. */readonly structures: number; /** Page-table entries. */
    readonly entries: number;
  };
}
/** The format of a stage's page tables. */
declare const formatOfStage: (stage: 1 | 2) => PageTableFormat;
/** The fields of an entry that are not 0 and mean something. */
declare const setFields: (layout: Layout<string>, words: readonly bigint[]) => FieldValue[];
/**
 * The entries that decided in a stage, from the top table down: in a nested
 * translation's second stage, those for the address that was translated last.
 */
declare const pathThrough: (steps: readonly WalkStep[], stage: 1 | 2) => EntryStep[];
/**
 * Has a unit translate a request and records every read that it makes. A unit
 * with caches reads only what it does not know.
 */
declare const recordWalk: (unit: TranslationUnit, request: WalkRequest) => RecordedWalk;
/** One entry that would have to be another one for the request to pass. */
interface EntryChange {
  /** The entry, such as `stage 1 level 0 entry`. */
  readonly entry: string;
  /** Physical address of the quadword to change. */
  readonly address: bigint;
  /** What to do, such as `set writable (bit 1)`. */
  readonly change: string;
  /** The quadword as it is; `undefined` where there is no memory. */
  readonly from: bigint | undefined;
  /** As it would have to be; `undefined` where that takes an address that somebody has to choose. */
  readonly to: bigint | undefined;
}
/** Why a request was refused, and what would have to change. */
interface FaultAdvice {
  /** The values that decided. */
  readonly why: string;
  /** Every entry that would have to change; empty where it is not an entry. */
  readonly changes: readonly EntryChange[];
}
/** What an entry is called. */
declare const nameOfStep: (step: WalkStep) => string;
/**
 * Explains a refusal by the entries that the walk has read.
 *
 * @returns `undefined` when the walk was not refused
 */
declare const adviseOn: (walk: RecordedWalk, capabilities: Capabilities) => FaultAdvice | undefined;
/** A function of the root bus, by its place. */
interface RootBusPlace {
  readonly device: number;
  readonly function?: number;
}
/** A remapping unit of a host machine. */
interface HostUnitOptions {
  readonly capabilities?: Capabilities;
  readonly caches?: CacheSizes | "off";
  /** Functions of the root bus that it serves, bridges with what is behind them; all that are left when absent. */
  readonly serves?: readonly RootBusPlace[];
}
/** What a host machine is made of. */
interface HostMachineOptions {
  readonly ram?: readonly PhysicalRange[];
  readonly reserved?: readonly PhysicalRange[];
  /** One unit that serves everything when absent. */
  readonly units?: readonly HostUnitOptions[];
  readonly reservedMemory?: readonly ReservedMemory[];
  readonly trace?: TraceChannel;
  /** Puts functions on the buses, before these get numbers and addresses. */
  readonly populate: (build: HostBuilder) => void;
}
/** Puts functions into a machine that is being made. */
interface HostBuilder {
  readonly root: Bus;
  readonly fabric: Fabric;
  /** Adds a DMA engine: an integrated endpoint on the root bus, unless told otherwise. */
  addEngine(place: RootBusPlace & {
    readonly kind?: FunctionDeclaration["kind"];
  }, bus?: Bus, options?: DmaEngineOptions): DmaEngine;
}
/**
 * A whole machine for an operating system of ours: memory, buses, DMA engines,
 * remapping units in front of them, interrupts, and the port through which a
 * kernel reaches all of it.
 */
declare class HostMachine {
  #private;
  readonly memory: PhysicalMemory;
  readonly trace: TraceChannel;
  readonly clock: ManualClock;
  readonly topology: Topology;
  readonly fabric: Fabric;
  readonly units: readonly RemappingUnit[];
  readonly engines: readonly DmaEngine[];
  /** Interrupts that arrived for vectors which nobody has connected. */
  readonly strayInterrupts: Interrupt[];
  readonly platform: Platform;
  /** @throws RangeError when functions or scopes do not fit: a bug in the caller */
  constructor(options: HostMachineOptions);
}
/** What a machine is made of. */
interface MachineOptions {
  readonly capabilities: Capabilities;
  /** Where RAM is, by address and apart. */
  readonly ram: readonly RamRange[];
  /** What `ram` holds; memory that is all zeros when absent. */
  readonly memory?: PhysicalMemory;
  /** Sizes of the unit's caches; `off` for a unit that reads every table for every request. */
  readonly caches?: CacheSizes | "off";
  /** The unit's registers other than those that the machine keeps itself. */
  readonly registers?: VtdRegisters;
  /** Where every room's events go. */
  readonly trace?: TraceChannel;
}
/** Memory, one remapping unit in front of it, and the PCI fabric behind that; their events in one channel. */
declare class Machine {
  #private;
  readonly memory: PhysicalMemory;
  readonly ram: readonly RamRange[];
  readonly trace: TraceChannel;
  readonly unit: TranslationUnit;
  readonly topology: Topology;
  readonly fabric: Fabric;
  constructor(options: MachineOptions);
  /** The unit's registers at this moment. */
  get registers(): VtdRegisters;
  /**
   * What `writeCapture` takes to save the machine as it is now.
   *
   * @param pages which pages to keep, each once and in RAM; those with the unit's tables when absent
   */
  capture(pages?: readonly StoredPage[]): CaptureContents;
  /** The machine's state as plain data. */
  inspect(): {
    readonly schema: "softiommu/machine@1";
    readonly unit: ReturnType<TranslationUnit["inspect"]>;
    readonly topology: ReturnType<Topology["inspect"]>;
    readonly fabric: ReturnType<Fabric["inspect"]>;
  };
}
/** How a machine is made from a capture. */
interface FromCaptureOptions {
  readonly caches?: CacheSizes | "off";
  readonly trace?: TraceChannel;
}
/**
 * The machine that a capture was taken of. Its memory is the capture's: what
 * is written stays in this process, and the capture's files as they are.
 *
 * The registers do not say whether the unit updates accessed and dirty flags
 * where page walks are not snooped. Those of QEMU, which most captures are of,
 * do; so does this one.
 */
declare const machineFromCapture: (capture: VtdCapture, options?: FromCaptureOptions) => Machine;
declare namespace index_d_exports$4 {
  export { EntryChange, EntryStep, FaultAdvice, FieldValue, FromCaptureOptions, HostBuilder, HostMachine, HostMachineOptions, HostUnitOptions, Machine, MachineOptions, RecordedWalk, Refused, RootBusPlace, StructureStep, WalkRequest, WalkStep, WalkedTo, adviseOn, formatOfStage, machineFromCapture, nameOfStep, pathThrough, recordWalk, setFields };
}
/** Why an operation on a page table did not do all that was asked. The names are those of Linux. */
type PageTableErrno = /** Length 0, no permission asked for, or an unmap that begins inside a page. */"EINVAL" /** The range passes 2^64. */ | "EOVERFLOW" /** The range is outside what the table can translate, or its output outside what entries can hold. */ | "ERANGE" /** The range is not a multiple of the smallest page size that is allowed. */ | "ENXIO" /** Something is mapped there. */ | "EADDRINUSE" /** Nothing is mapped there. */ | "ENOENT" /** No table page was to be had. */ | "ENOMEM" /** A table page lies outside memory. */ | "EFAULT" /** The format cannot do it. */ | "EOPNOTSUPP";
/** What `map` did. `mapped` bytes from the start are mapped, on failure too: the caller unmaps them. */
type MapOutcome = {
  readonly ok: true;
  readonly mapped: bigint;
} | {
  readonly ok: false;
  readonly errno: PageTableErrno;
  readonly mapped: bigint;
};
/** What `unmap` did. `unmapped` bytes from the start were mapped and are no longer; may be more than was asked for. */
type UnmapOutcome = {
  readonly ok: true;
  readonly unmapped: bigint;
} | {
  readonly ok: false;
  readonly errno: PageTableErrno;
  readonly unmapped: bigint;
};
/** Where table pages come from, and where they go once no hardware can read them any more. */
interface TablePages {
  /** A page frame for a table, whatever it holds; `undefined` when there is none. */
  allocate(): number | undefined;
  /** Takes a frame back that `allocate` gave. */
  free(pfn: number): void;
}
/**
 * What has to be flushed from hardware before memory can be used again: the
 * range of input addresses whose entries changed, and the table pages taken
 * out of the tree, which hardware may still read. The caller flushes `range`,
 * and then, not before, calls `release`.
 */
declare class Gather {
  #private;
  /** @param pages where the tables came from */
  constructor(pages: TablePages);
  /** The smallest range that holds every change; gaps between changes are in it. */
  get range(): Range | undefined;
  /** How many table pages wait for the flush. While some do, cached tables have to be flushed too, not leaves alone. */
  get tableCount(): number;
  /** Whether there is nothing to flush. */
  get isEmpty(): boolean;
  /** Adds `count` page frames from input frame `vfn`. */
  add(vfn: number, count: number): void;
  /** Adds a table page that no entry points at any more. */
  addTable(pfn: number): void;
  /** Gives the table pages back and forgets the range. Only after the flush has completed. */
  release(): void;
}
/** Called with the first input frame of a written page and its size in frames. */
type DirtyVisitor = (vfn: number, frames: number) => void;
/**
 * A visitor that sets a bit of `bitmap` for each frame: bit 0 of the first byte
 * stands for frame `firstVfn`, frames outside the bitmap are passed over.
 *
 * @param pageLg2 log2 of the frames that one bit stands for
 */
declare const markDirty: (bitmap: Uint8Array, firstVfn: number, pageLg2?: number) => DirtyVisitor;
/** What every item of a walk tells: where an entry is and what it says. */
interface ItemPlace {
  /** The level of the table that has the entry; 0 is the table of the smallest pages. */
  readonly level: number;
  /** The first input address that the entry, or the page it belongs to, translates. */
  readonly iova: bigint;
  /** How many bytes of the input space that is. */
  readonly size: bigint;
  /** What the entry and all those above it allow. */
  readonly prot: number;
  /** The entry's 64 bits. */
  readonly entry: bigint;
  /** Where in memory the entry is. */
  readonly entryAddress: bigint;
}
/** A page. Where several entries repeat it, the one that was found first. */
interface TableLeaf extends ItemPlace {
  readonly kind: "leaf";
  /** The output address: of the page's first byte; from `walk`, of the byte asked for. */
  readonly pa: bigint;
}
/** An entry that points at a table. */
interface TablePointer extends ItemPlace {
  readonly kind: "table";
  /** The table's address. */
  readonly table: bigint;
}
/** A used entry that can be neither leaf nor table where it is. */
interface InvalidEntry extends ItemPlace {
  readonly kind: "invalid";
}
/** A table that lies outside memory. */
interface TableOutside {
  readonly kind: "outside";
  /** The level of the table. */
  readonly level: number;
  readonly iova: bigint;
  readonly size: bigint;
  readonly table: bigint;
}
/** What `PageTable.entries` finds. */
type TableItem = TableLeaf | TablePointer | InvalidEntry | TableOutside;
/** What a page table is made of and what it may do. */
interface PageTableOptions {
  readonly format: PageTableFormat;
  /** Where the tables lie. */
  readonly memory: PhysicalMemory;
  readonly pages: TablePages;
  /** How many levels; see the format. */
  readonly levels: number;
  /** Which page sizes `map` may use, bit n for 2^n bytes; all of the format's when absent. */
  readonly pageSizes?: bigint;
  /** log2 of the input space, with the sign bit where there is one; all that the levels reach when absent. */
  readonly inputLg2?: number;
  /** log2 of the output space; all that an entry can hold when absent. */
  readonly outputLg2?: number;
  /** The input space is the two canonical halves of 64 bits instead of [0, 2^inputLg2). */
  readonly signExtend?: boolean;
  /** Every leaf makes accesses coherent. */
  readonly forceSnoop?: boolean;
  /** A mapping without write permission is refused: for a nesting parent on hardware with erratum 772415. */
  readonly writableOnly?: boolean;
  /** `map` puts levels above the top when a range needs them, up to `inputLg2`. */
  readonly growable?: boolean;
  /** Called when `map` has changed `rootPfn` and `levels`. Hardware may use the old top until it has been told. */
  readonly onTopChange?: (table: PageTable) => void;
  readonly trace?: TraceChannel;
}
/** What `createPageTable` and `adoptPageTable` answer. */
type PageTableOutcome = {
  readonly ok: true;
  readonly table: PageTable;
} | {
  readonly ok: false;
  readonly errno: "EFAULT" | "EINVAL" | "ENOMEM" | "EOPNOTSUPP";
};
/** A page table's limits, as data. */
interface PageTableState {
  readonly schema: "softiommu/page-table@1";
  readonly format: string;
  readonly levels: number;
  readonly root: string;
  readonly inputLg2: number;
  readonly outputLg2: number;
  readonly pageSizes: string;
  readonly signExtend: boolean;
}
/**
 * A page table as the kernel that owns it sees it. Everything about what is
 * mapped is in memory: an object made by `adoptPageTable` from the root, the
 * levels and the same options is this one's equal.
 *
 * The methods take addresses and bytes as `bigint`; those whose names end in
 * `Frames` do the work on page frame numbers. After each of these `failure`
 * says why it stopped, or is `undefined`.
 *
 * The caller makes sure that no two operations work on one range at a time, and
 * flushes what the gather holds before it releases it.
 */
declare class PageTable {
  #private;
  readonly format: PageTableFormat;
  readonly memory: PhysicalMemory;
  readonly pages: TablePages;
  readonly inputLg2: number;
  readonly outputLg2: number;
  readonly signExtend: boolean;
  readonly trace: TraceChannel;
  /** The frame of the top table. */
  rootPfn: number;
  levels: number;
  /** Why the last operation on frames stopped. */
  failure: PageTableErrno | undefined;
  /** Leaf attributes by `level * 4 + prot`. */
  readonly leafHi: Int32Array;
  readonly leafLo: Int32Array;
  /** Table entry attributes by level. */
  readonly tableHi: Int32Array;
  readonly tableLo: Int32Array;
  /** By the log2 of a count of frames: the log2 of the largest allowed page of no more, -1 when there is none. */
  readonly bestLg2: Int8Array;
  /** By the log2 of an allowed page's frames: that of the next larger one, -1 when there is none. */
  readonly nextLg2: Int8Array;
  /** log2 of the frames of the smallest allowed page. */
  smallestLg2: number;
  /** Bit `prot` is set when mappings may have these permissions. */
  readonly admittedProts: number;
  /** Bit n is set when pages of level n's own size may be made. */
  plainLevels: number;
  /** Pages of `plainLevels` that begin below this frame are inside the input space. */
  plainEnd: number;
  /** The end of the output space in frames. */
  readonly outputEnd: number;
  /** Use `createPageTable` or `adoptPageTable`, which check the options and know the input space. */
  constructor(options: PageTableOptions & {
    readonly inputLg2: number;
  }, rootPfn: number);
  /** The page sizes that `map` uses, bit n for 2^n bytes. */
  get pageSizes(): bigint;
  /** What is wrong with `count` frames from `vfn` as a range of the input space. */
  rangeError(vfn: number, count: number): PageTableErrno | undefined;
  /** Whether `count` frames from `pfn` can be written into entries. */
  holdsOutput(pfn: number, count: number): boolean;
  /** Whether the levels that there are reach every frame below `endVfn`; always so unless the table grows. */
  reaches(endVfn: number): boolean;
  /**
   * Puts levels above the top until the table reaches `endVfn`. Hardware that
   * still uses the old top translates as before: the new one holds it at index 0.
   *
   * @returns `false` when a table page was not to be had; the table is whole all the same
   */
  growTo(endVfn: number): boolean;
  /** @returns the frame of a new table full of zeros; -1 with `failure` set when there is none */
  allocateTable(): number;
  /** Makes entry `index` of the table in frame `pfn`, of `level`, point at the table in frame `child`. */
  writeTableEntry(pfn: number, index: number, level: number, child: number): void;
  /** Writes one entry. The half with the present bit comes last, for hardware in another thread. */
  writeEntry(pfn: number, index: number, hi: number, lo: number): void;
  /**
   * Maps `count` frames from input frame `vfn` to output frames from `pfn`.
   *
   * @param prot `PROT_READ`, `PROT_WRITE` or both
   * @param gather takes tables that a large page replaces; not empty afterwards only then
   * @returns how many frames from the start are mapped now: less than `count` when `failure` is set
   */
  mapFrames(vfn: number, pfn: number, count: number, prot: number, gather: Gather): number;
  /**
   * Unmaps `count` frames from input frame `vfn`.
   *
   * @returns how many frames from the start were mapped and are no longer; more
   *   than `count` when the range ended inside a large page, fewer with `failure` set
   */
  unmapFrames(vfn: number, count: number, gather: Gather): number;
  /** The output frame that input frame `vfn` is mapped to, or -1. */
  lookUpFrame(vfn: number): number;
  /**
   * Maps `length` bytes from `iova` to `pa`, in as few pages as their
   * alignments and the allowed sizes permit.
   *
   * Errors, in this order: EINVAL length 0 or no permission; EOVERFLOW past
   * 2^64; ERANGE outside the input or output space; ENXIO no page size fits;
   * EADDRINUSE something is mapped there; ENOMEM; EFAULT a table outside memory.
   */
  map(iova: bigint, pa: bigint, length: bigint, prot: number, gather: Gather): MapOutcome;
  /**
   * Unmaps `length` bytes from `iova`, which must be where a page begins. A page
   * that the range ends in goes whole; an address with nothing mapped ends it.
   *
   * Errors: EINVAL length 0, or the range begins inside a page; EOVERFLOW,
   * ERANGE as `map`; ENOENT nothing is mapped where it stopped; EFAULT.
   */
  unmap(iova: bigint, length: bigint, gather: Gather): UnmapOutcome;
  /** The leaf that translates `iova`, and what it translates to; `undefined` when nothing does. */
  walk(iova: bigint): TableLeaf | undefined;
  /**
   * Every used entry from `start` to `last`, a table before what it points at,
   * in the order of addresses. Tables that point at each other may make this
   * long; a caller that does not trust them counts and stops.
   */
  entries(start?: bigint, last?: bigint): Generator<TableItem, void, undefined>;
  /** Every leaf from `start` to `last` that allows anything, as `entries` finds them. */
  leaves(start?: bigint, last?: bigint): Generator<TableLeaf, void, undefined>;
  /**
   * Calls `onDirty` for each page from `iova` on that has been written since it
   * was last cleared, with the whole page even where the range has a part of it.
   *
   * @param clear whether the pages count as clean from now on; these go into `gather`
   * @returns EOPNOTSUPP when the format cannot tell; EINVAL, EOVERFLOW, ERANGE as `map`
   */
  readAndClearDirty(iova: bigint, length: bigint, clear: boolean, gather: Gather, onDirty: DirtyVisitor): PageTableErrno | undefined;
  /** Frees every table, the top included. No hardware may use them any more, nor the caller this object. */
  free(): void;
  inspect(): PageTableState;
}
/** log2 of the largest input space that a table of `levels` levels can have. */
declare const reachLg2: (format: PageTableFormat, levels: number) => number;
/**
 * Makes an empty table.
 *
 * @returns the table; EOPNOTSUPP when the format lacks what the options ask for,
 *   EINVAL when levels, widths or page sizes are impossible, ENOMEM, or EFAULT
 *   when the frame for the top lies outside memory
 */
declare const createPageTable: (options: PageTableOptions) => PageTableOutcome;
/**
 * Takes over a table that is already in memory, another owner's or one from
 * before a restart. With the same options it behaves as the object that made it.
 *
 * @param rootPfn the frame of the top table; `options.levels` says how many levels it has by now
 * @returns the table, or EINVAL or EOPNOTSUPP as `createPageTable`, or EFAULT when the top lies outside memory
 */
declare const adoptPageTable: (rootPfn: number, options: PageTableOptions) => PageTableOutcome;
/** Nothing is mapped by the entry. */
declare const EMPTY = 0;
/** The entry points at the table of the next level down. */
declare const TABLE = 1;
/** The entry maps a page, or, with others like it, a part of one. */
declare const LEAF = 2;
/** The entry is used, but no table made by `map` has one like it. */
declare const INVALID = 3;
/** What an entry is: `EMPTY`, `TABLE`, `LEAF` or `INVALID`. */
declare const classify: (format: PageTableFormat, level: number, hi: number, lo: number) => number;
/**
 * log2 of the page frames that a leaf maps: of all the entries that repeat it.
 * -1 when its address encodes a size that does not belong to the level.
 */
declare const leafLg2: (format: PageTableFormat, level: number, hi: number, lo: number) => number;
/** The first output frame of the page that a leaf of 2^`lg2` frames maps. */
declare const leafFrame: (hi: number, lo: number, lg2: number) => number;
/** Pages that a table began or ceased to map. */
interface MappingChange {
  /** The top table's address. */
  readonly root: string;
  readonly iova: string;
  /** In bytes. */
  readonly length: string;
}
/** Some range became mapped, all of what was asked for or its beginning. */
declare const PAGES_MAPPED: EventType<MappingChange & {
  readonly pa: string;
  readonly prot: string;
}>;
/** Some range is no longer mapped; hardware may still have it cached. */
declare const PAGES_UNMAPPED: EventType<MappingChange>;
/** A level was put above the top. */
declare const TABLE_GREW: EventType<{
  readonly root: string;
  readonly levels: number;
}>;
/**
 * AMD-Vi's host ("v1") format. A leaf has next level 0 when its size is its
 * level's own; with next level 7 its size is in its address, and it is repeated
 * in as many entries as the size takes. The sixth level has 128 tables and no leaves.
 */
declare const AMD_V1: PageTableFormat;
/** An entry that points at a table. */
declare const AMD_V1_TABLE_ENTRY: Layout<"accessed" | "address" | "ignored4to1" | "ignored63" | "ignored8to6" | "nextLevel" | "present" | "read" | "write">;
/** A leaf, of any level and size. */
declare const AMD_V1_LEAF_ENTRY: Layout<"accessed" | "address" | "dirty" | "forceCoherent" | "ignored4to1" | "ignored63" | "ignored8to7" | "nextLevel" | "present" | "read" | "untranslated" | "write">;
/**
 * VT-d's second stage. There is no present bit: software takes an entry for
 * empty only when all of it is 0, hardware when neither read nor write is set.
 */
declare const VTD_SECOND_STAGE: PageTableFormat;
/** An entry that points at the table of the next level down. */
declare const SECOND_STAGE_TABLE_ENTRY: Layout<"accessed" | "address" | "ignored10" | "ignored61to52" | "ignored63" | "ignored6to2" | "ignored9" | "read" | "write">;
/** A leaf of level 0. */
declare const SECOND_STAGE_LEAF_4K: Layout<"accessed" | "address" | "dirty" | "execute" | "ignorePat" | "ignored10" | "ignored61to52" | "ignored63" | "ignored7" | "memoryType" | "read" | "snoop" | "write">;
/** A leaf of level 1. */
declare const SECOND_STAGE_LEAF_2M: Layout<"accessed" | "address" | "dirty" | "execute" | "ignorePat" | "ignored10" | "ignored61to52" | "ignored63" | "memoryType" | "pageSize" | "read" | "snoop" | "write">;
/** A leaf of level 2. */
declare const SECOND_STAGE_LEAF_1G: Layout<"accessed" | "address" | "dirty" | "execute" | "ignorePat" | "ignored10" | "ignored61to52" | "ignored63" | "memoryType" | "pageSize" | "read" | "snoop" | "write">;
/** The leaf layouts by level. */
declare const SECOND_STAGE_LEAF_ENTRIES: readonly Layout<string>[];
/**
 * The processor's format: VT-d first stage and AMD guest ("v2") tables.
 *
 * Accessed, and dirty where writes are allowed, are set when a leaf is made, so
 * that hardware has nothing to update; who wrote a page cannot be learnt from it.
 */
declare const X86_64: PageTableFormat;
/** An entry that points at the table of the next level down. */
declare const X86_64_TABLE_ENTRY: Layout<"accessed" | "address" | "cacheDisable" | "executeDisable" | "extendedAccessed" | "ignored11" | "ignored6" | "ignored62to52" | "ignored8" | "ignored9" | "present" | "user" | "writable" | "writeThrough">;
/** A leaf of level 0. */
declare const X86_64_LEAF_4K: Layout<"accessed" | "address" | "cacheDisable" | "dirty" | "executeDisable" | "extendedAccessed" | "global" | "ignored11" | "ignored62to52" | "ignored9" | "pat" | "present" | "user" | "writable" | "writeThrough">;
/** A leaf of level 1. */
declare const X86_64_LEAF_2M: Layout<"accessed" | "address" | "cacheDisable" | "dirty" | "executeDisable" | "extendedAccessed" | "global" | "ignored11" | "ignored62to52" | "ignored9" | "pageSize" | "pat" | "present" | "user" | "writable" | "writeThrough">;
/** A leaf of level 2. */
declare const X86_64_LEAF_1G: Layout<"accessed" | "address" | "cacheDisable" | "dirty" | "executeDisable" | "extendedAccessed" | "global" | "ignored11" | "ignored62to52" | "ignored9" | "pageSize" | "pat" | "present" | "user" | "writable" | "writeThrough">;
/** The leaf layouts by level. */
declare const X86_64_LEAF_ENTRIES: readonly Layout<string>[];
declare namespace index_d_exports$6 {
  export { AMD_V1, AMD_V1_LEAF_ENTRY, AMD_V1_TABLE_ENTRY, DirtyVisitor, EMPTY, EntryFlags, Gather, INDEX_LG2, INVALID, InvalidEntry, LEAF, MapOutcome, MappingChange, PAGES_MAPPED, PAGES_UNMAPPED, PROT_READ, PROT_USER, PROT_WRITE, PageTable, PageTableErrno, PageTableFormat, PageTableOptions, PageTableOutcome, PageTableState, SECOND_STAGE_LEAF_1G, SECOND_STAGE_LEAF_2M, SECOND_STAGE_LEAF_4K, SECOND_STAGE_LEAF_ENTRIES, SECOND_STAGE_TABLE_ENTRY, TABLE, TABLE_GREW, TableItem, TableLeaf, TableOutside, TablePages, TablePointer, UnmapOutcome, VTD_SECOND_STAGE, X86_64, X86_64_LEAF_1G, X86_64_LEAF_2M, X86_64_LEAF_4K, X86_64_LEAF_ENTRIES, X86_64_TABLE_ENTRY, adoptPageTable, classify, createPageTable, leafFrame, leafLg2, markDirty, protText, reachLg2, sizesWithin };
}
/** A remapping unit as firmware describes it. */
interface UnitDescription {
  /** First address of its registers. */
  readonly base: bigint;
  /** Bytes of registers: a page, or 2^N of them. */
  readonly length: number;
  readonly hostAddressWidth: number;
  readonly remapsInterrupts: boolean;
  /** Requester IDs of the functions it serves; `all` for those that no other unit does. */
  readonly serves: "all" | readonly {
    readonly requesterId: number;
    readonly isBridge: boolean;
  }[];
}
/**
 * The DMAR table: the unit that serves all the rest comes last, as §8.3 wants it.
 *
 * @param units at least one
 */
declare const dmarTable: (units: readonly UnitDescription[]) => Uint8Array;
/** A compiled program. */
interface WasmModule {
  readonly [Symbol.toStringTag]: string;
}
/** What a program takes from, and gives to, JavaScript. */
type WasmImports = Readonly<Record<string, unknown>>;
type WasmExports = Readonly<Record<string, unknown>>;
/** A program's memory. The buffer is another one after it has grown. */
interface WasmMemory {
  readonly buffer: ArrayBuffer;
}
/** The version of the npm package `v86` that this room is written for. What it uses is no documented API: another version is another machine. */
declare const V86_VERSION = "0.5.462";
/** What `import("v86")` gives. */
interface V86Module {
  readonly V86: new (options: V86Options) => V86Emulator;
}
/** Of v86's options, those that are used here. */
interface V86Options {
  readonly wasm_fn: (imports: WasmImports) => Promise<WasmExports>;
  readonly memory_size: number;
  readonly vga_memory_size: number;
  readonly acpi: boolean;
  readonly autostart: boolean;
  readonly uart1: boolean;
  readonly hda?: {
    readonly buffer: ArrayBuffer;
  };
  readonly net_device: {
    readonly type: "none";
  };
  readonly disable_keyboard: boolean;
  readonly disable_mouse: boolean;
  readonly disable_speaker: boolean;
}
/** Memory-mapped registers as v86 calls them: addresses arrive as int32. */
type MmioRead = (address: number) => number;
type MmioWrite = (address: number, value: number) => void;
/** One I/O port. */
interface V86Port {
  read32: () => number;
  write8: (value: number) => void;
  write16: (value: number) => void;
  write32: (value: number) => void;
  device: unknown;
}
/** v86's I/O ports and memory map. */
interface V86Io {
  readonly ports: V86Port[];
  /** `address` and `length` are multiples of 128 KiB. */
  mmap_register(address: number, length: number, read8: MmioRead, write8: MmioWrite, read32: MmioRead, write32: MmioWrite): void;
}
/** v86's PCI bus: configuration mechanism 1. */
interface V86Pci {
  /** The bytes of CONFIG_ADDRESS. */
  readonly pci_addr: Uint8Array;
  readonly pci_response32: Int32Array;
  readonly pci_status32: Int32Array;
  /** By requester ID, as is the next. */
  readonly devices: ({
    readonly pci_bars: readonly unknown[];
  } | undefined)[];
  readonly device_spaces: (Int32Array | undefined)[];
  readonly isa_bridge_space8: Uint8Array;
  /** Called when CONFIG_ADDRESS has been written: puts what is there into `pci_response32`. */
  pci_query(): void;
  pci_write8(address: number, value: number): void;
  pci_write16(address: number, value: number): void;
  pci_write32(address: number, value: number): void;
}
/** A disk of v86, its registers seen as the device sees them. */
interface V86IdeInterface {
  cpu: V86Cpu;
  status_reg: number;
  error_reg: number;
}
/** One of the two channels of v86's disk controller. */
interface V86IdeChannel {
  cpu: V86Cpu;
  readonly master: V86IdeInterface;
  readonly slave: V86IdeInterface;
  readonly current_interface: V86IdeInterface;
  /** Bus master status: bit 0 active, 1 error, 2 interrupt. */
  dma_status: number;
  push_irq(): void;
}
/** v86's disk controller. */
interface V86Ide {
  readonly pci_id: number;
  readonly primary: V86IdeChannel | undefined;
  readonly secondary: V86IdeChannel | undefined;
}
/** What is in v86's processor object: processor, memory and chipset. */
interface V86Cpu {
  readonly wasm_memory: WasmMemory;
  /** A stand-in for a view; every access of it makes a view of its own. */
  readonly mem8: Uint8Array;
  readonly memory_size: Int32Array;
  readonly reg32: Int32Array;
  readonly cr: Int32Array;
  readonly sreg: Uint16Array;
  readonly segment_is_null: Uint8Array;
  readonly segment_offsets: Int32Array;
  readonly segment_limits: Uint32Array;
  readonly protected_mode: Int32Array;
  readonly flags: Int32Array;
  readonly is_32: Int32Array;
  readonly stack_size_32: Int32Array;
  readonly instruction_pointer: Int32Array;
  readonly in_hlt: Uint8Array;
  readonly io: V86Io;
  readonly devices: {
    readonly pci: V86Pci;
    readonly ide: V86Ide;
  };
  read8(address: number): number;
  read16(address: number): number;
  read32s(address: number): number;
  write8(address: number, value: number): void;
  write16(address: number, value: number): void;
  write32(address: number, value: number): void;
  read_blob(address: number, length: number): Uint8Array;
  write_blob(bytes: Uint8Array, address: number): void;
  /** Forgets translated code of these addresses; `end` is exclusive. */
  jit_dirty_cache(start: number, end: number): void;
  get_apic_addr(): number;
  handle_irqs(): void;
  update_state_flags(): void;
  reboot_internal(): void;
}
/** v86's outer object. */
interface V86Emulator {
  readonly v86: {
    readonly cpu: V86Cpu;
    next_tick(milliseconds: number): void; /** Runs the processor for about a millisecond. */
    do_tick(): void;
    stop(): void;
  };
  add_listener(event: string, listener: (value: number) => void): void;
  serial_send_bytes(port: number, bytes: Uint8Array): void;
  run(): Promise<void>;
  stop(): Promise<void>;
  destroy(): Promise<void>;
  is_running(): boolean;
  save_state(): Promise<ArrayBuffer>;
  restore_state(state: ArrayBuffer): Promise<void>;
  get_instruction_counter(): number;
}
/** What was given to boot from cannot be booted. */
declare class KernelError extends Error {
  constructor(why: string);
}
/** A kernel and what it gets to begin with. */
interface BootImage {
  /** A bzImage of a 32-bit x86 Linux. */
  readonly kernel: Uint8Array;
  readonly initrd: Uint8Array;
  readonly commandLine: string;
}
/** The guest has reset the machine. */
declare const PC_RESET: EventType<Record<string, never>>;
/** The guest has switched the machine off. */
declare const PC_OFF: EventType<Record<string, never>>;
/** The processor has met what v86 has not implemented, and runs no more. */
declare const PC_CRASHED: EventType<{
  readonly why: string;
}>;
/** CLFLUSH instructions have been taken out of the kernel in memory. */
declare const PC_FLUSHES_REMOVED: EventType<{
  readonly count: number;
}>;
/** The v86 that was given cannot be used. */
declare class V86Error extends Error {
  /** What it lacks, as paths. */
  readonly missing: readonly string[];
  constructor(missing: readonly string[]);
}
/** v86's program, `v86/build/v86.wasm`: its bytes, or compiled once for several PCs. */
type V86Program = Uint8Array | WasmModule;
/** An interrupt has come to the local APIC. */
declare const PC_INTERRUPT: EventType<{
  readonly vector: number; /** Whether the processor will see it: fixed or lowest priority, to its own APIC ID. */
  readonly accepted: boolean;
}>;
/** What one of our devices saves; it says itself what it is. */
type DeviceState = EngineState | {
  readonly schema: string;
};
/** A remapping unit of the PC. */
interface PcUnit {
  readonly capabilities: Capabilities;
  /** The functions it serves; those that no other unit serves when absent. */
  readonly serves?: (topology: Topology) => readonly PciFunction[];
}
/** A device of ours, as far as the PC sees to it. */
interface PcDevice {
  /** @throws SaveRefusedError while it holds what cannot be saved */
  save(): DeviceState;
  restore(state: never): void;
}
/** Machine code to run instead of a kernel, in protected mode with flat segments. */
interface Payload {
  readonly code: Uint8Array;
  /** Where it is put and begins; below the end of memory. */
  readonly address: bigint;
}
/** What a PC is made of. */
interface PcOptions {
  /** What `import("v86")` gives, version `V86_VERSION`. */
  readonly v86: V86Module;
  /** The bytes of `v86/build/v86.wasm`, or what they compile to. */
  readonly program: V86Program;
  /** Bytes of RAM, a multiple of 1 MiB; 64 MiB when absent. */
  readonly memoryBytes?: number;
  /** What it begins with; nothing when absent, until a snapshot is restored. */
  readonly boot?: BootImage | Payload;
  /** Its remapping units; none when absent. */
  readonly units?: readonly PcUnit[];
  /** Puts devices of ours on the first bus; those of v86 are there already. */
  readonly devices?: (fabric: Fabric, bus: Bus) => readonly PcDevice[];
  /** The contents of v86's own disk, a multiple of 512 bytes; no disk when absent. */
  readonly disk?: Uint8Array;
  /** Whether CLFLUSH is taken out of the kernel: needed by Linux before 6.2. */
  readonly removeCacheFlushes?: boolean;
  /** How long devices may take to answer; for ever when absent. */
  readonly clock?: Clock;
  readonly trace?: TraceChannel;
}
/** How a PC ends by itself. */
type PcEnd = {
  readonly how: "off";
} /** It has met what v86 has not implemented, for instance a fault without a handler. */ | {
  readonly how: "crashed";
  readonly why: string;
};
type Listener = (bytes: Uint8Array) => void;
/** One of the PC's serial ports, seen from the other end of the line. */
declare class SerialPort {
  #private;
  /** @param index 0 for COM1, 1 for COM2 */
  constructor(emulator: V86Emulator, index: number);
  /** Sends bytes, or text in UTF-8, to the guest. */
  write(data: string | Uint8Array): void;
  /**
   * Calls `listener` with what the guest sends, in pieces of any size.
   *
   * @returns a function that ends it
   */
  onOutput(listener: Listener): () => void;
  /**
   * Waits until the guest has sent `pattern`. What comes after the match is
   * left for the next call.
   *
   * @returns everything up to the end of the match that no earlier call returned
   */
  waitFor(pattern: string | RegExp): Promise<string>;
  /** Forgets what nobody has waited for. */
  discard(): void;
}
/**
 * A PC whose processor and chipset are v86 and whose remapping units, PCI
 * fabric and devices are ours. Time in it is the host's: nothing about it is
 * repeatable to the instruction.
 */
declare class Pc {
  #private;
  readonly trace: TraceChannel;
  readonly memory: PhysicalMemory;
  /** Where RAM is. */
  readonly ram: readonly {
    readonly base: bigint;
    readonly length: bigint;
  }[];
  readonly topology: Topology;
  readonly fabric: Fabric;
  /** Its remapping units, in the order of the options. */
  readonly units: readonly RemappingUnit[];
  /** Its devices, in the order in which they were put there. */
  readonly devices: readonly PcDevice[];
  /** COM1, where the guest has its console. */
  readonly console: SerialPort;
  /** COM2, for programs. */
  readonly channel: SerialPort;
  /** Settles when the guest has switched the machine off, or v86 has given up. */
  readonly ended: Promise<PcEnd>;
  private constructor();
  /**
   * Makes a PC that stands still.
   *
   * @throws V86Error when v86 is not the version that is wanted, KernelError when the kernel cannot be placed
   */
  static create(options: PcOptions): Promise<Pc>;
  /**
   * Lets it run.
   *
   * @throws Error when it has crashed: what is left of it cannot run
   */
  start(): void;
  /** Has it stand still; it does when the promise is settled. */
  stop(): Promise<void>;
  /** Whether it runs. */
  get running(): boolean;
  /** Instructions executed so far, modulo 2^32. */
  get instructions(): number;
  /**
   * Everything there is, processor, memory, chipset, units and devices, in one
   * block of bytes. A PC that runs goes on afterwards.
   *
   * @throws SaveRefusedError while something is under way that cannot be saved, naming it
   */
  save(): Promise<Uint8Array>;
  /**
   * Puts everything back to what `save` saw, on a PC made with the same
   * options; `boot` may differ. It stands still afterwards.
   *
   * @throws RestoreError when the snapshot is none, or that of another machine
   */
  restore(snapshot: Uint8Array): Promise<void>;
  /** Ends it for good: nothing of it runs or waits any more. */
  destroy(): Promise<void>;
  /** The PC's state as plain data. */
  inspect(): PcInspection;
}
/** What `Pc.inspect` gives. */
interface PcInspection {
  readonly schema: "softiommu/pc@1";
  readonly running: boolean;
  readonly instructions: number;
  readonly memoryBytes: number;
  readonly units: readonly ReturnType<TranslationUnit["inspect"]>[];
  readonly topology: ReturnType<Topology["inspect"]>;
  readonly fabric: ReturnType<Fabric["inspect"]>;
}
/** The units that a PC is tried with, by what Linux makes of them. */
declare const PC_UNITS: {
  /** Legacy mode. */readonly legacy: Capabilities; /** Scalable mode, with a first stage alone. */
  readonly "scalable-fs": Capabilities; /** Scalable mode, with a second stage alone. */
  readonly "scalable-ss": Capabilities; /** Scalable mode with both stages, nesting, PASIDs, and devices that ask for pages. */
  readonly nested: Capabilities;
};
/** A name in `PC_UNITS`. */
type PcUnitName = keyof typeof PC_UNITS;
/** The same unit in caching mode: software must tell it of new mappings too, as a virtual one wants it. */
declare const inCachingMode: (capabilities: Capabilities) => Capabilities;
declare namespace index_d_exports$7 {
  export { BootImage, DeviceState, KernelError, PC_CRASHED, PC_FLUSHES_REMOVED, PC_INTERRUPT, PC_OFF, PC_RESET, PC_UNITS, Payload, Pc, PcDevice, PcEnd, PcInspection, PcOptions, PcUnit, PcUnitName, RestoreError, SaveRefusedError, SerialPort, UnitDescription, V86Error, V86Module, V86Program, V86_VERSION, dmarTable, inCachingMode };
}
declare namespace index_d_exports$10 {
  export { Field, FieldDeclaration, Layout, ReservedBy, RestoreError, SaveRefusedError, SavedWords, defineLayout, fieldAt, restoreWords, saveWords };
}
declare namespace index_d_exports$11 {
  export { EventType, TraceChannel, TraceEvent, TraceListener, defineEvent };
}
export { index_d_exports as bits, index_d_exports$1 as capture, index_d_exports$2 as devices, index_d_exports$3 as interrupt, index_d_exports$4 as machine, index_d_exports$5 as memory, index_d_exports$6 as pageTable, index_d_exports$7 as pc, index_d_exports$8 as pci, index_d_exports$9 as platform, index_d_exports$10 as struct, index_d_exports$11 as trace, index_d_exports$12 as vtd };