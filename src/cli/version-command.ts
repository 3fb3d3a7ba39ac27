import type { Command } from "./command.ts";
import { readVersion } from "./version.ts";

/** `softiommu version`. */
export const VERSION_COMMAND: Command = {
  name: "version",
  purpose: "show the version",
  usage: "[options]",
  examples: [
    { line: "version", doc: "the version, in one line" },
    { line: "version --json", doc: "the version and that of Node, for a bug report" },
  ],
  arguments: [],
  groups: [],
  exits: [],
  notes: [],
  seeAlso: [],
  run({ output, json }) {
    const version = readVersion();
    output.out(
      json
        ? `${JSON.stringify({ schema: "softiommu/version@1", version, node: process.version })}\n`
        : `softiommu ${version}\n`,
    );
    return "ok";
  },
};
