export * from "./c-struct.ts";
export * from "./iommufd-data.ts";
export * from "./iommufd-numbers.ts";
export * from "./iommufd-structs.ts";
export * from "./iommufd-test.ts";
export * from "./vfio.ts";
