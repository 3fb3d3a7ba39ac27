import { rangeLength } from "../bits/range.ts";
import {
  FINDING_CODES,
  type FindingCode,
  type InspectReport,
  inspectCapture,
  inspectDocument,
  type WatchedRange,
} from "../capture/inspect/index.ts";
import type { Command, CommandContext } from "./command.ts";
import { deviceLines, findingLines, headingLines, rangeLines } from "./inspect-text.ts";
import { formatDevice, NotationError, parseDevice, parseRange } from "./notation.ts";
import { CAPTURE_ARGUMENT, CAPTURE_OPTIONS, openInvoked } from "./open-capture.ts";

/** Lines that are written at once. */
const LINES_AT_ONCE = 256;

const parseWatch = (text: string): WatchedRange => {
  const range = parseRange(text);
  return { base: range.start, length: rangeLength(range) };
};

const isFindingCode = (text: string): text is FindingCode =>
  FINDING_CODES.some((code) => code === text);

/** Reads `CODE,CODE` or `any`. */
const parseFailOn = (text: string): FindingCode[] => {
  if (text === "any") return [...FINDING_CODES];
  const codes = text.split(",");
  if (codes.every(isFindingCode)) return codes;
  throw new NotationError(text, `any, or of ${FINDING_CODES.join(", ")}`);
};

/** The report without the devices that nobody asked for. */
const onlyDevices = (report: InspectReport, devices: readonly string[]): InspectReport => {
  if (devices.length === 0) return report;
  const asked = (bdf: string): boolean => devices.includes(bdf);
  return {
    ...report,
    devices: report.devices.filter(({ bdf }) => asked(bdf)),
    // A finding about no device concerns them all.
    findings: report.findings.filter(({ bdf }) => bdf.length === 0 || bdf.some(asked)),
  };
};

const writeLines = (lines: Iterable<string>, write: (text: string) => void): void => {
  let waiting: string[] = [];
  for (const line of lines) {
    if (waiting.push(line) < LINES_AT_ONCE) continue;
    write(`${waiting.join("\n")}\n`);
    waiting = [];
  }
  if (waiting.length > 0) write(`${waiting.join("\n")}\n`);
};

function* reportLines(
  report: InspectReport,
  { invocation, paint, quiet }: CommandContext,
): Generator<string, void, undefined> {
  if (!quiet) yield* [...headingLines(report, paint), ""];
  yield* deviceLines(report, paint);
  if (!invocation.has("summary")) yield* rangeLines(report, paint);
  yield "";
  yield* findingLines(report.findings, paint);
}

/** `softiommu inspect`. */
export const INSPECT_COMMAND: Command = {
  name: "inspect",
  purpose: "show what every device can reach, and what is wrong",
  usage: "CAPTURE [options]",
  examples: [
    {
      line: "inspect captures/vtd_sm_fs",
      doc: "every device, what it can reach, and the findings",
    },
    {
      line: "inspect captures/vtd_sm_fs_cm/c_mapped --summary --fail-on shared-domain",
      doc: "one moment of several, without the ranges; exit 4 when devices share a domain",
    },
    {
      line: "inspect guest.elf --regs regs.json --watch 0x1000000+16M --json",
      doc: "a core of dump-guest-memory as JSON, and who can write the guest's kernel",
    },
  ],
  arguments: [CAPTURE_ARGUMENT],
  groups: [
    {
      title: "What to look at",
      options: [
        {
          name: "device",
          value: { name: "DEVICE" },
          repeatable: true,
          doc: "only this device: [ssss:]bb:dd.f or 0x…",
        },
        {
          name: "watch",
          value: { name: "PA+LEN" },
          repeatable: true,
          doc: "memory that no device should be able to write",
        },
        { name: "summary", doc: "devices and findings only, not the ranges" },
        {
          name: "fail-on",
          value: { name: "CODES" },
          doc: "exit 4 when there are such findings: codes with commas, or any",
        },
      ],
    },
    CAPTURE_OPTIONS,
  ],
  exits: ["input", "findings"],
  notes: [
    `Finding codes: ${FINDING_CODES.join(", ")}.`,
    "Findings alone are no failure: without --fail-on the exit code is 0 whatever is found. " +
      "Leaves that lie side by side in both spaces with the same permissions are shown as one " +
      "range; with --json each has an entry of its own.",
  ],
  seeAlso: ["walk", "docs/commands.md", "docs/capture-format.md"],
  run(context) {
    const { invocation, output, json } = context;
    const watch = invocation.values("watch", parseWatch);
    const devices = invocation.values("device", parseDevice).map(formatDevice);
    const failOn = invocation.value("fail-on", parseFailOn) ?? [];
    const { capture, close } = openInvoked(invocation);
    try {
      const report = onlyDevices(inspectCapture(capture, { watch }), devices);
      if (json) for (const chunk of inspectDocument(report)) output.out(chunk);
      else writeLines(reportLines(report, context), output.out);
      return report.findings.some(({ code }) => failOn.includes(code)) ? "findings" : "ok";
    } finally {
      close();
    }
  },
};
