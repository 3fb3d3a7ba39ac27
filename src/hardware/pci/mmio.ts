import type { BaseAddressRegister } from "./base-address.ts";
import { TYPE_0_HEADER, TYPE_1_HEADER } from "./spec/config-header.ts";
import type { Bus, PciFunction, Topology } from "./topology.ts";

/** Width of an access in bytes. */
export type MmioWidth = 1 | 2 | 4 | 8;

/** What is behind a function's base address registers. */
export interface MmioTarget {
  /**
   * @param bar index of the base address register
   * @param offset bytes from its beginning; the access ends inside it
   */
  readRegister(bar: number, offset: number, width: MmioWidth): bigint;
  /** Writes the low `width` bytes of `value`. */
  writeRegister(bar: number, offset: number, width: MmioWidth, value: bigint): void;
}

interface Window {
  readonly first: bigint;
  readonly last: bigint;
}

interface Place extends Window {
  readonly fn: PciFunction;
  readonly bar: BaseAddressRegister;
}

const EVERYTHING: Window = { first: 0n, last: (1n << 64n) - 1n };
const MIB = 0xf_ffffn;

/** What a bridge passes on to the bus behind it: its memory window and its prefetchable one (PCIe 6.3 §7.5.1.3.8). */
const windowsOf = ({ config }: PciFunction): readonly Window[] => {
  if (!config.has(TYPE_1_HEADER, "memorySpaceEnable")) return [];
  const megabyte = (
    name: "memoryBase" | "memoryLimit" | "prefetchableBase" | "prefetchableLimit",
  ) => BigInt(config.get(TYPE_1_HEADER, name)) << 20n;
  const upper = (name: "prefetchableBaseUpper" | "prefetchableLimitUpper") =>
    BigInt(config.get(TYPE_1_HEADER, name)) << 32n;
  return [
    { first: megabyte("memoryBase"), last: megabyte("memoryLimit") | MIB },
    {
      first: upper("prefetchableBaseUpper") | megabyte("prefetchableBase"),
      last: upper("prefetchableLimitUpper") | megabyte("prefetchableLimit") | MIB,
    },
  ];
};

const placesOn = (bus: Bus, reached: readonly Window[]): Place[] =>
  bus.functions.flatMap((fn) => {
    if (fn.secondary !== undefined) {
      const inner = windowsOf(fn).flatMap((own) =>
        reached.map(({ first, last }) => ({
          first: own.first > first ? own.first : first,
          last: own.last < last ? own.last : last,
        })),
      );
      return placesOn(fn.secondary, inner);
    }
    if (!fn.config.has(TYPE_0_HEADER, "memorySpaceEnable")) return [];
    return fn.bars
      .map((bar) => ({ fn, bar, first: bar.address, last: bar.address + sizeOf(bar) - 1n }))
      .filter((place) =>
        reached.some(({ first, last }) => first <= place.first && place.last <= last),
      );
  });

const sizeOf = (bar: BaseAddressRegister): bigint => 1n << BigInt(bar.sizeLg2);

/** Which function answers which memory address: what base address registers and bridge windows say at the moment. */
export class MmioMap {
  readonly #topology: Topology;
  readonly #segments = new Map<number, readonly Place[]>();
  #madeAt = -1;

  constructor(topology: Topology) {
    this.#topology = topology;
  }

  /** Reads `width` bytes; all ones where nobody answers. */
  read(segment: number, address: bigint, width: MmioWidth): bigint {
    const place = this.#find(segment, address, width);
    const ones = (1n << BigInt(8 * width)) - 1n;
    if (place === undefined) return ones;
    const offset = Number(address - place.first);
    return place.fn.mmioTarget!.readRegister(place.bar.index, offset, width) & ones;
  }

  /**
   * Writes the low `width` bytes of `value`.
   *
   * @returns `false` when nobody answers
   */
  write(segment: number, address: bigint, width: MmioWidth, value: bigint): boolean {
    const place = this.#find(segment, address, width);
    if (place === undefined) return false;
    const offset = Number(address - place.first);
    place.fn.mmioTarget!.writeRegister(place.bar.index, offset, width, value);
    return true;
  }

  #find(segment: number, address: bigint, width: number): Place | undefined {
    const last = address + BigInt(width - 1);
    return this.#placesOf(segment).find(
      (place) => place.first <= address && last <= place.last && place.fn.mmioTarget !== undefined,
    );
  }

  #placesOf(segment: number): readonly Place[] {
    if (this.#madeAt !== this.#topology.generation) {
      this.#segments.clear();
      this.#madeAt = this.#topology.generation;
    }
    let places = this.#segments.get(segment);
    if (places === undefined) {
      places = this.#topology.rootBuses
        .filter((bus) => bus.segment === segment)
        .flatMap((bus) => placesOn(bus, [EVERYTHING]));
      this.#segments.set(segment, places);
    }
    return places;
  }
}

const alignUp = (address: bigint, size: bigint): bigint => (address + size - 1n) & ~(size - 1n);

/**
 * Gives every base address register of a bus, and of what is behind it, an
 * address and every bridge its window, as firmware does, and switches memory
 * accesses on. All of it goes below 4 GiB, not prefetchable.
 *
 * @param start first address to use
 * @returns the first address not used
 * @throws RangeError when it does not fit below 4 GiB: a bug in the caller
 */
export const assignMemory = (bus: Bus, start: bigint): bigint => {
  let next = start;
  for (const fn of bus.functions) {
    if (fn.secondary === undefined) {
      for (const bar of fn.bars) {
        const address = alignUp(next, sizeOf(bar));
        bar.assign(address);
        next = address + sizeOf(bar);
      }
      fn.config.writeField(TYPE_0_HEADER, "memorySpaceEnable", 1);
      continue;
    }
    const base = alignUp(next, MIB + 1n);
    const end = alignUp(assignMemory(fn.secondary, base), MIB + 1n);
    // A window whose limit is below its base passes nothing on.
    const limit = end === base ? base - 1n : end - 1n;
    fn.config.writeField(TYPE_1_HEADER, "memoryBase", Number((base >> 20n) & 0xfffn));
    fn.config.writeField(TYPE_1_HEADER, "memoryLimit", Number((limit >> 20n) & 0xfffn));
    fn.config.writeField(TYPE_1_HEADER, "prefetchableBase", 0xfff);
    fn.config.writeField(TYPE_1_HEADER, "prefetchableLimit", 0);
    fn.config.writeField(TYPE_1_HEADER, "memorySpaceEnable", 1);
    next = end;
  }
  if (next > 1n << 32n) throw new RangeError("no room for base address registers below 4 GiB");
  return next;
};
