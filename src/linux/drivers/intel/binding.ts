import {
  contextCacheOfDevice,
  deviceTlb,
  iotlbOfDomain,
  pasidCache,
  pasidDeviceTlb,
  pasidIotlb,
} from "./descriptors.ts";
import type { IntelDevice } from "./intel-device.ts";
import type { IntelDomain } from "./intel-domain.ts";
import type { FlushItem } from "./intel-unit.ts";
import type { PageSpan } from "./page-span.ts";

/** The PASID under which requests without one are translated (SCALABLE_CONTEXT_ENTRY.RID_PASID). */
export const RID_PASID = 0;

/** How requests of a device with one PASID are translated. */
export interface Binding {
  readonly stage: "none" | "first" | "second" | "nested";
  /** `undefined` where nothing is translated. */
  readonly domain: IntelDomain | undefined;
  readonly domainId: number;
  /** The context or PASID entry. */
  readonly words: readonly bigint[];
}

/** What a device's own cache has to drop. @param span everything when absent */
export const deviceTlbItems = (
  device: IntelDevice,
  pasid: number,
  span?: PageSpan,
): readonly FlushItem[] => {
  if (!device.ats) return [];
  const { source } = device.pci;
  const descriptor =
    pasid === RID_PASID ? deviceTlb(source, span) : pasidDeviceTlb(source, pasid, span);
  return [{ descriptor, device }];
};

/**
 * What hardware has to forget when a binding ends or changes, in the order
 * that VT-d 4.1 §6.5.3.3 gives: the entry, the translations that were made by
 * it, the device's own cache.
 */
export const bindingItems = (
  device: IntelDevice,
  pasid: number,
  { stage, domainId }: Pick<Binding, "stage" | "domainId">,
): readonly FlushItem[] => {
  const { unit } = device;
  const entry = unit.scalable
    ? [{ descriptor: pasidCache(domainId, pasid) }]
    : device.pci.aliases.map((source) => ({ descriptor: contextCacheOfDevice(source, domainId) }));
  const translations =
    stage === "first" ? pasidIotlb(domainId, pasid) : iotlbOfDomain(domainId, unit.drains);
  return [...entry, { descriptor: translations }, ...deviceTlbItems(device, pasid)];
};
