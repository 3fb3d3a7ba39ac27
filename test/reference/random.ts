/** A small seeded generator (xorshift128): the same seed gives the same machines everywhere. */
export class Random {
  #x: number;
  #y: number;
  #z: number;
  #w: number;

  constructor(seed: number) {
    this.#x = seed | 0;
    this.#y = 0x159a_55e5;
    this.#z = 0x1f12_3bb5;
    this.#w = 0x0549_1333 ^ (seed >>> 3);
    for (let i = 0; i < 16; i++) this.next();
  }

  /** An unsigned 32-bit value. */
  next(): number {
    const t = this.#x ^ (this.#x << 11);
    this.#x = this.#y;
    this.#y = this.#z;
    this.#z = this.#w;
    this.#w = this.#w ^ (this.#w >>> 19) ^ t ^ (t >>> 8);
    return this.#w >>> 0;
  }

  /** An integer from 0, below `end`. */
  below(end: number): number {
    return this.next() % end;
  }

  /** True with probability `percent` / 100. */
  chance(percent: number): boolean {
    return this.next() / 0x1_0000_0000 < percent / 100;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  /** A value drawn by its weight. */
  weighted<T>(choices: readonly (readonly [weight: number, value: T])[]): T {
    let at = this.below(choices.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, value] of choices) {
      at -= weight;
      if (at < 0) return value;
    }
    return choices[0]![1];
  }

  /** 64 random bits. */
  bits64(): bigint {
    return (BigInt(this.next()) << 32n) | BigInt(this.next());
  }
}
