import { COMPARISONS, type Target } from "./cases.ts";
import type { Measurement } from "./measure.ts";

/** How a ratio stands to its target. */
export type Verdict = "extreme" | "realistic" | "missed" | "";

/** One line of the report. */
export interface Row {
  readonly name: string;
  readonly title: string;
  readonly against: string;
  readonly ns: number;
  readonly otherNs: number | undefined;
  /** `ns` divided by `otherNs`. */
  readonly ratio: number | undefined;
  readonly reads: number | undefined;
  readonly target: Target | undefined;
  readonly verdict: Verdict;
}

/** The value that the target speaks of: smaller is better. */
const against = (target: Target, value: number): Verdict => {
  const { unit, realistic, extreme } = target;
  const worth = unit === "faster" ? 1 / value : value;
  const reached = (limit: number): boolean => (unit === "faster" ? worth >= limit : worth <= limit);
  if (reached(extreme)) return "extreme";
  return reached(realistic) ? "realistic" : "missed";
};

const verdictOf = (target: Target | undefined, ns: number, ratio: number | undefined): Verdict => {
  if (target === undefined) return "";
  const value = target.unit === "ns" ? ns : ratio;
  return value === undefined ? "" : against(target, value);
};

const rowsOf = ({ case: test, ns, reads, anchors }: Measurement): Row[] => {
  const { name, title } = test;
  if (test.anchors.length === 0) {
    const { target } = test;
    const verdict = verdictOf(target, ns, undefined);
    const none = { otherNs: undefined, ratio: undefined, reads: undefined };
    return [{ name, title, against: "nothing comparable", ns, ...none, target, verdict }];
  }
  const rows = test.anchors.map((anchor, i): Row => {
    const otherNs = anchors[i];
    const ratio = otherNs === undefined ? undefined : ns / otherNs;
    const target = i === 0 ? (anchor.target ?? test.target) : anchor.target;
    return {
      name,
      title: i === 0 ? title : "",
      against: anchor.title,
      ns,
      otherNs,
      ratio,
      reads: i === 0 ? reads : undefined,
      target,
      verdict: verdictOf(target, ns, ratio),
    };
  });
  return rows;
};

/** A row for each case and what it is compared with, and for cases compared with each other. */
export const rowsOfAll = (measurements: readonly Measurement[]): Row[] => {
  const rows = measurements.flatMap(rowsOf);
  const nsOf = (name: string): number | undefined =>
    measurements.find((measurement) => measurement.case.name === name)?.ns;
  for (const { name, title, fast, slow, target } of COMPARISONS) {
    const ns = nsOf(fast);
    const otherNs = nsOf(slow);
    if (ns === undefined || otherNs === undefined) continue;
    const ratio = ns / otherNs;
    const verdict = verdictOf(target, ns, ratio);
    rows.push({
      name,
      title,
      against: "TypeScript",
      ns,
      otherNs,
      ratio,
      reads: undefined,
      target,
      verdict,
    });
  }
  return rows;
};

const digits = (value: number): string =>
  value >= 1e5 ? value.toPrecision(4) : value >= 100 ? value.toFixed(0) : value.toFixed(1);

const ratioText = (ratio: number | undefined): string => {
  if (ratio === undefined) return "";
  return ratio >= 0.95 ? `${ratio.toFixed(2)}×` : `1/${digits(1 / ratio)}`;
};

const targetText = (target: Target | undefined): string => {
  if (target === undefined) return "";
  const { unit, realistic, extreme } = target;
  if (unit === "ns") return `≤ ${realistic} ns (${extreme} ns)`;
  return unit === "times" ? `≤ ${realistic}× (${extreme}×)` : `≤ 1/${realistic} (1/${extreme})`;
};

const VERDICTS: Readonly<Record<Verdict, string>> = {
  extreme: "met, extreme",
  realistic: "met",
  missed: "NOT MET",
  "": "",
};

const HEADINGS = [
  "operation",
  "reads",
  "TS ns",
  "C ns",
  "ratio",
  "against",
  "target (extreme)",
  "",
];
/** Which columns are numbers and stand to the right. */
const NUMBERS = new Set([1, 2, 3, 4]);

/** The report as a table of text. */
export const tableOf = (rows: readonly Row[]): string => {
  const cells = rows.map(
    ({ title, reads, ns, otherNs, ratio, against: other, target, verdict }) => [
      title,
      reads === undefined || reads === 0 ? "" : digits(reads),
      title === "" ? "" : digits(ns),
      otherNs === undefined ? "" : digits(otherNs),
      ratioText(ratio),
      other,
      targetText(target),
      VERDICTS[verdict],
    ],
  );
  const table = [HEADINGS, ...cells];
  const widths = HEADINGS.map((_, i) => Math.max(...table.map((row) => row[i]!.length)));
  const lines = table.map((row) =>
    row
      .map((cell, i) => (NUMBERS.has(i) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join("  ")
      .trimEnd(),
  );
  return lines.join("\n");
};

const round = (value: number, places: number): number => Number(value.toFixed(places));

/** What goes into git: ratios and counts. Times are in it as a hint of the size only. */
export const resultsOf = (rows: readonly Row[], machine: string): string => {
  const results = rows.map(({ name, against: other, ns, ratio, reads, verdict }) => ({
    name,
    against: other,
    ratio: ratio === undefined ? null : Number(ratio.toPrecision(3)),
    ns: round(ns, 1),
    ...(reads === undefined ? {} : { reads: round(reads, 2) }),
    ...(verdict === "" ? {} : { target: verdict }),
  }));
  const lines = results.map((result) => `    ${JSON.stringify(result)}`);
  return `{\n  "schema": "softiommu/bench@1",\n  "machine": ${JSON.stringify(machine)},\n  "results": [\n${lines.join(",\n")}\n  ]\n}\n`;
};
