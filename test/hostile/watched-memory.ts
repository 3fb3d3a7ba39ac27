import { createBufferMemory, type PhysicalMemory } from "../../src/memory/index.ts";

/** RAM from address 0, and some of it above 4 GiB. */
const LOW_SIZE = 0x10_0000;
const HIGH_SIZE = 0x1_0000;
const HIGH_BASE = 0x1_0000_0000;

/** A write into memory that software did not make. */
export interface MemoryWrite {
  readonly address: number;
  readonly old: Uint8Array;
  readonly now: Uint8Array;
}

/** The quadword at `at` of some bytes. */
export const quadwordAt = (bytes: Uint8Array, at = 0): bigint =>
  new DataView(bytes.buffer, bytes.byteOffset + at, 8).getBigUint64(0, true);

/** Memory that tells of each write that is not software's own, and knows what it should hold. */
export class WatchedMemory {
  readonly memory: PhysicalMemory;
  readonly #bytes = new Uint8Array(LOW_SIZE + HIGH_SIZE);
  readonly #expected = new Uint8Array(LOW_SIZE + HIGH_SIZE);
  readonly #listener: (write: MemoryWrite) => void;
  #own = false;

  constructor(listener: (write: MemoryWrite) => void) {
    this.#listener = listener;
    const onWrite = (address: bigint, length: number): void => this.#wrote(Number(address), length);
    const part = (base: number, from: number, length: number) => ({
      base: BigInt(base),
      length: BigInt(length),
      view: () => this.#bytes.subarray(from, from + length),
      onWrite,
    });
    this.memory = createBufferMemory(part(0, 0, LOW_SIZE), part(HIGH_BASE, LOW_SIZE, HIGH_SIZE));
  }

  #indexOf(address: number): number | undefined {
    if (address < LOW_SIZE) return address;
    const at = address - HIGH_BASE;
    return at >= 0 && at < HIGH_SIZE ? LOW_SIZE + at : undefined;
  }

  #wrote(address: number, length: number): void {
    const at = this.#indexOf(address)!;
    const old = this.#expected.slice(at, at + length);
    const now = this.#bytes.slice(at, at + length);
    this.#expected.set(now, at);
    if (!this.#own) this.#listener({ address, old, now });
  }

  /** Stores quadwords as software does; where there is no memory nothing happens. */
  poke(address: number, ...words: readonly bigint[]): void {
    this.#own = true;
    words.forEach((word, i) => {
      this.memory.write64(BigInt(address + 8 * i), word);
    });
    this.#own = false;
  }

  /** The quadword at `address`, a multiple of 8; `undefined` where there is no memory. */
  read64(address: bigint): bigint | undefined {
    const at = address < 2n ** 40n ? this.#indexOf(Number(address)) : undefined;
    return at === undefined ? undefined : quadwordAt(this.#bytes, at);
  }

  /** Whether memory holds something that came by no write it was told of. */
  get hasChangedUnseen(): boolean {
    return Buffer.compare(this.#bytes, this.#expected) !== 0;
  }
}
