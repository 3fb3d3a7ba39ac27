import type { EngineState } from "../hardware/devices/index.ts";
import type { FunctionState } from "../hardware/pci/index.ts";
import type { UnitState } from "../hardware/vtd/index.ts";
import { RestoreError } from "../struct/saved-state.ts";

/** What of a PC is ours: plain data. */
export interface PcState {
  readonly schema: "softiommu/pc-state@1";
  /** What it is a snapshot of, a line each: only a PC that says the same takes it. */
  readonly machine: readonly string[];
  readonly functions: readonly FunctionState[];
  readonly units: readonly UnitState[];
  readonly devices: readonly DeviceState[];
}

/** What one of our devices saves; it says itself what it is. */
export type DeviceState = EngineState | { readonly schema: string };

/** A PC as bytes: a header, our state as JSON, v86's state. */
const MAGIC = 0x5043_4653;
const VERSION = 1;
const HEADER_BYTES = 20;

const aligned = (length: number): number => Math.ceil(length / 4) * 4;

/** A sum of 32-bit words in which their order counts: finds damage, proves nothing. */
const sumOf = (bytes: Uint8Array): number => {
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2);
  let sum = 0;
  for (let i = 0; i < words.length; i++) sum = ((sum << 5) | (sum >>> 27)) ^ words[i]!;
  return sum >>> 0;
};

/** Packs both states into one block of bytes. */
export const packSnapshot = (state: PcState, processor: ArrayBuffer): Uint8Array => {
  const text = new TextEncoder().encode(JSON.stringify(state));
  const processorAt = HEADER_BYTES + aligned(text.length);
  const bytes = new Uint8Array(processorAt + aligned(processor.byteLength));
  bytes.set(text, HEADER_BYTES);
  bytes.set(new Uint8Array(processor), processorAt);
  const header = new DataView(bytes.buffer);
  const sum = sumOf(bytes.subarray(HEADER_BYTES));
  const numbers = [MAGIC, VERSION, text.length, processor.byteLength, sum];
  for (const [i, value] of numbers.entries()) header.setUint32(4 * i, value, true);
  return bytes;
};

/**
 * The inverse of `packSnapshot`.
 *
 * @throws RestoreError when the bytes are no snapshot, of another version, cut or damaged
 */
export const unpackSnapshot = (
  snapshot: Uint8Array,
): { readonly state: PcState; readonly processor: ArrayBuffer } => {
  // A copy, so that words are aligned and v86 has a buffer of its own.
  const bytes = new Uint8Array(snapshot);
  if (bytes.length < HEADER_BYTES) throw new RestoreError("it is no snapshot of a PC");
  const header = new DataView(bytes.buffer);
  const [magic, version, textLength, processorLength, sum] = [0, 4, 8, 12, 16].map((at) =>
    header.getUint32(at, true),
  ) as [number, number, number, number, number];
  if (magic !== MAGIC) throw new RestoreError("it is no snapshot of a PC");
  if (version !== VERSION) throw new RestoreError(`it has version ${version}, not ${VERSION}`);
  const processorAt = HEADER_BYTES + aligned(textLength);
  if (processorAt + aligned(processorLength) !== bytes.length) {
    throw new RestoreError("the snapshot is not whole");
  }
  if (sumOf(bytes.subarray(HEADER_BYTES)) !== sum) throw new RestoreError("it is damaged");
  const text = new TextDecoder().decode(bytes.subarray(HEADER_BYTES, HEADER_BYTES + textLength));
  return {
    state: JSON.parse(text) as PcState,
    processor: bytes.buffer.slice(processorAt, processorAt + processorLength),
  };
};
