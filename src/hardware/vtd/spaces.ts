/** Tags ever given out before everything is dropped and numbering starts again. */
const MAX_GIVEN = 0x3fff_ff00;

/** The tag of the `n`-th space: another for each, and odd, as the caches want it. */
const tagOf = (n: number): number => Math.imul(2 * n + 1, 0x9e3779b1);

/** Spaces remembered at once. Reaching it drops every cached translation, which hardware may do at any time. */
const MAX_SPACES = 1 << 14;

/** An address space: a PASID of a domain, or a domain's second stage. */
export interface Space {
  /** What the space's cache entries carry now. */
  tag: number;
  /** The domain's count of invalidations when the tag was given. */
  epoch: number;
  /** A large page has been cached in pieces, so that one page cannot be invalidated alone. */
  fractured: boolean;
}

/** What `Spaces` calls the second stage of a domain in place of a PASID. */
const SECOND_STAGE = -1;

/** PASIDs of a domain, and its second stage, have this many keys. */
const KEYS_OF_A_DOMAIN = 0x20_0000;

const keyOf = (domain: number, pasid: number): number => domain * KEYS_OF_A_DOMAIN + pasid + 1;

/**
 * Gives every address space a tag for its cache entries: one for each domain's
 * second stage, one for each domain and PASID with a first stage (§6.2.1).
 *
 * Invalidating a space is giving it a new tag, and invalidating a domain is
 * counting up, so both cost the same however much is cached.
 */
export class Spaces {
  readonly #spaces = new Map<number, Space>();
  readonly #firstStageEpoch = new Int32Array(1 << 16);
  readonly #secondStageEpoch = new Int32Array(1 << 16);
  readonly #dropAll: () => void;
  #given = 1;

  /** @param dropAll empties every cache that holds tags */
  constructor(dropAll: () => void) {
    this.#dropAll = dropAll;
  }

  /**
   * Makes room for the two spaces of one translation. Called before their tags
   * are asked for, so that neither can lose its tag to the other.
   */
  makeRoom(): void {
    if (this.#spaces.size + 2 > MAX_SPACES || this.#given + 2 > MAX_GIVEN) this.forgetAll();
  }

  /** The tag of `domain`'s second stage. */
  secondStage(domain: number): number {
    return this.#current(domain, SECOND_STAGE).tag;
  }

  /** The tag of `pasid` in `domain`, where there is a first stage. */
  firstStage(domain: number, pasid: number): number {
    return this.#current(domain, pasid).tag;
  }

  /** Notes that a large page of the space has been cached in pieces. */
  fracture(domain: number, pasid: number = SECOND_STAGE): void {
    this.#current(domain, pasid).fractured = true;
  }

  /** The space, or `undefined` when nothing of it can be cached. */
  inUse(domain: number, pasid: number = SECOND_STAGE): Readonly<Space> | undefined {
    return this.#live(domain, pasid);
  }

  #epoch(domain: number, pasid: number): number {
    return pasid === SECOND_STAGE
      ? this.#secondStageEpoch[domain]!
      : this.#firstStageEpoch[domain]!;
  }

  #live(domain: number, pasid: number): Space | undefined {
    const space = this.#spaces.get(keyOf(domain, pasid));
    return space !== undefined && space.epoch === this.#epoch(domain, pasid) ? space : undefined;
  }

  #current(domain: number, pasid: number): Space {
    const live = this.#live(domain, pasid);
    if (live !== undefined) return live;
    const tag = tagOf(this.#given++);
    const space = { tag, epoch: this.#epoch(domain, pasid), fractured: false };
    this.#spaces.set(keyOf(domain, pasid), space);
    return space;
  }

  /** Invalidates one space: a PASID of a domain, or its second stage. */
  forgetSpace(domain: number, pasid: number = SECOND_STAGE): void {
    this.#spaces.delete(keyOf(domain, pasid));
  }

  /** Invalidates every first-stage and nested translation of a domain. */
  forgetFirstStages(domain: number): void {
    this.#firstStageEpoch[domain] = (this.#firstStageEpoch[domain]! + 1) | 0;
  }

  /** Invalidates everything of a domain. */
  forgetDomain(domain: number): void {
    this.forgetFirstStages(domain);
    this.#secondStageEpoch[domain] = (this.#secondStageEpoch[domain]! + 1) | 0;
  }

  /** Invalidates everything. */
  forgetAll(): void {
    this.#spaces.clear();
    this.#given = 1;
    this.#dropAll();
  }

  /** A predicate that holds for the tags in use at this moment. For inspection. */
  liveTags(): (tag: number) => boolean {
    const tags = new Set<number>();
    for (const [key, space] of this.#spaces) {
      const domain = Math.floor(key / KEYS_OF_A_DOMAIN);
      if (space.epoch === this.#epoch(domain, (key % KEYS_OF_A_DOMAIN) - 1)) tags.add(space.tag);
    }
    return (tag) => tags.has(tag);
  }
}
