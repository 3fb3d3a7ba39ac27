/** Where things are in the machine that both sides have. */

/** RAM of both machines: from 0, in bytes. */
export const RAM_SIZE = 0x100_0000;

/** Tables, queues and data lie here. It is compared after every case, the rest of RAM now and then. */
export const ARENA_BASE = 0x10_0000;
export const ARENA_SIZE = 0x4_0000;
export const ARENA_END: number = ARENA_BASE + ARENA_SIZE;

/** Through which the device's buffer is filled and fetched, behind the arena. */
export const EXCHANGE: number = ARENA_BASE + ARENA_SIZE;

/** An address that is in no memory of either machine. */
export const NOWHERE = 0x2000_0000n;

/** The unit's register page on a Q35. */
export const UNIT_BASE = 0xfed9_0000;

/** The parts of it in which QEMU has registers, as offset and length; compared after every step. */
export const REGISTER_RANGES: readonly (readonly [offset: number, length: number])[] = [
  [0, 0x100],
  [0x220, 0x10],
];
/** Bytes of all of them. */
export const REGISTERS_SIZE: number = REGISTER_RANGES.reduce((sum, [, length]) => sum + length, 0);

/** The register offset of byte `at` of the ranges laid one behind another. */
export const registerOffset = (at: number): number => {
  let rest = at;
  for (const [offset, length] of REGISTER_RANGES) {
    if (rest < length) return offset + rest;
    rest -= length;
  }
  throw new RangeError(`no register byte ${at}`);
};

/** Requester ID of the device that makes the DMA: 00:04.0. */
export const DEVICE_SOURCE = 0x20;
/** How much of the device's own buffer is used, in bytes: QEMU 7.2 lets no DMA reach its last byte. */
export const DEVICE_BUFFER = 4088;
