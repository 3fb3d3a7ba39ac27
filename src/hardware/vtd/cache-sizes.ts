/** log2 of the number of entries of each of a unit's caches. */
export interface CacheSizes {
  /** Context entries, 0 to 16. */
  readonly contextsLg2?: number;
  /** PASID entries, 0 to 16. */
  readonly pasidsLg2?: number;
  /** Translations of 4 KiB pages, 0 to 20; a quarter of it for each larger page size. */
  readonly iotlbLg2?: number;
  /** Paging structures of each stage and level, 0 to 20. */
  readonly structuresLg2?: number;
}

/** What a unit has when nobody says otherwise. */
export const DEFAULT_CACHES: Required<CacheSizes> = Object.freeze({
  contextsLg2: 8,
  pasidsLg2: 10,
  iotlbLg2: 12,
  structuresLg2: 10,
});

/** The sizes in force, or those of a unit without caches. */
export const cacheSizes = (given: CacheSizes | "off" | undefined): Required<CacheSizes> =>
  given === "off"
    ? { contextsLg2: -1, pasidsLg2: -1, iotlbLg2: 0, structuresLg2: 0 }
    : { ...DEFAULT_CACHES, ...given };
