/** Who reads and writes an I/O address space by itself instead of through a domain, as its space sees it. */
export interface AccessUser {
  /** What addresses and lengths must be multiples of. */
  readonly alignment: bigint;
  /** Areas in this range are about to go: whatever is pinned in it must be let go of. */
  unmapped(iova: bigint, length: bigint): void;
}
