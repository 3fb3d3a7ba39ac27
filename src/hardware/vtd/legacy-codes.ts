/** The codes of legacy mode for the second-stage codes of scalable mode (§7.1.3). */
const LEGACY_CODES: ReadonlyMap<number, number> = new Map([
  [0x78, 0x07],
  [0x7a, 0x0c],
  [0x7b, 0x03],
  [0x83, 0x04],
  [0x84, 0x04],
  [0x85, 0x05],
  [0x86, 0x06],
  [0x87, 0x0e],
]);

/**
 * @param code of scalable mode
 * @param write whether the request writes: legacy mode has no code for a page that is not present
 */
export const legacyCode = (code: number, write: boolean): number =>
  code === 0x79 ? (write ? 0x05 : 0x06) : (LEGACY_CODES.get(code) ?? code);
