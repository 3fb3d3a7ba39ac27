import type { Anchor, Case } from "./cases.ts";
import { Contestant } from "./contestant.ts";
import type { NativePrograms } from "./native.ts";
import type { Round } from "./round.ts";

/** A case's time and that of each program it is compared with, in nanoseconds for one operation. */
export interface Measurement {
  readonly case: Case;
  readonly ns: number;
  readonly reads: number;
  /** In the order of the case's anchors; `undefined` where the program could not be built. */
  readonly anchors: readonly (number | undefined)[];
}

/** The quickest round counts: the machine may be busy with other things, but never makes code faster. */
const quickest = (rounds: readonly Round[]): number => Math.min(...rounds.map(({ ns }) => ns));

const checkSums = (test: Case, ours: Round, anchor: Anchor, theirs: Round): void => {
  if (anchor.otherAnswers !== true && theirs.sum !== 0 && theirs.sum !== ours.sum) {
    throw new Error(`${test.name}: ${anchor.title} (C) found other answers than TypeScript`);
  }
};

/** Runs rounds of TypeScript and of each C program in turn, so that what disturbs one disturbs the others. */
export const measure = async (
  test: Case,
  natives: NativePrograms,
  rounds: number,
  quick: boolean,
): Promise<Measurement> => {
  const program = process.argv[1]!;
  const args = [program, "--job", test.name, ...(quick ? ["--quick"] : [])];
  const [ours, ...theirs] = await Promise.all([
    Contestant.start(test.name, process.execPath, args),
    ...test.anchors.map(({ title, program: name, args: values }) => {
      const path = natives.paths.get(name);
      return path === undefined ? undefined : Contestant.start(title, path, values.map(String));
    }),
  ]);
  const ourRounds: Round[] = [];
  const theirRounds: Round[][] = theirs.map(() => []);
  for (let n = 0; n < rounds; n++) {
    for (const [i, contestant] of theirs.entries()) {
      if (contestant !== undefined) theirRounds[i]!.push(await contestant.runRound());
    }
    ourRounds.push(await ours.runRound());
  }
  ours.stop();
  for (const contestant of theirs) contestant?.stop();
  const last = ourRounds.at(-1)!;
  if (test.reads !== undefined && last.reads !== test.reads) {
    throw new Error(`${test.name}: ${last.reads} table reads a request, not ${test.reads}`);
  }
  test.anchors.forEach((anchor, i) => {
    const round = theirRounds[i]!.at(-1);
    if (round !== undefined) checkSums(test, last, anchor, round);
  });
  return {
    case: test,
    ns: quickest(ourRounds),
    reads: last.reads,
    anchors: theirRounds.map((list) => (list.length === 0 ? undefined : quickest(list))),
  };
};
