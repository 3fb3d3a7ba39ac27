export * from "./clock.ts";
export * from "./firmware-tables.ts";
export * from "./platform.ts";
