export * from "./layout.ts";
export * from "./saved-state.ts";
