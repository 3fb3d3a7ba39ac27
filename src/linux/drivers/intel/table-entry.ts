import type { PhysicalMemory } from "../../../memory/physical-memory.ts";

const bytesOf = (words: readonly bigint[]): Uint8Array => {
  const view = new DataView(new ArrayBuffer(words.length * 8));
  for (const [i, word] of words.entries()) view.setBigUint64(i * 8, word, true);
  return new Uint8Array(view.buffer);
};

/**
 * Writes an entry whose bit 0 says that it is present, so that hardware never
 * sees a part of it: the word with that bit last when it appears, first when
 * it goes, and all of it in one write when one present entry replaces another
 * (VT-d 4.1 §6.5.3.3 lets software do that with the entry's width).
 */
export const writeEntry = (
  memory: PhysicalMemory,
  address: bigint,
  words: readonly bigint[],
): void => {
  const wasPresent = (memory.read64(address)! & 1n) !== 0n;
  const isPresent = (words[0]! & 1n) !== 0n;
  if (wasPresent && isPresent) {
    memory.write(address, bytesOf(words));
    return;
  }
  if (wasPresent) memory.write64(address, words[0]!);
  memory.write(address + 8n, bytesOf(words.slice(1)));
  if (!wasPresent) memory.write64(address, words[0]!);
};
