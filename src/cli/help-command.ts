import type { Command } from "./command.ts";
import { usageError } from "./command-error.ts";
import { commandHelp, programHelp } from "./help-text.ts";
import { nearest } from "./invocation.ts";
import { manPage } from "./man-page.ts";

/** `softiommu help`. */
export const HELP_COMMAND: Command = {
  name: "help",
  purpose: "show help on the program or on one command",
  usage: "[COMMAND] [options]",
  examples: [
    { line: "help walk", doc: "everything about walk" },
    { line: "help --man", doc: "the manual page: softiommu help --man | man -l -" },
  ],
  arguments: [{ name: "COMMAND", doc: "the command to explain", optional: true }],
  groups: [{ title: "Form", options: [{ name: "man", doc: "the whole manual page, as roff" }] }],
  exits: [],
  notes: [],
  seeAlso: [],
  run({ invocation, output, paint, commands }) {
    const [name] = invocation.positionals;
    if (invocation.has("man")) {
      output.out(manPage(commands));
      return "ok";
    }
    if (name === undefined) {
      output.out(programHelp(commands, paint));
      return "ok";
    }
    const command = commands.find((each) => each.name === name);
    if (command === undefined) throw unknownCommand(name, commands);
    output.out(commandHelp(command, paint));
    return "ok";
  },
};

/** The error for a command that does not exist. */
export const unknownCommand = (name: string, commands: readonly { readonly name: string }[]) => {
  const names = commands.map((each) => each.name);
  const near = nearest(name, names);
  return usageError(
    "command line",
    `there is no command ${JSON.stringify(name)}`,
    near === undefined ? `the commands are ${names.join(", ")}` : `did you mean ${near}?`,
  );
};
