import { Target } from "./target.ts";

/** One PASID entry, decoded, and whose it is. */
export class PasidLine {
  /** Requester ID; -1 when the line is empty. */
  source = -1;
  /** The PASID, the RID's for requests without one. */
  pasid = 0;
  readonly target: Target = new Target();
}

/** The PASID cache: direct-mapped by source and PASID, tagged by both, its domain that of the entry (§6.2.2.2). */
export class PasidCache {
  readonly #lines: readonly PasidLine[];

  /** @param lg2 log2 of the number of lines */
  constructor(lg2: number) {
    this.#lines = Array.from({ length: 1 << lg2 }, () => new PasidLine());
  }

  /** The line in which the pair has its place, whoever is in it. */
  lineOf(source: number, pasid: number): PasidLine {
    const mixed = Math.imul(source ^ Math.imul(pasid, 0x2c1b3c6d), 0x9e3779b1) >>> 16;
    return this.#lines[mixed & (this.#lines.length - 1)]!;
  }

  /** Drops the lines for which `covers` holds. */
  drop(covers: (line: PasidLine) => boolean): void {
    for (const line of this.#lines) {
      if (line.source >= 0 && covers(line)) line.source = -1;
    }
  }

  /** The lines in use. */
  used(): PasidLine[] {
    return this.#lines.filter((line) => line.source >= 0);
  }
}
