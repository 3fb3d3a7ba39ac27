import { readFileSync } from "node:fs";

/** A line of a script, and what its answer must have. */
export interface ExpectedLine {
  /** Counted from 1. */
  readonly number: number;
  readonly text: string;
  /** Absent where it only has to go well. */
  readonly answer: unknown;
}

/** A script with what has to come of it. */
export interface ScriptFile {
  readonly lines: readonly ExpectedLine[];
  /** Each matches a message of the kernel. */
  readonly messages: readonly RegExp[];
}

/**
 * Reads a script. In its comments `#= {…}` is what the answer to the line
 * before must have, and `#~ …` an expression that a message of the kernel has
 * to match, which is then expected.
 *
 * @throws SyntaxError when an expectation is no JSON
 */
export const parseScript = (text: string): ScriptFile => {
  const lines: ExpectedLine[] = [];
  const messages: RegExp[] = [];
  for (const [i, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    const last = lines.at(-1);
    if (line.startsWith("#~ ")) messages.push(new RegExp(line.slice(3)));
    else if (line.startsWith("#= ") && last !== undefined) {
      lines[lines.length - 1] = { ...last, answer: JSON.parse(line.slice(3)) };
    } else if (line !== "" && !line.startsWith("#")) {
      lines.push({ number: i + 1, text: line, answer: undefined });
    }
  }
  return { lines, messages };
};

/** The script called `name` beside this file's folder. */
export const readScript = (folder: string, name: string): ScriptFile =>
  parseScript(readFileSync(`${folder}/${name}.jsonl`, "utf8"));
