export * from "./core.ts";
export * from "./domain.ts";
export * from "./driver.ts";
export * from "./io-page-fault.ts";
