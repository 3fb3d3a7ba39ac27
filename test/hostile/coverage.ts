/** How often a campaign has met what. */
export class Coverage {
  readonly #counts = new Map<string, number>();

  count(what: string, times = 1): void {
    this.#counts.set(what, this.of(what) + times);
  }

  of(what: string): number {
    return this.#counts.get(what) ?? 0;
  }

  /** What begins with `prefix`, without it, in order. */
  kinds(prefix: string): string[] {
    return [...this.#counts.keys()]
      .filter((what) => what.startsWith(prefix))
      .map((what) => what.slice(prefix.length))
      .sort();
  }
}
