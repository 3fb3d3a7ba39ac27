/** What one round of a job found. */
export interface Round {
  /** Nanoseconds for one operation, in the quickest slice of the round. */
  readonly ns: number;
  /** A sum over the answers, modulo 2^32: both languages must find the same. */
  readonly sum: number;
  /** Page-table entries read for one operation. */
  readonly reads: number;
}

/** Does one round; the job has prepared everything it needs. */
export type RunRound = () => Round;

/** Nanoseconds since some moment. */
export const nowNs = (): number => performance.now() * 1e6;
