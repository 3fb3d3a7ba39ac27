import type { DeviceTlbInvalidation } from "./device-tlbs.ts";
import type { InterruptRemapping } from "./interrupt-remapping.ts";
import type { Invalidation, InvalidationSubscriber } from "./invalidation.ts";
import type { PasidIotlbInvalidation } from "./invalidator.ts";
import type { PendingWork } from "./pending-work.ts";
import type { TranslationUnit } from "./unit.ts";

/** A subscriber and what it has not finished yet. */
interface Subscription {
  readonly subscriber: InvalidationSubscriber;
  readonly owed: Set<() => void>;
}

/** Who has a part in an invalidation. */
export interface DispatchParts {
  readonly translation: TranslationUnit;
  readonly remapping: InterruptRemapping;
  readonly devices: DeviceTlbInvalidation;
  readonly work: PendingWork;
  readonly inFlight: { whenEarlierDone(callback: () => void): void } | undefined;
}

/**
 * Performs an invalidation in the order that makes it safe: the unit's own
 * caches first, then the requests that still use what was there, then
 * subscribers. What cannot end at once is pending work, for which waits wait.
 */
export class InvalidationDispatch {
  readonly #parts: DispatchParts;
  readonly #subscriptions = new Set<Subscription>();

  constructor(parts: DispatchParts) {
    this.#parts = parts;
  }

  /** See `RemappingUnit.subscribe`. */
  subscribe(subscriber: InvalidationSubscriber): () => void {
    const subscription: Subscription = { subscriber, owed: new Set() };
    this.#subscriptions.add(subscription);
    return () => {
      this.#subscriptions.delete(subscription);
      for (const end of subscription.owed) end();
    };
  }

  /** Performs it; what goes on afterwards is in `PendingWork`. */
  perform(invalidation: Invalidation): void {
    this.#dropOwn(invalidation);
    const drains =
      invalidation.kind === "pasid-iotlb" || (invalidation.kind === "iotlb" && invalidation.drain);
    if (drains) this.#parts.inFlight?.whenEarlierDone(this.#parts.work.begin());
    for (const { subscriber, owed } of this.#subscriptions) {
      const over = this.#parts.work.begin();
      const end = (): void => {
        owed.delete(end);
        over();
      };
      owed.add(end);
      subscriber.invalidated(invalidation, end);
    }
  }

  #dropSecondStage({ granularity, domain, pasid }: PasidIotlbInvalidation): void {
    const { translation } = this.#parts;
    if (!translation.capabilities.deviations.pasidInvalidatesSecondStage) return;
    if (granularity === "pasid" && pasid === 0)
      translation.invalidateIotlb({ granularity: "domain", domain });
  }

  #dropOwn(invalidation: Invalidation): void {
    const { translation, remapping, devices, work } = this.#parts;
    switch (invalidation.kind) {
      case "context":
        return translation.invalidateContext(invalidation.what);
      case "pasid":
        return translation.invalidatePasid(invalidation.what);
      case "iotlb":
        return translation.invalidateIotlb(invalidation.what);
      case "pasid-iotlb":
        translation.invalidatePasidIotlb(invalidation.what);
        return this.#dropSecondStage(invalidation.what);
      case "interrupt-entry":
        return remapping.invalidate(invalidation.index, invalidation.mask);
      case "device-tlb":
        return devices.send(invalidation.source, invalidation.what, work.begin());
    }
  }
}
