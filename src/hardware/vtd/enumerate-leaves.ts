import type { Budget } from "./enumerate-limits.ts";

/** Why an entry leads nowhere: it has reserved bits, or it points at a table where there is no memory. */
export type ProblemKind = "reserved-bit" | "outside-memory";

/** Paging entries that were refused: those side by side that have the same kind of problem. */
export interface PagingProblem {
  readonly kind: ProblemKind;
  /**
   * Physical address of the first refused entry, or where the table would be
   * that the first one points to; a guest physical address where a second stage
   * leaves a first-stage table out.
   */
  readonly address: bigint;
  /** The first input address that is lost, as a page frame number. */
  readonly iovaFrame: number;
  /** How many page frames of the input are lost. */
  readonly frames: number;
}

/** How far the addresses of neighbours lie apart: entries, and tables. */
const STRIDES: Readonly<Record<ProblemKind, bigint>> = {
  "reserved-bit": 8n,
  "outside-memory": 4096n,
};

type OpenProblem = { -readonly [K in keyof PagingProblem]: PagingProblem[K] };

const EMPTY = new Float64Array(0);

const grown = <T extends Float64Array | Uint8Array>(from: T, into: T): T => {
  into.set(from);
  return into;
};

/**
 * What the page tables of one address space map: the leaves by input address,
 * in columns, and the entries that were refused.
 */
export class LeafList {
  count = 0;
  /** Input address as a page frame number, sign-extended to 52 bits. */
  iovaFrames: Float64Array = EMPTY;
  /** Output address as a page frame number. */
  outFrames: Float64Array = EMPTY;
  /** log2 of the size in bytes. */
  sizesLg2: Uint8Array = new Uint8Array(0);
  /** `PROT_READ`, `PROT_WRITE` and `PROT_USER`, of all levels and stages. */
  prots: Uint8Array = new Uint8Array(0);
  /** By input address. */
  readonly problems: PagingProblem[] = [];
  /** The code of the fault that every request meets because the top table cannot be read; 0 when it can. */
  fault = 0;
  readonly #budget: Budget;
  readonly #most: number;
  /** The address of the last entry of the last problem. */
  #lastAddress = -1n;

  constructor(budget: Budget) {
    this.#budget = budget;
    this.#most = budget.left("mappings");
  }

  /** Adds a leaf of 2^`framesLg2` page frames. */
  add(iovaFrame: number, outFrame: number, framesLg2: number, prot: number): void {
    const at = this.count;
    if (at === this.#most) {
      this.#budget.exceed("mappings");
      return;
    }
    if (at === this.prots.length) this.#grow();
    this.iovaFrames[at] = iovaFrame;
    this.outFrames[at] = outFrame;
    this.sizesLg2[at] = framesLg2 + 12;
    this.prots[at] = prot;
    this.count = at + 1;
  }

  /** Adds an entry that was refused, to the one before it where they are neighbours in the input and in memory. */
  addProblem(kind: ProblemKind, address: bigint, iovaFrame: number, framesLg2: number): void {
    const frames = 2 ** framesLg2;
    const last = this.problems.at(-1) as OpenProblem | undefined;
    const step = address - this.#lastAddress;
    if (
      last?.kind === kind &&
      last.iovaFrame + last.frames === iovaFrame &&
      (step === 0n || step === STRIDES[kind])
    ) {
      last.frames += frames;
    } else {
      if (!this.#budget.spend("problems", 1)) return;
      this.problems.push({ kind, address, iovaFrame, frames });
    }
    this.#lastAddress = address;
  }

  #grow(): void {
    const length = Math.max(64, this.prots.length * 2);
    this.iovaFrames = grown(this.iovaFrames, new Float64Array(length));
    this.outFrames = grown(this.outFrames, new Float64Array(length));
    this.sizesLg2 = grown(this.sizesLg2, new Uint8Array(length));
    this.prots = grown(this.prots, new Uint8Array(length));
  }
}
