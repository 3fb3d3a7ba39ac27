/** Runs that one magazine holds. */
const MAGAZINE_SIZE = 127;

type Magazine = number[];

/**
 * Runs of one size that were given back and are handed out again, the last one
 * first, without a look at the address space. Two magazines are at hand, so
 * that give and take at the edge of one do not change it every time; full ones
 * go to a depot.
 */
export class IovaCache {
  #loaded: Magazine = [];
  #previous: Magazine = [];
  readonly #depot: Magazine[] = [];

  /** Runs in it. */
  get size(): number {
    return (
      this.#loaded.length +
      this.#previous.length +
      this.#depot.reduce((total, { length }) => total + length, 0)
    );
  }

  /** @returns a run that begins at `highest` or below; `undefined` when the magazine at hand has none */
  take(highest: number): number | undefined {
    if (this.#loaded.length === 0) {
      if (this.#previous.length > 0) this.#exchange();
      else this.#loaded = this.#depot.pop() ?? this.#loaded;
    }
    const index = this.#loaded.findLastIndex((first) => first <= highest);
    if (index < 0) return undefined;
    const first = this.#loaded[index]!;
    const last = this.#loaded.pop()!;
    if (index < this.#loaded.length) this.#loaded[index] = last;
    return first;
  }

  put(first: number): void {
    if (this.#loaded.length === MAGAZINE_SIZE) {
      if (this.#previous.length < MAGAZINE_SIZE) this.#exchange();
      else {
        this.#depot.push(this.#loaded);
        this.#loaded = [];
      }
    }
    this.#loaded.push(first);
  }

  #exchange(): void {
    [this.#loaded, this.#previous] = [this.#previous, this.#loaded];
  }

  /** Whether the depot has more than a processor can use soon. */
  get hasExcess(): boolean {
    return this.#depot.length > 1;
  }

  /** Takes one magazine out of the depot. */
  shrink(): readonly number[] {
    return this.#depot.pop() ?? [];
  }

  /** Takes everything out. */
  drain(): readonly number[] {
    const all = [...this.#depot.splice(0).flat(), ...this.#previous, ...this.#loaded];
    this.#loaded = [];
    this.#previous = [];
    return all;
  }
}
