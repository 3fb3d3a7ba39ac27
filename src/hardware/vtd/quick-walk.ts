import { FAR, nearFrame } from "../../bits/halves.ts";
import { NO_BANK, WORDS_LG2 } from "../../memory/bank.ts";
import { type DmaRequest, READ, WRITE } from "../pci/dma-request.ts";
import {
  ACCESSED,
  DIRTY,
  EXECUTE_DISABLE,
  EXTENDED_ACCESSED,
  keptRights,
  PAGE_SIZE_BIT,
  PRESENT,
  SECOND_ACCESSED,
  SECOND_DIRTY,
  USER,
  WRITABLE,
} from "./entry-bits.ts";
import {
  ADDRESS_HI,
  ADDRESS_LO,
  type EntryChecks,
  pageHoldsInterrupts,
  tableIndex,
} from "./entry-checks.ts";
import type { FirstStage } from "./first-stage.ts";
import { secondStageRights } from "./rights.ts";
import type { SecondStage } from "./second-stage.ts";
import type { StructureCache } from "./structure-cache.ts";
import { FIRST_STAGE, NESTED, SECOND_STAGE, type Target } from "./target.ts";
import { OUT_HI, OUT_LO, PAGE_LG2, RIGHTS } from "./translation-cache.ts";
import type { WalkParts } from "./walk-parts.ts";

const READ_WRITE = READ | WRITE;

/** The last frame that is an int32, which is what this walk knows. */
const FARTHEST = 0x7fff_ffff;

/**
 * The walk of a request that nothing refuses and that changes no entry: all
 * permissions are there, all flags are set, no reserved bit is. That is nearly
 * every walk, and checking for it takes one comparison an entry.
 *
 * Whatever is otherwise, it gives up, and `FirstStage` and `SecondStage` begin
 * again to find out what it is. It decides nothing that they would not.
 */
export class QuickWalk {
  readonly #parts: WalkParts;
  readonly #first: FirstStage;
  readonly #second: SecondStage;
  readonly #executeRequests: boolean;
  readonly #cleanKeepsWrite: boolean;
  /** What the last walk has come to. */
  #outHi = 0;
  #outLo = 0;
  #pageLg2 = 12;
  /** The leaf's low half, and what all entries above and in it permit. */
  #leafLo = 0;
  #rights = 0;

  constructor(parts: WalkParts, first: FirstStage, second: SecondStage) {
    this.#parts = parts;
    this.#first = first;
    this.#second = second;
    this.#executeRequests = parts.capabilities.has("ERS");
    this.#cleanKeepsWrite = parts.capabilities.deviations.dirtyWithAccessedOnly;
  }

  /**
   * @param access as in `DmaRequest`
   * @param tag the space's tag
   * @param secondTag the tag of the second stage, where nested
   * @returns whether `request` has been answered; if not, the answer in it is as it was
   */
  walk(
    request: DmaRequest,
    target: Target,
    access: number,
    tag: number,
    secondTag: number,
  ): boolean {
    if ((access & ~READ_WRITE) !== 0 || this.#parts.trace.enabled === true) return false;
    const { hi, lo } = request;
    const { type } = target;
    const answered =
      type === FIRST_STAGE
        ? this.#walkFirst(tag, target, hi, lo, access)
        : type === SECOND_STAGE
          ? this.#walkSecond(tag, target, hi, lo, access)
          : type === NESTED && this.#walkNested(tag, secondTag, target, hi, lo, access);
    if (!answered) return false;
    const { counters } = this.#parts;
    counters.walks++;
    counters.quickWalks++;
    request.outHi = this.#outHi;
    request.outLo = this.#outLo;
    request.pageLg2 = this.#pageLg2;
    request.granted = access;
    request.fault = undefined;
    return true;
  }

  #walkFirst(tag: number, target: Target, hi: number, lo: number, access: number): boolean {
    const { structures, checks } = this.#first;
    const { firstStagePfn, firstStageLevels } = target;
    const must = firstStageMust(target, access);
    const dirty = (access & WRITE) === 0 ? 0 : DIRTY;
    if (
      !this.#first.isCanonical(target, hi, lo) ||
      !this.#descend(structures, checks, tag, firstStagePfn, firstStageLevels, hi, lo, must, dirty)
    ) {
      return false;
    }
    const kept = this.#keptFirst(target);
    this.#parts.iotlb.put(tag, hi, lo, this.#pageLg2, kept, this.#outHi, this.#outLo);
    return true;
  }

  #keptFirst(target: Target): number {
    const rights = this.#rights;
    const dirty = (this.#leafLo & DIRTY) !== 0 || this.#cleanKeepsWrite;
    const executable = !this.#executeRequests || (rights & EXECUTE_DISABLE) === 0;
    return keptRights(target, rights, dirty, executable);
  }

