import { LAST_ADDRESS } from "../../bits/address.ts";
import { trailingZeros } from "../../bits/log2.ts";
import type { Range } from "../../bits/range.ts";
import { DONE, fail, type Outcome, ok } from "../errno.ts";
import type { PagingDomain } from "../iommu/index.ts";
import type { AccessUser } from "./access-user.ts";
import { allocIova } from "./alloc-iova.ts";
import { AREA_WRITE, Area } from "./area.ts";
import { fillDomain, unfillDomain } from "./fill-domain.ts";
import type { Pages } from "./pages.ts";
import type { PageRange } from "./range-leaf.ts";
import { byteOf, pageOf, pageRangeOf, RangeTree } from "./range-tree.ts";
import { ReservedRanges } from "./reserved-ranges.ts";

/** How often a driver is asked to let go of an area before it is given up. */
const MAX_UNPIN_TRIES = 100;

/** A part of some pages, to be mapped. */
export interface PagesPart {
  readonly pages: Pages;
  /** In bytes from the start of the first page. */
  readonly startByte: bigint;
  /** In bytes. */
  readonly length: bigint;
}

/** Where something is to be mapped: there, or wherever the memory's own address suggests. */
export type Placement = { readonly iova: bigint } | { readonly near: bigint };

/**
 * An I/O address space: areas, and the domains and accesses that see them.
 * Whatever is mapped appears in every domain, and a domain that comes later has
 * all that is mapped already. Nothing is pinned until there is somebody to see it.
 */
export class IoPagetable {
  readonly areas: RangeTree<Area> = new RangeTree<Area>();
  readonly reserved: ReservedRanges = new ReservedRanges();
  allowed: RangeTree<PageRange> = new RangeTree<PageRange>();
  /** The domains, with the count of areas in each. */
  readonly #domains = new Map<PagingDomain, number>();
  readonly #accesses = new Set<AccessUser>();
  #alignment = 1n;
  #largePages = true;

  /** What every address and length must be a multiple of. */
  get alignment(): bigint {
    return this.#alignment;
  }

  get largePages(): boolean {
    return this.#largePages;
  }

  get domains(): readonly PagingDomain[] {
    return [...this.#domains.keys()];
  }

  get accesses(): ReadonlySet<AccessUser> {
    return this.#accesses;
  }

  /**
   * Maps parts of pages side by side.
   *
   * @returns the address of the first; see `place` and `fillDomain` for errors,
   *   EPERM for a writable mapping of pages that are not; nothing is mapped then
   */
  map(parts: readonly PagesPart[], placement: Placement, prot: number): Outcome<bigint> {
    const length = parts.reduce((sum, part) => sum + part.length, 0n);
    const place = this.#place(placement, length);
    if (!place.ok) return place;
    const inserted = this.#insertAreas(parts, place.value, prot);
    if (!inserted.ok) return inserted;
    for (const [done, area] of inserted.value.entries()) {
      const filled = this.#fillArea(area);
      if (filled.ok) continue;
      for (const other of inserted.value.slice(0, done)) this.#unfillArea(other);
      for (const other of inserted.value) this.#dropArea(other);
      return filled;
    }
    return place;
  }

  /** @returns EINVAL for length 0 or against the alignment, or over a reserved range; EEXIST, EOVERFLOW, ENOSPC */
  #place(placement: Placement, length: bigint): Outcome<bigint> {
    if (length === 0n || length % this.#alignment !== 0n) return fail("EINVAL");
    if ("near" in placement)
      return allocIova({ ...this.#space(), alignment: this.#alignment }, placement.near, length);
    const { iova } = placement;
    if (iova % this.#alignment !== 0n) return fail("EINVAL");
    const last = iova + length - 1n;
    if (last > LAST_ADDRESS) return fail("EOVERFLOW");
    if (this.reserved.overlaps(iova, last)) return fail("EINVAL");
    return this.areas.first(iova, last) === undefined ? ok(iova) : fail("EEXIST");
  }

  #space(): {
    readonly areas: RangeTree<Area>;
    readonly reserved: ReservedRanges;
    readonly allowed: RangeTree<PageRange>;
  } {
    return { areas: this.areas, reserved: this.reserved, allowed: this.allowed };
  }

  #insertAreas(parts: readonly PagesPart[], iova: bigint, prot: number): Outcome<readonly Area[]> {
    const inserted: Area[] = [];
    let start = iova;
    for (const { pages, startByte, length } of parts) {
      const readOnly = (prot & AREA_WRITE) !== 0 && !pages.writable;
      const askew = (startByte & 0xfffn) % this.#alignment !== 0n;
      if (readOnly || askew) {
        for (const area of inserted) this.#dropArea(area);
        return fail(readOnly ? "EPERM" : "EINVAL");
      }
      const area = new Area(start, start + length - 1n, pages.get(), startByte, prot);
      this.areas.insert(area);
      inserted.push(area);
      start += length;
    }
    return ok(inserted);
  }

  #dropArea(area: Area): void {
    this.areas.remove(area);
    area.pages.put();
  }

  #fillArea(area: Area): Outcome<undefined> {
    const filled: PagingDomain[] = [];
    for (const domain of this.#domains.keys()) {
      const outcome = fillDomain(area, domain, this.#largePages);
      if (!outcome.ok) {
        for (const other of filled) this.#unfill(area, other);
        return outcome;
      }
      this.#count(domain, 1);
      filled.push(domain);
    }
    return DONE;
  }

  #unfillArea(area: Area): void {
    for (const domain of this.#domains.keys()) this.#unfill(area, domain);
  }

  #unfill(area: Area, domain: PagingDomain): void {
    unfillDomain(area, domain);
    this.#count(domain, -1);
  }

