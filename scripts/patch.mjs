// Unified diffs: read, and applied to texts. Lines must match exactly; where they are in the file may have changed.

/**
 * @typedef {{ line: number, before: string[], after: string[] }} Hunk lines that are there, and lines that take their place
 * @typedef {{ path: string, hunks: Hunk[] }} FilePatch
 */

/**
 * @param {string} text a unified diff; what stands before its first file is left out
 * @returns {FilePatch[]} paths as `diff -u a/PATH b/PATH` names them, without `b/`
 */
export const readPatch = (text) => {
  /** @type {FilePatch[]} */
  const files = [];
  /** @type {Hunk | undefined} */
  let hunk;
  for (const line of text.split("\n")) {
    const file = /^\+\+\+ b\/(\S+)/.exec(line);
    const start = /^@@ -(\d+)/.exec(line);
    if (line.startsWith("--- a/")) hunk = undefined;
    else if (file !== null) files.push({ path: file[1] ?? "", hunks: [] });
    else if (start !== null) {
      hunk = { line: Number(start[1]) - 1, before: [], after: [] };
      files.at(-1)?.hunks.push(hunk);
    } else if (hunk !== undefined && /^[-+ ]/.test(line)) {
      if (line[0] !== "+") hunk.before.push(line.slice(1));
      if (line[0] !== "-") hunk.after.push(line.slice(1));
    }
  }
  return files;
};

/**
 * @param {readonly string[]} lines
 * @param {Hunk} hunk
 * @returns {number} where the hunk's lines are, the place nearest to where it says; -1 when they are nowhere
 */
const placeOf = (lines, { before, line }) => {
  let found = -1;
  // Without a line that is there, nothing would say whether the place is the right one.
  if (before.length === 0) return found;
  for (let at = 0; at + before.length <= lines.length; at++) {
    if (before.some((text, i) => lines[at + i] !== text)) continue;
    if (found < 0 || Math.abs(at - line) < Math.abs(found - line)) found = at;
  }
  return found;
};

/**
 * @param {string} text of the file
 * @param {FilePatch} patch
 * @returns {string | undefined} the text that results; `undefined` when a part of it does not fit
 */
export const applyPatch = (text, { hunks }) => {
  const lines = text.split("\n");
  for (const hunk of hunks) {
    const at = placeOf(lines, hunk);
    if (at < 0) return undefined;
    lines.splice(at, hunk.before.length, ...hunk.after);
  }
  return lines.join("\n");
};
