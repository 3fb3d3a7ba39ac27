import type { Range } from "../../bits/range.ts";
import type { Outcome } from "../errno.ts";

/** Called with a run of bytes that have been written. */
export type DirtyVisit = (iova: bigint, length: bigint) => void;

/** Dirty tracking of a paging domain that has it. */
export interface DirtyOps {
  set(enabled: boolean): Outcome<undefined>;
  /** Calls `visit` for what has been written since it was last cleared; clears and flushes unless told not to. */
  readAndClear(
    iova: bigint,
    length: bigint,
    clear: boolean,
    visit: DirtyVisit | undefined,
  ): Outcome<undefined>;
}

/** What has been unmapped and hardware has not been told of. */
export interface DeferredUnmap {
  /** Bytes that were mapped. */
  readonly unmapped: bigint;
  /** Gives back what only hardware still used; after the flush. */
  release(): void;
}

/** Unmapping first and telling hardware later, where a domain can do that. */
export interface DeferralOps {
  /** As `unmap`, but hardware may use what was mapped until `flush`. */
  unmap(iova: bigint, length: bigint): DeferredUnmap;
  /** Has hardware forget every translation of the domain. */
  flush(): void;
}

/** A domain that translates by a page table of ours. */
export interface PagingDomain {
  readonly kind: "paging";
  /** Who made it. */
  readonly driver: object;
  readonly aperture: Range;
  /** Bit n for pages of 2^n bytes. */
  readonly pageSizes: bigint;
  readonly dirty?: DirtyOps;
  readonly deferral?: DeferralOps;
  /** Maps all of a range, or nothing. */
  map(iova: bigint, pa: bigint, length: bigint, prot: number): Outcome<undefined>;
  /** Unmaps and flushes; returns the bytes that were mapped. */
  unmap(iova: bigint, length: bigint): bigint;
  iovaToPhys(iova: bigint): bigint | undefined;
  /** Makes every access coherent from now on; `false` when that is impossible. */
  enforceCacheCoherency?(): boolean;
  free(): void;
}

/** What an invalidation did before it stopped. */
export interface InvalidateResult {
  readonly done: number;
  readonly outcome: Outcome<undefined>;
}

/** Structures that a client handed over for a driver: a type and bytes. */
export interface UserData {
  readonly type: number;
  /** Bytes that the client gives. */
  readonly length: number;
  /** @returns the structure of `size` bytes; EINVAL when the client gives more, or less than `minSize`; EFAULT */
  read(size: number, minSize?: number): Outcome<Uint8Array>;
  /** Writes it back, as much as the client has room for. @returns whether that was possible */
  write(bytes: Uint8Array): boolean;
}

/** An array of such structures, read one by one: a client's memory may end inside it. */
export interface UserDataArray {
  readonly type: number;
  /** Bytes that the client gives for each. */
  readonly entryLength: number;
  readonly count: number;
  /**
   * Entry `index` as a structure of `size` bytes.
   *
   * @param minSize what the client must give at least
   * @returns EINVAL when it is too short, E2BIG when what is beyond is not 0, EFAULT
   */
  read(index: number, size: number, minSize?: number): Outcome<Uint8Array>;
}

/** A domain whose first stage is a client's, over a paging domain. */
export interface NestedDomain {
  readonly kind: "nested";
  readonly parent: PagingDomain;
  readonly driver: object;
  invalidate?(array: UserDataArray): InvalidateResult;
  free(): void;
}

export type UserDomain = PagingDomain | NestedDomain;
