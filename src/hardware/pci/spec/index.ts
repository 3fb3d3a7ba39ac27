export * from "./capabilities.ts";
export * from "./config-header.ts";
