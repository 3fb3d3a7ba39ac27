/** Where things are in the PC's address space. All of it lies below 4 GiB: v86 has no more. */

/** v86's memory map has entries of this many bytes. */
export const MAP_GRANULE = 0x2_0000;

/** Firmware tables; the area is searched for them, and no kernel uses it as RAM. */
export const FIRMWARE_BASE = 0xe_0000;
export const FIRMWARE_END = 0x10_0000;

/** Extended configuration space: 1 MiB for each bus. */
export const ECAM_BASE = 0xb000_0000;
export const ECAM_BUS_LENGTH = 0x10_0000;

/** What the host bridge passes on to PCI; `end` is exclusive. v86's display has its memory at the beginning. */
export const PCI_WINDOW = { base: 0xe000_0000, end: 0xfec0_0000 } as const;
/** Where our functions' base address registers lie, inside that window. */
export const BAR_WINDOW = { base: 0xf000_0000, end: 0xfe80_0000 } as const;

export const IO_APIC_BASE = 0xfec0_0000;
/** Register window of the first remapping unit. */
export const UNIT_BASE = 0xfed9_0000;
export const LOCAL_APIC_BASE = 0xfee0_0000;

/** v86's power management block, in I/O ports: PM1a event, PM1a control, timer and general purpose events. */
export const POWER_MANAGEMENT = {
  event: 0xb000,
  control: 0xb004,
  timer: 0xb008,
  generalPurpose: 0xafe0,
} as const;
/** The interrupt of that block. */
export const POWER_MANAGEMENT_IRQ = 9;

/** The interrupts of PCI's four interrupt lines, A to D of device 1. */
export const PCI_LINE_IRQS: readonly [number, number, number, number] = [10, 10, 11, 11];
