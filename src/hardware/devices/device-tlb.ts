import { type AtsInvalidation, type InFlightRequests, NO_PASID } from "../pci/index.ts";

/** How a device answers invalidations. */
export type InvalidationAnswers =
  /** Once its requests that use what was dropped are over. */
  | "in-time"
  /** When `answer` is called. */
  | "late"
  | "never"
  /** In time, but naming another invalidation. */
  | "wrong";

/** A translation that a device keeps. */
export interface CachedTranslation {
  /** The PASID, or `NO_PASID`. */
  readonly pasid: number;
  /** Whether it was asked for with privilege. */
  readonly privileged: boolean;
  /** First address of the range. */
  readonly address: bigint;
  /** log2 of its size in bytes. */
  readonly sizeLg2: number;
  /** Physical address of its first byte. */
  readonly target: bigint;
  /** `READ`, `WRITE` and `EXECUTE`, or-ed. */
  readonly granted: number;
}

/** Translations kept at once; the oldest goes first. */
const MAX_TRANSLATIONS = 64;

const lastOf = ({ address, sizeLg2 }: Pick<CachedTranslation, "address" | "sizeLg2">): bigint =>
  address + (1n << BigInt(sizeLg2)) - 1n;

/**
 * A device's cache of translations. It keeps what ATS answered until it is told
 * to drop it: a translation that the tables no longer hold is used meanwhile.
 */
export class DeviceTlb {
  readonly #answers: InvalidationAnswers;
  readonly #inFlight: InFlightRequests;
  #translations: CachedTranslation[] = [];
  readonly #owed: (() => void)[] = [];

  /** @param inFlight the device's own requests in flight */
  constructor(answers: InvalidationAnswers, inFlight: InFlightRequests) {
    this.#answers = answers;
    this.#inFlight = inFlight;
  }

  /** The translations kept, oldest first. */
  get translations(): readonly CachedTranslation[] {
    return this.#translations;
  }

  /** Invalidations that `answer` would answer. */
  get owed(): number {
    return this.#owed.length;
  }

  /** The translation that holds `address`. */
  find(address: bigint, pasid: number, privileged: boolean): CachedTranslation | undefined {
    return this.#translations.find(
      (kept) =>
        kept.pasid === pasid &&
        kept.privileged === privileged &&
        kept.address <= address &&
        address <= lastOf(kept),
    );
  }

  /** Keeps a translation in place of one that holds the same address. */
  keep(translation: CachedTranslation): void {
    const { address, pasid, privileged } = translation;
    const old = this.find(address, pasid, privileged);
    this.#translations = this.#translations.filter((kept) => kept !== old);
    if (this.#translations.length >= MAX_TRANSLATIONS) this.#translations.shift();
    this.#translations.push(translation);
  }

  /** Drops what `what` covers, and answers in its way (PCIe 6.3 §10.3.3). */
  invalidate(what: AtsInvalidation, completed: (right?: boolean) => void): void {
    this.#translations = this.#translations.filter((kept) => !covers(what, kept));
    const answer = (): void => completed(this.#answers !== "wrong");
    if (this.#answers === "never") return;
    if (this.#answers === "late") this.#owed.push(answer);
    else this.#inFlight.whenEarlierDone(answer);
  }

  /** Answers everything that has been put off. */
  answer(): void {
    for (const answer of this.#owed.splice(0)) this.#inFlight.whenEarlierDone(answer);
  }

  /** Drops everything, unasked. */
  clear(): void {
    this.#translations = [];
  }
}

const covers = (what: AtsInvalidation, kept: CachedTranslation): boolean =>
  (what.pasid === kept.pasid || (what.global && kept.pasid !== NO_PASID)) &&
  what.address <= lastOf(kept) &&
  kept.address <= lastOf(what);