  /** Leaves what the IOTLB keeps in `#rights`. */
  #walkSecond(tag: number, target: Target, hi: number, lo: number, need: number): boolean {
    const { structures, checks } = this.#second;
    const { secondStagePfn, secondStageLevels, secondStageFlags } = target;
    const must = secondStageFlags ? need | SECOND_ACCESSED : need;
    const dirty = secondStageFlags && (need & WRITE) !== 0 ? SECOND_DIRTY : 0;
    if (
      !this.#second.hasWidthFor(target, hi) ||
      !this.#descend(
        structures,
        checks,
        tag,
        secondStagePfn,
        secondStageLevels,
        hi,
        lo,
        must,
        dirty,
      )
    ) {
      return false;
    }
    const clean = secondStageFlags && (this.#leafLo & SECOND_DIRTY) === 0;
    const kept = secondStageRights(clean ? this.#rights & ~WRITE : this.#rights);
    this.#rights = kept;
    this.#parts.iotlb.put(tag, hi, lo, this.#pageLg2, kept, this.#outHi, this.#outLo);
    return true;
  }

  #translateSecond(tag: number, target: Target, hi: number, lo: number, need: number): boolean {
    const { iotlb } = this.#parts;
    const at = iotlb.find(tag, hi, lo);
    if (at < 0) return this.#walkSecond(tag, target, hi, lo, need);
    const { words } = iotlb;
    const rights = words[at | RIGHTS]!;
    if ((rights & need) !== need) return false;
    this.#outHi = words[at | OUT_HI]!;
    this.#outLo = iotlb.outLow(at, lo);
    this.#pageLg2 = words[at | PAGE_LG2]!;
    this.#rights = rights;
    return true;
  }

  #walkNested(
    tag: number,
    secondTag: number,
    target: Target,
    hi: number,
    lo: number,
    access: number,
  ): boolean {
    const { structures, checks } = this.#first;
    if (!this.#first.isCanonical(target, hi, lo) || target.firstStagePfn > FARTHEST) return false;
    const must = firstStageMust(target, access);
    const { memory } = this.#parts;
    const known = structures.find(tag, hi, lo);
    const start = known < 0 ? (target.firstStageLevels - 1) | 0 : structures.levelOf(known);
    let rights = checks.all;
    if (known >= 0) {
      rights = structures.words[known | RIGHTS]!;
      if ((must & checks.all & ~rights) !== 0) return false;
      this.#outHi = structures.words[known | OUT_HI]!;
      this.#outLo = structures.words[known | OUT_LO]!;
    } else {
      const top = target.firstStagePfn;
      if (!this.#translateSecond(secondTag, target, top >>> 20, top << 12, READ)) return false;
    }
    let above = 0;
    let aboveRights = 0;
    for (let level = start; ; level = (level - 1) | 0) {
      if ((this.#outHi & FAR) !== 0) return false;
      const pfn = nearFrame(this.#outHi, this.#outLo);
      const { words, firstPfn } = memory.bankOf(pfn);
      const at = ((pfn - firstPfn) << WORDS_LG2) | (tableIndex(level, hi, lo) << 1);
      if (at >>> 0 >= words.length) return false;
      const entryLo = words[at]!;
      const entryHi = words[at | 1]!;
      if ((entryLo & must) !== must) return false;
      const permitted = (rights & (entryLo | EXECUTE_DISABLE)) | ((entryHi >> 31) & checks.disable);
      if (level === 0 || (level < 3 && (entryLo & PAGE_SIZE_BIT) !== 0)) {
        this.#rights = permitted;
        if (!this.#finishNested(tag, secondTag, target, hi, lo, access, level, entryHi, entryLo)) {
          return false;
        }
        this.#parts.counters.tableReads += start - level + 1;
        structures.putPath(tag, hi, lo, start, level, pfn, rights, above, aboveRights);
        return true;
      }
      if (((entryLo & checks.tableLo) | (entryHi & checks.tableHi)) !== 0) return false;
      above = pfn;
      aboveRights = rights;
      rights = permitted;
      const guestHi = entryHi & ADDRESS_HI;
      if (!this.#translateSecond(secondTag, target, guestHi, entryLo & ADDRESS_LO, READ)) {
        return false;
      }
    }
  }

  /** From the first stage's leaf to the physical page. */
  #finishNested(
    tag: number,
    secondTag: number,
    target: Target,
    hi: number,
    lo: number,
    access: number,
    level: number,
    entryHi: number,
    entryLo: number,
  ): boolean {
    const { checks } = this.#first;
    if (((entryLo & checks.leafLo[level]!) | (entryHi & checks.leafHi[level]!)) !== 0) return false;
    if ((access & WRITE) !== 0 && (entryLo & DIRTY) === 0) return false;
    this.#leafLo = entryLo;
    const kept = this.#keptFirst(target);
    const pageLg2 = 12 + 9 * level;
    const offset = (1 << pageLg2) - 1;
    const guestLo = (entryLo & ~offset) | (lo & offset);
    if (!this.#translateSecond(secondTag, target, entryHi & ADDRESS_HI, guestLo, access)) {
      return false;
    }
    const common = pageLg2 < this.#pageLg2 ? pageLg2 : this.#pageLg2;
    this.#pageLg2 = common;
    const { iotlb, spaces } = this.#parts;
    const rights = this.#rights & kept;
    const whole = iotlb.put(tag, hi, lo, common, rights, this.#outHi, this.#outLo);
    if (!whole || common < pageLg2) spaces.fracture(target.domain, target.pasid);
    return true;
  }

  #arrive(outHi: number, outLo: number, pageLg2: number, leafLo: number, rights: number): void {
    this.#outHi = outHi;
    this.#outLo = outLo;
    this.#pageLg2 = pageLg2;
    this.#leafLo = leafLo;
    this.#rights = rights;
  }

  /**
   * From the lowest table that is known down to a leaf, through tables whose
   * addresses are physical. One function with its own loop and no smaller, so
   * that the compiler builds it whole instead of into each of its callers.
   *
   * @param must the bits that each entry must have
   * @param dirty the bits that the leaf must have too
   */
  #descend(
    structures: StructureCache,
    checks: EntryChecks,
    tag: number,
    topPfn: number,
    levels: number,
    hi: number,
    lo: number,
    must: number,
    dirty: number,
  ): boolean {
    const { tableHi, tableLo, disable, all } = checks;
    const { memory, counters } = this.#parts;
    const known = structures.find(tag, hi, lo);
    const start = known < 0 ? (levels - 1) | 0 : structures.levelOf(known);
    let pfn = topPfn | 0;
    let rights = all;
    if (known >= 0) {
      const { words } = structures;
      rights = words[known | RIGHTS]!;
      if ((words[known | OUT_HI]! & FAR) !== 0 || (must & all & ~rights) !== 0) return false;
      pfn = nearFrame(words[known | OUT_HI]!, words[known | OUT_LO]!);
    } else if (topPfn > FARTHEST) return false;
    let above = 0;
    let aboveRights = 0;
    let { words, firstPfn, frames } = NO_BANK;
    for (let level = start; ; level = (level - 1) | 0) {
      let frame = pfn - firstPfn;
      if (frame < 0 || frame >= frames) {
        ({ words, firstPfn, frames } = memory.bankOf(pfn));
        frame = pfn - firstPfn;
      }
      const at = (frame << WORDS_LG2) | (tableIndex(level, hi, lo) << 1);
      if (at >>> 0 >= words.length) return false;
      const entryLo = words[at]!;
      const entryHi = words[at | 1]!;
      if ((entryLo & must) !== must) return false;
      const permitted = (rights & (entryLo | EXECUTE_DISABLE)) | ((entryHi >> 31) & disable);
      if (level !== 0 && (level > 2 || (entryLo & PAGE_SIZE_BIT) === 0)) {
        if (((entryLo & tableLo) | (entryHi & (tableHi | FAR))) !== 0) return false;
        above = pfn;
        aboveRights = rights;
        rights = permitted;
        pfn = nearFrame(entryHi, entryLo);
        continue;
      }
      const { leafHi, leafLo } = checks;
      if (((entryLo & leafLo[level]!) | (entryHi & leafHi[level]!)) !== 0) return false;
      const pageLg2 = 12 + 9 * level;
      const offset = (1 << pageLg2) - 1;
      const outHi = entryHi & ADDRESS_HI;
      const outLo = (entryLo & ~offset) | (lo & offset);
      if ((entryLo & dirty) !== dirty || pageHoldsInterrupts(outHi, outLo, level)) return false;
      this.#arrive(outHi, outLo, pageLg2, entryLo, permitted);
      counters.tableReads += start - level + 1;
      structures.putPath(tag, hi, lo, start, level, pfn, rights, above, aboveRights);
      return true;
    }
  }
}

/** What each first-stage entry on the way of a user's request must have. */
const firstStageMust = (target: Target, access: number): number =>
  PRESENT |
  USER |
  ACCESSED |
  (target.extendedAccessed ? EXTENDED_ACCESSED : 0) |
  ((access & WRITE) === 0 ? 0 : WRITABLE);
