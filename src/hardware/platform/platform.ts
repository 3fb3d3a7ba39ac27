import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import type { Clock } from "./clock.ts";
import type { FirmwareTables } from "./firmware-tables.ts";

/** Width in bytes of an access to registers. */
export type AccessWidth = 1 | 2 | 4 | 8;

/** A run of physical addresses. */
export interface PhysicalRange {
  readonly base: bigint;
  /** Bytes. */
  readonly length: bigint;
}

/** A message that software has had made for itself. */
export interface InterruptConnection {
  /** What a device or unit writes to. */
  readonly address: bigint;
  /** What it writes. */
  readonly data: number;
  /** Whatever comes with the message is dropped from now on. */
  disconnect(): void;
}

/**
 * A machine as an operating system sees it: memory, registers, configuration
 * space, interrupts, time, and what firmware says. Who has this port has no
 * other way to the hardware.
 */
export interface Platform {
  readonly memory: PhysicalMemory;
  /** Memory that software may use, apart from what is in `reserved`. */
  readonly ram: readonly PhysicalRange[];
  /** Parts of `ram` that firmware keeps for itself. */
  readonly reserved: readonly PhysicalRange[];
  readonly clock: Clock;
  readonly firmware: FirmwareTables;
  /** Reads registers; all ones where nobody answers. */
  readMmio(address: bigint, width: AccessWidth): bigint;
  /** Writes the low `width` bytes of `value`. */
  writeMmio(address: bigint, width: AccessWidth, value: bigint): void;
  /** Reads configuration space of the function with requester ID `source`; all ones where there is none. */
  readConfig(segment: number, source: number, offset: number, width: 1 | 2 | 4): number;
  writeConfig(
    segment: number,
    source: number,
    offset: number,
    width: 1 | 2 | 4,
    value: number,
  ): void;
  /** Does nothing for `ns` nanoseconds: what hardware does in that time has been done afterwards. */
  pause(ns: bigint): void;
  /**
   * A message of the caller's own, for whose arrival `handler` is called.
   *
   * @returns `undefined` when there is no vector left
   */
  connectInterrupt(handler: () => void): InterruptConnection | undefined;
}
