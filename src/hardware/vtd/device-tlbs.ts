import type { AtsInvalidation } from "../pci/ats.ts";
import type { Clock } from "../platform/clock.ts";
import type { QueueFailure } from "./fault-recording.ts";

/** How a unit reaches the translation caches of devices: a fabric, usually. */
export interface DeviceTlbs {
  /**
   * Sends an invalidation to the device with requester ID `source`.
   *
   * @param answered called when the device answers; with `false` when the answer
   *   is not one to this invalidation
   * @returns `false` when nobody takes it
   */
  invalidate(source: number, what: AtsInvalidation, answered: (right: boolean) => void): boolean;
}

/** How long a device may take to answer: the time PCIe gives it, a minute (PCIe 6.3 §10.3.2). */
const ANSWER_TIME_NS = 60_000_000_000n;

/** Invalidations on their way to devices, each of which ends by an answer, a wrong answer, or in silence. */
export class DeviceTlbInvalidation {
  readonly #devices: DeviceTlbs | undefined;
  readonly #clock: Clock | undefined;
  readonly #failed: (failure: QueueFailure) => void;
  /** Calls off each one that has not ended. */
  readonly #open = new Set<() => boolean>();

  /** @param failed called when a device answers wrongly (ICE) or not in time (ITE) */
  constructor(
    devices: DeviceTlbs | undefined,
    clock: Clock | undefined,
    failed: (failure: QueueFailure) => void,
  ) {
    this.#devices = devices;
    this.#clock = clock;
    this.#failed = failed;
  }

  /** Sends one; `over` is called once, when nothing more will come of it. */
  send(source: number, what: AtsInvalidation, over: () => void): void {
    const close = (): boolean => {
      cancel?.();
      return this.#open.delete(close);
    };
    const cancel = this.#clock?.after(ANSWER_TIME_NS, () => {
      if (!close()) return;
      this.#failed({ kind: "ITE", source });
      over();
    });
    this.#open.add(close);
    const answered = (right: boolean): void => {
      if (!close()) return;
      if (!right) this.#failed({ kind: "ICE", source });
      over();
    };
    const taken = this.#devices?.invalidate(source, what, answered) ?? false;
    // Nobody there: nobody has anything cached. Hardware sees an unsupported request and goes on.
    if (!taken) answered(true);
  }

  /** Forgets everything on its way: neither an answer nor its absence means anything any more. */
  reset(): void {
    for (const close of [...this.#open]) close();
  }
}
