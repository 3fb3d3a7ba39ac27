import { readFileSync } from "node:fs";

/** The version in package.json, which lies two folders above this file and above what is built from it. */
export const readVersion = (): string => {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  const { version } = JSON.parse(text) as { readonly version: string };
  return version;
};
