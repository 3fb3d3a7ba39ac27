export * from "./enumerate.ts";
export * from "./function-config.ts";
export * from "./isolation.ts";
export * from "./pci-device.ts";
