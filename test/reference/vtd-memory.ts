import {
  type Bank,
  bankOver,
  NO_BANK,
  PhysicalMemory,
  type Region,
} from "../../src/memory/index.ts";

/** Frames at address 0, right below 2^39, and of read-only memory. */
export const LOW_FRAMES = 96;
const HIGH_FRAMES = 24;
const ROM_FRAMES = 8;
const HIGH_BASE = 2n ** 39n - BigInt(HIGH_FRAMES) * 4096n;
export const ROM_BASE = 0x0800_0000n;

const AREAS = [
  { base: 0n, frames: LOW_FRAMES, writable: true },
  { base: HIGH_BASE, frames: HIGH_FRAMES, writable: true },
  { base: ROM_BASE, frames: ROM_FRAMES, writable: false },
];

/** Addresses of all frames that tables can be written to, and of the read-only ones. */
export const RAM_ADDRESSES: readonly bigint[] = AREAS.filter((area) => area.writable).flatMap(
  ({ base, frames }) => Array.from({ length: frames }, (_, i) => base + BigInt(i) * 4096n),
);
export const ROM_ADDRESSES: readonly bigint[] = Array.from(
  { length: ROM_FRAMES },
  (_, i) => ROM_BASE + BigInt(i) * 4096n,
);

/** A small memory with a hole nearly everywhere, two areas of RAM and one that refuses writes. */
export class TestMemory {
  readonly memory: PhysicalMemory;
  /** All areas one after another. */
  readonly bytes: Uint8Array;
  readonly #qwords: BigUint64Array;

  constructor() {
    const frames = AREAS.reduce((sum, area) => sum + area.frames, 0);
    this.bytes = new Uint8Array(frames * 4096);
    this.#qwords = new BigUint64Array(this.bytes.buffer);
    let offset = 0;
    const regions = AREAS.map(({ base, frames: count, writable }): Region => {
      const bank: Bank = bankOver(this.bytes.buffer, offset, Number(base >> 12n), count);
      offset += count * 4096;
      return {
        firstPfn: bank.firstPfn,
        endPfn: bank.firstPfn + count,
        bankToRead: () => bank,
        bankToWrite: () => (writable ? bank : NO_BANK),
      };
    });
    this.memory = new PhysicalMemory(regions);
  }

  #indexOf(address: bigint): number | undefined {
    let index = 0;
    for (const { base, frames } of AREAS) {
      const offset = address - base;
      if (offset >= 0n && offset < BigInt(frames) * 4096n) return index + Number(offset >> 3n);
      index += frames * 512;
    }
    return undefined;
  }

  read64(address: bigint): bigint | undefined {
    const index = this.#indexOf(address);
    return index === undefined ? undefined : this.#qwords[index]!;
  }

  /** What a translation may write: not read-only memory. */
  write64(address: bigint, value: bigint): boolean {
    if (address >= ROM_BASE && address < ROM_BASE + BigInt(ROM_FRAMES) * 4096n) return false;
    return this.poke(address, value);
  }

  /** Writes whatever memory it is. */
  poke(address: bigint, value: bigint): boolean {
    const index = this.#indexOf(address);
    if (index === undefined) return false;
    this.#qwords[index] = value;
    return true;
  }

  clear(): void {
    this.bytes.fill(0);
  }

  copyFrom(other: TestMemory): void {
    this.bytes.set(other.bytes);
  }
}
