import { readFileSync, writeFileSync } from "node:fs";
import { gunzipSync, gzipSync } from "node:zlib";
import { CommandError } from "../command-error.ts";
import type { GuestSetup } from "./guest-pc.ts";

/** A guest as `--save` keeps it: a line of JSON that says what its PC is made of, then the PC's snapshot. */
export interface SavedGuest {
  readonly setup: GuestSetup;
  readonly snapshot: Uint8Array;
}

const SCHEMA = "softiommu/guest@1";

/** Longest first line that is believed. */
const MAX_LINE = 4096;

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error ? String(error.code) : String(error);

/** @throws CommandError when the file cannot be written */
export const saveGuest = (file: string, { setup, snapshot }: SavedGuest): void => {
  const line = `${JSON.stringify({ schema: SCHEMA, ...setup })}\n`;
  const bytes = Buffer.concat([Buffer.from(line), snapshot]);
  try {
    writeFileSync(file, file.endsWith(".gz") ? gzipSync(bytes, { level: 1 }) : bytes);
  } catch (error) {
    throw new CommandError("input", file, `it cannot be written (${codeOf(error)})`);
  }
};

const GZIP = 0x8b1f;

const unpacked = (bytes: Buffer): Buffer =>
  bytes.length > 2 && bytes.readUInt16LE(0) === GZIP ? gunzipSync(bytes) : bytes;

/** @throws CommandError when there is no saved guest in the file */
export const readSavedGuest = (file: string): SavedGuest => {
  const wrong = (why: string): CommandError =>
    new CommandError("input", file, why, { hint: "softiommu boot --save FILE makes one" });
  let bytes: Buffer;
  try {
    bytes = unpacked(readFileSync(file));
  } catch (error) {
    throw wrong(`it cannot be read (${codeOf(error)})`);
  }
  const end = bytes.subarray(0, MAX_LINE).indexOf(0x0a);
  try {
    const { schema, ...setup } = JSON.parse(bytes.toString("utf8", 0, Math.max(end, 0))) as {
      readonly schema: string;
    } & GuestSetup;
    if (schema === SCHEMA) return { setup, snapshot: bytes.subarray(end + 1) };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw wrong("it is no saved guest");
};
