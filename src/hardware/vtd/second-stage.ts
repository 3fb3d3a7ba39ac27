import { entryFrame } from "../../bits/halves.ts";
import { WORDS_LG2 } from "../../memory/bank.ts";
import { READ, WRITE } from "../pci/dma-request.ts";
import { SECOND_ACCESSED as ACCESSED, SECOND_DIRTY as DIRTY, PAGE_SIZE_BIT } from "./entry-bits.ts";
import {
  ADDRESS_HI,
  ADDRESS_LO,
  type EntryChecks,
  inInterruptRange,
  pageHoldsInterrupts,
  secondStageChecks,
  tableIndex,
} from "./entry-checks.ts";
import { CHANGED, EntryCursor, MAX_RETRIES } from "./entry-cursor.ts";
import { secondStageRights, UNCHECKED_WRITE, withoutOptionalWrite } from "./rights.ts";
import { StructureCache } from "./structure-cache.ts";
import type { Target } from "./target.ts";
import { OUT_HI, PAGE_LG2, RIGHTS } from "./translation-cache.ts";
import type { WalkParts } from "./walk-parts.ts";

const READ_WRITE = READ | WRITE;

/**
 * Why an entry refuses: 0 when it does not.
 *
 * @param missing permissions that are not there, where they are checked at each level
 * @param bad its reserved bits that are set
 */
const refusalOf = (
  readable: boolean,
  isTop: boolean,
  entryLo: number,
  missing: number,
  bad: number,
): number => {
  if (!readable) return isTop ? 0x7b : 0x78;
  if ((entryLo & READ_WRITE) === 0) return 0x79;
  if (missing !== 0) return (missing & WRITE) !== 0 ? 0x85 : 0x86;
  return bad === 0 ? 0 : 0x7a;
};

/**
 * The second stage: from a guest physical address, or an I/O virtual one where
 * it is the only stage, to a host physical address (§3.7, §9.8).
 *
 * `translate` leaves its answer in `outHi`, `outLo`, `pageLg2` and `rights`.
 * Fault codes are those of scalable mode.
 */
export class SecondStage {
  outHi = 0;
  outLo = 0;
  pageLg2 = 12;
  /** What the IOTLB may keep; W only where nothing remains to be marked dirty. */
  rights = 0;
  /** What of `need` was granted: all of it, or all but a write that was only wished for. */
  granted = 0;
  /** The entry that refused. */
  readonly cursor: EntryCursor;
  readonly structures: StructureCache;
  readonly #parts: WalkParts;
  readonly checks: EntryChecks;
  /** Rights that are checked at each level, before reserved bits. */
  readonly #checkedFirst: number;
  readonly #interruptsByLeaf: boolean;
  readonly #inputBits: number;

  constructor(parts: WalkParts) {
    this.#parts = parts;
    this.#inputBits = parts.capabilities.guestAddressWidth;
    this.checks = secondStageChecks(parts.capabilities);
    this.#interruptsByLeaf = parts.capabilities.deviations.interruptRangeByLeaf;
    this.#checkedFirst = parts.capabilities.deviations.permissionBeforeReserved ? READ_WRITE : 0;
    this.cursor = new EntryCursor(2, parts);
    this.structures = new StructureCache(parts.structuresLg2);
  }

  /**
   * @param tag the space's tag, or 0 to leave the caches alone
   * @param need `READ`, `WRITE`, `OPTIONAL_WRITE` and `UNCHECKED_WRITE`, or-ed; other bits are ignored
   * @returns 0 or the fault's code
   */
  translate(tag: number, target: Target, hi: number, lo: number, need: number): number {
    const { iotlb } = this.#parts;
    const firm = need & READ_WRITE;
    const at = tag === 0 ? -1 : iotlb.find(tag, hi, lo);
    if (at >= 0 && (iotlb.words[at | RIGHTS]! & firm) === firm) {
      this.granted = firm;
      this.outHi = iotlb.words[at | OUT_HI]!;
      this.outLo = iotlb.outLow(at, lo);
      this.pageLg2 = iotlb.words[at | PAGE_LG2]!;
      this.rights = iotlb.words[at | RIGHTS]!;
      return 0;
    }
    return this.walk(tag, target, hi, lo, need);
  }

  /** As `translate`, for an address that the IOTLB is known not to have. */
  walk(tag: number, target: Target, hi: number, lo: number, need: number): number {
    this.cursor.clear();
    if (!this.hasWidthFor(target, hi)) return 0x84;
    let code = this.#walk(tag, target, hi, lo, need, tag !== 0);
    for (let tries = 0; code === CHANGED; tries++) {
      if (tries === MAX_RETRIES) return 0x91;
      code = this.#walk(tag, target, hi, lo, need, false);
    }
    return code;
  }

