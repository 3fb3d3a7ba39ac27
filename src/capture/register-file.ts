import { hex } from "../bits/hex.ts";
import type { CapturedRegisters } from "./capture.ts";
import { quote } from "./capture-error.ts";
import { type FileSource, fileName, readUnpacked } from "./file-source.ts";
import { type Json, parseJson } from "./json-text.ts";
import { MAX_JSON_BYTES, MAX_REGISTER_SPACE } from "./limits.ts";
import {
  AMD_REGISTERS,
  amdRegisters,
  faultRecordsOf,
  type RegisterWords,
  registerAt,
  setRegister,
  VTD_REGISTERS,
  type VtdRegisters,
  vtdRegisters,
} from "./registers.ts";

/** Fields that the file repeats beside the register they are part of: register offset, shift and width. */
const VTD_FIELDS = {
  TTM: [0x20, 10, 2],
  TE: [0x1c, 31, 1],
  IRE: [0x1c, 25, 1],
  QIE: [0x1c, 26, 1],
} as const;

const fieldOf = (
  words: RegisterWords,
  [offset, shift, width]: readonly [number, number, number],
): number => ((words.get(offset) ?? 0) >>> shift) & ((1 << width) - 1);

/** `nonzero_regs`: register space, word by word. */
const parseWords = (json: Json): Map<number, number> => {
  const words = new Map<number, number>();
  const seen = new Set<number>();
  for (const [name, value] of json.members()) {
    const offset = /^0x[0-9a-f]{1,4}$/i.test(name) ? Number(name) : MAX_REGISTER_SPACE;
    if (offset >= MAX_REGISTER_SPACE || offset % 4 !== 0) {
      throw value.wrong(
        `a register whose offset is a multiple of 4 below ${hex(MAX_REGISTER_SPACE)}`,
        quote(name),
      );
    }
    if (seen.has(offset)) throw value.wrong("each offset once", `a second ${hex(offset)}`);
    seen.add(offset);
    setRegister(words, offset, 4, value.hex(32));
  }
  return words;
};

/**
 * Reads the register called `name` out of `regs`, and holds it against
 * register space when the file gives both, else puts it there.
 */
const takeRegister = (
  json: Json,
  words: Map<number, number>,
  raw: boolean,
  [offset, bytes]: readonly [number, 4 | 8],
): void => {
  const value = json.hex(bytes * 8);
  if (!raw) setRegister(words, offset, bytes, value);
  const inSpace = registerAt(words, offset, bytes);
  if (inSpace === value) return;
  throw json.wrong(
    `what nonzero_regs has at ${hex(offset)}, ${hex(inSpace)}`,
    hex(value),
    "regs and nonzero_regs describe the same registers and must agree",
  );
};

const takeFaultRecords = (regs: Json, words: Map<number, number>, raw: boolean): void => {
  const list = regs.optional("FRCD");
  if (list === undefined) return;
  const { offset, count } = faultRecordsOf(registerAt(words, 0x08, 8));
  list.items(count).forEach((record, i) => {
    const [lo, hi, ...more] = record.items(2);
    if (lo === undefined || hi === undefined || more.length > 0) {
      throw record.wrong("a fault record: its low and its high quadword");
    }
    takeRegister(lo, words, raw, [offset + i * 16, 8]);
    takeRegister(hi, words, raw, [offset + i * 16 + 8, 8]);
  });
};

const takeFields = (regs: Json, words: RegisterWords): void => {
  for (const [name, place] of Object.entries(VTD_FIELDS)) {
    const json = regs.optional(name);
    const inRegister = fieldOf(words, place);
    if (json !== undefined && json.integer(0, 3) !== inRegister) {
      throw json.wrong(`${name} as in its register, ${inRegister}`);
    }
  }
};

/**
 * The registers in the text of a `regs.json`.
 *
 * @throws CaptureError when it is not one, or contradicts itself
 */
export const parseRegisterFile = (json: Json): CapturedRegisters => {
  const regs = json.optional("regs");
  const space = json.optional("nonzero_regs");
  if (regs === undefined && space === undefined) {
    throw json.wrong('an object with "regs" or "nonzero_regs"', "one without");
  }
  const raw = space !== undefined;
  const words = raw ? parseWords(space) : new Map<number, number>();
  const amd = regs?.optional("DTB") !== undefined;
  const table = Object.entries<readonly [number, 4 | 8]>(amd ? AMD_REGISTERS : VTD_REGISTERS);
  for (const [name, row] of table) {
    const value = regs?.optional(name.toUpperCase());
    if (value !== undefined) takeRegister(value, words, raw, row);
  }
  if (amd) return { iommu: "amd", registers: amdRegisters(words) };
  if (regs !== undefined) {
    takeFaultRecords(regs, words, raw);
    takeFields(regs, words);
  }
  return { iommu: "vtd", registers: vtdRegisters(words) };
};

/**
 * Reads a file of the shape of `regs.json`, compressed or not.
 *
 * @throws CaptureError when it is missing or bad
 */
export const readRegisters = (files: FileSource, path: string): CapturedRegisters => {
  const bytes = readUnpacked(files, path, MAX_JSON_BYTES);
  return parseRegisterFile(parseJson(fileName(files, path), bytes));
};

/** The fields and fault records that only VT-d files have. */
const vtdExtras = (registers: VtdRegisters): Record<string, unknown> => ({
  FRCD: registers.frcd.map(({ lo, hi }) => [hex(lo), hex(hi)]),
  ...Object.fromEntries(
    Object.entries(VTD_FIELDS).map(([name, place]) => [name, fieldOf(registers.words, place)]),
  ),
});

/** The text of a `regs.json` that holds `captured`. */
export const formatRegisterFile = (captured: CapturedRegisters): string => {
  const table = captured.iommu === "vtd" ? VTD_REGISTERS : AMD_REGISTERS;
  const { words } = captured.registers;
  const regs = Object.fromEntries(
    Object.entries<readonly [number, 4 | 8]>(table).map(([name, [offset, bytes]]) => [
      name.toUpperCase(),
      hex(registerAt(words, offset, bytes)),
    ]),
  );
  const nonzero = [...words].sort(([a], [b]) => a - b);
  const document = {
    regs: { ...regs, ...(captured.iommu === "vtd" ? vtdExtras(captured.registers) : {}) },
    nonzero_regs: Object.fromEntries(nonzero.map(([offset, value]) => [hex(offset), hex(value)])),
  };
  return `${JSON.stringify(document, null, 1)}\n`;
};
