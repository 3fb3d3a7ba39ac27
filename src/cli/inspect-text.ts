import { hex } from "../bits/hex.ts";
import {
  type DeviceReport,
  type Finding,
  type FindingCode,
  type InspectReport,
  type MappedRange,
  type PasidReport,
  rangesOf,
} from "../capture/inspect/index.ts";
import { formatSize } from "./notation.ts";
import { alignColumns, type Paint } from "./paint.ts";
import { wrap } from "./wrap.ts";

/** `1 mapping`, `2 mappings`. */
export const counted = (count: number, noun: string, plural = `${noun}s`): string =>
  `${count} ${count === 1 ? noun : plural}`;

const MODES = {
  legacy: "legacy mode",
  scalable: "scalable mode",
  abort: "abort-DMA mode",
  invalid: "a mode that the unit does not have",
} as const;

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);

/** What the capture is, in one line, and what stands above everything else in it. */
export const headingLines = (report: InspectReport, paint: Paint): string[] => {
  const { devices, translation, fault, truncated } = report;
  const mappings = sum(devices.flatMap(({ pasids }) => pasids.map((each) => each.mappings)));
  const lines = [
    `${paint.bold(report.capture)}: ${MODES[report.mode]}, ` +
      `${counted(devices.length, "device")}, ${counted(mappings, "mapping")}`,
  ];
  if (!translation) {
    lines.push(paint.yellow("translation is off: every request passes, whatever the tables say"));
  }
  if (fault !== null) {
    lines.push(paint.red(`every request is refused: fault ${hex(fault.code)}, ${fault.text}`));
  }
  if (truncated !== null) {
    const { limit, most, where } = truncated;
    lines.push(paint.yellow(`this is not all: more than ${most} ${limit}; stopped at ${where}`));
  }
  return lines;
};

const stagesText = ({ firstStage, secondStage }: PasidReport): [levels: string, root: string] => {
  const stages = [firstStage, secondStage].filter((stage) => stage !== null);
  if (stages.length === 0) return ["-", "-"];
  return [
    stages.map(({ levels }) => levels).join(" over "),
    stages.map(({ root }) => hex(root)).join(" over "),
  ];
};

const reachText = (report: PasidReport, paint: Paint): string => {
  if (report.fault !== null) {
    return paint.red(`refused: ${hex(report.fault.code)} ${report.fault.text}`);
  }
  if (report.type === "pass-through") return paint.yellow("all memory");
  return report.mappings === 0 ? paint.dim("nothing") : String(report.mappings);
};

const deviceRows = (device: DeviceReport, paint: Paint): string[][] => {
  const ats = device.ats ? "yes" : "-";
  if (device.pasids.length === 0) {
    const { fault } = device;
    const reach = fault === null ? "nothing" : `refused: ${hex(fault.code)} ${fault.text}`;
    return [[device.bdf, "-", "-", "-", "-", "-", ats, paint.red(reach)]];
  }
  return device.pasids.map((space, i) => [
    i === 0 ? paint.bold(device.bdf) : "",
    space.pasid === null ? "-" : hex(space.pasid),
    space.type,
    String(space.domain),
    ...stagesText(space),
    i === 0 ? ats : "",
    reachText(space, paint),
  ]);
};

const HEADINGS = ["device", "pasid", "type", "domain", "levels", "root", "ats", "mappings"];

/** One line for each device and PASID, under headings. */
export const deviceLines = (report: InspectReport, paint: Paint): string[] =>
  alignColumns([
    HEADINGS.map(paint.dim),
    ...report.devices.flatMap((device) => deviceRows(device, paint)),
  ]);

/** One mapped range: where, to what, how large, who may. */
export const rangeLine = ({ iova, pa, size, perms, leaves }: MappedRange, paint: Paint): string => {
  const pages = leaves === 1 ? "" : paint.dim(`${leaves} leaves`);
  const way = `${hex(iova).padEnd(14)} ${paint.dim("→")} ${hex(pa).padEnd(14)}`;
  return `  ${way} ${formatSize(size).padStart(6)}  ${perms.padEnd(3)} ${pages}`.trimEnd();
};

