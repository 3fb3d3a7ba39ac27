/**
 * Work that ends in the order in which it began to be waited for: an operation
 * is over when it says so; a wait is over when everything before it is.
 */
export class PendingWork {
  #items: Item[] = [];
  #settling = false;

  /** How many operations and waits are not over. */
  get count(): number {
    return this.#items.length;
  }

  /** Begins an operation; the function returned ends it, and does nothing when called again. */
  begin(): () => void {
    const item: Item = { over: false, complete: undefined };
    this.#items.push(item);
    return () => {
      item.over = true;
      this.#settle();
    };
  }

  /** Has `complete` called once everything begun before is over: at once when nothing is. */
  wait(complete: () => void): void {
    this.#items.push({ over: true, complete });
    this.#settle();
  }

  /** Forgets every wait that is not over; operations go on. */
  abortWaits(): void {
    this.#items = this.#items.filter((item) => item.complete === undefined);
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
  }
}

interface Item {
  over: boolean;
  /** Set for a wait. */
  readonly complete: (() => void) | undefined;
}
