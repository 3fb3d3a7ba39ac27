export * from "./direct-dma.ts";
export * from "./dma-device.ts";
export * from "./dma-domain.ts";
export * from "./events.ts";
export * from "./flush-queue.ts";
export * from "./iova-allocator.ts";
export * from "./scatter-list.ts";
