import { MAP_GRANULE } from "./memory-map.ts";
import type { V86Io } from "./v86.ts";

/** Registers in memory, as a processor of 32 bits reaches them: 1 or 4 bytes at a time. */
export interface MmioWindow {
  /** First address; a multiple of 4. */
  readonly base: number;
  /** Bytes. */
  readonly length: number;
  /** @returns what is there, unsigned */
  read(offset: number, width: 1 | 4): number;
  write(offset: number, width: 1 | 4, value: number): void;
}

const granuleOf = (address: number): number => address - (address % MAP_GRANULE);

/**
 * Puts windows into v86's memory map. The map has entries of 128 KiB, so that
 * several windows may share one: an access goes to the window that holds its
 * first byte, and reads all ones where there is none.
 */
export const mapWindows = (io: V86Io, windows: readonly MmioWindow[]): void => {
  const byGranule = new Map<number, MmioWindow[]>();
  for (const window of windows) {
    const end = window.base + window.length;
    for (let at = granuleOf(window.base); at < end; at += MAP_GRANULE) {
      byGranule.set(at, [...(byGranule.get(at) ?? []), window]);
    }
  }
  for (const [base, there] of byGranule) mapGranule(io, base, there);
};

const mapGranule = (io: V86Io, base: number, windows: readonly MmioWindow[]): void => {
  const find = (address: number): MmioWindow | undefined =>
    windows.find((window) => address >= window.base && address < window.base + window.length);
  const read = (signed: number, width: 1 | 4): number => {
    const address = signed >>> 0;
    const window = find(address);
    if (window === undefined) return width === 1 ? 0xff : -1;
    const value = window.read(address - window.base, width);
    return width === 1 ? value & 0xff : value | 0;
  };
  const write = (signed: number, width: 1 | 4, value: number): void => {
    const address = signed >>> 0;
    const window = find(address);
    window?.write(address - window.base, width, value >>> 0);
  };
  io.mmap_register(
    base,
    MAP_GRANULE,
    (address) => read(address, 1),
    (address, value) => write(address, 1, value),
    (address) => read(address, 4),
    (address, value) => write(address, 4, value),
  );
};
