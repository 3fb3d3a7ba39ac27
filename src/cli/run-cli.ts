import { CaptureError } from "../capture/index.ts";
import type { Command, CommandContext } from "./command.ts";
import { CommandError } from "./command-error.ts";
import { COMMANDS } from "./commands.ts";
import { EXITS, type ExitName } from "./exit-codes.ts";
import { unknownCommand } from "./help-command.ts";
import { commandHelp, programHelp } from "./help-text.ts";
import { type Input, NO_INPUT } from "./input.ts";
import { parseInvocation } from "./invocation.ts";
import { type Output, OutputClosed } from "./output.ts";
import { type ColorChoice, createPaint, wantsColor } from "./paint.ts";

/** What a program is told about an error. */
interface ErrorReport {
  readonly exit: ExitName;
  readonly what: string;
  readonly why: string;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;
}

const reportOf = (error: unknown): ErrorReport => {
  if (error instanceof CommandError) return error;
  if (error instanceof CaptureError) {
    const { file, offset, expected, found, hint } = error;
    return {
      exit: "input",
      what: file,
      why: error.message.slice(file.length + 2),
      hint,
      details: { file, ...(offset === undefined ? {} : { offset }), expected, found },
    };
  }
  return {
    exit: "internal",
    what: "internal error",
    why: error instanceof Error ? error.message : String(error),
    hint: "this is a bug in softiommu: run again with --debug and report what it prints",
    details: {},
  };
};

/** Everything from `argv` that matters even where the rest of it cannot be understood. */
interface Manners {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly debug: boolean;
  readonly color: ColorChoice;
}

const mannersOf = (argv: readonly string[]): Manners => {
  const end = argv.indexOf("--");
  const options = end < 0 ? argv : argv.slice(0, end);
  const after = options[options.indexOf("--color") + 1];
  const choice = options.includes("--color")
    ? after
    : options.find((each) => each.startsWith("--color="))?.slice("--color=".length);
  return {
    json: options.includes("--json"),
    quiet: options.includes("--quiet") || options.includes("-q"),
    debug: options.includes("--debug"),
    color: choice === "always" || choice === "never" ? choice : "auto",
  };
};

const printError = (error: unknown, manners: Manners, output: Output): ExitName => {
  const { exit, what, why, hint, details } = reportOf(error);
  const stack = error instanceof Error ? error.stack : undefined;
  if (manners.json) {
    const body = {
      code: exit,
      message: `${what}: ${why}`,
      hint: hint ?? null,
      details: manners.debug && stack !== undefined ? { ...details, stack } : details,
    };
    output.err(`${JSON.stringify({ error: body })}\n`);
    return exit;
  }
  const paint = createPaint(wantsColor(manners.color, output.env, output.errIsTerminal));
  output.err(`${paint.bold("softiommu")}: ${paint.red(what)}: ${why}\n`);
  if (hint !== undefined && !manners.quiet) output.err(`${paint.dim("hint:")} ${hint}\n`);
  if (manners.debug && stack !== undefined) output.err(`${stack}\n`);
  return exit;
};

const findCommand = (name: string): Command => {
  const command = COMMANDS.find((each) => each.name === name);
  if (command === undefined) throw unknownCommand(name, COMMANDS);
  return command;
};

const runCommand = async (
  argv: readonly string[],
  manners: Manners,
  output: Output,
  input: Input,
): Promise<ExitName> => {
  const paint = createPaint(wantsColor(manners.color, output.env, output.outIsTerminal));
  const [first, ...rest] = argv;
  if (first === undefined) {
    output.err(
      programHelp(COMMANDS, createPaint(wantsColor("auto", output.env, output.errIsTerminal))),
    );
    return "usage";
  }
  if (first === "--help" || first === "-h") {
    output.out(programHelp(COMMANDS, paint));
    return "ok";
  }
  if (first.startsWith("-") && first !== "--version") {
    // Options of every command may stand before its name.
    const at = argv.findIndex((each, i) => !each.startsWith("-") && argv[i - 1] !== "--color");
    if (at > 0) {
      const moved = [argv[at]!, ...argv.slice(0, at), ...argv.slice(at + 1)];
      return runCommand(moved, manners, output, input);
    }
    throw new CommandError("usage", "command line", "there is no command", {
      hint: "softiommu --help",
    });
  }
  const command = findCommand(first === "--version" ? "version" : first);
  const invocation = parseInvocation(command, rest);
  if (invocation.has("help")) {
    output.out(commandHelp(command, paint));
    return "ok";
  }
  const context: CommandContext = {
    invocation,
    input,
    output,
    paint,
    json: manners.json,
    quiet: manners.quiet,
    commands: COMMANDS,
  };
  return command.run(context);
};

/**
 * Runs a command line.
 *
 * @param argv without the program's name
 * @returns the exit code
 */
export const runCli = async (
  argv: readonly string[],
  output: Output,
  input: Input = NO_INPUT,
): Promise<number> => {
  const manners = mannersOf(argv);
  try {
    return EXITS[await runCommand(argv, manners, output, input)].status;
  } catch (error) {
    if (error instanceof OutputClosed) return EXITS.ok.status;
    try {
      return EXITS[printError(error, manners, output)].status;
    } catch (second) {
      if (second instanceof OutputClosed) return EXITS[reportOf(error).exit].status;
      throw second;
    }
  }
};
