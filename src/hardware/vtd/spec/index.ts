export * from "./capability-registers.ts";
export * from "./context-entry.ts";
export * from "./descriptors.ts";
export * from "./interrupt-entry.ts";
export * from "./pasid-entry.ts";
export * from "./registers.ts";
export * from "./root-entry.ts";
export * from "./root-table-address.ts";
