import { EXITS, type ExitName } from "./exit-codes.ts";
import type { Input } from "./input.ts";
import type { Invocation } from "./invocation.ts";
import type { Output } from "./output.ts";
import type { Paint } from "./paint.ts";

/** What an option's or argument's value is, for help and completion. */
export interface ValueSpec {
  /** What help calls it, such as `FILE`. */
  readonly name: string;
  /** The only values there are. */
  readonly choices?: readonly string[];
  /** Whether it is the path of a file. */
  readonly path?: true;
}

/** One option. */
export interface OptionSpec {
  /** Without the dashes. */
  readonly name: string;
  /** One letter. */
  readonly short?: string;
  /** Absent for a switch. */
  readonly value?: ValueSpec;
  /** May be given several times. */
  readonly repeatable?: true;
  /** One line, without a full stop. */
  readonly doc: string;
}

/** Options that belong together. */
export interface OptionGroup {
  readonly title: string;
  readonly options: readonly OptionSpec[];
}

/** One argument. */
export interface ArgumentSpec extends ValueSpec {
  readonly doc: string;
  /** It may be left out. */
  readonly optional?: true;
}

/** A command line to try, and what it shows. */
export interface Example {
  /** Without the program's name. */
  readonly line: string;
  readonly doc: string;
}

/** Everything that help, completion, the manual and the parser say about a command. */
export interface CommandSpec {
  readonly name: string;
  /** One line, without a full stop. */
  readonly purpose: string;
  /** What comes behind the name in the synopsis. */
  readonly usage: string;
  /** At least two, the most useful first. */
  readonly examples: readonly Example[];
  readonly arguments: readonly ArgumentSpec[];
  readonly groups: readonly OptionGroup[];
  /** How it can end, besides `ok`, `internal` and `usage`. */
  readonly exits: readonly ExitName[];
  /** Paragraphs on what the options do not say. */
  readonly notes: readonly string[];
  /** Other commands and pages. */
  readonly seeAlso: readonly string[];
}

/** What a command works with. */
export interface CommandContext {
  readonly invocation: Invocation;
  readonly input: Input;
  readonly output: Output;
  /** For standard output. */
  readonly paint: Paint;
  readonly json: boolean;
  readonly quiet: boolean;
  /** The command table. */
  readonly commands: readonly Command[];
}

/** A command: what it says about itself, and what it does. */
export interface Command extends CommandSpec {
  /**
   * @throws CommandError, CaptureError or NotationError when it cannot do its work
   */
  run(context: CommandContext): ExitName | Promise<ExitName>;
}

/** Options that every command has. */
export const GLOBAL_OPTIONS: OptionGroup = {
  title: "Options of every command",
  options: [
    { name: "json", doc: "one JSON document on standard output, errors as JSON" },
    {
      name: "color",
      value: { name: "WHEN", choices: ["auto", "always", "never"] },
      doc: "auto, always or never; auto obeys NO_COLOR, FORCE_COLOR",
    },
    { name: "quiet", short: "q", doc: "results only, no headings and no hints" },
    { name: "debug", doc: "show where an error came from" },
    { name: "help", short: "h", doc: "show this help" },
  ],
};

/** Every option of a command, the global ones last. */
export const optionsOf = (spec: CommandSpec): OptionSpec[] =>
  [...spec.groups, GLOBAL_OPTIONS].flatMap(({ options }) => options);

/** Every exit of a command, in the order of their numbers. */
export const exitsOf = (spec: CommandSpec): ExitName[] =>
  (Object.keys(EXITS) as ExitName[]).filter(
    (name) => ALWAYS.includes(name) || spec.exits.includes(name),
  );

/** Exits of every command. */
const ALWAYS: readonly ExitName[] = ["ok", "internal", "usage"];
