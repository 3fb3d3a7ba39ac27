// npm run conformance:linux: builds conformance/linux/main.ts and runs it. Arguments go to it.
import { spawnSync } from "node:child_process";
import { ensureProgram } from "./build.mjs";
import { ensureInstalled, ROOT } from "./install.mjs";

ensureInstalled();
const program = await ensureProgram("conformanceLinux");
const args = [program, ...process.argv.slice(2)];
const { status } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: "inherit" });
process.exitCode = status ?? 1;
