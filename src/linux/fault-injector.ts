/** What the kernel can run out of: one name for each kind of resource, each asked for in one place. */
export type FallibleResource =
  | "frame"
  | "table"
  | "id"
  | "domain-id"
  | "pasid"
  | "pin"
  | "descriptor";

/**
 * Decides whether a resource is to be had. Normally it always is; a test makes
 * the n-th attempt fail and looks at what is left behind.
 */
export class FaultInjector {
  #attempts = 0;
  #failAt = -1;
  #kinds: ReadonlySet<FallibleResource> | undefined;

  /** How many attempts have been counted since `failNth` or `reset`. */
  get attempts(): number {
    return this.#attempts;
  }

  /** Whether an attempt has been made to fail. */
  get hasFailed(): boolean {
    return this.#failAt >= 0 && this.#attempts > this.#failAt;
  }

  /** @returns whether the resource must be refused this time */
  shouldFail(kind: FallibleResource): boolean {
    if (this.#kinds !== undefined && !this.#kinds.has(kind)) return false;
    return this.#attempts++ === this.#failAt;
  }

  /** Makes attempt `n`, counted from 0 and from now, fail; of `kinds` only, where they are given. */
  failNth(n: number, kinds?: readonly FallibleResource[]): void {
    this.#attempts = 0;
    this.#failAt = n;
    this.#kinds = kinds === undefined ? undefined : new Set(kinds);
  }

  /** Nothing fails from now on; the count begins again. */
  reset(): void {
    this.failNth(-1);
  }
}