const spaceName = (bdf: string, pasid: number | null): string =>
  pasid === null ? bdf : `${bdf} PASID ${hex(pasid)}`;

/**
 * What each device can reach: its ranges under its name. Tables that several
 * use are shown once.
 */
export function* rangeLines(
  report: InspectReport,
  paint: Paint,
): Generator<string, void, undefined> {
  const shown = new Map<PasidReport["leaves"], string>();
  for (const device of report.devices) {
    for (const space of device.pasids) {
      if (space.mappings === 0) continue;
      const name = spaceName(device.bdf, space.pasid);
      const same = shown.get(space.leaves);
      if (same !== undefined) {
        yield "";
        yield `${paint.bold(name)} ${paint.dim(`reaches the same as ${same}`)}`;
        continue;
      }
      shown.set(space.leaves, name);
      yield "";
      yield `${paint.bold(name)} ${paint.dim(counted(space.mappings, "mapping"))}`;
      const alone = { ...report, devices: [{ ...device, pasids: [space] }] };
      for (const range of rangesOf(alone)) yield rangeLine(range, paint);
    }
  }
}

/** What each finding means. */
const MEANINGS: Readonly<Record<FindingCode, string>> = {
  "shared-domain": "these devices share a domain: what one may reach, all may",
  "pass-through": "requests pass untranslated: all memory can be reached",
  "ats-with-pass-through": "requests pass untranslated, and the device may cache that",
  "maps-iommu-tables": "the device can write the IOMMU's own tables",
  "maps-given-range": "the device can write a range that --watch names",
  "msi-window-mapped": "addresses are mapped that are interrupts and never translated",
  "reserved-bit": "an entry has a reserved bit set: requests are refused",
  "table-outside-ram": "an entry points to a table where there is no memory",
};

const placeText = ({ iova, pa, size }: Finding): string =>
  [
    ...(iova === null ? [] : [`iova ${hex(iova)}`]),
    ...(pa === null ? [] : [`at ${hex(pa)}`]),
    ...(size === null ? [] : [formatSize(size)]),
  ].join("  ");

const whoText = ({ bdf, pasid }: Finding): string =>
  [...bdf, ...(pasid === null ? [] : [`PASID ${hex(pasid)}`])].join(" ");

/** Columns of a list of devices. */
const FINDING_COLUMNS = 96;

/** The findings of one code: those of single devices that say no more share lines, any other has its own. */
const findingGroup = (findings: readonly Finding[]): string[] => {
  const placed = findings.filter((finding) => placeText(finding) !== "");
  const bare = findings.filter((finding) => !placed.includes(finding));
  const alone = bare.filter(({ bdf, pasid }) => bdf.length === 1 && pasid === null);
  const together = alone.length === 0 ? [] : [alone.map(whoText).join(" ")];
  const rest = bare.filter((finding) => !alone.includes(finding)).map(whoText);
  return [
    ...[...together, ...rest].flatMap((text) => wrap(text, 4, FINDING_COLUMNS)),
    ...alignColumns(placed.map((finding) => [`    ${whoText(finding)}`, placeText(finding)])),
  ];
};

/** The findings by code, and how many there are. */
export const findingLines = (findings: readonly Finding[], paint: Paint): string[] => {
  if (findings.length === 0) return [paint.green("no findings")];
  const codes = [...new Set(findings.map(({ code }) => code))];
  return [
    paint.yellow(counted(findings.length, "finding")),
    ...codes.flatMap((code) => {
      const group = findings.filter((finding) => finding.code === code);
      const heading = `  ${paint.yellow(code)}: ${paint.dim(MEANINGS[code])}`;
      return [heading, ...findingGroup(group)];
    }),
  ];
};
