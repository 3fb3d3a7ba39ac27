/** Something holds what cannot be saved; the message names it. */
export class SaveRefusedError extends Error {
  constructor(what: string) {
    super(`cannot be saved now: ${what}`);
    this.name = "SaveRefusedError";
  }
}

/** What was saved does not fit what it is to be restored into, or is damaged. */
export class RestoreError extends Error {
  constructor(why: string) {
    super(`cannot be restored: ${why}`);
    this.name = "RestoreError";
  }
}

/** The 32-bit words of some bytes that are not 0: pairs of an offset in bytes, a multiple of 4, and a value. */
export type SavedWords = readonly (readonly [offset: number, value: number])[];

/** @param bytes their count is a multiple of 4 */
export const saveWords = (bytes: Uint8Array): SavedWords => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const words: [number, number][] = [];
  for (let offset = 0; offset < bytes.length; offset += 4) {
    const value = view.getUint32(offset, true);
    if (value !== 0) words.push([offset, value]);
  }
  return words;
};

/**
 * Puts `bytes` back to what `saveWords` saw.
 *
 * @throws RestoreError when a word lies outside
 */
export const restoreWords = (bytes: Uint8Array, words: SavedWords): void => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  bytes.fill(0);
  for (const [offset, value] of words) {
    if (!(offset >= 0 && offset + 4 <= bytes.length)) {
      throw new RestoreError(`a word at ${offset} of ${bytes.length} bytes`);
    }
    view.setUint32(offset, value, true);
  }
};
