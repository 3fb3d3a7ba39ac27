/** Styles text for a terminal; without colour each returns what it was given. */
export interface Paint {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
  readonly blue: (text: string) => string;
  readonly cyan: (text: string) => string;
}

const ESCAPE = "\u001b[";

const style =
  (on: number, off: number) =>
  (text: string): string =>
    text === "" ? text : `${ESCAPE}${on}m${text}${ESCAPE}${off}m`;

const COLOR: Paint = {
  bold: style(1, 22),
  dim: style(2, 22),
  red: style(31, 39),
  green: style(32, 39),
  yellow: style(33, 39),
  blue: style(34, 39),
  cyan: style(36, 39),
};

const same = (text: string): string => text;

const PLAIN: Paint = {
  bold: same,
  dim: same,
  red: same,
  green: same,
  yellow: same,
  blue: same,
  cyan: same,
};

/** When output has colour. */
export type ColorChoice = "auto" | "always" | "never";

/** Whether to use colour: the option decides, then NO_COLOR, then FORCE_COLOR, then whether it is a terminal. */
export const wantsColor = (
  choice: ColorChoice,
  env: Readonly<Record<string, string | undefined>>,
  isTerminal: boolean,
): boolean => {
  if (choice !== "auto") return choice === "always";
  if ((env["NO_COLOR"] ?? "") !== "") return false;
  const forced = env["FORCE_COLOR"] ?? "";
  if (forced !== "") return forced !== "0" && forced !== "false";
  return isTerminal && env["TERM"] !== "dumb";
};

/** The styles to use. */
export const createPaint = (color: boolean): Paint => (color ? COLOR : PLAIN);

// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what it looks for.
const STYLES = /\u001b\[\d+m/g;

/** Columns that `text` takes on a terminal. */
export const widthOf = (text: string): number => [...text.replace(STYLES, "")].length;

/** `text` with spaces behind it, `width` columns in all. */
export const padEnd = (text: string, width: number): string =>
  text + " ".repeat(Math.max(0, width - widthOf(text)));

/** Rows as lines: every column as wide as its widest cell, two spaces between, nothing behind the last. */
export const alignColumns = (rows: readonly (readonly string[])[]): string[] => {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, widthOf(cell));
    });
  }
  return rows.map((row) =>
    row
      .map((cell, i) => padEnd(cell, widths[i]!))
      .join("  ")
      .trimEnd(),
  );
};
