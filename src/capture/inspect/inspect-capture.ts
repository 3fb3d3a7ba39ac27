import { hpa } from "../../bits/address.ts";
import { frameAddress } from "../../bits/halves.ts";
import { formatPciAddress } from "../../hardware/pci/requester-id.ts";
import { createCapabilities } from "../../hardware/vtd/capabilities.ts";
import {
  type EnumeratedDevice,
  type EnumeratedSpace,
  type EnumerationLimits,
  enumerateUnit,
  type Truncation,
  type UnitEnumeration,
} from "../../hardware/vtd/enumerate.ts";
import { ECAP } from "../../hardware/vtd/spec/capability-registers.ts";
import { FAULT_REASONS } from "../../hardware/vtd/spec/fault-reasons.ts";
import { FIRST_STAGE, NESTED, PASS_THROUGH, SECOND_STAGE } from "../../hardware/vtd/target.ts";
import type { VtdCapture } from "../capture.ts";
import { findingsOf, MAX_FINDINGS } from "./findings.ts";
import { iommuRanges } from "./iommu-ranges.ts";
import { PhysicalRanges } from "./physical-ranges.ts";
import {
  type DeviceReport,
  INSPECT_SCHEMA,
  type InspectReport,
  type InspectTruncation,
  type PasidReport,
  type Refusal,
  type TranslationType,
} from "./report.ts";

/** Physical addresses that nobody should be able to write. */
export interface WatchedRange {
  readonly base: bigint;
  /** In bytes. */
  readonly length: bigint;
}

/** How to look at a capture. */
export interface InspectOptions {
  readonly watch?: readonly WatchedRange[];
  /** Physical address bits; CAP.MGAW + 1 when absent. */
  readonly hostAddressWidth?: number;
  /** The PCI segment of the unit's devices; 0 when absent. */
  readonly segment?: number;
  /** Bounds other than `ENUMERATION_LIMITS` and `MAX_FINDINGS`. */
  readonly limits?: Partial<EnumerationLimits> & { readonly findings?: number };
}

/** GSTS.TES (VT-d 11.4.4.2). */
const TRANSLATING = 1n << 31n;

/** Beyond every physical address. */
const ADDRESS_END = 2 ** 52;

const TYPES: Readonly<Record<number, TranslationType>> = {
  [FIRST_STAGE]: "first-stage",
  [SECOND_STAGE]: "second-stage",
  [NESTED]: "nested",
  [PASS_THROUGH]: "pass-through",
};

const refusalOf = (code: number): Refusal | null => {
  if (code === 0) return null;
  const { text, remedy } = FAULT_REASONS.get(code)!;
  return { code, text, remedy };
};

const reportPasid = (space: EnumeratedSpace): PasidReport => {
  const { pasid, type, domain, fault, fpd, target, leaves, leafCount } = space;
  const first = target?.type === FIRST_STAGE || target?.type === NESTED ? target : undefined;
  const second = target?.type === SECOND_STAGE || target?.type === NESTED ? target : undefined;
  return {
    pasid,
    type: TYPES[type] ?? "invalid",
    domain,
    fault: refusalOf(fault),
    fpd,
    firstStage:
      first === undefined
        ? null
        : { levels: first.firstStageLevels, root: frameAddress(first.firstStagePfn) },
    secondStage:
      second === undefined
        ? null
        : { levels: second.secondStageLevels, root: frameAddress(second.secondStagePfn) },
    leaves,
    mappings: leafCount,
  };
};

const reportDevice = (
  device: EnumeratedDevice,
  mode: "legacy" | "scalable",
  bdf: string,
): DeviceReport => ({
  bdf,
  mode,
  contextEntry: hpa(device.contextAddress),
  ats: device.deviceTlb,
  pageRequests: device.pageRequests,
  pasidEnabled: device.pasidEnabled,
  ridPasid: device.ridPasid ?? null,
  fpd: device.fpd,
  fault: refusalOf(device.code),
  pasids: device.spaces.map(reportPasid),
});

const watchedRanges = (watch: readonly WatchedRange[]): PhysicalRanges =>
  new PhysicalRanges(
    watch.map(({ base, length }) => ({
      start: Math.min(Number(base), ADDRESS_END),
      end: Math.min(Number(base + length), ADDRESS_END),
    })),
  );

const reportTruncation = (
  truncation: Truncation | undefined,
  name: (source: number) => string,
): InspectTruncation | null => {
  if (truncation === undefined) return null;
  const { limit, most, source, pasid } = truncation;
  const device = source === undefined ? "the root and context tables" : name(source);
  return { limit, most, where: pasid === null ? device : `${device}, PASID ${pasid}` };
};

/**
 * Lists what the tables of a captured VT-d unit say: every device, what it can
 * reach, and what is wrong. The capture is not changed.
 *
 * @throws CaptureError when the capture's memory can no longer be read
 */
export const inspectCapture = (
  capture: VtdCapture,
  options: InspectOptions = {},
): InspectReport => {
  const { registers, memory, name: title, moment } = capture;
  const { watch = [], segment = 0, hostAddressWidth, limits = {} } = options;
  const { findings: most = MAX_FINDINGS, ...enumerationLimits } = limits;
  const { cap, ecap, rtaddr, gsts } = registers;
  // Whoever set DTE asked for ATS, also on a unit without it: that is worth more than a reserved bit.
  const width = hostAddressWidth === undefined ? {} : { hostAddressWidth };
  const capabilities = createCapabilities({ cap, ecap: ecap | ECAP.fields.DT.mask, ...width });
  const enumeration: UnitEnumeration = enumerateUnit({
    capabilities,
    memory,
    rtaddr,
    limits: enumerationLimits,
  });
  const name = (source: number): string => formatPciAddress({ segment, requesterId: source });
  const { findings, overflowed } = findingsOf(enumeration, {
    iommu: iommuRanges(enumeration.tablePfns, registers),
    watched: watchedRanges(watch),
    most,
    name,
  });
  const { mode } = enumeration;
  const deviceMode = mode === "legacy" ? "legacy" : "scalable";
  const truncated = reportTruncation(enumeration.truncation, name);
  return {
    schema: INSPECT_SCHEMA,
    capture: moment === undefined ? title : `${title}/${moment}`,
    iommu: "vtd",
    mode,
    translation: (gsts & TRANSLATING) !== 0n,
    fault: refusalOf(enumeration.fault),
    devices: enumeration.devices.map((device) =>
      reportDevice(device, deviceMode, name(device.source)),
    ),
    findings,
    truncated:
      truncated ?? (overflowed ? { limit: "findings", most, where: "the findings" } : null),
  };
};
