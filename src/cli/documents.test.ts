import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { FINDING_CODES } from "../capture/inspect/index.ts";
import { COMMANDS } from "./commands.ts";
import { EXITS } from "./exit-codes.ts";
import { keepOutput } from "./output.ts";
import { runCli } from "./run-cli.ts";

/** Documents with output in them. Paths in their command lines are those of the repository. */
const DOCUMENTS = ["docs/commands.md", "README.md"].filter((name) => existsSync(name));

/** `$ softiommu …` in a block of console output, and what follows. */
const sessionsIn = (name: string): [document: string, line: string, output: string][] =>
  [...readFileSync(name, "utf8").matchAll(/^```console\n([\s\S]*?)^```/gm)].flatMap(([, block]) =>
    block!
      .split(/^\$ /m)
      .filter((session) => /^(\.\/bin\/)?softiommu /.test(session))
      .map((session): [string, string, string] => {
        const end = session.indexOf("\n");
        return [name, session.slice(0, end), session.slice(end + 1).trimEnd()];
      }),
  );

/** What `text` says, where a line `…` stands for any lines. */
const patternOf = (text: string): RegExp =>
  new RegExp(
    `^${text
      .split("\n")
      .map((line) => (line === "…" ? "[\\s\\S]*" : line.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")))
      .join("\n")}$`,
  );

describe("documents", () => {
  test.each(DOCUMENTS.flatMap(sessionsIn))(
    "CLI-DOC-01: %s: softiommu prints what it says: %s",
    async (_, line, output) => {
      const kept = keepOutput();
      await runCli(line.split(" ").slice(1), kept);
      expect((kept.stdout + kept.stderr).trimEnd()).toMatch(patternOf(output));
    },
  );

  test.each(DOCUMENTS)("CLI-DOC-02: %s lists every command with its purpose", (name) => {
    const text = readFileSync(name, "utf8");
    for (const { name: command, purpose } of COMMANDS) {
      expect(text).toMatch(new RegExp(`\\| \`softiommu ${command}\` *\\| ${purpose} *\\|`));
    }
  });

  test("CLI-DOC-02: docs/commands.md lists every exit code and finding", () => {
    const text = readFileSync("docs/commands.md", "utf8");
    for (const { status, doc } of Object.values(EXITS)) {
      expect(text).toMatch(new RegExp(`\\| ${status} *\\| ${doc} *\\|`));
    }
    for (const code of FINDING_CODES) expect(text).toContain(`\`${code}\``);
  });
});
