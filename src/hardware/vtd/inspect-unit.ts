import { hex } from "../../bits/hex.ts";
import type { DeviceTables } from "./device-tables.ts";
import type { Iotlb } from "./iotlb.ts";
import type { Spaces } from "./spaces.ts";
import type { TranslationUnit } from "./unit.ts";

/** A unit's state as plain data. Addresses are hexadecimal strings. */
export interface UnitInspection {
  readonly schema: "softiommu/vtd-unit@1";
  readonly capabilities: {
    readonly cap: string;
    readonly ecap: string;
    readonly hostAddressWidth: number;
  };
  readonly enabled: boolean;
  readonly rootTableAddress: string;
  readonly counters: Readonly<Record<string, number>>;
  readonly caches: {
    /** Requester IDs with a cached context entry. */
    readonly contexts: readonly number[];
    readonly pasids: readonly {
      readonly source: number;
      readonly pasid: number;
      readonly domain: number;
    }[];
    /** Cached translations by page size. */
    readonly iotlb: { readonly "4K": number; readonly "2M": number; readonly "1G": number };
  };
}

/** Looks at a unit without changing it. */
export const inspectUnit = (
  unit: TranslationUnit,
  tables: DeviceTables,
  iotlb: Iotlb,
  spaces: Spaces,
): UnitInspection => ({
  schema: "softiommu/vtd-unit@1",
  capabilities: {
    cap: hex(unit.capabilities.cap),
    ecap: hex(unit.capabilities.ecap),
    hostAddressWidth: unit.capabilities.hostAddressWidth,
  },
  enabled: unit.enabled,
  rootTableAddress: hex(unit.rootTableAddress),
  counters: { ...unit.counters },
  caches: {
    contexts: (tables.contexts?.used() ?? []).map((line) => line.source),
    pasids: (tables.pasids?.used() ?? []).map(({ source, pasid, target }) => ({
      source,
      pasid,
      domain: target.domain,
    })),
    iotlb: iotlb.count(spaces.liveTags()),
  },
});
