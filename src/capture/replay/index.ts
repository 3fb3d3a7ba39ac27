export { type ReplayOptions, replayRecording } from "./replay.ts";
export { type RecordedMoment, type Recording, readRecording } from "./recording.ts";
export * from "./report.ts";
