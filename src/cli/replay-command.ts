import { readRecording, replayDocument, replayRecording } from "../capture/replay/index.ts";
import type { Command } from "./command.ts";
import { openNamed } from "./node-files.ts";
import {
  descriptorLines,
  deviationLines,
  differenceLines,
  replayHeading,
  storyLines,
  windowLines,
} from "./replay-text.ts";

/** `softiommu replay`. */
export const REPLAY_COMMAND: Command = {
  name: "replay",
  purpose: "replay what a kernel did to its unit, and compare",
  usage: "CAPTURE [options]",
  examples: [
    {
      line: "replay captures/vtd_legacy_cm",
      doc: "every register write and descriptor up to the last moment",
    },
    {
      line: "replay captures/vtd_sm_ss --specification",
      doc: "what QEMU records other than the specification says; exit 1",
    },
    {
      line: "replay captures/vtd_sm_fs_cm/c_mapped --descriptors",
      doc: "up to one moment, with a line for each descriptor",
    },
  ],
  arguments: [
    {
      name: "CAPTURE",
      path: true,
      doc: "a capture's folder with regtrace.txt in it; CAPTURE/MOMENT stops at that moment",
    },
  ],
  groups: [
    {
      title: "What to compare, what to show",
      options: [
        {
          name: "specification",
          doc: "allow for nothing that the QEMU which recorded is known to do otherwise",
        },
        { name: "descriptors", doc: "a line for each descriptor" },
      ],
    },
  ],
  exits: ["differences", "input"],
  notes: [
    "The lines of the trace between two moments run over the memory of the later one. A request " +
      "of a device is made where the trace shows that one was refused. At each moment every " +
      "register, the queue, and the entries and mappings of the capture's lists are compared.",
  ],
  seeAlso: ["inspect", "docs/commands.md", "docs/capture-format.md", "docs/spec/replay.md"],
  run({ invocation, output, paint, json, quiet }) {
    // The parser does not let a command run without its argument.
    const { files, moment } = openNamed(invocation.positionals[0]!);
    try {
      const recording = readRecording(files, moment);
      const specification = invocation.has("specification");
      const report = replayRecording(recording, { specification });
      if (json) output.out(`${JSON.stringify(replayDocument(report))}\n`);
      else {
        const lines = [
          ...(quiet ? [] : [replayHeading(report, paint), ""]),
          ...windowLines(report, paint),
          ...(quiet ? [] : ["", ...storyLines(report, paint)]),
          ...(invocation.has("descriptors") ? descriptorLines(report) : []),
          ...(quiet ? [] : ["", ...deviationLines(report, paint)]),
          ...differenceLines(report, paint),
        ];
        output.out(`${lines.join("\n")}\n`);
      }
      return report.differences.length === 0 ? "ok" : "differences";
    } finally {
      files.close();
    }
  },
};
