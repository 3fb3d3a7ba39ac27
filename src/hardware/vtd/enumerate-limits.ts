/**
 * How much of a unit's tables an enumeration looks at. Tables may point at
 * themselves, and then describe more than could ever be listed: each bound is
 * far above what a machine has, and together they keep time and memory small.
 */
export interface EnumerationLimits {
  /** Pages with root, context and PASID directory or table entries. */
  readonly structurePages: number;
  /** Present PASID entries, all devices together. */
  readonly pasidEntries: number;
  /** Paging entries looked at; reading a table page counts as `PAGE_COST` of them. */
  readonly pagingEntries: number;
  /** Leaves listed, all devices together: a list that devices share counts for each. */
  readonly mappings: number;
  /** Entries refused, those side by side counted once. */
  readonly problems: number;
}

/** What is looked at when nobody says otherwise: 16 GiB in 4 KiB pages, 170,000 tables, a second or two of hostile ones. */
export const ENUMERATION_LIMITS: EnumerationLimits = Object.freeze({
  structurePages: 2 ** 18,
  pasidEntries: 2 ** 16,
  pagingEntries: 2 ** 27,
  mappings: 2 ** 22,
  problems: 2 ** 16,
});

/** Paging entries that could be looked at in the time that it takes to read a table page. */
export const PAGE_COST = 256;

/** Which bound ended an enumeration, and where it was. */
export interface Truncation {
  readonly limit: keyof EnumerationLimits;
  /** The bound. */
  readonly most: number;
  /** The requester ID of the device whose tables were being looked at; `undefined` when none was. */
  readonly source: number | undefined;
  /** The PASID, `null` for the requests without one. */
  readonly pasid: number | null;
}

/** What is left of the limits. When one is used up everything stops. */
export class Budget {
  /** The limit that was used up. */
  truncation: Truncation | undefined = undefined;
  readonly #limits: EnumerationLimits;
  readonly #left: { -readonly [K in keyof EnumerationLimits]: number };
  #source: number | undefined = undefined;
  #pasid: number | null = null;

  constructor(limits: EnumerationLimits) {
    this.#limits = limits;
    this.#left = { ...limits };
  }

  /** Whether a limit is used up. */
  get exhausted(): boolean {
    return this.truncation !== undefined;
  }

  left(limit: keyof EnumerationLimits): number {
    return this.exhausted ? 0 : this.#left[limit];
  }

  /** Notes whose tables are looked at from now on. */
  enter(source: number | undefined, pasid: number | null): void {
    this.#source = source;
    this.#pasid = pasid;
  }

  /** @returns whether there was enough left; when not, nothing is left of anything */
  spend(limit: keyof EnumerationLimits, count: number): boolean {
    if (this.exhausted) return false;
    if (count > this.#left[limit]) {
      this.exceed(limit);
      return false;
    }
    this.#left[limit] -= count;
    return true;
  }

  /** Notes that `limit` is used up. */
  exceed(limit: keyof EnumerationLimits): void {
    this.truncation ??= {
      limit,
      most: this.#limits[limit],
      source: this.#source,
      pasid: this.#pasid,
    };
  }
}
