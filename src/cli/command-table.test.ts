import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { optionsOf } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { completionScript, SHELLS } from "./completion.ts";
import { EXITS } from "./exit-codes.ts";
import { commandHelp, programHelp } from "./help-text.ts";
import { parseInvocation } from "./invocation.ts";
import { manPage } from "./man-page.ts";
import { createPaint } from "./paint.ts";
import { COLUMNS } from "./wrap.ts";

const plain = createPaint(false);
const pages = [
  { name: "the program", text: programHelp(COMMANDS, plain) },
  ...COMMANDS.map((spec) => ({ name: spec.name, text: commandHelp(spec, plain) })),
];

/** Words of an example as a shell would split them. */
const wordsOf = (line: string): string[] => line.split(" ");

describe("the command table", () => {
  test.each(COMMANDS.map((spec) => [spec.name, spec] as const))(
    "CLI-CMD-01: %s has two examples at least, and each is a command line that it takes",
    (name, spec) => {
      expect(spec.examples.length).toBeGreaterThanOrEqual(2);
      for (const { line } of spec.examples) {
        const [first, ...rest] = wordsOf(line);
        expect(first).toBe(name);
        expect(() => parseInvocation(spec, rest)).not.toThrow();
      }
    },
  );

  test("CLI-CMD-02: no two options of a command share a name or a letter", () => {
    for (const spec of COMMANDS) {
      const names = optionsOf(spec).flatMap(({ name, short }) => [name, ...(short ? [short] : [])]);
      expect(new Set(names).size).toBe(names.length);
    }
  });

  test("CLI-EXIT-01: exit codes are 0 to 6, each with one meaning, and 1 with another in replay", () => {
    expect(Object.values(EXITS).map(({ status }) => status)).toEqual([0, 1, 1, 2, 3, 4, 5, 6]);
    const comparing = COMMANDS.filter(({ exits }) => exits.includes("differences"));
    expect(comparing.map(({ name }) => name)).toEqual(["replay"]);
  });
});

describe("help", () => {
  test.each(pages)("CLI-HELP-01: help of $name: no line is longer than 80 columns", ({ text }) => {
    const long = text.split("\n").filter((line) => [...line].length > COLUMNS);
    // An example is never broken: it is there to be copied.
    expect(long.filter((line) => !line.startsWith("  softiommu "))).toEqual([]);
    expect(text).not.toMatch(/[ \t]$/m);
  });

  test.each(pages)("CLI-HELP-02: help of $name: examples come first", ({ text }) => {
    const headings = [...text.matchAll(/^([A-Z].*):$/gm)].map(([, title]) => title);
    expect(headings[0]).toBe("Examples");
    expect(headings.at(-1)).toBe("Exit codes");
  });

  test("CLI-HELP-03: the help of walk", () => {
    expect(commandHelp(COMMANDS.find(({ name }) => name === "walk")!, plain)).toMatchSnapshot();
  });

  test("CLI-HELP-03: the help of inspect", () => {
    expect(commandHelp(COMMANDS.find(({ name }) => name === "inspect")!, plain)).toMatchSnapshot();
  });

  test("CLI-HELP-03: the help of replay", () => {
    expect(commandHelp(COMMANDS.find(({ name }) => name === "replay")!, plain)).toMatchSnapshot();
  });

  test("CLI-HELP-03: the help of the program", () => {
    expect(programHelp(COMMANDS, plain)).toMatchSnapshot();
  });
});

describe("what comes from the table", () => {
  test("CLI-MAN-01: man/softiommu.1 is what the table says", () => {
    const file = readFileSync(new URL("../../man/softiommu.1", import.meta.url), "utf8");
    expect(file, "softiommu help --man > man/softiommu.1").toBe(manPage(COMMANDS));
  });

  test("CLI-MAN-01: no line of the manual begins with a control character by accident", () => {
    const macros = manPage(COMMANDS)
      .split("\n")
      .filter((line) => /^[.']/.test(line));
    for (const line of macros) expect(line).toMatch(/^\.(TH|SH|SS|TP|PP|B|I|\\")(\s|$)/);
  });

  test("CLI-COMP-01: bash can read its script, and completes commands, options and values", () => {
    const script = completionScript("bash", COMMANDS);
    expect(spawnSync("bash", ["-n"], { input: script }).status).toBe(0);
    const complete = (...words: readonly string[]): string[] => {
      const quoted = words.map((word) => `'${word}'`).join(" ");
      const ask = `COMP_WORDS=(softiommu ${quoted}); COMP_CWORD=${words.length}; _softiommu; echo "\${COMPREPLY[*]}"`;
      const { stdout } = spawnSync("bash", ["-c", `${script}\n${ask}`], { encoding: "utf8" });
      return stdout.trim().split(" ");
    };
    expect(complete("w")).toEqual(["walk"]);
    expect(complete("walk", "--io")).toEqual(["--iova"]);
    expect(complete("walk", "--color", "a")).toEqual(["auto", "always"]);
    expect(complete("completion", "z")).toEqual(["zsh"]);
    expect(complete("walk", "packag").sort()).toEqual(["package-lock.json", "package.json"]);
  });

  test.each(SHELLS)("CLI-COMP-02: the script for %s knows every command and option", (shell) => {
    const script = completionScript(shell, COMMANDS);
    for (const spec of COMMANDS) {
      expect(script).toContain(spec.name);
      for (const { name } of optionsOf(spec)) {
        expect(script).toContain(shell === "fish" ? `-l ${name}` : `--${name}`);
      }
    }
    // Quotes and brackets are closed, as far as that can be seen without the shell.
    expect((script.match(/(?<!\\)'/g) ?? []).length % 2).toBe(0);
  });
});
