import { processOutput } from "./output.ts";
import { runCli } from "./run-cli.ts";

process.exitCode = runCli(process.argv.slice(2), processOutput());
