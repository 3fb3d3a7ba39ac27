import { formatPciAddress, parsePciAddress } from "../../hardware/pci/requester-id.ts";
import type { Invalidation } from "../../hardware/vtd/invalidation.ts";
import type { VtdCapture } from "../capture.ts";
import { inspectCapture } from "../inspect/inspect-capture.ts";

/** Frames from `first` up to and not including `end`. */
interface Frames {
  readonly first: number;
  readonly end: number;
}

/** What a moment's tables have: domains with the pages they map, and devices. */
export interface Inventory {
  readonly domains: ReadonlyMap<number, readonly Frames[]>;
  readonly devices: ReadonlySet<number>;
}

/** An inventory of nothing: before the first moment. */
export const EMPTY_INVENTORY: Inventory = { domains: new Map(), devices: new Set() };

/** Takes the inventory of a moment. */
export const takeInventory = (capture: VtdCapture): Inventory => {
  const { devices } = inspectCapture(capture);
  const domains = new Map<number, Frames[]>();
  const counted = new Set<unknown>();
  for (const { pasids } of devices) {
    for (const { domain, leaves, mappings } of pasids) {
      const frames = domains.get(domain) ?? [];
      domains.set(domain, frames);
      if (counted.has(leaves)) continue;
      counted.add(leaves);
      for (let i = 0; i < mappings; i++) {
        const first = leaves.iovaFrames[i]!;
        frames.push({ first, end: first + 2 ** (leaves.sizesLg2[i]! - 12) });
      }
    }
  }
  for (const frames of domains.values()) frames.sort((a, b) => a.first - b.first);
  return {
    domains,
    devices: new Set(devices.map(({ bdf }) => parsePciAddress(bdf).requesterId)),
  };
};

const overlaps = (frames: readonly Frames[], { first, end }: Frames): boolean => {
  let low = 0;
  let high = frames.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (frames[middle]!.end > first) high = middle;
    else low = middle + 1;
  }
  const found = frames[low];
  return found !== undefined && found.first < end;
};

/** Collects what a window's invalidations speak of and neither end of it has. */
export class UnseenCount {
  readonly #before: Inventory;
  readonly #after: Inventory;
  readonly #domains = new Set<number>();
  readonly #devices = new Set<number>();
  readonly #reserved: number;
  #pages = 0;

  /** @param cachingMode CAP.CM: domain 0 is that of entries that were not present (VT-d §6.1) */
  constructor(before: Inventory, after: Inventory, cachingMode: boolean) {
    this.#reserved = cachingMode ? 0 : -1;
    this.#before = before;
    this.#after = after;
  }

  /** Takes an invalidation into account. */
  add(invalidation: Invalidation): void {
    if (invalidation.kind === "device-tlb" || invalidation.kind === "interrupt-entry") return;
    const { what } = invalidation;
    if (what.granularity === "device") this.#device(what.source);
    if (!("domain" in what) || what.domain === this.#reserved) return;
    const isThere = [this.#before, this.#after].some(({ domains }) => domains.has(what.domain));
    if (!isThere) this.#domains.add(what.domain);
    else if (what.granularity === "page") this.#page(what.domain, what);
  }

  #device(source: number): void {
    if (!this.#before.devices.has(source) && !this.#after.devices.has(source)) {
      this.#devices.add(source);
    }
  }

  #page(
    domain: number,
    { address, mask }: { readonly address: bigint; readonly mask: number },
  ): void {
    const first = Number(address >> 12n);
    const range = { first, end: first + 2 ** mask };
    const isMapped = [this.#before, this.#after].some(({ domains }) =>
      overlaps(domains.get(domain) ?? [], range),
    );
    if (!isMapped) this.#pages++;
  }

  /** What came and went. */
  get result(): {
    readonly pages: number;
    readonly domains: readonly number[];
    readonly devices: readonly string[];
  } {
    const ascending = (values: ReadonlySet<number>): number[] => [...values].sort((a, b) => a - b);
    return {
      pages: this.#pages,
      domains: ascending(this.#domains),
      devices: ascending(this.#devices).map((requesterId) =>
        formatPciAddress({ segment: 0, requesterId }),
      ),
    };
  }
}
