// Checks what npm would publish, from a dist/ that is built: entry points that exist, with types, and nothing else of the
// repository.

import { spawnSync } from "node:child_process";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import pkg from "../package.json" with { type: "json" };
import { ROOT } from "./install.mjs";

/** What may be in the package. The demo may not: it shows captures, which stay in the repository. */
const ALLOWED =
  /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|bin\/softiommu|dist\/(index\.(js|d\.ts)|cli\/main\.js)|man\/softiommu\.1)$/;

const { messages } = await publint({ pkgDir: ROOT, strict: true, pack: false });
for (const message of messages) console.log(formatMessage(message, pkg));

const { stdout } = spawnSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
  cwd: ROOT,
  encoding: "utf8",
  shell: process.platform === "win32",
});
const [packed] = JSON.parse(stdout);
/** @type {string[]} */
const files = packed.files.map((/** @type {{ path: string }} */ file) => file.path);
const foreign = files.filter((file) => !ALLOWED.test(file));
for (const file of foreign) console.log(`${file} would be published and should not`);
const bad = messages.filter(({ type }) => type !== "suggestion").length + foreign.length;
process.exitCode = bad === 0 && files.length > 3 ? 0 : 1;
