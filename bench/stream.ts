/** Requests of a stream. */
export const STREAM = 65536;
/** The first page of everything that is mapped: 64 GiB, so that both halves of an address matter. */
export const FIRST_VFN = 0x100_0000;
/** What it is mapped to: 4 GiB and up, out of the way of the interrupt range. */
export const FIRST_PFN = 0x10_0000;

/** xorshift32 from 1; the C programs have the same one. Each call gives a number below `limit`. */
export const createRandom = (): ((limit: number) => number) => {
  let state = 1;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
};

/** `STREAM` numbers below `limit`. */
export const createStream = (limit: number): Int32Array => {
  const random = createRandom();
  return Int32Array.from({ length: STREAM }, () => random(limit));
};
