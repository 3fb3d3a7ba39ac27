/** Why an operation on a page table did not do all that was asked. The names are those of Linux. */
export type PageTableErrno =
  /** Length 0, no permission asked for, or an unmap that begins inside a page. */
  | "EINVAL"
  /** The range passes 2^64. */
  | "EOVERFLOW"
  /** The range is outside what the table can translate, or its output outside what entries can hold. */
  | "ERANGE"
  /** The range is not a multiple of the smallest page size that is allowed. */
  | "ENXIO"
  /** Something is mapped there. */
  | "EADDRINUSE"
  /** Nothing is mapped there. */
  | "ENOENT"
  /** No table page was to be had. */
  | "ENOMEM"
  /** A table page lies outside memory. */
  | "EFAULT"
  /** The format cannot do it. */
  | "EOPNOTSUPP";

/** What `map` did. `mapped` bytes from the start are mapped, on failure too: the caller unmaps them. */
export type MapOutcome =
  | { readonly ok: true; readonly mapped: bigint }
  | { readonly ok: false; readonly errno: PageTableErrno; readonly mapped: bigint };

/** What `unmap` did. `unmapped` bytes from the start were mapped and are no longer; may be more than was asked for. */
export type UnmapOutcome =
  | { readonly ok: true; readonly unmapped: bigint }
  | { readonly ok: false; readonly errno: PageTableErrno; readonly unmapped: bigint };
