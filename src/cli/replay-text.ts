import { hex } from "../bits/hex.ts";
import type {
  Deviation,
  Difference,
  ReplayedFault,
  ReplayedWindow,
  ReplayReport,
  Unseen,
} from "../capture/replay/index.ts";
import { FAULT_REASONS } from "../hardware/vtd/index.ts";
import { counted } from "./inspect-text.ts";
import { alignColumns, type Paint } from "./paint.ts";
import { wrap } from "./wrap.ts";

/** Columns of running text. */
const TEXT_COLUMNS = 100;

/** What was replayed, in one line. */
export const replayHeading = (report: ReplayReport, paint: Paint): string => {
  const lines = report.windows.at(-1)?.lastLine ?? 0;
  const recorder =
    report.recorder === null ? "held against the specification" : `as ${report.recorder} records`;
  return (
    `${paint.bold(report.capture)}: ${counted(report.windows.length, "moment")}, ` +
    `${counted(lines, "trace line")}, ${recorder}`
  );
};

const HEADINGS = [
  "moment",
  "lines",
  "writes",
  "descriptors",
  "faults",
  "registers",
  "mappings",
  "entries",
  "differences",
];

const momentName = ({ moment }: ReplayedWindow): string => moment ?? "the end";

const windowRow = (
  window: ReplayedWindow,
  differences: readonly Difference[],
  paint: Paint,
): string[] => {
  const { firstLine, lastLine } = window;
  const own = differences.filter(({ line }) => line >= firstLine && line <= lastLine).length;
  return [
    paint.bold(momentName(window)),
    `${firstLine}-${lastLine}`,
    String(window.writes),
    String(window.descriptors.length),
    String(window.faults.length),
    String(window.registers),
    String(window.mappings),
    String(window.entries),
    own === 0 ? paint.green("none") : paint.red(String(own)),
  ];
};

/** One line for each moment: what was replayed before it and compared at it. */
export const windowLines = ({ windows, differences }: ReplayReport, paint: Paint): string[] =>
  alignColumns([
    HEADINGS.map(paint.dim),
    ...windows.map((window) => windowRow(window, differences, paint)),
  ]);

/** How many descriptors of each kind, the most frequent first. */
export const descriptorCounts = ({ windows }: ReplayReport): string => {
  const counts = new Map<string, number>();
  for (const { kind } of windows.flatMap(({ descriptors }) => descriptors)) {
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  const sorted = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  return sorted.map(([kind, count]) => `${count} ${kind}`).join(", ");
};

/** A line for each descriptor, in the order of the trace. */
export function* descriptorLines({ windows }: ReplayReport): Generator<string, void, undefined> {
  for (const { descriptors } of windows) {
    for (const { line, slot, kind, words } of descriptors) {
      yield `  line ${line}  slot ${slot}  ${kind}  ${words.map(hex).join(" ")}`;
    }
  }
}

const faultText = ({ bdf, pasid, address, write, code, text }: ReplayedFault): string[] => [
  pasid === null ? bdf : `${bdf} PASID ${pasid}`,
  `${write ? "writes" : "reads"} ${hex(address)}`,
  `${hex(code)} ${text}`,
];

/** A refused request, in one line. */
export const faultLine = (fault: ReplayedFault): string =>
  `line ${fault.line}: ${faultText(fault).join("  ")}`;

const unseenTexts = ({ pages, domains, devices, records, descriptors }: Unseen): string[] => [
  ...(pages === 0
    ? []
    : [`${counted(pages, "page invalidation")} of what is mapped at neither end`]),
  ...(domains.length === 0 ? [] : [`domain ${domains.join(", ")}`]),
  ...(devices.length === 0 ? [] : [`context of ${devices.join(", ")}`]),
  ...(records === 0 ? [] : [`${counted(records, "fault record")} filled and cleared`]),
  ...(descriptors === 0 ? [] : [`${counted(descriptors, "descriptor")} overwritten in the queue`]),
];

/** Descriptors, faults, and what no moment shows. */
export const storyLines = (report: ReplayReport, paint: Paint): string[] => {
  const faults = report.windows.flatMap((window) => window.faults);
  const unseen = report.windows.flatMap((window) => {
    const texts = unseenTexts(window.unseen);
    const { stale } = window;
    if (stale > 0) texts.push(`${counted(stale, "request")} still answered from caches`);
    return texts.length === 0 ? [] : [`${momentName(window)}: ${texts.join("; ")}`];
  });
  return [
    paint.bold("descriptors"),
    ...wrap(descriptorCounts(report) || "none", 2, TEXT_COLUMNS),
    ...(faults.length === 0 ? [] : [paint.bold("faults")]),
    ...alignColumns(faults.map((fault) => [`  line ${fault.line}`, ...faultText(fault)])),
    ...(unseen.length === 0
      ? []
      : [paint.bold("came and went between moments, so cannot be seen")]),
    ...unseen.flatMap((text) => wrap(text, 2, TEXT_COLUMNS)),
  ];
};

/** A field's value; a fault reason with its meaning. */
const fieldText = (name: string, value: bigint): string => {
  const reason = name === "FR" ? FAULT_REASONS.get(Number(value))?.text : undefined;
  return reason === undefined ? hex(value) : `${hex(value)} (${reason})`;
};

const differenceRows = (difference: Difference, theirs: string): string[][] => {
  const { line, what, recorded, replayed, fields } = difference;
  if (fields.length === 0) {
    return [[`  line ${line}`, what, `recorded ${recorded}`, `${theirs} ${replayed}`]];
  }
  return fields.map(({ name, recorded: was, replayed: is }) => [
    `  line ${line}`,
    `${what} ${name}`,
    `recorded ${fieldText(name, was)}`,
    `${theirs} ${fieldText(name, is)}`,
  ]);
};

/** What is known of the recorder and showed, fact by fact, with the specification's values. */
export const deviationLines = ({ recorder, deviations }: ReplayReport, paint: Paint): string[] => {
  const facts = [...new Set(deviations.map(({ fact }) => fact))];
  const ofFact = (fact: string): readonly Deviation[] =>
    deviations.filter((deviation) => deviation.fact === fact);
  return facts.flatMap((fact) => [
    paint.yellow(`known of ${recorder}: ${fact}`),
    ...alignColumns(ofFact(fact).flatMap((each) => differenceRows(each, "specification"))),
  ]);
};

/** The differences, and how many there are. */
export const differenceLines = (report: ReplayReport, paint: Paint): string[] => {
  const { differences, more } = report;
  if (differences.length === 0) return [paint.green("no differences")];
  return [
    paint.red(counted(differences.length + more, "difference")),
    ...alignColumns(differences.flatMap((each) => differenceRows(each, "the unit"))),
    ...(more === 0 ? [] : [`  and ${more} more`]),
  ];
};
