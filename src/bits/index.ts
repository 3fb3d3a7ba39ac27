export * from "./address.ts";
export * from "./halves.ts";
export * from "./hex.ts";
export * from "./log2.ts";
export * from "./range.ts";
