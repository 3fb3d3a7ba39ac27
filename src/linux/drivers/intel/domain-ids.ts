import type { FaultInjector } from "../../fault-injector.ts";

/** The domain of everything that is not translated. */
export const PASS_THROUGH_DOMAIN = 1;
/** 0 is what hardware uses for entries that are not present; 1 is the one above. */
const FIRST_FREE = 2;
/** Entries have 16 bits for it. */
const LARGEST_COUNT = 0x1_0000;

/** Which domain ids of a unit are in use. An id that has come back is taken before a new one. */
export class DomainIds {
  readonly #faults: FaultInjector;
  readonly #end: number;
  readonly #returned: number[] = [];
  #next = FIRST_FREE;

  /** @param count how many the unit has */
  constructor(faults: FaultInjector, count: number) {
    this.#faults = faults;
    this.#end = Math.min(count, LARGEST_COUNT);
  }

  get used(): number {
    return this.#next - FIRST_FREE - this.#returned.length;
  }

  /** @returns `undefined` when there is none */
  allocate(): number | undefined {
    if (this.#faults.shouldFail("domain-id")) return undefined;
    const returned = this.#returned.pop();
    if (returned !== undefined) return returned;
    return this.#next < this.#end ? this.#next++ : undefined;
  }

  /** Hardware has forgotten everything of the domain. */
  free(id: number): void {
    this.#returned.push(id);
  }
}
