import { hex } from "../bits/hex.ts";
import { type Range, rangeLength, rangeOf } from "../bits/range.ts";
import {
  formatPciAddress,
  type PciAddress,
  PciAddressError,
  parsePciAddress,
} from "../hardware/pci/requester-id.ts";

/** Text that does not say what it should. */
export class NotationError extends Error {
  override readonly name = "NotationError";
  /** What would have been right, as a noun phrase. */
  readonly expected: string;

  constructor(text: string, expected: string) {
    super(`${JSON.stringify(text)} is not ${expected}`);
    this.expected = expected;
  }
}

/** Suffixes and what they multiply by, as a log2. */
const SUFFIXES: Readonly<Record<string, bigint>> = { "": 0n, k: 10n, m: 20n, g: 30n, t: 40n };

const DIGITS = /^(0x[0-9a-f]+(?:_[0-9a-f]+)*|0b[01]+(?:_[01]+)*|[0-9]+(?:_[0-9]+)*)([kmgt]?)$/i;

const NUMBER = "a number such as 4096, 0x1000, 0b1 or 4K";

/**
 * Reads a number: decimal, `0x…` or `0b…`, with `_` between digits, and `K`,
 * `M`, `G` or `T` behind it for powers of 1024.
 *
 * @param max the largest that is allowed
 * @throws NotationError when it is something else, or larger
 */
export const parseNumber = (text: string, max = 0xffff_ffff_ffff_ffffn): bigint => {
  const [, digits, suffix] = DIGITS.exec(text) ?? [];
  if (digits === undefined || suffix === undefined) throw new NotationError(text, NUMBER);
  const value = BigInt(digits.replaceAll("_", "").toLowerCase()) << SUFFIXES[suffix.toLowerCase()]!;
  if (value > max) throw new NotationError(text, `a number up to ${hex(max)}`);
  return value;
};

/** Reads an address of up to 64 bits. */
export const parseAddress = (text: string): bigint => parseNumber(text);

/** Reads a PASID: 20 bits. */
export const parsePasid = (text: string): number => Number(parseNumber(text, 0xf_ffffn));

/** A size in the largest unit that divides it: `4K`, `260K`, `1G`; in bytes where none does. */
export const formatSize = (bytes: bigint): string => {
  for (const suffix of ["t", "g", "m", "k"]) {
    const lg2 = SUFFIXES[suffix]!;
    if (bytes !== 0n && bytes % (1n << lg2) === 0n) {
      return `${bytes >> lg2}${suffix.toUpperCase()}`;
    }
  }
  return bytes.toString();
};

/**
 * Reads a range as `START+LENGTH`.
 *
 * @throws NotationError when it is something else, empty, or passes 2^64
 */
export const parseRange = (text: string): Range => {
  const [start, length, ...more] = text.split("+");
  const expected = "a range START+LENGTH such as 0x80000000+2M";
  if (start === undefined || length === undefined || more.length > 0) {
    throw new NotationError(text, expected);
  }
  const range = rangeOf(parseNumber(start), parseNumber(length));
  if (range === undefined) throw new NotationError(text, expected);
  return range;
};

/** A range as `parseRange` reads it. */
export const formatRange = (range: Range): string =>
  `${hex(range.start)}+${formatSize(rangeLength(range))}`;

/**
 * Reads a device: `[ssss:]bb:dd.f`, or its requester ID as `0x…`.
 *
 * @throws NotationError when it is neither
 */
export const parseDevice = (text: string): PciAddress => {
  if (/^0x/i.test(text)) return { segment: 0, requesterId: Number(parseNumber(text, 0xffffn)) };
  try {
    return parsePciAddress(text);
  } catch (error) {
    if (!(error instanceof PciAddressError)) throw error;
    throw new NotationError(text, "a device such as 00:1f.3, 0000:00:1f.3 or 0xfb");
  }
};

/** A device as `parseDevice` reads it: `ssss:bb:dd.f`. */
export const formatDevice = formatPciAddress;
