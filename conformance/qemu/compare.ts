import { hex } from "../../src/bits/index.ts";
import type { Capabilities } from "../../src/hardware/vtd/capabilities.ts";
import { registerRows } from "../../src/hardware/vtd/spec/registers.ts";
import { ARENA_BASE, REGISTERS_SIZE } from "./machine-map.ts";
import type { Observation } from "./step.ts";

/** Something that two machines show differently after the same steps. */
export interface Difference {
  /** Register, `memory` or `value`. */
  readonly where: string;
  readonly ours: bigint;
  readonly theirs: bigint;
}

const quadwordAt = (bytes: Uint8Array, at: number): bigint =>
  new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(at, true);

const dwordAt = (bytes: Uint8Array, at: number): bigint =>
  BigInt(new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true));

const registerName = (capabilities: Capabilities, offset: number): string => {
  const row = registerRows(capabilities.cap, capabilities.ecap).find(
    (each) => offset >= each.offset && offset < each.offset + each.layout.bytes,
  );
  if (row === undefined) return `register ${hex(offset)}`;
  return offset === row.offset ? row.layout.name : `${row.layout.name}+${offset - row.offset}`;
};

/** What differs, at most `limit` of it. */
export const differencesOf = (
  capabilities: Capabilities,
  ours: Observation,
  theirs: Observation,
  limit = 6,
): Difference[] => {
  const found: Difference[] = [];
  if (ours.value !== theirs.value) {
    found.push({ where: "value", ours: ours.value ?? -1n, theirs: theirs.value ?? -1n });
  }
  if (Buffer.compare(ours.registers, theirs.registers) !== 0) {
    for (let at = 0; at < REGISTERS_SIZE && found.length < limit; at += 4) {
      const [a, b] = [dwordAt(ours.registers, at), dwordAt(theirs.registers, at)];
      if (a !== b) found.push({ where: registerName(capabilities, at), ours: a, theirs: b });
    }
  }
  return [...found, ...memoryDifferences(ours.memory, theirs.memory, ARENA_BASE, "memory")].slice(
    0,
    limit,
  );
};

/** Quadwords that differ; `base` is the address of the first byte. */
export const memoryDifferences = (
  ours: Uint8Array,
  theirs: Uint8Array,
  base: number,
  name: string,
): Difference[] => {
  if (Buffer.compare(ours, theirs) === 0) return [];
  const found: Difference[] = [];
  for (let at = 0; at < ours.length && found.length < 6; at += 8) {
    const [a, b] = [quadwordAt(ours, at), quadwordAt(theirs, at)];
    if (a !== b) found.push({ where: `${name} ${hex(base + at)}`, ours: a, theirs: b });
  }
  return found;
};

/** A difference as one line. */
export const differenceText = ({ where, ours, theirs }: Difference): string =>
  `${where}: ours ${hex(ours)}, QEMU ${hex(theirs)}`;
