import { hex } from "../bits/hex.ts";
import type { RamRange, StoredPage } from "./capture.ts";
import type { Json } from "./json-text.ts";
import { MAX_RAM, MAX_RAM_RANGES } from "./limits.ts";

/** The version that is written, and the only one that is known. A file without one is older and reads the same. */
export const CAPTURE_SCHEMA = "softiommu/capture@1";

/** What `pages.json` says. */
export interface PageIndex {
  /** RAM, by address. */
  readonly ram: readonly RamRange[];
  /** The pages of `pages.bin`, in its order. */
  readonly pages: readonly StoredPage[];
}

const KIND = /^[a-z0-9][a-z0-9_-]{0,31}$/;

const isWholePages = (value: bigint): boolean => (value & 0xfffn) === 0n;

const parseRanges = (list: Json): RamRange[] => {
  let end = 0n;
  return list.items(MAX_RAM_RANGES).map((item) => {
    const base = item.field("base").hex(52);
    const length = item.field("length").hex(53);
    if (!isWholePages(base) || !isWholePages(length) || length === 0n || base + length > MAX_RAM) {
      throw item.wrong("whole pages below 2^52", `${hex(length)} bytes at ${hex(base)}`);
    }
    if (base < end)
      throw item.wrong(`a range at or above ${hex(end)}: by address, and apart`, hex(base));
    end = base + length;
    return { base, length };
  });
};

const parseRam = (json: Json): RamRange[] => {
  const size = json.field("ram_size");
  const bytes = BigInt(size.integer(4096, Number(MAX_RAM)));
  if (!isWholePages(bytes)) throw size.wrong("a multiple of 4096");
  const list = json.optional("ram");
  if (list === undefined) return [{ base: 0n, length: bytes }];
  const ranges = parseRanges(list);
  const sum = ranges.reduce((all, { length }) => all + length, 0n);
  if (sum !== bytes) throw size.wrong(`the size of all ranges of "ram", ${sum}`);
  return ranges;
};

/** The range of `ram` that holds the page at `pa`. */
const rangeAround = (ram: readonly RamRange[], pa: bigint): RamRange | undefined => {
  let low = 0;
  let high = ram.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const { base, length } = ram[middle]!;
    if (base + length > pa) high = middle;
    else low = middle + 1;
  }
  const range = ram[low];
  return range !== undefined && range.base <= pa ? range : undefined;
};

const parsePages = (list: Json, ram: readonly RamRange[], most: number): StoredPage[] => {
  const seen = new Set<bigint>();
  return list.items(most).map((item) => {
    const address = item.field("pa");
    const pa = address.hex(52);
    if (!isWholePages(pa)) throw address.wrong("a page's address, a multiple of 0x1000");
    if (rangeAround(ram, pa) === undefined) {
      throw address.wrong("an address in RAM", hex(pa), "ram_size says where RAM ends");
    }
    if (seen.has(pa)) throw address.wrong("each page once", `a second ${hex(pa)}`);
    seen.add(pa);
    return { pa, kind: item.field("kind").text(KIND, 'a kind of page, such as "root" or "sspt3"') };
  });
};

/**
 * @param json the text of a `pages.json`
 * @param most pages that it may list
 * @throws CaptureError when it is not one
 */
export const parsePageIndex = (json: Json, most: number): PageIndex => {
  const schema = json.optional("schema");
  if (schema !== undefined && schema.value !== CAPTURE_SCHEMA) {
    throw schema.wrong(
      `"${CAPTURE_SCHEMA}"`,
      schema.describe(),
      "the capture comes from another version",
    );
  }
  const ram = parseRam(json);
  return { ram, pages: parsePages(json.field("pages"), ram, most) };
};
