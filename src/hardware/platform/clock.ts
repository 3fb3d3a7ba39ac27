/** Time as a machine sees it. Nobody reads the host's clock. */
export interface Clock {
  /** Nanoseconds since the machine began. */
  now(): bigint;
  /**
   * Calls `callback` once `ns` nanoseconds have passed.
   *
   * @returns a function that calls it off
   */
  after(ns: bigint, callback: () => void): () => void;
}

interface Alarm {
  readonly at: bigint;
  readonly order: number;
  readonly callback: () => void;
}

/** A clock that stands still until it is told to go on. Alarms ring in the order of their times, then of their setting. */
export class ManualClock implements Clock {
  #now = 0n;
  #order = 0;
  #alarms: Alarm[] = [];

  now(): bigint {
    return this.#now;
  }

  after(ns: bigint, callback: () => void): () => void {
    const alarm = { at: this.#now + ns, order: this.#order++, callback };
    this.#alarms.push(alarm);
    return () => {
      this.#alarms = this.#alarms.filter((other) => other !== alarm);
    };
  }

  /** Lets `ns` nanoseconds pass; alarms set meanwhile ring too when their time comes. */
  advance(ns: bigint): void {
    const until = this.#now + ns;
    for (;;) {
      const next = this.#alarms
        .filter((alarm) => alarm.at <= until)
        .sort((a, b) => (a.at === b.at ? a.order - b.order : a.at < b.at ? -1 : 1))[0];
      if (next === undefined) break;
      this.#alarms = this.#alarms.filter((alarm) => alarm !== next);
      this.#now = next.at;
      next.callback();
    }
    this.#now = until;
  }
}
