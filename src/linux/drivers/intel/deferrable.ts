import { Gather } from "../../../page-table/index.ts";
import { deviceTlbItems } from "./binding.ts";
import { iotlbOfDomain, pasidIotlb } from "./descriptors.ts";
import type { IntelUnit } from "./intel-unit.ts";
import type { IntelPagingDomain } from "./paging-domain.ts";

/** Everything that a unit and its devices may have cached of a domain. */
const everything = (domain: IntelPagingDomain, unit: IntelUnit, id: number) => {
  const users = [...domain.attachments].filter(({ device }) => device.unit === unit);
  const pasids = new Set(users.map(({ pasid }) => pasid));
  const translations =
    domain.stage === "second"
      ? [iotlbOfDomain(id, unit.drains)]
      : [...pasids].map((pasid) => pasidIotlb(id, pasid));
  return [
    ...translations.map((descriptor) => ({ descriptor })),
    ...users.flatMap(({ device, pasid }) => deviceTlbItems(device, pasid)),
  ];
};

/** Adds to a domain that no nested domain is over what it takes to unmap now and flush later. */
export const deferrable = (domain: IntelPagingDomain) =>
  Object.assign(domain, {
    unmapDeferred: (iova: bigint, length: bigint) => {
      const gather = new Gather(domain.table.pages);
      const { unmapped } = domain.table.unmap(iova, length, gather);
      return { unmapped, release: () => gather.release() };
    },
    flushAll: () => {
      for (const { unit, id } of domain.units) unit.mustFlush(everything(domain, unit, id));
    },
  });
