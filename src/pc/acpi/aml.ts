/**
 * ACPI machine language, as much of it as a description of this PC takes
 * (ACPI 6.5 §20.2). A term is its bytes.
 */
export type Aml = readonly number[];

const ZERO_OP = 0x00;
const ONE_OP = 0x01;
const NAME_OP = 0x08;
const BYTE_PREFIX = 0x0a;
const WORD_PREFIX = 0x0b;
const DWORD_PREFIX = 0x0c;
const SCOPE_OP = 0x10;
const BUFFER_OP = 0x11;
const PACKAGE_OP = 0x12;
const EXT_PREFIX = 0x5b;
const DEVICE_OP = 0x82;
const ROOT_CHAR = 0x5c;

const littleEndian = (value: number, bytes: number): number[] =>
  Array.from({ length: bytes }, (_, i) => (value >>> (8 * i)) & 0xff);

const ascii = (text: string): number[] => [...text].map((c) => c.charCodeAt(0));

/** PkgLength counts itself: one byte up to 63, else its low 4 bits and up to three bytes more (§20.2.4). */
const sized = (content: Aml): Aml => {
  for (let extra = 0; extra <= 3; extra++) {
    const length = content.length + 1 + extra;
    if (extra === 0 && length < 0x40) return [length, ...content];
    if (extra > 0 && length < 2 ** (4 + 8 * extra)) {
      return [(extra << 6) | (length & 0xf), ...littleEndian(length >>> 4, extra), ...content];
    }
  }
  throw new RangeError(`${content.length} bytes are too many for one term`);
};

/** A name of up to 4 characters, after `\` in the root (§20.2.2). */
const nameString = (name: string): Aml => {
  const isAbsolute = name.startsWith("\\");
  const segment = (isAbsolute ? name.slice(1) : name).padEnd(4, "_");
  return [...(isAbsolute ? [ROOT_CHAR] : []), ...ascii(segment)];
};

/** An integer of up to 32 bits (§20.2.3). */
export const integer = (value: number): Aml => {
  if (value === 0) return [ZERO_OP];
  if (value === 1) return [ONE_OP];
  if (value <= 0xff) return [BYTE_PREFIX, value];
  if (value <= 0xffff) return [WORD_PREFIX, ...littleEndian(value, 2)];
  return [DWORD_PREFIX, ...littleEndian(value, 4)];
};

/** Name an object. */
export const named = (name: string, object: Aml): Aml => [NAME_OP, ...nameString(name), ...object];

/** Terms in a scope that exists. */
export const scope = (name: string, ...terms: readonly Aml[]): Aml => [
  SCOPE_OP,
  ...sized([...nameString(name), ...terms.flat()]),
];

/** A device and the terms in it. */
export const device = (name: string, ...terms: readonly Aml[]): Aml => [
  EXT_PREFIX,
  DEVICE_OP,
  ...sized([...nameString(name), ...terms.flat()]),
];

/** A package of up to 255 elements. */
export const packageOf = (...elements: readonly Aml[]): Aml => [
  PACKAGE_OP,
  ...sized([elements.length, ...elements.flat()]),
];

const buffer = (bytes: Aml): Aml => [BUFFER_OP, ...sized([...integer(bytes.length), ...bytes])];

/** An identifier such as `PNP0A03`: three letters of 5 bits, then four hexadecimal digits, highest byte first (§19.3.4). */
export const eisaId = (id: string): Aml => {
  const [a, b, c] = ascii(id.slice(0, 3)).map((letter) => letter - 0x40) as [
    number,
    number,
    number,
  ];
  const vendor = (a << 10) | (b << 5) | c;
  const product = Number.parseInt(id.slice(3), 16);
  return [DWORD_PREFIX, vendor >>> 8, vendor & 0xff, product >>> 8, product & 0xff];
};

/** MinFixed and MaxFixed: the range cannot be moved (§6.4.3.5). */
const FIXED = 0x0c;

interface AddressSpace {
  readonly tag: number;
  readonly bytes: 2 | 4;
  /** 0 memory, 1 I/O, 2 bus numbers. */
  readonly type: number;
  readonly flags: number;
}

/** A range that a bridge passes on: granularity, first, last, translation, length (§6.4.3.5.2, §6.4.3.5.3). */
const range = ({ tag, bytes, type, flags }: AddressSpace, first: number, last: number): Aml => {
  const numbers = [0, first, last, 0, last - first + 1];
  const content = [type, FIXED, flags, ...numbers.flatMap((n) => littleEndian(n, bytes))];
  return [tag, ...littleEndian(content.length, 2), ...content];
};

const WORD = { tag: 0x88, bytes: 2 } as const;
const DWORD = { tag: 0x87, bytes: 4 } as const;

/** Bus numbers behind a bridge. */
export const busRange = (first: number, last: number): Aml =>
  range({ ...WORD, type: 2, flags: 0 }, first, last);

/** I/O ports behind a bridge, all of them decoded (type flags §6.4.3.5.5). */
export const portRange = (first: number, last: number): Aml =>
  range({ ...WORD, type: 1, flags: 3 }, first, last);

/** Memory behind a bridge, that may be written; `cached` where it is like RAM. */
export const memoryRange = (first: number, last: number, cached = false): Aml =>
  range({ ...DWORD, type: 0, flags: cached ? 3 : 1 }, first, last);

/** Ports that a device decodes itself, 16 bits of address (§6.4.2.5). */
export const ports = (first: number, count: number): Aml => [
  0x47,
  1,
  ...littleEndian(first, 2),
  ...littleEndian(first, 2),
  1,
  count,
];

/** Memory that a device decodes itself (§6.4.3.4). */
export const fixedMemory = (first: number, length: number): Aml => [
  0x86,
  ...littleEndian(9, 2),
  1,
  ...littleEndian(first, 4),
  ...littleEndian(length, 4),
];

/** Resources as `_CRS` gives them, with the end tag; its checksum of 0 means that there is none (§6.4.2.9). */
export const resources = (...descriptors: readonly Aml[]): Aml =>
  buffer([...descriptors.flat(), 0x79, 0]);
