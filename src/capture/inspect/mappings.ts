import { type Hpa, hpa, type Iova, iova } from "../../bits/address.ts";
import { frameAddress } from "../../bits/halves.ts";
import { protText } from "../../page-table/format.ts";
import type { InspectReport, PasidReport } from "./report.ts";

/** One leaf, or several that lie side by side. */
export interface Mapping {
  readonly bdf: string;
  /** `null` for requests without a PASID. */
  readonly pasid: number | null;
  readonly domain: number;
  readonly iova: Iova;
  readonly pa: Hpa;
  /** In bytes. */
  readonly size: bigint;
  /** `r` or `-`, `w` or `-`, and `u` where a first stage allows requests without privilege. */
  readonly perms: string;
}

/** Leaves of one address space that continue each other in both spaces, with the same permissions. */
export interface MappedRange extends Mapping {
  /** How many. */
  readonly leaves: number;
}

const FRAME_LG2 = 12;

/** Every leaf of every device, in the order bdf, PASID, IOVA. */
export function* mappingsOf(report: InspectReport): Generator<Mapping, void, undefined> {
  for (const { bdf, pasids } of report.devices) {
    for (const { pasid, domain, leaves, mappings } of pasids) {
      for (let i = 0; i < mappings; i++) {
        yield {
          bdf,
          pasid,
          domain,
          iova: iova(frameAddress(leaves.iovaFrames[i]!)),
          pa: hpa(frameAddress(leaves.outFrames[i]!)),
          size: 1n << BigInt(leaves.sizesLg2[i]!),
          perms: protText(leaves.prots[i]!),
        };
      }
    }
  }
}

/** The same for people: neighbours joined. */
export function* rangesOf(report: InspectReport): Generator<MappedRange, void, undefined> {
  for (const { bdf, pasids } of report.devices) {
    for (const space of pasids) yield* rangesOfSpace(bdf, space);
  }
}

function* rangesOfSpace(bdf: string, space: PasidReport): Generator<MappedRange, void, undefined> {
  const { pasid, domain, leaves, mappings } = space;
  for (let first = 0; first < mappings; ) {
    const iovaFrame = leaves.iovaFrames[first]!;
    const outFrame = leaves.outFrames[first]!;
    const prot = leaves.prots[first]!;
    let frames = 0;
    let end = first;
    do {
      frames += 2 ** (leaves.sizesLg2[end]! - FRAME_LG2);
      end++;
    } while (
      end < mappings &&
      leaves.iovaFrames[end] === iovaFrame + frames &&
      leaves.outFrames[end] === outFrame + frames &&
      leaves.prots[end] === prot
    );
    yield {
      bdf,
      pasid,
      domain,
      iova: iova(frameAddress(iovaFrame)),
      pa: hpa(frameAddress(outFrame)),
      size: frameAddress(frames),
      perms: protText(prot),
      leaves: end - first,
    };
    first = end;
  }
}
