export { faultLine, type RecordedFault } from "./fault-handler.ts";
export * from "./intel-device.ts";
export * from "./intel-iommu.ts";
export * from "./intel-unit.ts";
export * from "./nested-domain.ts";
export * from "./paging-domain.ts";
