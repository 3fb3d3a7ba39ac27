export * from "./cache-sizes.ts";
export * from "./capabilities.ts";
export * from "./counters.ts";
export type { DeviceTlbs } from "./device-tlbs.ts";
export * from "./enumerate.ts";
export * from "./events.ts";
export * from "./fabric-link.ts";
export * from "./fault.ts";
export type { UnitInspection } from "./inspect-unit.ts";
export type { Invalidation, InvalidationSubscriber } from "./invalidation.ts";
export type {
  ContextInvalidation,
  IotlbInvalidation,
  PageRange,
  PasidInvalidation,
  PasidIotlbInvalidation,
} from "./invalidator.ts";
export * from "./profiles.ts";
export { REGISTER_WINDOW, type RegisterWidth } from "./register-file.ts";
export * from "./remapping-unit.ts";
export { FAULT_REASONS, type FaultReason } from "./spec/fault-reasons.ts";
export * from "./spec/index.ts";
export * from "./unit.ts";
export type { UnitState } from "./unit-state.ts";
