import { hex } from "../../src/bits/index.ts";
import type { RegisterWidth } from "../../src/hardware/vtd/register-file.ts";

/** One thing done to a machine. Plain data, so that it can be printed, done again and left out. */
export type Step =
  /** A register is written. */
  | {
      readonly kind: "write";
      readonly offset: number;
      readonly width: RegisterWidth;
      readonly value: bigint;
    }
  /** A register is read. */
  | { readonly kind: "read"; readonly offset: number; readonly width: RegisterWidth }
  /** Software writes quadwords into memory; the unit does not notice. */
  | { readonly kind: "store"; readonly address: bigint; readonly words: readonly bigint[] }
  /** The device copies between an I/O virtual address and its buffer. */
  | {
      readonly kind: "dma";
      readonly writes: boolean;
      readonly iova: bigint;
      readonly length: number;
      /** Where in the device's buffer. */
      readonly at: number;
    };

/** A sequence of steps from reset on. */
export interface Case {
  readonly seed: number;
  /** What the device's buffer holds at first. */
  readonly buffer: Uint8Array;
  readonly steps: readonly Step[];
}

/** What can be seen of a machine after a step. */
export interface Observation {
  /** What a register read returned. */
  readonly value: bigint | undefined;
  /** The first `REGISTERS_SIZE` bytes of the register page. */
  readonly registers: Uint8Array;
  /** The arena. Valid until the next step. */
  readonly memory: Uint8Array;
}

/** A machine with a remapping unit and one device: a real one of QEMU's, or ours. */
export interface Subject {
  readonly name: string;
  /** Puts everything into its reset state: registers, caches, memory (zeros), and the device's buffer. */
  reset(buffer: Uint8Array): Promise<void>;
  perform(step: Step): Promise<Observation>;
  /** The device's buffer. The machine is of no use afterwards until the next reset. */
  deviceBuffer(): Promise<Uint8Array>;
}

/** A step as one line. */
export const stepText = (step: Step): string => {
  switch (step.kind) {
    case "write":
      return `write${step.width * 8} ${hex(step.offset)} ${hex(step.value)}`;
    case "read":
      return `read${step.width * 8} ${hex(step.offset)}`;
    case "store":
      return `store ${hex(step.address)} ${step.words.map((word) => hex(word)).join(" ")}`;
    case "dma":
      return `dma-${step.writes ? "write" : "read"} ${hex(step.iova)} length ${step.length} buffer ${hex(step.at)}`;
  }
};
