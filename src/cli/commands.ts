import { BOOT_COMMAND } from "./boot-command.ts";
import type { Command } from "./command.ts";
import { COMPLETION_COMMAND } from "./completion-command.ts";
import { HELP_COMMAND } from "./help-command.ts";
import { INSPECT_COMMAND } from "./inspect-command.ts";
import { REPLAY_COMMAND } from "./replay-command.ts";
import { VERSION_COMMAND } from "./version-command.ts";
import { WALK_COMMAND } from "./walk-command.ts";

/**
 * The command table: parsing, help, completion, the manual page and the list
 * in README all come from it.
 */
export const COMMANDS: readonly Command[] = [
  INSPECT_COMMAND,
  WALK_COMMAND,
  REPLAY_COMMAND,
  BOOT_COMMAND,
  COMPLETION_COMMAND,
  HELP_COMMAND,
  VERSION_COMMAND,
];
