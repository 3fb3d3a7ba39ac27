import { LAST_ADDRESS } from "../../bits/address.ts";
import { DONE, fail, type Outcome, ok } from "../errno.ts";
import type { AccessUser } from "./access-user.ts";
import { AREA_READ, AREA_WRITE, type Area } from "./area.ts";
import type { IommufdContext } from "./context.ts";
import { Ioas } from "./ioas.ts";
import { IommufdObject } from "./object.ts";

/** What a driver that accesses memory by itself tells iommufd. */
export interface AccessOps {
  /** Pages are pinned and used at leisure; addresses are multiples of a page then. */
  readonly needsPin: boolean;
  /** A range is about to go: what is pinned in it must be unpinned before this returns. */
  readonly unmapped?: (iova: bigint, length: bigint) => void;
}

/** The part of an area that an access has pinned. */
interface PinnedPart {
  readonly area: Area;
  readonly first: number;
  readonly count: number;
}

/** A driver's own access to an I/O address space, as an emulated device has it. */
export class Access extends IommufdObject implements AccessUser {
  override readonly kind = "access";
  readonly #context: IommufdContext;
  readonly #ops: AccessOps;
  #ioas: Ioas | undefined;

  constructor(context: IommufdContext, ops: AccessOps) {
    super();
    this.#context = context;
    this.#ops = ops;
  }

  get needsPin(): boolean {
    return this.#ops.needsPin;
  }

  get alignment(): bigint {
    return this.#ops.needsPin ? 4096n : 1n;
  }

  unmapped(iova: bigint, length: bigint): void {
    this.#ops.unmapped?.(iova, length);
  }

  /** @returns ENOENT without such an address space, EINVAL when attached already, EADDRINUSE */
  attach(ioasId: number): Outcome<undefined> {
    if (this.#ioas !== undefined) return fail("EINVAL");
    return this.#change(ioasId);
  }

  /** Goes over to another address space; what was pinned in the old one is let go of. @returns ENOENT when there is no old one */
  replace(ioasId: number): Outcome<undefined> {
    if (this.#ioas === undefined) return fail("ENOENT");
    return this.#change(ioasId);
  }

  #change(ioasId: number): Outcome<undefined> {
    const ioas = this.#context.objects.get(ioasId, Ioas);
    if (ioas === undefined) return fail("ENOENT");
    if (ioas === this.#ioas) return DONE;
    const added = ioas.iopt.addAccess(this);
    if (!added.ok) return added;
    this.detach();
    this.#ioas = ioas.get();
    return DONE;
  }

  detach(): void {
    const ioas = this.#ioas;
    if (ioas === undefined) return;
    this.unmapped(0n, LAST_ADDRESS);
    ioas.iopt.removeAccess(this);
    ioas.put();
    this.#ioas = undefined;
  }

  override destroy(): void {
    this.detach();
  }

  #areasOf(iova: bigint, length: bigint): Outcome<readonly Area[]> {
    if (length === 0n) return fail("EINVAL");
    const last = iova + length - 1n;
    if (last > LAST_ADDRESS) return fail("EOVERFLOW");
    if (this.#ioas === undefined) return fail("ENOENT");
    const areas = this.#ioas.iopt.contiguous(iova, last);
    return areas === undefined ? fail("ENOENT") : ok(areas);
  }

  #partOf(area: Area, iova: bigint, last: bigint): PinnedPart {
    const from = iova > area.start ? iova : area.start;
    const to = last < area.last ? last : area.last;
    const first = Number(area.byteAt(from) >> 12n);
    return { area, first, count: Number(area.byteAt(to) >> 12n) - first + 1 };
  }

  /**
   * Pins the pages of a range, for as long as it is not unmapped.
   *
   * @returns their frames; EINVAL for length 0 or an area on its way out, ENOENT
   *   where nothing is mapped, EPERM, and why pages cannot be pinned
   */
  pinPages(iova: bigint, length: bigint, write: boolean): Outcome<readonly number[]> {
    if (!this.needsPin) return fail("EINVAL");
    const areas = this.#areasOf(iova, length);
    if (!areas.ok) return areas;
    const parts = areas.value.map((area) => this.#partOf(area, iova, iova + length - 1n));
    const frames: number[] = [];
    for (const [done, { area, first, count }] of parts.entries()) {
      let pinned: Outcome<undefined>;
      if (area.preventAccess) pinned = fail("EINVAL");
      else if (write && !area.pages.writable) pinned = fail("EPERM");
      else pinned = area.pages.acquire(first, count);
      if (!pinned.ok) {
        for (const part of parts.slice(0, done)) this.#release(part);
        return pinned;
      }
      area.accesses += 1;
      for (let i = first; i < first + count; i++) frames.push(area.pages.frameOf(i));
    }
    return ok(frames);
  }

  #release({ area, first, count }: PinnedPart): void {
    area.accesses -= 1;
    area.pages.release(first, count);
  }

  /** Undoes `pinPages` of the same range. */
  unpinPages(iova: bigint, length: bigint): void {
    const areas = this.#areasOf(iova, length);
    if (!areas.ok) throw new Error("pages are unpinned that were not pinned");
    for (const area of areas.value) this.#release(this.#partOf(area, iova, iova + length - 1n));
  }

  /** Copies bytes from or to a range, as the device would by itself. @returns as `pinPages`; EPERM by the mapping's own permissions */
  rw(iova: bigint, bytes: Uint8Array, write: boolean): Outcome<undefined> {
    const length = BigInt(bytes.length);
    const areas = this.#areasOf(iova, length);
    if (!areas.ok) return areas;
    for (const area of areas.value) {
      if (area.preventAccess) return fail("EINVAL");
      if ((area.prot & (write ? AREA_WRITE : AREA_READ)) === 0) return fail("EPERM");
      const from = iova > area.start ? iova : area.start;
      const to = area.last < iova + length - 1n ? area.last : iova + length - 1n;
      const part = bytes.subarray(Number(from - iova), Number(to - iova) + 1);
      const copied = area.pages.copy(area.byteAt(from), part, write);
      if (!copied.ok) return copied;
    }
    return DONE;
  }
}

/** Makes an access for a driver, which it destroys by `destroyAccess`. @returns ENOMEM */
export const createAccess = (context: IommufdContext, ops: AccessOps): Outcome<Access> => {
  const access = context.objects.add(new Access(context, ops));
  // The driver is a user, so that a client cannot destroy it.
  return access.ok ? ok(access.value.get()) : access;
};

export const destroyAccess = (context: IommufdContext, access: Access): void => {
  access.put();
  context.objects.remove(access);
};
