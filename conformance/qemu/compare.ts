import { hex } from "../../src/bits/index.ts";
import type { Capabilities } from "../../src/hardware/vtd/capabilities.ts";
import { registerRows } from "../../src/hardware/vtd/spec/registers.ts";
import { ARENA_BASE, REGISTERS_SIZE, registerOffset } from "./machine-map.ts";
import type { Trace, View } from "./step.ts";
import type { UnitTrace } from "./unit-subject.ts";

/** Something that two machines show differently after the same steps. */
export interface Difference {
  /** Register, `memory`, `interrupt` or `value`, and where. */
  readonly where: string;
  readonly ours: string;
  readonly theirs: string;
}

/** How a case that was not the same on both sides ended. */
export interface Disagreement {
  /** Index of the step after which it was seen; the count of steps when only the end shows it. */
  readonly step: number;
  readonly differences: readonly Difference[];
  /** Set when QEMU ended, or hung: what it said. */
  readonly crash: string | undefined;
}

const MAX_DIFFERENCES = 6;

const quadwordAt = (bytes: Uint8Array, at: number): bigint =>
  new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(at, true);

const dwordAt = (bytes: Uint8Array, at: number): number =>
  new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);

const registerName = (capabilities: Capabilities, offset: number): string => {
  const row = registerRows(capabilities.cap, capabilities.ecap).find(
    (each) => offset >= each.offset && offset < each.offset + each.layout.bytes,
  );
  if (row === undefined) return `register ${hex(offset)}`;
  return offset === row.offset ? row.layout.name : `${row.layout.name}+${offset - row.offset}`;
};

const isSame = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

const viewDifferences = (
  capabilities: Capabilities,
  ours: View,
  theirs: View,
  addresses: readonly { readonly address: number }[],
): Difference[] => {
  const found: Difference[] = [];
  if (ours.value !== theirs.value) {
    found.push({ where: "value", ours: hex(ours.value ?? 0n), theirs: hex(theirs.value ?? 0n) });
  }
  if (!isSame(ours.registers, theirs.registers)) {
    for (let at = 0; at < REGISTERS_SIZE; at += 4) {
      const [a, b] = [dwordAt(ours.registers, at), dwordAt(theirs.registers, at)];
      const where = registerName(capabilities, registerOffset(at));
      if (a !== b) found.push({ where, ours: hex(a), theirs: hex(b) });
    }
  }
  ours.written.forEach((bytes, i) => {
    if (isSame(bytes, theirs.written[i]!)) return;
    found.push({
      where: `memory ${hex(addresses[i]!.address)}`,
      ours: Buffer.from(bytes.subarray(0, 16)).toString("hex"),
      theirs: Buffer.from(theirs.written[i]!.subarray(0, 16)).toString("hex"),
    });
  });
  return found.slice(0, MAX_DIFFERENCES);
};

/** Quadwords that differ; `base` is the address of the first byte. */
export const memoryDifferences = (
  ours: Uint8Array,
  theirs: Uint8Array,
  base: number,
  name: string,
): Difference[] => {
  if (isSame(ours, theirs)) return [];
  const found: Difference[] = [];
  for (let at = 0; at < ours.length && found.length < MAX_DIFFERENCES; at += 8) {
    const [a, b] = [quadwordAt(ours, at), quadwordAt(theirs, at)];
    if (a !== b) found.push({ where: `${name} ${hex(base + at)}`, ours: hex(a), theirs: hex(b) });
  }
  return found;
};

/** The first interrupt that is not the same, and the step it belongs to. */
const interruptDisagreement = (ours: UnitTrace, theirs: Trace): Disagreement | undefined => {
  const count = Math.max(ours.interrupts.length, theirs.interrupts.length);
  for (let i = 0; i < count; i++) {
    const [a, b] = [ours.interrupts[i] ?? "none", theirs.interrupts[i] ?? "none"];
    if (a === b) continue;
    const step = ours.interruptsBy.findIndex((delivered) => delivered > i);
    return {
      step: step < 0 ? ours.views.length : step,
      differences: [{ where: `interrupt ${i}`, ours: a, theirs: b }],
      crash: undefined,
    };
  }
  return undefined;
};

/** The first thing that two runs of a case do not have in common; `undefined` when there is none. */
export const disagreementOf = (
  capabilities: Capabilities,
  ours: UnitTrace,
  theirs: Trace,
): Disagreement | undefined => {
  for (let step = 0; step < ours.views.length; step++) {
    const [a, b] = [ours.views[step], theirs.views[step]];
    if (a === undefined || b === undefined) continue;
    const differences = viewDifferences(capabilities, a, b, ours.ranges[step]!);
    if (differences.length > 0) return { step, differences, crash: undefined };
  }
  const interrupts = interruptDisagreement(ours, theirs);
  if (interrupts !== undefined) return interrupts;
  const differences = [
    ...memoryDifferences(ours.memory, theirs.memory, ARENA_BASE, "memory"),
    ...memoryDifferences(ours.buffer, theirs.buffer, 0, "device buffer"),
  ];
  if (differences.length === 0) return undefined;
  return { step: ours.views.length, differences, crash: undefined };
};

/** A difference as one line. */
export const differenceText = ({ where, ours, theirs }: Difference): string =>
  `${where}: ours ${ours}, QEMU ${theirs}`;
