import type { Command } from "./command.ts";
import { completionScript, SHELLS, type Shell } from "./completion.ts";

/** `softiommu completion`. */
export const COMPLETION_COMMAND: Command = {
  name: "completion",
  purpose: "print a script that completes softiommu in a shell",
  usage: "SHELL [options]",
  examples: [
    { line: "completion bash", doc: "for one session: source <(softiommu completion bash)" },
    {
      line: "completion fish",
      doc: "for good: softiommu completion fish > ~/.config/fish/completions/softiommu.fish",
    },
  ],
  arguments: [{ name: "SHELL", doc: "bash, zsh or fish", choices: SHELLS }],
  groups: [],
  exits: [],
  notes: [],
  seeAlso: [],
  run({ invocation, output, commands }) {
    // The argument was checked against the table's choices.
    output.out(completionScript(invocation.positionals[0] as Shell, commands));
    return "ok";
  },
};