  /** Whether the tables reach as far as addresses with these bits 63:32. */
  hasWidthFor(target: Target, hi: number): boolean {
    const bits = 12 + 9 * target.secondStageLevels;
    return hi >>> ((bits < this.#inputBits ? bits : this.#inputBits) - 32) === 0;
  }

  #walk(
    tag: number,
    target: Target,
    hi: number,
    lo: number,
    need: number,
    useKnown: boolean,
  ): number {
    const { cursor, structures } = this;
    const { tableHi, tableLo } = this.checks;
    let level = target.secondStageLevels - 1;
    let pfn = target.secondStagePfn;
    let rights = READ_WRITE;
    const known = useKnown ? structures.find(tag, hi, lo) : -1;
    if (known >= 0) {
      level = structures.levelOf(known);
      pfn = structures.frameAt(known);
      rights = structures.words[known | RIGHTS]!;
    }
    const top = target.secondStageLevels - 1;
    const { memory, counters, trace } = this.#parts;
    for (; ; level--) {
      // 1. Read the entry.
      const word = tableIndex(level, hi, lo) << 1;
      const { words, firstPfn } = memory.bankOf(pfn);
      const at = ((pfn - firstPfn) << WORDS_LG2) + word;
      const readable = at >>> 0 < words.length;
      const entryLo = readable ? words[at]! : 0;
      const entryHi = readable ? words[at + 1]! : 0;
      const isLeaf = level === 0 || (level < 3 && (entryLo & PAGE_SIZE_BIT) !== 0);
      counters.tableReads++;
      // 2. One that grants nothing is not present; then reserved bits, those of a leaf later.
      const bad = isLeaf ? 0 : (entryLo & tableLo) | (entryHi & tableHi);
      const missing = need & ~(rights & entryLo) & this.#checkedFirst;
      const code = refusalOf(readable, level === top, entryLo, missing, bad);
      const mustMark = target.secondStageFlags && (entryLo & ACCESSED) === 0;
      if (isLeaf || mustMark || code !== 0 || trace.enabled) {
        cursor.at(level, pfn, word, entryHi, entryLo, readable);
        if (trace.enabled) cursor.traceRead(hi, lo);
      }
      if (code !== 0) return code;
      rights &= entryLo;
      if (isLeaf) return this.#finish(tag, target, hi, lo, need, rights);
      // 3. Mark it accessed and go down.
      if (mustMark) {
        const marked = this.#mark(target, ACCESSED);
        if (marked !== 0) return marked;
      }
      pfn = entryFrame(entryHi, entryLo);
      if (tag !== 0)
        structures.put(tag, hi, lo, level - 1, entryHi & ADDRESS_HI, entryLo & ADDRESS_LO, rights);
    }
  }

  /** What remains to be done at the leaf under the cursor. */
  #finish(
    tag: number,
    target: Target,
    hi: number,
    lo: number,
    asked: number,
    allowed: number,
  ): number {
    const { cursor } = this;
    const { level, hi: entryHi, lo: entryLo } = cursor;
    let rights = allowed;
    // 2. Reserved bits.
    if (((entryLo & this.checks.leafLo[level]!) | (entryHi & this.checks.leafHi[level]!)) !== 0) {
      return 0x7a;
    }
    // 4. The permissions of all levels.
    let need = asked & READ_WRITE;
    const missing = need & ~rights & ((asked & UNCHECKED_WRITE) === 0 ? READ_WRITE : READ);
    if (missing !== 0) {
      need = withoutOptionalWrite(asked, missing) & READ_WRITE;
      if (need === 0) return rights === 0 ? 0x79 : (missing & WRITE) !== 0 ? 0x85 : 0x86;
    }
    // 5. The output address.
    const pageLg2 = 12 + 9 * level;
    const offset = (1 << pageLg2) - 1;
    const outLo = (entryLo & ~offset) | (lo & offset);
    const outHi = entryHi & 0xf_ffff;
    const interrupts = this.#interruptsByLeaf
      ? pageHoldsInterrupts(outHi, outLo, level)
      : inInterruptRange(outHi, outLo);
    if (interrupts) return 0x87;
    // 6. Accessed, and dirty for a write, in one update.
    if (target.secondStageFlags) {
      const wanted = (need & WRITE) === 0 ? ACCESSED : ACCESSED | DIRTY;
      const code = (entryLo & wanted) === wanted ? 0 : this.#mark(target, wanted);
      if (code !== 0) return code;
      if ((cursor.lo & DIRTY) === 0) rights &= ~WRITE;
    }
    this.outHi = outHi;
    this.outLo = outLo;
    this.pageLg2 = pageLg2;
    this.rights = secondStageRights(rights);
    this.granted = need;
    if (tag !== 0) this.#remember(tag, target.domain, hi, lo);
    return 0;
  }

  #remember(tag: number, domain: number, hi: number, lo: number): void {
    const { iotlb, spaces } = this.#parts;
    if (iotlb.put(tag, hi, lo, this.pageLg2, this.rights, this.outHi, this.outLo)) return;
    spaces.fracture(domain);
  }

  #mark(target: Target, bits: number): number {
    if (!target.snooped && !this.#parts.capabilities.unsnoopedUpdates) return 0x7c;
    return this.cursor.mark(bits);
  }
}
