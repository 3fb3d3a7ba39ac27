import { writeSync } from "node:fs";
import { isatty } from "node:tty";

/** Where a command writes, and what it may know of who reads. */
export interface Output {
  /** Writes to standard output. */
  out(text: string): void;
  /** Writes to standard error. */
  err(text: string): void;
  /** Whether standard output is a terminal. */
  readonly outIsTerminal: boolean;
  /** Whether standard error is a terminal. */
  readonly errIsTerminal: boolean;
  /** Environment variables. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Whoever read our output has gone: nothing is left to be done. */
export class OutputClosed extends Error {
  override readonly name = "OutputClosed";
}

const codeOf = (error: unknown): unknown =>
  error instanceof Error && "code" in error ? error.code : undefined;

/** Milliseconds between two attempts to write to a full pipe that does not block. */
const RETRY_MS = 2;

const pause = new Int32Array(new SharedArrayBuffer(4));

/** Writes all of `text`, so that a long document never has to be held in memory. */
const writeAll = (descriptor: number, text: string): void => {
  const bytes = Buffer.from(text, "utf8");
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(descriptor, bytes, done);
    } catch (error) {
      const code = codeOf(error);
      if (code === "EPIPE") throw new OutputClosed("nobody reads the output");
      if (code !== "EAGAIN") throw error;
      Atomics.wait(pause, 0, 0, RETRY_MS);
    }
  }
};

/** The process's own output. */
export const processOutput = (): Output => ({
  out: (text) => writeAll(1, text),
  err: (text) => writeAll(2, text),
  outIsTerminal: isatty(1),
  errIsTerminal: isatty(2),
  env: process.env,
});

/** Output kept in memory. */
export interface KeptOutput extends Output {
  /** What was written to standard output. */
  readonly stdout: string;
  /** What was written to standard error. */
  readonly stderr: string;
}

/** Output that is kept instead of shown. */
export const keepOutput = (env: Output["env"] = {}): KeptOutput => {
  const kept = { stdout: "", stderr: "" };
  return {
    out(text) {
      kept.stdout += text;
    },
    err(text) {
      kept.stderr += text;
    },
    outIsTerminal: false,
    errIsTerminal: false,
    env,
    get stdout() {
      return kept.stdout;
    },
    get stderr() {
      return kept.stderr;
    },
  };
};
