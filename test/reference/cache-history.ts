/** What memory held and what was invalidated when: all that a stale answer may be made of. */
import type { Purpose } from "./vtd-machine.ts";

/** A value that something held until `to`, exclusive. */
export interface Past<T> {
  readonly value: T;
  readonly to: number;
}

/** Root entry and context entry of a source, and where the unit found them. */
export interface ContextValue {
  readonly rtaddr: bigint;
  readonly root: readonly bigint[];
  readonly context: readonly bigint[];
  /** The domain, where the entry has one: legacy mode. */
  readonly domain: number | undefined;
}

/** Directory entry and PASID entry of a source and a PASID. */
export interface PasidValue {
  readonly directory: bigint;
  readonly entry: readonly bigint[];
  readonly domain: number;
}

export type ContextInvalidation =
  | { readonly granularity: "global" }
  | { readonly granularity: "domain"; readonly domain: number }
  | { readonly granularity: "device"; readonly source: number; readonly functionMask: number };

export type PasidInvalidation =
  | { readonly granularity: "global" }
  | { readonly granularity: "domain"; readonly domain: number }
  | { readonly granularity: "pasid"; readonly domain: number; readonly pasid: number };

interface PageRange {
  readonly granularity: "page";
  readonly domain: number;
  readonly address: bigint;
  /** 2^mask pages. */
  readonly mask: number;
  readonly hint: boolean;
}

export type IotlbInvalidation =
  | { readonly granularity: "global" }
  | { readonly granularity: "domain"; readonly domain: number }
  | PageRange;

export type PasidIotlbInvalidation =
  | { readonly granularity: "pasid"; readonly domain: number; readonly pasid: number }
  | (PageRange & { readonly pasid: number });

type Timed<T> = T & { readonly time: number };

/** The function bits that a device-selective invalidation leaves out: none, 2, 2:1, 2:0. */
const FUNCTION_MASKS = [0, 4, 6, 7] as const;

/** Whether the pages of `range` meet those of 2^`pageLg2` bytes around `address`. */
const covers = (range: PageRange, address: bigint, pageLg2: number): boolean => {
  const width = BigInt(12 + range.mask);
  const first = (range.address >> width) << width;
  const page = (address >> BigInt(pageLg2)) << BigInt(pageLg2);
  return first < page + (1n << BigInt(pageLg2)) && page < first + (1n << width);
};

/** When the last of `log` that `matches` came; -1 for never. */
const lastOf = <T>(log: readonly Timed<T>[], matches: (invalidation: T) => boolean): number => {
  for (let i = log.length - 1; i >= 0; i--) if (matches(log[i]!)) return log[i]!.time;
  return -1;
};

/** All invalidations of a unit, in order. */
export class InvalidationLog {
  readonly #contexts: Timed<ContextInvalidation>[] = [];
  readonly #pasids: Timed<PasidInvalidation>[] = [];
  readonly #iotlb: Timed<IotlbInvalidation>[] = [];
  readonly #pasidIotlb: Timed<PasidIotlbInvalidation>[] = [];

  context(time: number, invalidation: ContextInvalidation): void {
    this.#contexts.push({ ...invalidation, time });
  }

  pasid(time: number, invalidation: PasidInvalidation): void {
    this.#pasids.push({ ...invalidation, time });
  }

  iotlb(time: number, invalidation: IotlbInvalidation): void {
    this.#iotlb.push({ ...invalidation, time });
  }

  pasidIotlb(time: number, invalidation: PasidIotlbInvalidation): void {
    this.#pasidIotlb.push({ ...invalidation, time });
  }

  /** VTD-INV-01. Scalable-mode context entries carry no domain: one by any domain takes them all. */
  lastForContext(source: number, domain: number | undefined): number {
    return lastOf(this.#contexts, (by) => {
      if (by.granularity === "global") return true;
      if (by.granularity === "domain") return domain === undefined || by.domain === domain;
      const mask = FUNCTION_MASKS[by.functionMask]!;
      return (by.source & ~mask) === (source & ~mask);
    });
  }

  /** VTD-INV-02, by the domain that the cached entry has. */
  lastForPasid(pasid: number, domain: number): number {
    return lastOf(this.#pasids, (by) => {
      if (by.granularity === "global") return true;
      return by.domain === domain && (by.granularity === "domain" || by.pasid === pasid);
    });
  }

  /**
   * VTD-INV-03 to 07: when what was read for `purpose` last had to be forgotten.
   *
   * @param pageLg2 size of the page that the entry is the leaf of, or `undefined` when it only leads there:
   *   then it may be in a paging-structure cache, which the hint keeps
   */
  lastForEntry(purpose: Purpose, pageLg2: number | undefined): number {
    const { domain, pasid, input } = purpose;
    const address = input!;
    const firstStage = purpose.structure === "stage-1";
    const reaches = (range: PageRange): boolean => pageLg2 !== undefined || !range.hint;
    const shared = lastOf(this.#iotlb, (by) => {
      if (by.granularity === "global") return true;
      if (by.domain !== domain) return false;
      if (by.granularity === "domain") return true;
      return reaches(by) && (firstStage || covers(by, address, pageLg2 ?? 12));
    });
    if (!firstStage) return shared;
    const own = lastOf(this.#pasidIotlb, (by) => {
      if (by.domain !== domain || by.pasid !== pasid) return false;
      return by.granularity === "pasid" || (reaches(by) && covers(by, address, pageLg2 ?? 12));
    });
    return Math.max(shared, own);
  }
}
