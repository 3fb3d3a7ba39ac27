import { Target } from "./target.ts";

/** One context entry, decoded. In legacy mode it says everything; in scalable mode it leads to a PASID directory. */
export class Context {
  /** Requester ID; -1 when the line is empty. */
  source = -1;
  fpd = false;
  legacy = false;
  /** Legacy mode: how requests are translated, and the domain that invalidation goes by. */
  readonly target: Target = new Target();
  /** Scalable mode: frame of the PASID directory. */
  pfn = 0;
  /** Device TLBs are served. */
  deviceTlb = false;
  /** Requests with a PASID are served. */
  pasids = false;
  /** Page requests are served. */
  pageRequests = false;
  /** PASIDs the directory has room for: below this. */
  pasidLimit = 0;
  /** The PASID of requests without one. */
  ridPasid = 0;
  /** Requests without a PASID are privileged. */
  ridPrivileged = false;
}

/** The context cache: direct-mapped by source, tagged by source (§6.2.2.1). */
export class ContextCache {
  readonly #lines: readonly Context[];

  /** @param lg2 log2 of the number of lines */
  constructor(lg2: number) {
    this.#lines = Array.from({ length: 1 << lg2 }, () => new Context());
  }

  /** The line in which `source` has its place, whoever is in it. */
  lineOf(source: number): Context {
    return this.#lines[(source ^ (source >>> 8)) & (this.#lines.length - 1)]!;
  }

  /** Drops the lines for which `covers` holds. */
  drop(covers: (line: Context) => boolean): void {
    for (const line of this.#lines) {
      if (line.source >= 0 && covers(line)) line.source = -1;
    }
  }

  /** The lines in use. */
  used(): Context[] {
    return this.#lines.filter((line) => line.source >= 0);
  }
}
