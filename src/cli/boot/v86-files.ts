import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { V86_VERSION, type V86Module, type V86Program } from "../../pc/index.ts";
import { CommandError } from "../command-error.ts";

/** v86 as a PC takes it. */
export interface LoadedV86 {
  readonly v86: V86Module;
  readonly program: V86Program;
}

const compile = (bytes: Uint8Array): Promise<V86Program> =>
  (
    globalThis as unknown as {
      readonly WebAssembly: { compile(bytes: Uint8Array): Promise<V86Program> };
    }
  ).WebAssembly.compile(bytes);

/**
 * Loads the optional package v86.
 *
 * @throws CommandError when it is not installed
 */
export const loadV86 = async (): Promise<LoadedV86> => {
  let folder: string;
  try {
    folder = dirname(createRequire(import.meta.url).resolve("v86"));
  } catch {
    throw new CommandError("input", "v86", "the package that emulates the PC is not installed", {
      hint: `npm install v86@${V86_VERSION}`,
      details: { package: "v86", version: V86_VERSION },
    });
  }
  const v86 = (await import("v86")) as unknown as V86Module;
  return { v86, program: await compile(readFileSync(join(folder, "v86.wasm"))) };
};
