import type { Disagreement } from "./compare.ts";
import { type Pair, runCase } from "./run-case.ts";
import type { Case, Step } from "./step.ts";

/** A case made small, and how it ends now. */
export interface Shrunk {
  readonly steps: readonly Step[];
  readonly disagreement: Disagreement;
}

/** What makes two disagreements the same: where they show, not which values. */
const kindOf = ({ differences, crash }: Disagreement): string =>
  crash === undefined ? differences[0]!.where.replace(/ (0x)?[\da-f]+$/, "") : "crash";

/** Runs that shrinking may cost. */
const BUDGET = 600;

/**
 * Leaves out steps, and then words of what software writes, as long as the
 * same thing differs.
 */
export const shrink = async (pair: Pair, found: Case, first: Disagreement): Promise<Shrunk> => {
  const kind = kindOf(first);
  let steps = found.steps.slice(0, first.step + 1);
  let disagreement = first;
  let runs = 0;
  const accepts = async (candidate: readonly Step[]): Promise<boolean> => {
    if (runs++ >= BUDGET) return false;
    const { disagreement: outcome } = await runCase(pair, {
      buffer: found.buffer,
      steps: candidate,
    });
    if (outcome === undefined || kindOf(outcome) !== kind) return false;
    steps = candidate.slice(0, outcome.step + 1);
    disagreement = outcome;
    return true;
  };
  let before: number;
  do {
    before = weightOf(steps);
    for (let size = Math.max(1, steps.length >> 1); size >= 1; size >>= 1) {
      for (let at = steps.length - size; at >= 0; at -= size) {
        await accepts([...steps.slice(0, at), ...steps.slice(at + size)]);
        at = Math.min(at, steps.length);
      }
    }
    for (let at = steps.length - 1; at >= 0; at--) await shrinkWords(() => steps, at, accepts);
  } while (weightOf(steps) < before && runs < BUDGET);
  return { steps, disagreement };
};

const weightOf = (steps: readonly Step[]): number =>
  steps.reduce((sum, step) => sum + (step.kind === "store" ? step.words.length : 1), 0);

/** Cuts a store's words from both ends, and makes those that stay 0 where that is enough. */
const shrinkWords = async (
  steps: () => readonly Step[],
  at: number,
  accepts: (candidate: readonly Step[]) => Promise<boolean>,
): Promise<void> => {
  const current = (): Step | undefined => steps()[at];
  const withStep = (step: Step): Step[] => steps().map((each, i) => (i === at ? step : each));
  for (let changed = true; changed; ) {
    changed = false;
    const step = current();
    if (step?.kind !== "store" || step.words.length < 2) return;
    for (const from of [0, 1] as const) {
      const words = from === 0 ? step.words.slice(0, -1) : step.words.slice(1);
      const address = step.address + BigInt(8 * from);
      if (await accepts(withStep({ kind: "store", address, words }))) {
        changed = true;
        break;
      }
    }
  }
};
