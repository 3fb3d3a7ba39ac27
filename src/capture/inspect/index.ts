export * from "./document.ts";
export { MAX_FINDINGS } from "./findings.ts";
export * from "./inspect-capture.ts";
export * from "./mappings.ts";
export * from "./report.ts";
