/** Everything that runs anywhere: no part of it needs Node. */
export * from "./bits/index.ts";
export * from "./memory/index.ts";
export * from "./struct/index.ts";
export * from "./trace/index.ts";
