/**
 * How much of a file is believed. Everything that a capture can make large is
 * bounded here, and each bound is far above what a machine needs.
 */

/** Bytes of physical address space: VT-d and AMD addresses have at most 52 bits. */
export const MAX_RAM: bigint = 1n << 52n;
/** Ranges of RAM, after those side by side have been joined. */
export const MAX_RAM_RANGES = 4096;
/** Pages stored in a capture: 512 MiB of tables, which map 256 TiB in 4 KiB pages. */
export const MAX_PAGES: number = 2 ** 17;
/** Bytes of a JSON file, unpacked. */
export const MAX_JSON_BYTES: number = 32 * 2 ** 20;
/** Values in one JSON text, inner ones included. */
export const MAX_JSON_VALUES: number = 2 ** 20;
/** Arrays and objects inside each other. */
export const MAX_JSON_DEPTH = 32;
/** Bytes of an expected list, unpacked. */
export const MAX_LIST_BYTES: number = 256 * 2 ** 20;
/** Lines of an expected list. */
export const MAX_MAPPINGS: number = 2 ** 21;
/** Bytes of a compressed image or core, unpacked: it has to be held in memory whole. */
export const MAX_UNPACKED_IMAGE: number = 512 * 2 ** 20;
/** Bytes by which a compressed file may exceed what it unpacks to. */
export const MAX_PACKING_LOSS: number = 64 * 2 ** 10;
/** Program headers of an ELF core. */
export const MAX_SEGMENTS: number = 2 ** 18;
/** Moments of one capture. */
export const MAX_MOMENTS = 1024;
/** Bytes of register space that a register file may describe. */
export const MAX_REGISTER_SPACE = 0x8000;
/** Frames of a file that are kept after they were read: 16 MiB. */
export const CACHED_FRAMES = 4096;
/** Frames over a file that can be written: 256 MiB. A write to a further one is refused, as outside memory. */
export const MAX_WRITTEN_FRAMES: number = 2 ** 16;
/** Bytes of a recorded trace or descriptor list, unpacked. */
export const MAX_TRACE_BYTES: number = 256 * 2 ** 20;
/** Lines of such a file. */
export const MAX_TRACE_LINES: number = 2 ** 21;
