import { trailingZeros } from "../bits/log2.ts";
import { INDEX_LG2, type PageTableFormat, sizesWithin } from "./format.ts";
import { PageTable, type PageTableOptions, type PageTableOutcome } from "./page-table.ts";

/** log2 of the largest input space that a table of `levels` levels can have. */
export const reachLg2 = (format: PageTableFormat, levels: number): number =>
  Math.min(format.maxInputLg2, 12 + INDEX_LG2 * levels);

/** What is wrong with the options, if anything. */
const optionsError = (options: PageTableOptions): "EINVAL" | "EOPNOTSUPP" | undefined => {
  const { format, levels, signExtend = false, growable = false, forceSnoop = false } = options;
  if ((signExtend && !format.canSignExtend) || (growable && !format.canGrow)) return "EOPNOTSUPP";
  if (forceSnoop && !format.canForceSnoop) return "EOPNOTSUPP";
  if (!Number.isInteger(levels) || levels < format.minLevels || levels > format.maxLevels)
    return "EINVAL";
  const reach = growable ? format.maxInputLg2 : reachLg2(format, levels);
  const {
    inputLg2 = reach,
    outputLg2 = format.maxOutputLg2,
    pageSizes = format.pageSizes,
  } = options;
  if (
    !(inputLg2 > 12 && inputLg2 <= reach) ||
    !(outputLg2 >= 12 && outputLg2 <= format.maxOutputLg2)
  ) {
    return "EINVAL";
  }
  const usable = pageSizes & sizesWithin(format, levels);
  return usable === 0n || (pageSizes & ~format.pageSizes) !== 0n || trailingZeros(usable) > inputLg2
    ? "EINVAL"
    : undefined;
};

const withDefaults = (
  options: PageTableOptions,
): PageTableOptions & { readonly inputLg2: number } => {
  const { format, levels, growable } = options;
  return { inputLg2: growable ? format.maxInputLg2 : reachLg2(format, levels), ...options };
};

/**
 * Makes an empty table.
 *
 * @returns the table; EOPNOTSUPP when the format lacks what the options ask for,
 *   EINVAL when levels, widths or page sizes are impossible, ENOMEM, or EFAULT
 *   when the frame for the top lies outside memory
 */
export const createPageTable = (options: PageTableOptions): PageTableOutcome => {
  const errno = optionsError(options);
  if (errno !== undefined) return { ok: false, errno };
  const table = new PageTable(withDefaults(options), 0);
  const rootPfn = table.allocateTable();
  if (rootPfn < 0) return { ok: false, errno: table.failure === "EFAULT" ? "EFAULT" : "ENOMEM" };
  table.rootPfn = rootPfn;
  return { ok: true, table };
};

/**
 * Takes over a table that is already in memory, another owner's or one from
 * before a restart. With the same options it behaves as the object that made it.
 *
 * @param rootPfn the frame of the top table; `options.levels` says how many levels it has by now
 * @returns the table, or EINVAL or EOPNOTSUPP as `createPageTable`, or EFAULT when the top lies outside memory
 */
export const adoptPageTable = (rootPfn: number, options: PageTableOptions): PageTableOutcome => {
  const errno = optionsError(options);
  if (errno !== undefined) return { ok: false, errno };
  if (options.memory.bankOf(rootPfn).words.length === 0) return { ok: false, errno: "EFAULT" };
  return { ok: true, table: new PageTable(withDefaults(options), rootPfn) };
};
