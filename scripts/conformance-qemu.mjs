// npm run conformance:qemu: builds conformance/qemu/main.ts and runs it. Arguments go to it.
import { spawnSync } from "node:child_process";
import { ensureProgram } from "./build.mjs";
import { ensureInstalled, ROOT } from "./install.mjs";

ensureInstalled();
const program = await ensureProgram("conformanceQemu");
const args = [program, ...process.argv.slice(2)];
const { status } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: "inherit" });
process.exitCode = status ?? 1;
