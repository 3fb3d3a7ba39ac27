export * from "./mock-device.ts";
export * from "./mock-domain.ts";
export * from "./mock-iommu.ts";
export * from "./mock-viommu.ts";
