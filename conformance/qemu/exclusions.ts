import { AT, QIE } from "./registers.ts";
import type { Case, Step } from "./step.ts";

/** Inputs that are left out of comparisons, because the unit cannot be made to do what QEMU does with them. */
export interface Exclusion {
  readonly name: string;
  /** One line, for people. */
  readonly why: string;
  /** Says so of the input alone: nobody has been run yet. */
  readonly applies: (test: Case, version: number) => boolean;
}

const isGlobalIotlb = (step: Step): boolean =>
  step.kind === "store" && step.words.length <= 4 && (step.words[0]! & 0x3fn) === 0x12n;

const isContextInvalidation = (step: Step): boolean =>
  (step.kind === "store" && step.words.length <= 4 && (step.words[0]! & 0xfn) === 1n) ||
  (step.kind === "write" && step.offset === AT.CCMD);

/** Whether a context entry is changed, and then invalidated without the translations made through it. */
const keepsTranslations = ({ steps, contextAt, topic }: Case): boolean => {
  if (topic !== "stale") return false;
  let changed = false;
  let invalidated = false;
  for (const step of steps) {
    if (step.kind === "store" && step.address === contextAt) changed = true;
    else if (changed && isContextInvalidation(step)) invalidated = true;
    else if (isGlobalIotlb(step) || (step.kind === "write" && step.offset === AT.IOTLB)) {
      changed = false;
      invalidated = false;
    }
    if (step.kind === "dma" && invalidated) return true;
  }
  return false;
};

/** What software writes to the quadword at `address`, in order. */
const writesTo = ({ steps }: Case, address: bigint): bigint[] =>
  steps.flatMap((step) => {
    if (step.kind !== "store" || address < step.address) return [];
    return step.words[Number(address - step.address) / 8] ?? [];
  });

/** Whether software makes the device's PASID entry one that QEMU 7.2 takes for another: by PGTT, and AW. */
const hasOldType = (test: Case): boolean =>
  test.domainAt
    .flatMap((at) => writesTo(test, at - 8n))
    .some((word) => {
      const type = (word >> 6n) & 7n;
      const width = (word >> 2n) & 7n;
      return type === 1n || type === 3n || (type === 4n && width !== 1n);
    });

/** Whether software writes IQA.DW, bit 3 of its second byte, differently once a queue is on. */
const changesWidth = ({ steps }: Case): boolean => {
  let width: bigint | undefined;
  let isOn = false;
  for (const step of steps) {
    if (step.kind !== "write") continue;
    if (step.offset === AT.GCMD && (step.value & QIE) !== 0n) isOn = true;
    const at = AT.IQA + 1 - step.offset;
    if (at < 0 || at >= step.width) continue;
    const written = (step.value >> BigInt(8 * at + 3)) & 1n;
    if (isOn && written !== (width ?? 0n)) return true;
    width = written;
  }
  return false;
};

/** At most 15, and together at most 5 % of the cases. */
export const EXCLUSIONS: readonly Exclusion[] = [
  {
    name: "context entry invalidated without its translations",
    why: "QEMU finds a translation by the device, before it looks for the context entry",
    applies: keepsTranslations,
  },
  {
    name: "root table in the firmware",
    why: "what is at the end of the first 4 GiB is the machine's, not the unit's",
    applies: ({ steps }) =>
      steps.some(
        (step) =>
          step.kind === "write" &&
          step.offset === AT.RTADDR &&
          step.width >= 4 &&
          (step.value & 0xffff_0000n) === 0xffff_0000n,
      ),
  },
  {
    name: "IQA.DW changed in use",
    why: "QEMU goes on in the middle of the queue with descriptors of the other size",
    applies: (test) => test.mode !== "legacy" && changesWidth(test),
  },
  {
    name: "RID_PASID other than 0 in QEMU 7.2",
    why: "it counts there without ECAP.RPS",
    applies: (test, version) =>
      version < 1000 &&
      test.mode !== "legacy" &&
      writesTo(test, test.contextAt + 8n).some((word) => (word & 0xf_ffffn) !== 0n),
  },
  {
    name: "PGTT 1, 3 and 4 in QEMU 7.2",
    why: "it takes a first stage and a nested one for a second stage, and wants a width to pass through",
    applies: (test, version) => version < 1000 && test.mode !== "legacy" && hasOldType(test),
  },
];

/**
 * The first exclusion that applies.
 *
 * @param version QEMU's, as `QemuProgram` has it
 */
export const exclusionOf = (test: Case, version: number): Exclusion | undefined =>
  EXCLUSIONS.find(({ applies }) => applies(test, version));
