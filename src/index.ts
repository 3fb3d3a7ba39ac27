/**
 * softiommu: an IOMMU in user space. One namespace for each room of the house:
 *
 * ```ts
 * import { memory, pci, vtd } from "softiommu";
 *
 * const ram = memory.createSparseMemory([{ base: 0n, length: 1n << 30n }]);
 * const unit = new vtd.TranslationUnit({ capabilities: vtd.SERVER, memory: ram });
 * ```
 *
 * @packageDocumentation
 */
export * as bits from "./bits/index.ts";
export * as capture from "./capture/index.ts";
export * as devices from "./hardware/devices/index.ts";
export * as interrupt from "./hardware/interrupt/index.ts";
export * as pci from "./hardware/pci/index.ts";
export * as platform from "./hardware/platform/index.ts";
export * as vtd from "./hardware/vtd/index.ts";
export * as machine from "./machine/index.ts";
export * as memory from "./memory/index.ts";
export * as pageTable from "./page-table/index.ts";
export * as pc from "./pc/index.ts";
export * as struct from "./struct/index.ts";
export * as trace from "./trace/index.ts";
