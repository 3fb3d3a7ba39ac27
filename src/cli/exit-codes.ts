/** One way in which a command can end. */
export interface Exit {
  /** The process's exit code. */
  readonly status: number;
  /** When it is used, as help and the manual say it. */
  readonly doc: string;
}

/** Every exit code there is. A program that calls the command may rely on them. */
export const EXITS = {
  ok: { status: 0, doc: "done" },
  internal: { status: 1, doc: "a bug in softiommu" },
  differences: { status: 1, doc: "replay: the unit and the recording differ" },
  usage: { status: 2, doc: "the command line is wrong" },
  input: { status: 3, doc: "a file cannot be read, or is not what it should be" },
  findings: { status: 4, doc: "done, and there are findings that --fail-on asked for" },
  fault: { status: 5, doc: "the request was refused" },
  guest: { status: 6, doc: "boot: the guest crashed, or did not answer in time" },
} as const satisfies Readonly<Record<string, Exit>>;

/** The name of an exit code. */
export type ExitName = keyof typeof EXITS;
