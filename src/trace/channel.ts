/**
 * The event channel. Every change of state is an event whose type is declared
 * beside the code that emits it and whose name is `room.event`. With no
 * listener an event costs one test of a boolean:
 *
 * ```ts
 * if (trace.enabled) trace.emit(IOTLB_MISS, { source, iova });
 * ```
 */

/** What kind of event it is: its name and, in the type, what it carries. */
export interface EventType<Payload> {
  /** `room.event`, for instance `vtd.iotlb-miss`. */
  readonly name: string;
  /** Only in the type: carries `Payload`. */
  readonly payload?: Payload;
}

/** One event as a listener receives it. */
export interface TraceEvent {
  readonly name: string;
  readonly payload: unknown;
}

/** Called for each event whose name matches. Must not change what it is given. */
export type TraceListener = (event: TraceEvent) => void;

/** Declares an event type. */
export const defineEvent = <Payload>(name: `${string}.${string}`): EventType<Payload> =>
  Object.freeze({ name });

interface Subscription {
  readonly matches: RegExp;
  readonly listener: TraceListener;
}

/** Turns a glob with `*` into the expression that matches whole names. */
const globToRegExp = (glob: string): RegExp =>
  new RegExp(`^${glob.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*")}$`);

/** Where a machine's rooms send their events and listeners receive them. */
export class TraceChannel {
  /** Whether anybody listens. Emitters test it first, so that a silent channel is free. */
  enabled = false;
  #subscriptions: readonly Subscription[] = [];

  /**
   * Listens to events.
   *
   * @param glob which names, with `*` for any run of characters
   * @returns a function that ends the subscription
   */
  listen(glob: string, listener: TraceListener): () => void {
    const subscription: Subscription = { matches: globToRegExp(glob), listener };
    this.#subscriptions = [...this.#subscriptions, subscription];
    this.enabled = true;
    return () => {
      this.#subscriptions = this.#subscriptions.filter((other) => other !== subscription);
      this.enabled = this.#subscriptions.length > 0;
    };
  }

  /** Delivers an event to each listener whose glob matches, in the order of subscription. */
  emit<Payload>(type: EventType<Payload>, payload: Payload): void {
    for (const { matches, listener } of this.#subscriptions) {
      if (matches.test(type.name)) listener({ name: type.name, payload });
    }
  }
}
