export * from "./device-tlb.ts";
export * from "./engine.ts";
export * from "./spec/engine-registers.ts";
