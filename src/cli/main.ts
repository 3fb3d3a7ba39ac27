import { processInput } from "./input.ts";
import { processOutput } from "./output.ts";
import { runCli } from "./run-cli.ts";

process.exitCode = await runCli(process.argv.slice(2), processOutput(), processInput());
