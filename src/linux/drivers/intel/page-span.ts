import { alignDown } from "../../../bits/log2.ts";
import type { Range } from "../../../bits/range.ts";

/** 2^`mask` pages of 4 KiB, aligned to their size: what one page-selective descriptor covers. */
export interface PageSpan {
  readonly address: bigint;
  readonly mask: number;
}

/** The smallest span that covers a range; its mask may be more than hardware takes. */
export const spanOf = ({ start, last }: Range): PageSpan => {
  let mask = 0;
  while (alignDown(start, mask + 12) !== alignDown(last, mask + 12)) mask++;
  return { address: alignDown(start, mask + 12), mask };
};
