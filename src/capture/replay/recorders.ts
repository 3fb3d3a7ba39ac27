import type { VtdFault } from "../../hardware/vtd/fault.ts";
import { legacyCode } from "../../hardware/vtd/legacy-codes.ts";

/** One way in which a recorder is known not to be as the specification says. */
export interface RecorderFact {
  /** One line, for people. */
  readonly text: string;
  /** The codes that it records, by the specification's. */
  readonly codes?: (fault: VtdFault) => number | undefined;
  /** FRCD.PP and PV of a request without a PASID. */
  readonly noPasid?: (
    scalable: boolean,
  ) => { readonly pp: bigint; readonly pv: bigint } | undefined;
}

/** A program that has recorded captures, and what is known about it. */
export interface Recorder {
  readonly name: string;
  /** The versions it stands for, as `regs.json` has them. */
  readonly versions: RegExp;
  readonly facts: readonly RecorderFact[];
}

const table =
  (codes: ReadonlyMap<number, number>) =>
  ({ code }: VtdFault): number | undefined =>
    codes.get(code);

const LEGACY_STRUCTURES: RecorderFact = {
  text: "root and context faults of scalable mode have the codes of legacy mode",
  codes: table(
    new Map([
      [0x38, 0x08],
      [0x39, 0x01],
      [0x3a, 0x0a],
      [0x40, 0x09],
      [0x41, 0x02],
      [0x42, 0x0b],
      [0x43, 0x03],
    ]),
  ),
};

const LEGACY_SECOND_STAGE: RecorderFact = {
  text: "second-stage faults of scalable mode have the codes of legacy mode",
  codes: ({ code, stage, access }) =>
    // The interrupt range alone has its own code there.
    stage === 2 && code >= 0x78 && code !== 0x87 ? legacyCode(code, access.write) : undefined,
};

const ONE_PASID_CODE: RecorderFact = {
  text: "every fault of the PASID structures has the code 0x58",
  codes: ({ code }) => (code >= 0x50 && code <= 0x5b && code !== 0x58 ? 0x58 : undefined),
};

const NO_PASID_7: RecorderFact = {
  text: "a request without a PASID is recorded with PV=0xffff in legacy mode, with PP=1 in scalable mode",
  noPasid: (scalable) => (scalable ? { pp: 1n, pv: 0n } : { pp: 0n, pv: 0xffffn }),
};

/** Every recorder that is known. */
export const RECORDERS: readonly Recorder[] = [
  {
    name: "QEMU 7.2",
    versions: /^7\./,
    facts: [LEGACY_STRUCTURES, LEGACY_SECOND_STAGE, ONE_PASID_CODE, NO_PASID_7],
  },
  {
    name: "QEMU 11.1",
    versions: /^(10|11)\./,
    facts: [LEGACY_STRUCTURES, LEGACY_SECOND_STAGE],
  },
];

/** The recorder of that version; `undefined` for one that nothing is known about. */
export const recorderOf = (version: string | undefined): Recorder | undefined =>
  version === undefined ? undefined : RECORDERS.find(({ versions }) => versions.test(version));

/** What is recorded in place of the specification's reason, and why. */
export const recordedReason = (
  recorder: Recorder | undefined,
  fault: VtdFault,
): { readonly code: number; readonly fact: RecorderFact } | undefined => {
  for (const fact of recorder?.facts ?? []) {
    const code = fact.codes?.(fault);
    if (code !== undefined) return { code, fact };
  }
  return undefined;
};

/** What is recorded in place of PP=0 and PV=0, and why. */
export const recordedPasid = (
  recorder: Recorder | undefined,
  fault: VtdFault,
  scalable: boolean,
): { readonly pp: bigint; readonly pv: bigint; readonly fact: RecorderFact } | undefined => {
  // Before the context entry is found nothing is known of PASIDs.
  if (fault.pasid !== undefined || BEFORE_CONTEXT.has(fault.code)) return undefined;
  for (const fact of recorder?.facts ?? []) {
    const values = fact.noPasid?.(scalable);
    if (values !== undefined) return { ...values, fact };
  }
  return undefined;
};

const BEFORE_CONTEXT: ReadonlySet<number> = new Set([
  0x01, 0x02, 0x08, 0x09, 0x0a, 0x0b, 0x38, 0x39, 0x3a, 0x40, 0x41, 0x42,
]);
