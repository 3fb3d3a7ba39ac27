import type { Capabilities } from "../../src/hardware/vtd/capabilities.ts";
import { type Difference, differencesOf, memoryDifferences } from "./compare.ts";
import { QemuEnded, type QemuSubject } from "./qemu-subject.ts";
import type { Case, Step, Subject } from "./step.ts";

/** How a case that was not the same on both sides ended. */
export interface Disagreement {
  /** Index of the step after which it was seen; the count of steps when only the device's buffer differs. */
  readonly step: number;
  readonly differences: readonly Difference[];
  /** Set when QEMU ended, or hung: what it said. */
  readonly crash: string | undefined;
}

/** The two that are compared. */
export interface Pair {
  readonly ours: Subject;
  readonly theirs: QemuSubject;
  readonly capabilities: Capabilities;
}

/**
 * Does the steps on both sides and compares after each what both can show.
 *
 * @returns `undefined` when nothing differed
 */
export const runCase = async (
  pair: Pair,
  { buffer, steps }: Pick<Case, "buffer" | "steps">,
): Promise<Disagreement | undefined> => {
  let at = 0;
  try {
    await pair.ours.reset(buffer);
    await pair.theirs.reset(buffer);
    for (; at < steps.length; at++) {
      const differences = await stepBoth(pair, steps[at]!, at === steps.length - 1);
      if (differences.length > 0) return { step: at, differences, crash: undefined };
    }
    const differences = memoryDifferences(
      await pair.ours.deviceBuffer(),
      await pair.theirs.deviceBuffer(),
      0,
      "device buffer",
    );
    return differences.length === 0 ? undefined : { step: at, differences, crash: undefined };
  } catch (error) {
    if (!(error instanceof QemuEnded)) throw error;
    await pair.theirs.restart();
    return { step: at, differences: [], crash: error.message };
  }
};

/** Software's own writes change nothing that the unit shows: they are compared with what follows. */
const stepBoth = async (pair: Pair, step: Step, isLast: boolean): Promise<Difference[]> => {
  const ours = await pair.ours.perform(step);
  const theirs = await pair.theirs.perform(step);
  if (step.kind === "store" && !isLast) return [];
  return differencesOf(pair.capabilities, ours, theirs);
};
