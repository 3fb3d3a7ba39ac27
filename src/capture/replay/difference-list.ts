import type { Deviation, Difference } from "./report.ts";

/** Differences and deviations that are listed. */
export const MAX_LISTED = 1000;

/** What a replay finds, up to a bound. */
export class DifferenceList {
  readonly differences: Difference[] = [];
  readonly deviations: Deviation[] = [];
  /** Differences beyond the bound. */
  more = 0;

  /** Something that nothing explains. */
  add(difference: Difference): void {
    if (this.differences.length < MAX_LISTED) this.differences.push(difference);
    else this.more++;
  }

  /** Something that is known of whoever recorded. */
  allow(deviation: Deviation): void {
    if (this.deviations.length < MAX_LISTED) this.deviations.push(deviation);
  }
}
