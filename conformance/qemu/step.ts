import { hex } from "../../src/bits/index.ts";
import type { RegisterWidth } from "../../src/hardware/vtd/register-file.ts";
import type { Mode } from "./qemu-process.ts";
import type { Scene } from "./scene.ts";

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
    }
  /** The device sends the message that its MSI capability holds. */
  | { readonly kind: "msi"; readonly address: number; readonly data: number };

/** What a case is about. */
export type Topic = "tables" | "stale" | "queue" | "registers" | "interrupts";

export const TOPICS: readonly Topic[] = ["tables", "stale", "queue", "registers", "interrupts"];

/** What a generator makes. */
export interface Draft {
  readonly scene: Scene;
  readonly steps: Step[];
}

/** A sequence of steps from reset on. */
export interface Case {
  readonly seed: number;
  readonly mode: Mode;
  readonly topic: Topic;
  /** What the device's buffer holds at first. */
  readonly buffer: Uint8Array;
  readonly steps: readonly Step[];
  /** Addresses of the quadwords that hold the device's domain. */
  readonly domainAt: readonly bigint[];
  /** Address of the device's context entry. */
  readonly contextAt: bigint;
}

/** A run of bytes in memory. */
export interface Range {
  readonly address: number;
  readonly length: number;
}

/** What can be seen of a machine after one step. */
export interface View {
  /** What a register read returned. */
  readonly value: bigint | undefined;
  /** The parts of the register page that have registers, one after another. */
  readonly registers: Uint8Array;
  /** What memory holds where our unit wrote in this step. */
  readonly written: readonly Uint8Array[];
}

/** What can be seen of a machine that has done a case. */
export interface Trace {
  /** One a step; `undefined` for a store, which no unit notices. */
  readonly views: readonly (View | undefined)[];
  /** The arena. */
  readonly memory: Uint8Array;
  /** The device's buffer. */
  readonly buffer: Uint8Array;
  /** The interrupts that have reached the local APIC, in order, a line each. */
  readonly interrupts: readonly string[];
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
    case "msi":
      return `msi ${hex(step.address)} ${hex(step.data)}`;
  }
};
