import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

/** The repository's folder. */
export const ROOT: string = join(dirname(fileURLToPath(import.meta.url)), "..");

/** A source file: where it is, below `src/` with `/` between folders, and what it says. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/**
 * @param folder relative to the root
 * @returns the files below it, by path relative to it; none when there is no such folder
 */
export const filesBelow = (folder: string): readonly SourceFile[] => {
  const base = join(ROOT, folder);
  let names: string[];
  try {
    names = readdirSync(base, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(base.length + 1));
  } catch {
    return [];
  }
  return names.sort().map((name) => ({
    path: name.replaceAll("\\", "/"),
    text: readFileSync(join(base, name), "utf8"),
  }));
};

/** One import, export from, or dynamic import of a file. */
export interface Import {
  /** As it is written. */
  readonly specifier: string;
  /** The file it means, below `src/`; `undefined` for a package or a module of Node. */
  readonly target: string | undefined;
}

export const importsOf = ({ path, text }: SourceFile): readonly Import[] =>
  ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => ({
    specifier: fileName,
    target: fileName.startsWith(".") ? posix.join(posix.dirname(path), fileName) : undefined,
  }));

/** Tests, and suites that tests share: they may use what the code they test may not. */
export const isTestCode = (file: SourceFile): boolean =>
  /\.(test|bench)\.ts$/.test(file.path) ||
  importsOf(file).some(({ specifier }) => ["vitest", "fast-check"].includes(specifier));
