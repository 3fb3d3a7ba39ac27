import { overlaps, type Range } from "../../bits/range.ts";
import type { Clock } from "../../hardware/platform/index.ts";
import { IovaCache } from "./iova-cache.ts";
import { ceilLg2, IovaSpace } from "./iova-space.ts";

/** log2 of the most pages that are cached in one run. */
const LARGEST_CACHED_LG2 = 5;
/** How often what caches have too much of is given back. */
const SHRINK_PERIOD = 100_000_000n;

/** The addresses of one DMA domain. */
export interface IovaOptions {
  readonly clock: Clock;
  /** log2 of the smallest page, in bytes. */
  readonly pageLg2: number;
  /** What the domain can translate. */
  readonly aperture: Range;
  /** Ranges that are never handed out. */
  readonly reserved: readonly Range[];
}

/** Hands out I/O addresses in whole pages. Short runs that come back wait in caches by their size. */
export class IovaAllocator {
  readonly pageLg2: number;
  readonly #clock: Clock;
  readonly #space: IovaSpace;
  readonly #lastPage: number;
  readonly #caches: readonly IovaCache[] = Array.from(
    { length: LARGEST_CACHED_LG2 + 1 },
    () => new IovaCache(),
  );
  #callOff: (() => void) | undefined;

  constructor({ clock, pageLg2, aperture, reserved }: IovaOptions) {
    this.pageLg2 = pageLg2;
    this.#clock = clock;
    this.#lastPage = this.#pageOf(aperture.last);
    this.#space = new IovaSpace(Math.max(1, this.#pageOf(aperture.start)), 2 ** (32 - pageLg2));
    for (const range of reserved) {
      if (overlaps(range, aperture)) {
        this.#space.reserve(this.#pageOf(range.start), this.#pageOf(range.last));
      }
    }
  }

  #pageOf(address: bigint): number {
    return Number(address >> BigInt(this.pageLg2));
  }

  /** Runs taken from the address space, those in caches and reserved ones with them. */
  get taken(): number {
    return this.#space.size;
  }

  /** Runs that wait in caches. */
  get cached(): number {
    return this.#caches.reduce((total, { size }) => total + size, 0);
  }

  /**
   * @param count of pages
   * @param limit the last address that may be used
   * @param thorough empties the caches when nothing else is left
   * @returns the first address; `undefined` when there is no room
   */
  allocate(count: number, limit: bigint, thorough: boolean): bigint | undefined {
    const lastPage = Math.min(this.#pageOf(limit), this.#lastPage);
    const lg2 = ceilLg2(count);
    const cache = this.#caches[lg2];
    // Whole powers of two, so that the run fits whoever takes it out of the cache again.
    const size = cache === undefined ? count : 2 ** lg2;
    let page = cache?.take(lastPage + 1 - size) ?? this.#space.allocate(size, lastPage);
    if (page === undefined && thorough) {
      this.emptyCaches();
      page = this.#space.allocate(size, lastPage);
    }
    return page === undefined ? undefined : BigInt(page) << BigInt(this.pageLg2);
  }

  /** Gives back what `allocate` gave. No hardware may translate it any more. */
  free(address: bigint, count: number): void {
    const cache = this.#caches[ceilLg2(count)];
    if (cache === undefined) this.#space.free(this.#pageOf(address));
    else {
      cache.put(this.#pageOf(address));
      if (cache.hasExcess) this.#callOff ??= this.#clock.after(SHRINK_PERIOD, () => this.#shrink());
    }
  }

  #shrink(): void {
    this.#callOff = undefined;
    for (const cache of this.#caches) {
      if (cache.hasExcess) for (const page of cache.shrink()) this.#space.free(page);
    }
    if (this.#caches.some(({ hasExcess }) => hasExcess)) {
      this.#callOff = this.#clock.after(SHRINK_PERIOD, () => this.#shrink());
    }
  }

  /** Gives everything in caches back to the address space. */
  emptyCaches(): void {
    for (const cache of this.#caches) for (const page of cache.drain()) this.#space.free(page);
  }

  /** Nothing rings afterwards. */
  destroy(): void {
    this.#callOff?.();
    this.#callOff = undefined;
  }
}
