import type { Interrupt, InterruptSink } from "../hardware/interrupt/index.ts";
import type { Fabric } from "../hardware/pci/index.ts";
import type {
  AccessWidth,
  DeviceScope,
  InterruptConnection,
  ManualClock,
  PhysicalRange,
  Platform,
  ReservedMemory,
} from "../hardware/platform/index.ts";
import type { RegisterWidth, RemappingUnit } from "../hardware/vtd/index.ts";
import type { PhysicalMemory } from "../memory/index.ts";

/** A unit and where its registers are. */
export interface PlacedUnit {
  readonly unit: RemappingUnit;
  readonly base: bigint;
  readonly scope: "all" | readonly DeviceScope[];
}

/** What a platform is made of. */
export interface PlatformParts {
  readonly memory: PhysicalMemory;
  readonly ram: readonly PhysicalRange[];
  readonly reserved: readonly PhysicalRange[];
  readonly clock: ManualClock;
  readonly fabric: Fabric;
  readonly units: readonly PlacedUnit[];
  readonly reservedMemory: readonly ReservedMemory[];
  readonly vectors: UnitVectors;
}

/** Vectors below are exceptions, those above are kept for the processors themselves. */
const FIRST_VECTOR = 0x30;
const LAST_VECTOR = 0xef;
/** Messages go to the processor with APIC ID 0. */
const MESSAGE_ADDRESS = 0xfee0_0000n;

/** The vectors of the only processor: what arrives is given to whoever has connected the vector. */
export class UnitVectors implements InterruptSink {
  readonly #handlers = new Map<number, () => void>();
  readonly #stray: (interrupt: Interrupt) => void;

  /** @param stray takes interrupts for vectors that nobody has connected */
  constructor(stray: (interrupt: Interrupt) => void) {
    this.#stray = stray;
  }

  deliver(interrupt: Interrupt): void {
    const handler = this.#handlers.get(interrupt.vector);
    if (handler === undefined) this.#stray(interrupt);
    else handler();
  }

  /** Has `handler` called for a vector of its own; `undefined` when there is none left. */
  connect(handler: () => void): InterruptConnection | undefined {
    for (let vector = FIRST_VECTOR; vector <= LAST_VECTOR; vector++) {
      if (this.#handlers.has(vector)) continue;
      this.#handlers.set(vector, handler);
      const disconnect = (): void => void this.#handlers.delete(vector);
      return { address: MESSAGE_ADDRESS, data: vector, disconnect };
    }
    return undefined;
  }
}

const ones = (width: AccessWidth): bigint => (1n << BigInt(8 * width)) - 1n;

/** The port to a machine: registers by address, the rest as it is. */
export const createPlatform = (parts: PlatformParts): Platform => {
  const { fabric, units, vectors } = parts;
  const { topology } = fabric;
  const segments = [...new Set(topology.rootBuses.map(({ segment }) => segment))];
  const unitAt = (address: bigint): PlacedUnit | undefined =>
    units.find(({ base, unit }) => base <= address && address < base + BigInt(unit.registerWindow));
  return {
    memory: parts.memory,
    ram: parts.ram,
    reserved: parts.reserved,
    clock: parts.clock,
    firmware: {
      rootBuses: topology.rootBuses.map(({ segment, number }) => ({ segment, number: number! })),
      units: units.map(({ base, scope }) => ({ base, segment: 0, scope })),
      reservedMemory: parts.reservedMemory,
      atsRootPorts: "all",
    },
    readMmio: (address, width) => {
      const at = unitAt(address);
      if (at !== undefined)
        return at.unit.readRegister(Number(address - at.base), width as RegisterWidth);
      for (const segment of segments) {
        const value = fabric.readMmio(segment, address, width);
        if (value !== ones(width)) return value;
      }
      return ones(width);
    },
    writeMmio: (address, width, value) => {
      const at = unitAt(address);
      if (at !== undefined)
        at.unit.writeRegister(Number(address - at.base), width as RegisterWidth, value);
      else segments.some((segment) => fabric.writeMmio(segment, address, width, value));
    },
    readConfig: (segment, source, offset, width) =>
      topology.readConfig(segment, source, offset, width),
    writeConfig: (segment, source, offset, width, value) => {
      topology.writeConfig(segment, source, offset, width, value);
    },
    pause: (ns) => parts.clock.advance(ns),
    connectInterrupt: (handler) => vectors.connect(handler),
  };
};
