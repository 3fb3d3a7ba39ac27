import type { Clock } from "../../hardware/platform/index.ts";

/** One more than it holds: a ring with all places taken would look empty. */
const PLACES = 256;
/** How long something waits at most, when little comes. */
const TIMEOUT = 10_000_000n;

/** What a flush queue is for. */
export interface FlushQueueOptions {
  readonly clock: Clock;
  /** Has hardware forget everything of the domain. */
  readonly flush: () => void;
}

/**
 * What has been unmapped and hardware may still use. One flush serves all that
 * wait: when the queue is full, or when the first has waited for 10 ms. Only
 * then are addresses and table pages somebody else's.
 */
export class FlushQueue {
  readonly #options: FlushQueueOptions;
  #waiting: (() => void)[] = [];
  #flushes = 0;
  #callOff: (() => void) | undefined;

  constructor(options: FlushQueueOptions) {
    this.#options = options;
  }

  /** How much waits. */
  get length(): number {
    return this.#waiting.length;
  }

  /** Flushes so far. */
  get flushes(): number {
    return this.#flushes;
  }

  /** @param release called once hardware has forgotten what was unmapped */
  add(release: () => void): void {
    if (this.#waiting.length === PLACES - 1) this.flush();
    this.#waiting.push(release);
    this.#callOff ??= this.#options.clock.after(TIMEOUT, () => {
      this.#callOff = undefined;
      this.flush();
    });
  }

  /** Flushes now, and releases what has waited until now. */
  flush(): void {
    const over = this.#waiting;
    // What comes while hardware flushes has to wait for the next flush.
    this.#waiting = [];
    this.#flushes += 1;
    this.#options.flush();
    for (const release of over) release();
  }

  /** Flushes for the last time. */
  destroy(): void {
    this.#callOff?.();
    this.#callOff = undefined;
    if (this.#waiting.length > 0) this.flush();
  }
}
