import { createHash } from "node:crypto";

/** A disk's contents, the same in every run: no two sectors alike. */
export const diskContents = (bytes: number): Uint8Array => {
  const words = new Uint32Array(bytes / 4);
  let state = 0x2545_f491;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return new Uint8Array(words.buffer);
};

/** As `sha256sum` prints it. */
export const sha256 = (bytes: Uint8Array): string =>
  createHash("sha256").update(bytes).digest("hex");
