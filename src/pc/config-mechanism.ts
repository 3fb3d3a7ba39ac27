import type { ConfigWidth, Topology } from "../hardware/pci/index.ts";
import type { ChipsetFunctions } from "./chipset-functions.ts";
import { ECAM_BASE, ECAM_BUS_LENGTH } from "./memory-map.ts";
import type { MmioWindow } from "./mmio-windows.ts";
import type { V86Pci } from "./v86.ts";

/** CONFIG_ADDRESS bit 31 as v86 reads it back: there is a function. */
const PRESENT = 0x8000_0000 | 0;

/** Size of what mechanism 1 reaches. */
const CONVENTIONAL = 256;
const COMMAND = 4;

const maskOf = (width: ConfigWidth): number => (width === 4 ? -1 : (1 << (width * 8)) - 1);

/**
 * Both ways to configuration space, ports CF8 and CFC and the enhanced
 * mechanism's window (PCIe 6.3 §7.2.2), over all functions: ours, at any bus,
 * and v86's.
 *
 * v86's own mechanism knows no bus but the first, writes whatever it is told
 * into a function's registers, and fails where there is no function.
 */
export class ConfigMechanism {
  readonly #pci: V86Pci;
  readonly #topology: Topology;
  readonly #chipset: ChipsetFunctions;
  readonly #writeChipset: (id: number, offset: number, width: ConfigWidth, value: number) => void;

  constructor(pci: V86Pci, topology: Topology, chipset: ChipsetFunctions) {
    this.#pci = pci;
    this.#topology = topology;
    this.#chipset = chipset;
    const { pci_write8, pci_write16, pci_write32 } = pci;
    const original = { 1: pci_write8, 2: pci_write16, 4: pci_write32 };
    this.#writeChipset = (id, offset, width, value) =>
      original[width].call(pci, (id << 8) | offset, value);
    pci.pci_query = () => this.#query();
    pci.pci_write8 = (address, value) => this.#portWrite(address, 1, value);
    pci.pci_write16 = (address, value) => this.#portWrite(address, 2, value);
    pci.pci_write32 = (address, value) => this.#portWrite(address, 4, value);
  }

  #query(): void {
    const { pci_addr: address, pci_response32: response, pci_status32: status } = this.#pci;
    const id = (address[2]! << 8) | address[1]!;
    const present = this.#topology.lookup(0, id) !== undefined;
    status[0] = present ? PRESENT : 0;
    response[0] = this.read(id, address[0]! & 0xfc, 4);
  }

  #portWrite(address: number, width: ConfigWidth, value: number): void {
    this.write((address >>> 8) & 0xffff, address & 0xff, width, value);
    // v86 answers reads of the data port from what it found when the address was written.
    this.#query();
  }

  /** Reads configuration space; all ones where there is no function. The result is unsigned. */
  read(id: number, offset: number, width: ConfigWidth): number {
    const space = this.#chipset.spaceOf(id);
    if (space === undefined || offset + width > CONVENTIONAL) {
      return this.#topology.readConfig(0, id, offset, width);
    }
    const word = space[offset >>> 2]! >>> ((offset & 3) * 8);
    return (word & maskOf(width)) >>> 0;
  }

  /** Writes configuration space; nothing happens where there is no function. */
  write(id: number, offset: number, width: ConfigWidth, value: number): void {
    if (this.#chipset.spaceOf(id) === undefined) {
      this.#topology.writeConfig(0, id, offset, width, value);
      return;
    }
    if (offset + width > CONVENTIONAL) return;
    // v86 drops a write of Command and Status together; Status has nothing that could be cleared.
    if (offset === COMMAND && width === 4) this.#writeChipset(id, offset, 2, value & 0xffff);
    else this.#writeChipset(id, offset, width, width === 4 ? value | 0 : value & maskOf(width));
    this.#chipset.follow();
  }

  /** The window of the enhanced mechanism for buses 0 to `lastBus`. */
  window(lastBus: number): MmioWindow {
    return {
      base: ECAM_BASE,
      length: (lastBus + 1) * ECAM_BUS_LENGTH,
      read: (offset, width) => this.read(offset >>> 12, offset & 0xfff, width),
      write: (offset, width, value) => this.write(offset >>> 12, offset & 0xfff, width, value),
    };
  }
}
