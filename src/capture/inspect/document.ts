import { hex } from "../../bits/hex.ts";
import { protText } from "../../page-table/format.ts";
import type {
  DeviceReport,
  Finding,
  InspectReport,
  PasidReport,
  Refusal,
  StageReport,
} from "./report.ts";

/** Mappings to a chunk of text. */
const CHUNK_MAPPINGS = 512;

const refusalDocument = (refusal: Refusal | null): object | null =>
  refusal === null ? null : { code: hex(refusal.code), text: refusal.text, remedy: refusal.remedy };

const stageDocument = (stage: StageReport | null): object | null =>
  stage === null ? null : { levels: stage.levels, root: hex(stage.root) };

const pasidDocument = (report: PasidReport): object => ({
  pasid: report.pasid,
  type: report.type,
  domain: report.domain,
  valid: report.fault === null,
  fault: refusalDocument(report.fault),
  fpd: report.fpd,
  firstStage: stageDocument(report.firstStage),
  secondStage: stageDocument(report.secondStage),
  mappings: report.mappings,
});

const deviceDocument = (report: DeviceReport): object => ({
  bdf: report.bdf,
  mode: report.mode,
  contextEntry: hex(report.contextEntry),
  ats: report.ats,
  pageRequests: report.pageRequests,
  pasidEnabled: report.pasidEnabled,
  ridPasid: report.ridPasid,
  fpd: report.fpd,
  valid: report.fault === null,
  fault: refusalDocument(report.fault),
  pasids: report.pasids.map(pasidDocument),
});

const hexOrNull = (value: bigint | null): string | null => (value === null ? null : hex(value));

const findingDocument = (finding: Finding): object => ({
  code: finding.code,
  bdf: finding.bdf,
  pasid: finding.pasid,
  iova: hexOrNull(finding.iova),
  pa: hexOrNull(finding.pa),
  size: hexOrNull(finding.size),
});

/** The address of a page frame, as `hex` would write it. */
const frameHex = (frame: number): string => (frame === 0 ? "0x0" : `0x${frame.toString(16)}000`);

/** Every mapping's line, without commas. */
function* mappingLines(report: InspectReport): Generator<string, void, undefined> {
  for (const { bdf, pasids } of report.devices) {
    for (const { pasid, domain, leaves, mappings } of pasids) {
      const start = `{"bdf":${JSON.stringify(bdf)},"pasid":${pasid},"domain":${domain},"iova":"`;
      for (let i = 0; i < mappings; i++) {
        const pa = frameHex(leaves.outFrames[i]!);
        const size = frameHex(2 ** (leaves.sizesLg2[i]! - 12));
        const perms = protText(leaves.prots[i]!);
        const range = `${frameHex(leaves.iovaFrames[i]!)}","pa":"${pa}","size":"${size}"`;
        yield `${start}${range},"perms":"${perms}"}`;
      }
    }
  }
}

/** `,"name":[` and the lines, several to a chunk, and `]`. */
function* arrayChunks(
  name: string,
  lines: Iterable<string>,
  linesOfAChunk: number,
): Generator<string, void, undefined> {
  yield `,\n"${name}":[`;
  let chunk: string[] = [];
  let separator = "\n";
  for (const line of lines) {
    if (chunk.push(line) < linesOfAChunk) continue;
    yield separator + chunk.join(",\n");
    separator = ",\n";
    chunk = [];
  }
  if (chunk.length > 0) yield separator + chunk.join(",\n");
  yield "]";
}

/**
 * The report as one JSON document, `softiommu/inspect@1`, in pieces: their
 * concatenation is the document. The order of the names is fixed, and each
 * device, mapping and finding has a line of its own.
 */
export function* inspectDocument(report: InspectReport): Generator<string, void, undefined> {
  const { schema, capture, iommu, mode, translation, fault, truncated } = report;
  const head = {
    schema,
    capture,
    iommu,
    mode,
    translation,
    fault: refusalDocument(fault),
    truncated,
  };
  yield JSON.stringify(head).slice(0, -1);
  const devices = report.devices.map((device) => JSON.stringify(deviceDocument(device)));
  yield* arrayChunks("devices", devices, 1);
  yield* arrayChunks("mappings", mappingLines(report), CHUNK_MAPPINGS);
  const findings = report.findings.map((finding) => JSON.stringify(findingDocument(finding)));
  yield* arrayChunks("findings", findings, CHUNK_MAPPINGS);
  yield "}\n";
}
