import type { ExitName } from "./exit-codes.ts";

/** What goes into an error besides its two halves. */
export interface CommandErrorOptions {
  /** What the user can do about it. */
  readonly hint?: string | undefined;
  /** Facts for programs. */
  readonly details?: Readonly<Record<string, string | number | boolean | null>> | undefined;
}

/** Why a command could not do its work: `softiommu: WHAT: WHY`, and a hint. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly exit: ExitName;
  /** What failed. */
  readonly what: string;
  readonly why: string;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, string | number | boolean | null>>;

  constructor(exit: ExitName, what: string, why: string, options: CommandErrorOptions = {}) {
    super(`${what}: ${why}`);
    this.exit = exit;
    this.what = what;
    this.why = why;
    this.hint = options.hint;
    this.details = options.details ?? {};
  }
}

/** A mistake on the command line. */
export const usageError = (what: string, why: string, hint?: string): CommandError =>
  new CommandError("usage", what, why, { hint });
