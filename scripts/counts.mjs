// Counts of what passed, failed and was skipped, and the line every command of the repository ends with.

/** @typedef {{ passed: number, failed: number, skipped: number }} Counts */

/** @returns {Counts} */
export const noCounts = () => ({ passed: 0, failed: 0, skipped: 0 });

/**
 * @param {Counts} a
 * @param {Counts} b
 * @returns {Counts}
 */
export const addCounts = (a, b) => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: a.skipped + b.skipped,
});

/** @param {Counts} counts */
export const countsLine = ({ passed, failed, skipped }) =>
  `${passed} passed, ${failed} failed, ${skipped} skipped`;

/**
 * @param {string} line
 * @returns {Counts | undefined} the counts that `line` alone says; `undefined` when it is another line
 */
export const parseCountsLine = (line) => {
  const found = /^(\d+) passed, (\d+) failed, (\d+) skipped$/.exec(line);
  if (found === null) return undefined;
  return { passed: Number(found[1]), failed: Number(found[2]), skipped: Number(found[3]) };
};

/**
 * Prints the last line and sets the exit code: 0 only when something passed and nothing failed.
 *
 * @param {Counts} counts
 */
export const finish = (counts) => {
  process.exitCode = counts.failed === 0 && counts.passed > 0 ? 0 : 1;
  console.log(countsLine(counts));
};
