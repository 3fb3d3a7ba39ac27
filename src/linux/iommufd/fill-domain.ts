import { frameAddress } from "../../bits/halves.ts";
import { DONE, type Outcome } from "../errno.ts";
import type { PagingDomain } from "../iommu/index.ts";
import type { Area } from "./area.ts";

/**
 * Pins an area's pages and maps them in a domain, as runs of memory that lie
 * side by side.
 *
 * @param largePages whether a run is mapped in one go; else each page by itself,
 *   so that the area can be cut later
 * @returns why pages could not be pinned or mapped; nothing is left behind then
 */
export const fillDomain = (
  area: Area,
  domain: PagingDomain,
  largePages: boolean,
): Outcome<undefined> => {
  const pinned = area.pages.acquire(area.firstIndex, area.pageCount);
  if (!pinned.ok) return pinned;
  const mapped = mapArea(area, domain, largePages);
  if (!mapped.ok) area.pages.release(area.firstIndex, area.pageCount);
  return mapped;
};

const mapArea = (area: Area, domain: PagingDomain, largePages: boolean): Outcome<undefined> => {
  const { start, length } = area;
  let done = 0n;
  let failure: Outcome<undefined> = DONE;
  area.pages.forEachRun(area.firstIndex, area.pageCount, (index, frame, count) => {
    const step = largePages ? count : 1;
    for (let i = 0; i < count && failure.ok; i += step) {
      const skipped = index + i === area.firstIndex ? BigInt(area.firstByte) : 0n;
      const room = (BigInt(step) << 12n) - skipped;
      const size = room < length - done ? room : length - done;
      failure = domain.map(start + done, frameAddress(frame + i) + skipped, size, area.prot);
      if (failure.ok) done += size;
    }
  });
  if (!failure.ok && done > 0n) unmapExactly(domain, start, done);
  return failure;
};

/** Unmaps an area from a domain, and lets go of its pages once no device can reach them. */
export const unfillDomain = (area: Area, domain: PagingDomain): void => {
  unmapExactly(domain, area.start, area.length);
  area.pages.release(area.firstIndex, area.pageCount);
};

/** @throws Error when a domain does not hold what was mapped in it: a bug of ours */
const unmapExactly = (domain: PagingDomain, iova: bigint, length: bigint): void => {
  const unmapped = domain.unmap(iova, length);
  if (unmapped !== length) {
    throw new Error(
      `a domain gives 0x${unmapped.toString(16)} bytes back of 0x${length.toString(16)}`,
    );
  }
};
