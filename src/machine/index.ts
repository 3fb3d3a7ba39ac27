export * from "./fault-advice.ts";
export * from "./host-machine.ts";
export * from "./machine.ts";
export * from "./recorded-walk.ts";
