/** Where things are in the machine that both sides have. */

/** RAM of both machines: from 0, in bytes. */
export const RAM_SIZE = 0x100_0000;

/** What is compared after each step: tables, queues and data lie here. Below it, and nowhere else in RAM, QEMU keeps firmware. */
export const ARENA_BASE = 0x10_0000;
export const ARENA_SIZE = 0x4_0000;
export const ARENA_END: number = ARENA_BASE + ARENA_SIZE;

/** An address that is in no memory of either machine. */
export const NOWHERE = 0x2000_0000n;

/** The unit's register page on a Q35. */
export const UNIT_BASE = 0xfed9_0000;
/** How many bytes of it are compared: everything that QEMU has registers in. */
export const REGISTERS_SIZE = 0x240;

/** Requester ID of the device that makes the DMA: 00:04.0. */
export const DEVICE_SOURCE = 0x20;
/** Size of the device's own buffer, in bytes. */
export const DEVICE_BUFFER = 4096;
