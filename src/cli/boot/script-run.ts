import type { Pc } from "../../pc/index.ts";
import { CommandError } from "../command-error.ts";
import { orEnd } from "./guest-end.ts";

/** A line of a script that wants an answer, and where it stands. */
export interface ScriptLine {
  /** Counted from 1. */
  readonly number: number;
  readonly text: string;
}

/** The lines of a script that are answered: not the empty ones, and not comments. */
export const scriptLines = (script: string): ScriptLine[] =>
  script
    .split("\n")
    .map((text, i) => ({ number: i + 1, text: text.trim() }))
    .filter(({ text }) => text !== "" && !text.startsWith("#"));

/** Seconds that a line may take. Guest time follows the host's clock, and the host may be busy. */
const LINE_SECONDS = 60;

/**
 * Has the guest answer one line.
 *
 * @returns its answer: a line of JSON, without the newline
 * @throws CommandError when the guest ends, or does not answer in time
 */
export const askGuest = async (pc: Pc, line: string): Promise<string> => {
  pc.channel.write(`${line}\n`);
  const answer = await orEnd(pc, pc.channel.waitFor("\n"), LINE_SECONDS, "answering a line");
  return answer.trimEnd();
};

/**
 * Runs a script in the guest, line by line, from a state in which nothing is open.
 *
 * @param answered called with each answer as it comes
 * @returns the number of the first line that the guest refused as no line of a script, if any
 * @throws CommandError when the guest ends, or does not answer in time
 */
export const runScript = async (
  pc: Pc,
  lines: readonly ScriptLine[],
  answered: (line: ScriptLine, answer: string) => void,
): Promise<number | undefined> => {
  let refused: number | undefined;
  await askGuest(pc, '{"reset":true}');
  let last = 0;
  for (const line of lines) {
    // Empty lines for those that are not asked: so that the guest counts as the file does.
    const answer = await askGuest(pc, "\n".repeat(line.number - last - 1) + line.text);
    last = line.number;
    answered(line, answer);
    if (answer.startsWith('{"error":')) refused ??= line.number;
  }
  return refused;
};

/** What a refused line is for the command. */
export const scriptError = (file: string, line: number): CommandError =>
  new CommandError("input", file, `line ${line} is no line of a script`, {
    hint: "docs/script-format.md says what a line may be; the answer says what is wrong with it",
    details: { file, line },
  });
