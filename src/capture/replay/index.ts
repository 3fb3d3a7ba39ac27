export { replayDocument } from "./document.ts";
export { type RecordedMoment, type Recording, readRecording } from "./recording.ts";
export { type ReplayOptions, replayRecording } from "./replay.ts";
export * from "./report.ts";
