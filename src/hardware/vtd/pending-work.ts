/** Operations and waits that may be under way at once: nothing is fetched from the queue until some are over. */
export const PENDING_LIMIT = 1024;

/**
 * Work that ends in the order in which it began to be waited for: an operation
 * is over when it says so; a wait is over when everything before it is.
 */
export class PendingWork {
  #items: Item[] = [];
  #settling = false;
  #roomMade: () => void = () => {};

  /** Whether everything is over. */
  get isIdle(): boolean {
    return this.#items.length === 0;
  }

  /** Whether no more may be begun by the queue. */
  get isFull(): boolean {
    return this.#items.length >= PENDING_LIMIT;
  }

  /** Has `callback` called whenever something is over. */
  onRoom(callback: () => void): void {
    this.#roomMade = callback;
  }

  /** Begins an operation; the function returned ends it, and does nothing when called again. */
  begin(): () => void {
    const item: Item = { over: false, complete: undefined, aborted: undefined };
    this.#items.push(item);
    return () => {
      item.over = true;
      this.#settle();
    };
  }

  /**
   * Has `complete` called once everything begun before is over: at once when nothing is.
   *
   * @param aborted called instead when `abortWaits` gives the wait up; without it the wait stays
   */
  wait(complete: () => void, aborted?: () => void): void {
    this.#items.push({ over: true, complete, aborted });
    this.#settle();
  }

  /** Gives up every wait that is not over and can be; operations go on. */
  abortWaits(): void {
    const given = this.#items.filter((item) => item.aborted !== undefined);
    this.#items = this.#items.filter((item) => item.aborted === undefined);
    for (const { aborted } of given) aborted!();
    this.#settle();
  }

  /** Forgets everything. */
  clear(): void {
    this.#items = [];
  }

  #settle(): void {
    // A completion may begin and end work of its own: the loop that runs already sees to that.
    if (this.#settling) return;
    this.#settling = true;
    while (this.#items[0]?.over === true) this.#items.shift()!.complete?.();
    this.#settling = false;
    this.#roomMade();
  }
}

interface Item {
  over: boolean;
  /** Set for a wait. */
  readonly complete: (() => void) | undefined;
  /** Set for a wait that can be given up. */
  readonly aborted: (() => void) | undefined;
}
