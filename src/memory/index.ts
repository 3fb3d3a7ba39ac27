export * from "./bank.ts";
export * from "./buffer-region.ts";
export * from "./create.ts";
export * from "./physical-memory.ts";
export * from "./region.ts";
export * from "./sparse-region.ts";
