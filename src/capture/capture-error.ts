/** What was wrong with a file, and where. */
export interface CaptureProblem {
  /** The file, as the user named it. */
  readonly file: string;
  /** Byte in the file, counted from 0; in the unpacked contents of a compressed file. Absent when the file as a whole is wrong. */
  readonly offset?: number | undefined;
  /** What should have been there, as a noun phrase. */
  readonly expected: string;
  /** What was there, as a noun phrase. */
  readonly found: string;
  /** What the user can do about it. */
  readonly hint?: string | undefined;
}

/**
 * The only error that a capture, image, core or register file causes, however
 * hostile: `FILE: at byte 0x..: expected X, found Y`.
 */
export class CaptureError extends Error {
  override readonly name = "CaptureError";
  readonly file: string;
  readonly offset: number | undefined;
  readonly expected: string;
  readonly found: string;
  readonly hint: string | undefined;

  constructor(problem: CaptureProblem) {
    const { file, offset, expected, found, hint } = problem;
    const where = offset === undefined ? "" : `at byte 0x${offset.toString(16)}: `;
    super(`${file}: ${where}expected ${expected}, found ${found}`);
    this.file = file;
    this.offset = offset;
    this.expected = expected;
    this.found = found;
    this.hint = hint;
  }
}

/** Characters of a file's own text that a message repeats. */
const MAX_QUOTED = 48;

/**
 * Text out of a file, fit for a message: quoted, cut to `MAX_QUOTED`
 * characters, and with everything but printable ASCII escaped, so that a file
 * cannot send control sequences to a terminal.
 */
export const quote = (text: string): string => {
  const cut = text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}...` : text;
  return JSON.stringify(cut).replace(
    /[^ -~]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
};
