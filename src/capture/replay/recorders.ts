import type { VtdFault } from "../../hardware/vtd/fault.ts";
import { legacyCode } from "../../hardware/vtd/legacy-codes.ts";
import { QEMU_PROFILES, type QemuProfile } from "../../hardware/vtd/qemu-profiles.ts";

/** One way in which a recorder is known not to be as the specification says. */
export interface RecorderFact {
  /** One line, for people. */
  readonly text: string;
  /** The codes that it records, by the specification's. */
  readonly codes?: (fault: VtdFault) => number | undefined;
  /** FRCD.PP and PV of a request without a PASID. */
  readonly noPasid?: (
    fault: VtdFault,
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

/** The profile's reasons from `first` to `last`, as a fact when there are any. */
const reasonsFact = (
  { scalable }: QemuProfile,
  first: number,
  last: number,
  text: string,
): RecorderFact[] => {
  const reasons = scalable.reasons ?? {};
  if (!Object.keys(reasons).some((code) => Number(code) >= first && Number(code) <= last))
    return [];
  return [
    { text, codes: ({ code }) => (code >= first && code <= last ? reasons[code] : undefined) },
  ];
};

const LEGACY_SECOND_STAGE: RecorderFact = {
  text: "second-stage faults of scalable mode have the codes of legacy mode",
  codes: ({ code, stage, access }) =>
    // The interrupt range alone has its own code there.
    stage === 2 && code >= 0x78 && code !== 0x87 ? legacyCode(code, access.write) : undefined,
};

const withoutPasid = ({ legacy, scalable }: QemuProfile): RecorderFact[] => {
  const [inLegacy, inScalable] = [legacy.recordedWithoutPasid, scalable.recordedWithoutPasid];
  if (inLegacy === undefined || inScalable === undefined) return [];
  return [
    {
      text: `a request without a PASID is recorded with PV=0x${inLegacy.pv.toString(16)} in legacy mode, with PP=${Number(inScalable.pp)} in scalable mode`,
      noPasid: ({ stage }, isScalable) => {
        // Before page tables are reached nothing is known of PASIDs.
        if (stage === 0) return undefined;
        const { pp, pv } = isScalable ? inScalable : inLegacy;
        return { pp: pp ? 1n : 0n, pv: BigInt(pv) };
      },
    },
  ];
};

/** What of a profile a recording shows. */
const recorderFrom = (profile: QemuProfile): Recorder => ({
  name: profile.name,
  versions: profile.versions,
  facts: [
    ...reasonsFact(
      profile,
      0x38,
      0x43,
      "root and context faults of scalable mode have the codes of legacy mode",
    ),
    ...(profile.scalable.legacySecondStageReasons === true ? [LEGACY_SECOND_STAGE] : []),
    ...reasonsFact(profile, 0x50, 0x5b, "every fault of the PASID structures has the code 0x58"),
    ...withoutPasid(profile),
  ],
});

/** Every recorder that is known. */
export const RECORDERS: readonly Recorder[] = QEMU_PROFILES.map(recorderFrom);

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
  if (fault.pasid !== undefined) return undefined;
  for (const fact of recorder?.facts ?? []) {
    const values = fact.noPasid?.(fault, scalable);
    if (values !== undefined) return { ...values, fact };
  }
  return undefined;
};
