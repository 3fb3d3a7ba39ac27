import { hex } from "../../bits/hex.ts";
import { REGISTER_WINDOW } from "../../hardware/vtd/register-file.ts";
import { type RegisterRow, registerRows } from "../../hardware/vtd/spec/registers.ts";
import type { Field } from "../../struct/layout.ts";
import type { RegisterWords } from "../registers.ts";
import type { FieldDifference } from "./report.ts";

/** A register that differs. */
export interface RegisterDifference {
  readonly what: string;
  readonly recorded: string;
  readonly replayed: string;
  readonly fields: readonly FieldDifference[];
}

/** A unit's registers with these capabilities, each with a name of its own. */
export interface NamedRegister extends RegisterRow {
  readonly name: string;
}

/** Every register, by offset; those of which there are several have a number. */
export const namedRegisters = (cap: bigint, ecap: bigint): NamedRegister[] => {
  const rows = registerRows(cap, ecap);
  return rows
    .map((row) => {
      const same = rows.filter(({ layout }) => layout === row.layout);
      const number = same.length > 1 ? ` ${same.indexOf(row)}` : "";
      return { ...row, name: row.layout.name + number };
    })
    .sort((a, b) => a.offset - b.offset);
};

/** Quadwords of the register at `offset`. */
export const quadwordsAt = (words: RegisterWords, offset: number, bytes: number): bigint[] => {
  const quadwords: bigint[] = [];
  for (let at = 0; at < bytes; at += 8) {
    const high = bytes - at > 4 ? BigInt(words.get(offset + at + 4) ?? 0) << 32n : 0n;
    quadwords.push(high | BigInt(words.get(offset + at) ?? 0));
  }
  return quadwords;
};

/** A register of several quadwords as one number, the highest first. */
const textOf = (quadwords: readonly bigint[]): string =>
  quadwords.length === 1
    ? hex(quadwords[0]!)
    : `0x${[...quadwords]
        .reverse()
        .map((word) => word.toString(16).padStart(16, "0"))
        .join("_")}`;

/** The fields that differ. */
export const fieldDifferences = (
  fields: Readonly<Record<string, Field>>,
  recorded: readonly bigint[],
  replayed: readonly bigint[],
): FieldDifference[] =>
  Object.values(fields).flatMap(({ name, qword, mask, shift }) => {
    const a = ((recorded[qword] ?? 0n) & mask) >> shift;
    const b = ((replayed[qword] ?? 0n) & mask) >> shift;
    return a === b ? [] : [{ name, recorded: a, replayed: b }];
  });

/** A register that differs, with its fields; `undefined` when it does not. */
export const compareRegister = (
  { name, layout, offset }: NamedRegister,
  recorded: RegisterWords,
  replayed: RegisterWords,
): RegisterDifference | undefined => {
  const before = quadwordsAt(recorded, offset, layout.bytes);
  const after = quadwordsAt(replayed, offset, layout.bytes);
  if (before.every((word, i) => word === after[i])) return undefined;
  return {
    what: name,
    recorded: textOf(before),
    replayed: textOf(after),
    fields: fieldDifferences(layout.fields, before, after),
  };
};

/** Compares all of register space, words that belong to no register too. */
export const compareRegisters = (
  registers: readonly NamedRegister[],
  recorded: RegisterWords,
  replayed: RegisterWords,
): RegisterDifference[] => {
  const differences: RegisterDifference[] = [];
  for (let offset = 0; offset < REGISTER_WINDOW; ) {
    const register = registers.find((each) => each.offset === offset);
    if (register === undefined) {
      const [a, b] = [recorded.get(offset) ?? 0, replayed.get(offset) ?? 0];
      if (a !== b) {
        const what = `register ${hex(offset)}`;
        differences.push({ what, recorded: hex(a), replayed: hex(b), fields: [] });
      }
      offset += 4;
      continue;
    }
    const difference = compareRegister(register, recorded, replayed);
    if (difference !== undefined) differences.push(difference);
    offset += register.layout.bytes;
  }
  return differences;
};
