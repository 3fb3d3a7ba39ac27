import { hpa, iova } from "../../bits/address.ts";
import { frameAddress } from "../../bits/halves.ts";
import type {
  EnumeratedDevice,
  EnumeratedSpace,
  ProblemKind,
  UnitEnumeration,
} from "../../hardware/vtd/enumerate.ts";
import { PASS_THROUGH } from "../../hardware/vtd/target.ts";
import { type Overlap, windowOverlaps, writableOverlaps } from "./overlaps.ts";
import type { PhysicalRanges } from "./physical-ranges.ts";
import { FINDING_CODES, type Finding, type FindingCode } from "./report.ts";

/** Findings kept: far more than anybody reads. */
export const MAX_FINDINGS: number = 2 ** 16;

const CODE_OF: Readonly<Record<ProblemKind, FindingCode>> = {
  "reserved-bit": "reserved-bit",
  "outside-memory": "table-outside-ram",
};

/** What is looked for besides what the tables say by themselves. */
export interface FindingOptions {
  /** Where the unit's tables and queues are. */
  readonly iommu: PhysicalRanges;
  /** What nobody should be able to write. */
  readonly watched: PhysicalRanges;
  readonly most: number;
  /** A requester ID as the report has it. */
  name(source: number): string;
}

/** A finding with what it is sorted by. */
interface Found {
  readonly code: FindingCode;
  readonly sources: readonly number[];
  readonly pasid: number | null;
  readonly iova: bigint | null;
  readonly pa: bigint | null;
  readonly size: bigint | null;
}

const compare = (a: bigint | number | null, b: bigint | number | null): number =>
  a === b ? 0 : a === null || (b !== null && a < b) ? -1 : 1;

const inOrder = (a: Found, b: Found): number =>
  compare(FINDING_CODES.indexOf(a.code), FINDING_CODES.indexOf(b.code)) ||
  compare(a.sources[0] ?? -1, b.sources[0] ?? -1) ||
  compare(a.pasid, b.pasid) ||
  compare(a.iova, b.iova) ||
  compare(a.pa, b.pa);

/** Collects what is wrong, up to a bound. */
class Collector {
  /** Whether findings were left out. */
  overflowed = false;
  readonly #found: Found[] = [];
  readonly #options: FindingOptions;

  constructor(options: FindingOptions) {
    this.#options = options;
  }

  /** @returns whether there was room for it */
  add(found: Found): boolean {
    if (this.#found.length < this.#options.most) this.#found.push(found);
    else this.overflowed = true;
    return !this.overflowed;
  }

  /** Looks at what one device can do with one PASID, or without any. */
  lookAt(device: EnumeratedDevice, space: EnumeratedSpace): void {
    const { iommu, watched } = this.#options;
    const { pasid, leaves, leafCount } = space;
    const sources = [device.source];
    const nowhere = { sources, pasid, iova: null, pa: null, size: null };
    if (space.code === 0 && space.type === PASS_THROUGH) {
      this.add({ code: "pass-through", ...nowhere });
      // In legacy mode no entry can ask for both.
      if (device.deviceTlb) this.add({ code: "ats-with-pass-through", ...nowhere });
    }
    const sink =
      (code: FindingCode) =>
      (overlap: Overlap): boolean =>
        this.add({ code, sources, pasid, ...overlap });
    writableOverlaps(leaves, leafCount, iommu, sink("maps-iommu-tables"));
    writableOverlaps(leaves, leafCount, watched, sink("maps-given-range"));
    windowOverlaps(leaves, leafCount, pasid === null, sink("msi-window-mapped"));
    for (const { kind, address, iovaFrame, frames } of leaves.problems) {
      const range = { iova: frameAddress(iovaFrame), pa: address, size: frameAddress(frames) };
      if (!this.add({ code: CODE_OF[kind], sources, pasid, ...range })) return;
    }
  }

  inOrder(): Finding[] {
    const { name } = this.#options;
    return this.#found.sort(inOrder).map(({ code, sources, pasid, ...range }) => ({
      code,
      bdf: sources.map(name),
      pasid,
      iova: range.iova === null ? null : iova(range.iova),
      pa: range.pa === null ? null : hpa(range.pa),
      size: range.size,
    }));
  }
}

/** Which devices use each domain, by their valid entries. */
const domainUsers = (devices: readonly EnumeratedDevice[]): Map<number, Set<number>> => {
  const users = new Map<number, Set<number>>();
  for (const { source, spaces } of devices) {
    for (const { code, domain } of spaces) {
      if (code !== 0) continue;
      const known = users.get(domain) ?? new Set();
      users.set(domain, known.add(source));
    }
  }
  return users;
};

/** What there is to say about a unit's tables, in order; `overflowed` when not all of it was kept. */
export const findingsOf = (
  enumeration: UnitEnumeration,
  options: FindingOptions,
): { readonly findings: readonly Finding[]; readonly overflowed: boolean } => {
  const collector = new Collector(options);
  const { devices, problems } = enumeration;
  const nowhere = { pasid: null, iova: null, pa: null, size: null };
  for (const users of domainUsers(devices).values()) {
    if (users.size > 1) collector.add({ code: "shared-domain", sources: [...users], ...nowhere });
  }
  for (const { kind, source, pasid, address } of problems) {
    const sources = source === undefined ? [] : [source];
    collector.add({ code: CODE_OF[kind], sources, pasid, iova: null, pa: address, size: null });
  }
  for (const device of devices) {
    for (const space of device.spaces) {
      collector.lookAt(device, space);
      if (collector.overflowed) return { findings: collector.inOrder(), overflowed: true };
    }
  }
  return { findings: collector.inOrder(), overflowed: collector.overflowed };
};
