import type { ExpectedMapping } from "../capture/index.ts";
import { type InspectReport, type Mapping, mappingsOf } from "../capture/inspect/index.ts";

/** How the mappings that were found differ from those expected. */
export interface ExpectedCheck {
  readonly expected: number;
  /** Expected, and nothing is there. */
  readonly missing: number;
  /** Found, and not expected. */
  readonly extra: number;
  /** Found where one is expected, but it leads elsewhere, or is of another size or for other access. */
  readonly wrong: number;
}

/** Expected lists write the requester ID's own PASID, 0, where reports write none. */
const keyOf = ({ bdf, pasid, iova }: Mapping | ExpectedMapping): string =>
  `${bdf.length === "00:00.0".length ? `0000:${bdf}` : bdf} ${pasid ?? 0} ${iova}`;

const answerOf = ({ pa, size, perms }: Mapping | ExpectedMapping): string =>
  `${pa} ${size} ${perms}`;

/** Compares a report with an expected list, each mapping counted once. */
export const checkExpected = (
  report: InspectReport,
  expected: readonly ExpectedMapping[],
): ExpectedCheck => {
  const left = new Map(expected.map((mapping) => [keyOf(mapping), answerOf(mapping)]));
  // A list that has a mapping twice expects something that cannot be.
  let missing = expected.length - left.size;
  let extra = 0;
  let wrong = 0;
  for (const mapping of mappingsOf(report)) {
    const key = keyOf(mapping);
    const value = left.get(key);
    if (value === undefined) extra++;
    else if (value !== answerOf(mapping)) wrong++;
    left.delete(key);
  }
  missing += left.size;
  return { expected: expected.length, missing, extra, wrong };
};
