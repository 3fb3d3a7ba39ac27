import { Target } from "./target.ts";

const LINE_LG2 = 3;
/** Requester ID in bits 15:0, the generation in which the line was written in bits 31:16. */
const KEY = 0;
const PASID = 1;
/** Offset of the IOTLB tag of a device and PASID. */
export const TAG = 2;
/**
 * Offset of what becomes of `access`: in bits 7:0 what is or-ed into it, the
 * privilege of requests without a PASID; in bits 15:8 what the target refuses
 * whatever its tables say.
 */
export const ACCESS = 3;
export const REFUSED_SHIFT = 8;
/** Offset of the tag of the second stage below, where nested. */
export const SECOND_TAG = 5;
/** Offset of FPD: 1 when an entry on the way has it. */
export const FPD = 6;

/** log2 of the lines. More devices and PASIDs than that in turn cost the context and PASID caches' look-ups. */
const LINES_LG2 = 10;

/** The first word of the line in which the pair has its place. */
const placeOf = (source: number, pasid: number): number =>
  (((Math.imul(pasid, 0x9e3779b1) >>> 16) ^ source ^ (source >>> 8)) & ((1 << LINES_LG2) - 1)) <<
  LINE_LG2;

/** What a line holds besides its pair and target. */
export interface Binding {
  readonly tag: number;
  readonly secondTag: number;
  readonly extraAccess: number;
  readonly refusedAccess: number;
  readonly fpd: boolean;
}

/**
 * From source and PASID straight to an IOTLB tag and a target, so that an
 * ordinary request needs neither the context cache nor the PASID cache. It is
 * no cache of its own in the architecture's sense: whatever changes one of those
 * two, or invalidates more than pages, empties it.
 */
export class Bindings {
  readonly words: Int32Array = new Int32Array(1 << (LINES_LG2 + LINE_LG2));
  readonly #targets: Target[] = new Array<Target>(1 << LINES_LG2).fill(new Target());
  /** In bits 31:16, so that it joins a requester ID; never 0, which empty lines have. */
  #generation = 1 << 16;

  /** @returns the index of the line's first word, or -1 */
  find(source: number, pasid: number): number {
    const at = placeOf(source, pasid);
    const { words } = this;
    const key = source | this.#generation;
    return words[at | KEY] === key && words[at | PASID] === pasid ? at : -1;
  }

  /** How requests of the line's pair are translated. */
  targetOf(line: number): Target {
    return this.#targets[line >> LINE_LG2]!;
  }

  /**
   * Remembers how requests of the pair are translated. The target must not
   * change before the next `clear`.
   *
   * @returns the index of the line's first word
   */
  put(source: number, pasid: number, target: Target, binding: Binding): number {
    const at = placeOf(source, pasid);
    const { words } = this;
    words[at | KEY] = source | this.#generation;
    words[at | PASID] = pasid;
    words[at | TAG] = binding.tag;
    words[at | ACCESS] = binding.extraAccess | (binding.refusedAccess << REFUSED_SHIFT);
    words[at | SECOND_TAG] = binding.secondTag;
    words[at | FPD] = binding.fpd ? 1 : 0;
    this.#targets[at >> LINE_LG2] = target;
    return at;
  }

  /** Forgets all. */
  clear(): void {
    this.#generation = (this.#generation + (1 << 16)) | 0;
    if (this.#generation === 0) {
      this.words.fill(0);
      this.#generation = 1 << 16;
    }
  }
}
