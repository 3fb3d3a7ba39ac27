import type { Range } from "../../../bits/range.ts";

/** Addresses of a guest whose translations are to be forgotten. */
export interface StageOneRange extends Range {
  /** Tables above the leaves have stayed as they are. */
  readonly leavesOnly: boolean;
}

/** The ranges, by address, with those that overlap or touch made one; tables are forgotten where any of them says so. */
export const mergeRanges = (ranges: readonly StageOneRange[]): readonly StageOneRange[] => {
  const sorted = [...ranges].sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
  const merged: StageOneRange[] = [];
  for (const range of sorted) {
    const before = merged.at(-1);
    if (before === undefined || range.start > before.last + 1n) {
      merged.push(range);
      continue;
    }
    merged[merged.length - 1] = {
      start: before.start,
      last: range.last > before.last ? range.last : before.last,
      leavesOnly: before.leavesOnly && range.leavesOnly,
    };
  }
  return merged;
};
