import type { AtsInvalidation } from "../pci/ats.ts";
import type {
  ContextInvalidation,
  IotlbInvalidation,
  PasidInvalidation,
  PasidIotlbInvalidation,
} from "./invalidator.ts";

/** Everything that software can ask a unit to invalidate, decoded. */
export type Invalidation =
  | { readonly kind: "context"; readonly what: ContextInvalidation }
  | { readonly kind: "pasid"; readonly what: PasidInvalidation }
  | { readonly kind: "iotlb"; readonly what: IotlbInvalidation; readonly drain: boolean }
  | { readonly kind: "pasid-iotlb"; readonly what: PasidIotlbInvalidation }
  | { readonly kind: "device-tlb"; readonly source: number; readonly what: AtsInvalidation }
  /** 2^`mask` interrupt remapping entries around `index`; all when there is no index. */
  | { readonly kind: "interrupt-entry"; readonly index: number | undefined; readonly mask: number };

/**
 * Whoever must do its part before an invalidation counts as done: a virtual
 * machine monitor that shadows the tables, for instance.
 */
export interface InvalidationSubscriber {
  /**
   * Called after the unit has dropped its own entries and before the
   * invalidation completes.
   *
   * @param done to be called once, now or later; waits behind the invalidation
   *   complete only then
   */
  invalidated(invalidation: Invalidation, done: () => void): void;
}
