import type { Bus, Fabric, PciFunction, Topology } from "../hardware/pci/index.ts";
import type { Clock } from "../hardware/platform/index.ts";
import type { Capabilities } from "../hardware/vtd/index.ts";
import type { TraceChannel } from "../trace/channel.ts";
import type { BootImage } from "./direct-boot.ts";
import type { V86Program } from "./load-emulator.ts";
import type { DeviceState } from "./snapshot.ts";
import type { V86Module } from "./v86.ts";

/** A remapping unit of the PC. */
export interface PcUnit {
  readonly capabilities: Capabilities;
  /** The functions it serves; those that no other unit serves when absent. */
  readonly serves?: (topology: Topology) => readonly PciFunction[];
}

/** A device of ours, as far as the PC sees to it. */
export interface PcDevice {
  /** @throws SaveRefusedError while it holds what cannot be saved */
  save(): DeviceState;
  restore(state: never): void;
}

/** Machine code to run instead of a kernel, in protected mode with flat segments. */
export interface Payload {
  readonly code: Uint8Array;
  /** Where it is put and begins; below the end of memory. */
  readonly address: bigint;
}

/** What a PC is made of. */
export interface PcOptions {
  /** What `import("v86")` gives, version `V86_VERSION`. */
  readonly v86: V86Module;
  /** The bytes of `v86/build/v86.wasm`, or what they compile to. */
  readonly program: V86Program;
  /** Bytes of RAM, a multiple of 1 MiB; 64 MiB when absent. */
  readonly memoryBytes?: number;
  /** What it begins with; nothing when absent, until a snapshot is restored. */
  readonly boot?: BootImage | Payload;
  /** Its remapping units; none when absent. */
  readonly units?: readonly PcUnit[];
  /** Puts devices of ours on the first bus; those of v86 are there already. */
  readonly devices?: (fabric: Fabric, bus: Bus) => readonly PcDevice[];
  /** The contents of v86's own disk, a multiple of 512 bytes; no disk when absent. */
  readonly disk?: Uint8Array;
  /** Whether CLFLUSH is taken out of the kernel: needed by Linux before 6.2. */
  readonly removeCacheFlushes?: boolean;
  /** How long devices may take to answer; for ever when absent. */
  readonly clock?: Clock;
  readonly trace?: TraceChannel;
}

/** How a PC ends by itself. */
export type PcEnd =
  | { readonly how: "off" }
  /** It has met what v86 has not implemented, for instance a fault without a handler. */
  | { readonly how: "crashed"; readonly why: string };
