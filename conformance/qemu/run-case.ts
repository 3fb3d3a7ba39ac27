import type { Capabilities } from "../../src/hardware/vtd/capabilities.ts";
import { type Disagreement, disagreementOf } from "./compare.ts";
import { QemuEnded, type QemuSubject } from "./qemu-subject.ts";
import type { Case, Trace } from "./step.ts";
import type { UnitSubject, UnitTrace } from "./unit-subject.ts";

/** The two that are compared. */
export interface Pair {
  readonly ours: UnitSubject;
  readonly theirs: QemuSubject;
  readonly capabilities: Capabilities;
}

/** A case done on both sides. */
export interface Outcome {
  readonly ours: UnitTrace;
  /** `undefined` when QEMU ended meanwhile. */
  readonly theirs: Trace | undefined;
  /** `undefined` when nothing differed. */
  readonly disagreement: Disagreement | undefined;
}

/**
 * Compares a case that our unit has done with what QEMU makes of it.
 *
 * @param meanwhile called while QEMU works
 */
export const compareCase = async (
  pair: Pair,
  test: Pick<Case, "buffer" | "steps">,
  ours: UnitTrace,
  meanwhile?: () => void,
): Promise<Outcome> => {
  try {
    const theirs = await pair.theirs.run(test, ours.ranges, meanwhile);
    return { ours, theirs, disagreement: disagreementOf(pair.capabilities, ours, theirs) };
  } catch (error) {
    if (!(error instanceof QemuEnded)) throw error;
    await pair.theirs.restart();
    const disagreement = { step: test.steps.length, differences: [], crash: error.message };
    return { ours, theirs: undefined, disagreement };
  }
};

/** Does a case on both sides and compares what both can show after each step. */
export const runCase = (pair: Pair, test: Pick<Case, "buffer" | "steps">): Promise<Outcome> =>
  compareCase(pair, test, pair.ours.run(test));