  #count(domain: PagingDomain, change: number): void {
    this.#domains.set(domain, (this.#domains.get(domain) ?? 0) + change);
  }

  /**
   * The pages behind a range that areas cover without a gap.
   *
   * @returns EINVAL for length 0, EOVERFLOW, ENOENT where nothing is mapped
   */
  partsOf(iova: bigint, length: bigint): Outcome<readonly PagesPart[]> {
    if (length === 0n) return fail("EINVAL");
    const last = iova + length - 1n;
    if (last > LAST_ADDRESS) return fail("EOVERFLOW");
    const areas = this.contiguous(iova, last);
    if (areas === undefined) return fail("ENOENT");
    return ok(
      areas.map((area) => {
        const from = area.start > iova ? area.start : iova;
        const to = area.last < last ? area.last : last;
        return { pages: area.pages, startByte: area.byteAt(from), length: to - from + 1n };
      }),
    );
  }

  /** The areas from `iova` to `last`; `undefined` when there is a gap between, before or behind them. */
  contiguous(iova: bigint, last: bigint): readonly Area[] | undefined {
    const areas: Area[] = [];
    let next = iova;
    for (const area of this.areas.overlapping(iova, last)) {
      if (area.start > next) return undefined;
      areas.push(area);
      next = area.last + 1n;
    }
    return next > last ? areas : undefined;
  }

  /** The area that an address is in. */
  areaAt(iova: bigint): Area | undefined {
    return this.areas.at(pageOf(iova), byteOf(iova));
  }

  /**
   * Unmaps every area from `start` to `last`, in order.
   *
   * @returns the bytes unmapped and why it stopped, if it did: ENOENT at an area
   *   that is only partly inside, or when there is nothing; EBUSY at one that
   *   hardware uses; EDEADLOCK when a driver does not let go
   */
  unmap(
    start: bigint,
    last: bigint,
  ): { readonly bytes: bigint; readonly outcome: Outcome<undefined> } {
    let bytes = 0n;
    let tries = 0;
    for (let at = start; at <= last; ) {
      const area = this.areas.first(at, last);
      if (area === undefined) break;
      if (area.start < at || area.last > last) return { bytes, outcome: fail("ENOENT") };
      if (area.locks > 0) return { bytes, outcome: fail("EBUSY") };
      if (area.start !== at) tries = 0;
      at = area.start;
      if (area.accesses > 0) {
        if (++tries > MAX_UNPIN_TRIES) return { bytes, outcome: fail("EDEADLOCK") };
        area.preventAccess = true;
        for (const access of [...this.#accesses]) access.unmapped(area.start, area.length);
        continue;
      }
      this.#unfillArea(area);
      this.#dropArea(area);
      bytes += area.length;
      at = area.last + 1n;
      tries = 0;
    }
    return { bytes, outcome: bytes === 0n ? fail("ENOENT") : DONE };
  }

  /**
   * Lets a domain see the space.
   *
   * @returns EINVAL when its smallest page is larger than 4 KiB; EADDRINUSE when
   *   something lies outside its aperture or against its alignment; what pinning
   *   and mapping answer
   */
  addDomain(domain: PagingDomain): Outcome<undefined> {
    const page = 1n << BigInt(trailingZeros(domain.pageSizes));
    if (page > 4096n) return fail("EINVAL");
    if (!this.#fits(page)) return fail("EADDRINUSE");
    const { start, last } = domain.aperture;
    const outside = [
      ...(start > 0n ? [{ start: 0n, last: start - 1n }] : []),
      ...(last < LAST_ADDRESS ? [{ start: last + 1n, last: LAST_ADDRESS }] : []),
    ];
    const reserved = this.reserve(outside, domain);
    if (!reserved.ok) return reserved;
    const filled: Area[] = [];
    this.#domains.set(domain, 0);
    for (const area of this.areas) {
      const outcome = fillDomain(area, domain, this.#largePages);
      if (outcome.ok) {
        filled.push(area);
        this.#count(domain, 1);
        continue;
      }
      for (const other of filled) this.#unfill(other, domain);
      this.#domains.delete(domain);
      this.reserved.removeOwner(domain);
      return outcome;
    }
    this.#recalculate();
    return DONE;
  }

  /** Takes everything out of a domain. @throws Error when it is not empty then: a bug of ours */
  removeDomain(domain: PagingDomain): void {
    for (const area of this.areas) this.#unfill(area, domain);
    if (this.#domains.get(domain) !== 0) throw new Error("a domain leaves with areas in it");
    this.#domains.delete(domain);
    this.reserved.removeOwner(domain);
    this.#recalculate();
  }

  /** @returns EADDRINUSE when an area is against the alignment that the access needs */
  addAccess(access: AccessUser): Outcome<undefined> {
    if (!this.#fits(access.alignment)) return fail("EADDRINUSE");
    this.#accesses.add(access);
    this.#recalculate();
    return DONE;
  }

  removeAccess(access: AccessUser): void {
    this.#accesses.delete(access);
    this.#recalculate();
  }

  /** @returns EADDRINUSE, with nothing reserved, when an area or an allowed range is in the way */
  reserve(ranges: readonly Range[], owner?: object): Outcome<undefined> {
    const inUse = ranges.some(
      ({ start, last }) =>
        this.areas.first(start, last) !== undefined ||
        this.allowed.first(start, last) !== undefined,
    );
    if (inUse) return fail("EADDRINUSE");
    for (const { start, last } of ranges) this.reserved.add(start, last, owner);
    return DONE;
  }

  /** Replaces the allowed ranges. @returns EINVAL when two of them overlap, EADDRINUSE over a reserved range */
  allow(ranges: readonly Range[]): Outcome<undefined> {
    const allowed = new RangeTree<PageRange>();
    for (const { start, last } of ranges) {
      if (allowed.first(start, last) !== undefined) return fail("EINVAL");
      allowed.insert(pageRangeOf(start, last));
    }
    if (ranges.some(({ start, last }) => this.reserved.overlaps(start, last))) {
      return fail("EADDRINUSE");
    }
    this.allowed = allowed;
    return DONE;
  }

  /** @returns EINVAL with domains that may hold large pages, EADDRINUSE when an area is not made of whole pages */
  disableLargePages(): Outcome<undefined> {
    if (!this.#largePages) return DONE;
    if (this.#domains.size > 0 && this.areas.size > 0) return fail("EINVAL");
    if (!this.#fits(4096n)) return fail("EADDRINUSE");
    this.#largePages = false;
    this.#recalculate();
    return DONE;
  }

  enableLargePages(): void {
    this.#largePages = true;
    this.#recalculate();
  }

  /**
   * Cuts the area that `last` is in, so that one part ends there.
   *
   * @returns EBUSY for an area on its way out; EINVAL against the alignment, with
   *   accesses, or in a domain that may hold large pages
   */
  cutBehind(last: bigint): Outcome<undefined> {
    const area = this.areaAt(last);
    if (area === undefined || last === area.last || last === area.start) return DONE;
    if (area.preventAccess) return fail("EBUSY");
    const next = last + 1n;
    if ((next | area.byteAt(next)) % this.#alignment !== 0n) return fail("EINVAL");
    if (area.accesses > 0 || (this.#domains.size > 0 && this.#largePages)) return fail("EINVAL");
    this.areas.remove(area);
    const { start, pages, prot } = area;
    const first = new Area(start, last, pages.get(), area.byteAt(start), prot);
    const second = new Area(next, area.last, pages.get(), area.byteAt(next), prot);
    // The parts take their users before the whole gives its own up, so that nothing is unpinned between.
    for (const domain of this.#domains.keys()) {
      for (const part of [first, second]) pages.acquire(part.firstIndex, part.pageCount);
      pages.release(area.firstIndex, area.pageCount);
      this.#count(domain, 1);
    }
    pages.put();
    this.areas.insert(first);
    this.areas.insert(second);
    return DONE;
  }

  /** Whether every area is aligned to `alignment`, where that is more than they are known to be. */
  #fits(alignment: bigint): boolean {
    if (alignment <= this.#alignment) return true;
    for (const area of this.areas) {
      if ((area.start | area.length | BigInt(area.firstByte)) % alignment !== 0n) return false;
    }
    return true;
  }

  #recalculate(): void {
    let alignment = this.#largePages ? 1n : 4096n;
    const raise = (to: bigint): void => {
      if (to > alignment) alignment = to;
    };
    for (const domain of this.#domains.keys()) raise(1n << BigInt(trailingZeros(domain.pageSizes)));
    for (const access of this.#accesses) raise(access.alignment);
    this.#alignment = alignment;
  }

  /** Lets go of everything. @throws Error with domains or accesses left: a bug of ours */
  destroy(): void {
    if (this.#domains.size > 0 || this.#accesses.size > 0) {
      throw new Error("an I/O address space goes while it is in use");
    }
    for (const area of [...this.areas]) this.#dropArea(area);
  }
}
