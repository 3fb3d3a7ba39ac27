import type { PhysicalMemory } from "../memory/physical-memory.ts";
import type { ExpectedMapping } from "./expected-mappings.ts";
import type { AmdRegisters, VtdRegisters } from "./registers.ts";

/** Where RAM is. Both are multiples of 4096; `base + length` is at most 2^52. */
export interface RamRange {
  readonly base: bigint;
  /** In bytes. */
  readonly length: bigint;
}

/** A page that a capture kept. */
export interface StoredPage {
  /** Its physical address, a multiple of 4096. */
  readonly pa: bigint;
  /** What it is for, such as `root`, `pasidtab` or `sspt3`. */
  readonly kind: string;
}

/** What every capture has, whatever the IOMMU. */
export interface CapturedMachine {
  /** What the user called it. */
  readonly name: string;
  /** Which of several moments this is. */
  readonly moment?: string;
  /**
   * RAM. A page that was not kept reads as zeros; outside `ram` there is no
   * memory. Reading throws a `CaptureError` when the file can no longer be
   * read; writing never changes the file.
   */
  readonly memory: PhysicalMemory;
  /** Where RAM is, by address. */
  readonly ram: readonly RamRange[];
  /** The pages that were kept, in the order of the file. Absent when all of RAM was. */
  readonly storedPages?: readonly StoredPage[];
  /** Reads the list of mappings that ought to be found. Absent when there is none. */
  readonly expected?: () => ExpectedMapping[];
}

/** A machine with an Intel VT-d unit. */
export interface VtdCapture extends CapturedMachine {
  readonly iommu: "vtd";
  readonly registers: VtdRegisters;
}

/** A machine with an AMD IOMMU. */
export interface AmdCapture extends CapturedMachine {
  readonly iommu: "amd";
  readonly registers: AmdRegisters;
}

/** A machine's memory and IOMMU registers at one moment. */
export type Capture = VtdCapture | AmdCapture;

/** The registers of either IOMMU, with its name. */
export type CapturedRegisters =
  | Pick<VtdCapture, "iommu" | "registers">
  | Pick<AmdCapture, "iommu" | "registers">;
