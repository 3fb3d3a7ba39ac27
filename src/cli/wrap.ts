/** Columns of help and of the manual's source. */
export const COLUMNS = 80;

/**
 * Breaks text at spaces.
 *
 * @param indent columns before each line
 * @param width columns of a whole line; a longer word stands alone
 */
export const wrap = (text: string, indent: number, width: number = COLUMNS): string[] => {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && indent + line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  lines.push(line);
  return lines.map((each) => (" ".repeat(indent) + each).trimEnd());
};

/** A term and what it means, the meaning in a column of its own at `column`. */
export const wrapTerm = (term: string, meaning: string, column: number): string[] => {
  const lines = wrap(meaning, column);
  const head = `  ${term}`;
  if (head.length + 2 > column) return [head, ...lines];
  return [head.padEnd(column) + lines[0]!.trimStart(), ...lines.slice(1)];
};
