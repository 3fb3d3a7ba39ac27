import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A Debian archive and the suites that apt takes from it. */
export interface AptSource {
  readonly uri: string;
  readonly suites: readonly string[];
}

/** `deb [options] URI suite component…`, one a line. */
const parseLines = (text: string): AptSource[] =>
  text.split("\n").flatMap((line) => {
    const found = /^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)/.exec(line);
    return found === null ? [] : [{ uri: found[1]!, suites: [found[2]!] }];
  });

/** Stanzas of `Types:`, `URIs:` and `Suites:`, deb822. */
const parseStanzas = (text: string): AptSource[] =>
  text.split(/\n\s*\n/).flatMap((stanza) => {
    const value = (name: string): string[] =>
      new RegExp(`^${name}:(.*)$`, "im").exec(stanza)?.[1]?.trim().split(/\s+/) ?? [];
    if (!value("Types").includes("deb") || value("Enabled").includes("no")) return [];
    return value("URIs").map((uri) => ({ uri, suites: value("Suites") }));
  });

/** What apt is configured with, below `folder`. */
export const readAptSources = (folder = "/etc/apt"): AptSource[] => {
  const read = (file: string): string => {
    try {
      return readFileSync(file, "utf8");
    } catch {
      return "";
    }
  };
  const parts = (): string[] => {
    try {
      return readdirSync(join(folder, "sources.list.d")).sort();
    } catch {
      return [];
    }
  };
  const sources = parseLines(read(join(folder, "sources.list")));
  for (const name of parts()) {
    const text = read(join(folder, "sources.list.d", name));
    if (name.endsWith(".list")) sources.push(...parseLines(text));
    if (name.endsWith(".sources")) sources.push(...parseStanzas(text));
  }
  return sources;
};

/** The archive that this machine takes Debian itself from; `undefined` when it is no Debian. */
export const debianMirror = (sources: readonly AptSource[]): string | undefined =>
  sources.find(
    ({ uri, suites }) => /\/debian\/?$/.test(uri) && suites.some((s) => !s.includes("/")),
  )?.uri;
