import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build, type Plugin } from "rolldown";

/** The repository. */
export const ROOT: string = fileURLToPath(new URL("../../", import.meta.url));

let loaded = 0;

/**
 * Makes one file of a module of this folder and all that it imports, and loads it.
 *
 * @param plugins may change sources on their way
 */
export const loadBundled = async <Module>(name: string, ...plugins: Plugin[]): Promise<Module> => {
  const { output } = await build({
    input: join(ROOT, "conformance/qemu", name),
    cwd: ROOT,
    platform: "node",
    external: [/^node:/],
    tsconfig: true,
    logLevel: "warn",
    write: false,
    output: { format: "esm", codeSplitting: false },
    plugins,
  });
  const folder = join(ROOT, ".cache", "bundled");
  const path = join(folder, `${process.pid}-${loaded++}-${Date.now()}.mjs`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(path, output[0].code);
  try {
    return await import(/* @vite-ignore */ pathToFileURL(path).href);
  } finally {
    rmSync(path, { force: true });
  }
};
