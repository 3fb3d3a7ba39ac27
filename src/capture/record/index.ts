export * from "./recorder.ts";
