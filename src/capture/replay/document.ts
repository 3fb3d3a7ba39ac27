import { hex } from "../../bits/hex.ts";
import type { Deviation, Difference, ReplayedWindow, ReplayReport } from "./report.ts";

const differenceDocument = (difference: Difference): object => ({
  kind: difference.kind,
  line: difference.line,
  what: difference.what,
  recorded: difference.recorded,
  replayed: difference.replayed,
  fields: difference.fields.map(({ name, recorded, replayed }) => ({
    name,
    recorded: hex(recorded),
    replayed: hex(replayed),
  })),
});

const deviationDocument = (deviation: Deviation): object => ({
  ...differenceDocument(deviation),
  fact: deviation.fact,
});

const windowDocument = (window: ReplayedWindow): object => ({
  moment: window.moment,
  firstLine: window.firstLine,
  lastLine: window.lastLine,
  writes: window.writes,
  registers: window.registers,
  mappings: window.mappings,
  entries: window.entries,
  stale: window.stale,
  unseen: window.unseen,
  faults: window.faults.map(({ address, recorded, code, ...fault }) => ({
    ...fault,
    address: hex(address),
    recorded: hex(recorded),
    code: hex(code),
  })),
  descriptors: window.descriptors.map(({ words, ...descriptor }) => ({
    ...descriptor,
    words: words.map(hex),
  })),
});

/** The report as the JSON document `softiommu/replay@1`. */
export const replayDocument = (report: ReplayReport): object => ({
  schema: report.schema,
  capture: report.capture,
  recorder: report.recorder,
  windows: report.windows.map(windowDocument),
  deviations: report.deviations.map(deviationDocument),
  differences: report.differences.map(differenceDocument),
  more: report.more,
});
