/** Where table pages come from, and where they go once no hardware can read them any more. */
export interface TablePages {
  /** A page frame for a table, whatever it holds; `undefined` when there is none. */
  allocate(): number | undefined;
  /** Takes a frame back that `allocate` gave. */
  free(pfn: number): void;
}
