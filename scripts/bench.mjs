// npm run bench: builds bench/main.ts and runs it in the repository's folder. Arguments go to it.
import { spawnSync } from "node:child_process";
import { ensureProgram, hasProgram, PROGRAMS } from "./build.mjs";
import { ensureInstalled, ROOT } from "./install.mjs";

ensureInstalled();
if (hasProgram("bench")) {
  const program = await ensureProgram("bench");
  const args = [program, ...process.argv.slice(2)];
  const { status } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: "inherit" });
  process.exitCode = status ?? 1;
} else {
  console.error(`bench: ${PROGRAMS.bench.source} does not exist`);
  process.exitCode = 1;
}
