import type { Bus, PciFunction } from "../hardware/pci/index.ts";
import type { V86Pci } from "./v86.ts";

const FUNCTIONS_ON_A_BUS = 256;
const CLASS = 0x08;
const COMMAND = 0x04;

const dword = (space: Int32Array, offset: number): number => space[offset >>> 2]! >>> 0;

const FIRST_BAR = 4;
const BARS = 6;

/**
 * v86's disk controller announces the ports of a channel that has no disk. Its
 * own restore looks for what is behind them, and fails.
 */
const clearAbsentBars = (space: Int32Array, bars: readonly unknown[]): void => {
  for (let i = 0; i < BARS; i++) if (bars[i] === undefined) space[FIRST_BAR + i] = 0;
};

/**
 * v86's own functions, as the fabric knows them: what their requests come from.
 * Their registers stay where they are, in v86; Command is copied, since it says
 * who may send requests.
 */
export class ChipsetFunctions {
  readonly #pci: V86Pci;
  readonly #functions = new Map<number, PciFunction>();

  /** Finds every function on v86's one bus, and puts its like on `bus`. */
  constructor(pci: V86Pci, bus: Bus) {
    this.#pci = pci;
    for (let id = 0; id < FUNCTIONS_ON_A_BUS; id++) {
      const space = pci.device_spaces[id];
      if (space === undefined) continue;
      clearAbsentBars(space, pci.devices[id]?.pci_bars ?? []);
      const identity = dword(space, 0);
      const fn = bus.add({
        kind: "conventional",
        device: id >>> 3,
        function: id & 7,
        vendorId: identity & 0xffff,
        deviceId: identity >>> 16,
        revisionId: dword(space, CLASS) & 0xff,
        classCode: dword(space, CLASS) >>> 8,
      });
      this.#functions.set(id, fn);
    }
    this.follow();
  }

  /** v86's registers of a function; `undefined` when it is none of v86's. */
  spaceOf(id: number): Int32Array | undefined {
    return this.#functions.has(id) ? this.#pci.device_spaces[id] : undefined;
  }

  /** The function with this requester ID. */
  get(id: number): PciFunction | undefined {
    return this.#functions.get(id);
  }

  /** Copies every Command register. */
  follow(): void {
    for (const [id, fn] of this.#functions) {
      const command = dword(this.#pci.device_spaces[id]!, COMMAND) & 0xffff;
      if (fn.config.read(COMMAND, 2) !== command) fn.config.write(COMMAND, 2, command);
    }
  }
}
