export * from "./device-file.ts";
export * from "./group.ts";
export * from "./hot-reset.ts";
export * from "./vfio.ts";
export * from "./vfio-device.ts";
