export * from "./dma-request.ts";
