import { entryFrame, frameHigh, frameLow, frameOf } from "../../bits/halves.ts";
import { WORDS_LG2 } from "../../memory/bank.ts";
import { EXECUTE, PRIVILEGED, READ, WRITE } from "../pci/dma-request.ts";
import {
  ACCESSED,
  DIRTY,
  EXECUTE_DISABLE,
  EXTENDED_ACCESSED,
  executeDisable,
  keptRights,
  PAGE_SIZE_BIT,
  PRESENT,
  USER,
  WRITABLE,
} from "./entry-bits.ts";
import {
  ADDRESS_HI,
  ADDRESS_LO,
  type EntryChecks,
  firstStageChecks,
  inInterruptRange,
  pageHoldsInterrupts,
  tableIndex,
} from "./entry-checks.ts";
import { CHANGED, EntryCursor, MAX_RETRIES } from "./entry-cursor.ts";
import { UNCHECKED_WRITE, withoutOptionalWrite } from "./rights.ts";
import type { SecondStage } from "./second-stage.ts";
import { StructureCache } from "./structure-cache.ts";
import { NESTED, type Target } from "./target.ts";
import { RIGHTS } from "./translation-cache.ts";
import type { WalkParts } from "./walk-parts.ts";

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
  if (!readable) return isTop ? 0x73 : 0x70;
  if ((entryLo & PRESENT) === 0) return 0x71;
  if (missing !== 0) return (missing & USER) !== 0 ? 0x81 : 0x85;
  return bad === 0 ? 0 : 0x72;
};

/**
 * The first stage: x86-64 tables from an I/O virtual address to a physical one,
 * guest physical when nested, in which case every table access goes through the
 * second stage (§3.6, §3.8, §9.7).
 *
 * `translate` leaves its answer in `outHi`, `outLo`, `pageLg2` and `rights`.
 */
export class FirstStage {
  outHi = 0;
  outLo = 0;
  pageLg2 = 12;
  /** What the IOTLB may keep; W only where the leaf is dirty already. */
  rights = 0;
  /** What of `access` was granted: all of it, or all but a write that was only wished for. */
  granted = 0;
  readonly cursor: EntryCursor;
  /** The entry that refused: the first stage's, or the second stage's where the fault is its own. */
  refusing: EntryCursor;
  readonly structures: StructureCache;
  readonly #parts: WalkParts;
  readonly checks: EntryChecks;
  readonly #second: SecondStage;
  readonly #executeRequests: boolean;
  /** Most levels of AW that say what is canonical; 0 where it does not. */
  readonly #canonicalLevels: number;
  readonly #marksFirst: boolean;
  readonly #interruptsByLeaf: boolean;
  /** Permissions that are checked at each level, before reserved bits. */
  readonly #checkedFirst: number;
  readonly #dirtyOnce: boolean;
  /** Guest frame of the table under the cursor; -1 when the walk began at a known table. */
  #guestPfn = -1;
  /** Tag of the second stage, 0 to leave the caches alone. */
  #secondTag = 0;

  constructor(parts: WalkParts, second: SecondStage) {
    this.#parts = parts;
    this.#second = second;
    this.checks = firstStageChecks(parts.capabilities);
    const { deviations } = parts.capabilities;
    this.#canonicalLevels = deviations.canonicalBySecondStageWidth
      ? (parts.capabilities.guestAddressWidth - 12) / 9
      : 0;
    this.#marksFirst = deviations.marksBeforeOutput;
    this.#interruptsByLeaf = deviations.interruptRangeByLeaf;
    this.#checkedFirst = deviations.permissionBeforeReserved ? USER | WRITABLE : 0;
    this.#dirtyOnce = deviations.dirtyWithAccessedOnly;
    this.#executeRequests = parts.capabilities.has("ERS");
    this.cursor = new EntryCursor(1, parts);
    this.refusing = this.cursor;
    this.structures = new StructureCache(parts.structuresLg2);
  }

  /**
   * @param tag the space's tag, or 0 to leave the caches alone
   * @param secondTag the tag of the second stage, where nested
   * @param access as in `DmaRequest`, and `OPTIONAL_WRITE`
   * @returns 0 or the fault's code
   */
  translate(
    tag: number,
    secondTag: number,
    target: Target,
    hi: number,
    lo: number,
    access: number,
  ): number {
    this.cursor.clear();
    this.refusing = this.cursor;
    if (!this.isCanonical(target, hi, lo)) return 0x80;
    this.#secondTag = secondTag;
    let code = this.#walk(tag, target, hi, lo, access, tag !== 0);
    for (let tries = 0; code === CHANGED; tries++) {
      if (tries === MAX_RETRIES) return 0x91;
      code = this.#walk(tag, target, hi, lo, access, false);
    }
    return code;
  }

  /** Whether the bits that no table translates repeat the highest one that is. */
  isCanonical(target: Target, hi: number, lo: number): boolean {
    const levels =
      this.#canonicalLevels > 0
        ? Math.min(target.secondStageLevels, this.#canonicalLevels)
        : target.firstStageLevels;
    // Two levels translate bits of the low half alone.
    if (levels === 2) return hi === lo >> 31 && lo >> 29 === hi;
    const signBits = hi >> (9 * levels - 21);
    return signBits === 0 || signBits === -1;
  }

  #walk(
    tag: number,
    target: Target,
    hi: number,
    lo: number,
    access: number,
    useKnown: boolean,
  ): number {
    const { cursor, structures } = this;
    const { tableHi, tableLo } = this.checks;
    const nested = target.type === NESTED;
    const wanted = target.extendedAccessed ? ACCESSED | EXTENDED_ACCESSED : ACCESSED;
    const { memory, counters, trace } = this.#parts;
    const top = target.firstStageLevels - 1;
    const at = useKnown ? structures.find(tag, hi, lo) : -1;
    let known = at >= 0;
    let level = known ? structures.levelOf(at) : top;
    let pfn = known ? structures.frameAt(at) : target.firstStagePfn;
    let rights = known ? structures.words[at | RIGHTS]! : this.checks.all;
    for (; ; level--) {
      // 1. Find the table: a guest address when nested, unless a cache knew where it is.
      this.#guestPfn = known ? -1 : pfn;
      if (nested && !known) {
        pfn = this.#findTable(target, level, pfn);
        if (pfn < 0) return -pfn;
        if (tag !== 0 && level < top) {
          structures.put(tag, hi, lo, level, this.#second.outHi, this.#second.outLo, rights);
        }
      }
      known = false;
      // 2. Read the entry: present, then reserved bits, those of a leaf later.
      const word = tableIndex(level, hi, lo) << 1;
      const { words, firstPfn } = memory.bankOf(pfn);
      const at = ((pfn - firstPfn) << WORDS_LG2) + word;
      const readable = at >>> 0 < words.length;
      const entryLo = readable ? words[at]! : 0;
      const entryHi = readable ? words[at + 1]! : 0;
      const isLeaf = level === 0 || (level < 3 && (entryLo & PAGE_SIZE_BIT) !== 0);
      counters.tableReads++;
      const bad = isLeaf ? 0 : (entryLo & tableLo) | (entryHi & tableHi);
      const missing = (USER | (access & WRITE)) & ~(rights & entryLo) & this.#checkedFirst;
      const code = refusalOf(readable, level === top, entryLo, missing, bad);
      const mustMark = (entryLo & wanted) !== wanted;
      if (isLeaf || mustMark || code !== 0 || trace.enabled) {
        cursor.at(level, pfn, word, entryHi, entryLo, readable);
        if (trace.enabled) cursor.traceRead(hi, lo);
      }
      if (code !== 0) return code;
      rights = (rights & (entryLo | EXECUTE_DISABLE)) | executeDisable(entryHi);
      if (isLeaf) return this.#finish(target, lo, access, rights);
      // 3. Mark it accessed and go down.
      if (mustMark) {
        const marked = this.#mark(target, wanted);
        if (marked !== 0) return marked;
      }
      pfn = entryFrame(entryHi, entryLo);
      if (tag !== 0 && !nested)
        structures.put(tag, hi, lo, level - 1, entryHi & ADDRESS_HI, entryLo & ADDRESS_LO, rights);
    }
  }

  /**
   * Translates the guest frame of a first-stage table.
   *
   * @returns the host frame, or minus the code that says whose fault it is (§7.1.3)
   */
  #findTable(target: Target, level: number, guestPfn: number): number {
    const second = this.#second;
    const code = second.translate(
      this.#secondTag,
      target,
      frameHigh(guestPfn),
      frameLow(guestPfn),
      READ,
    );
    if (code === 0) return frameOf(second.outHi, second.outLo);
    if (code !== 0x84 && code !== 0x79 && code !== 0x86) return -this.#blameSecond(code);
    // The second stage is sound but leaves this table out: the fault is the first stage's.
    this.cursor.lose(level);
    if (code === 0x84) return -0x74;
    return level === target.firstStageLevels - 1 ? -0x75 : -0x76;
  }

  /** What remains to be done at the leaf under the cursor. */
  #finish(target: Target, lo: number, asked: number, rights: number): number {
    const { cursor } = this;
    const { level, hi: entryHi, lo: entryLo } = cursor;
    if (((entryLo & this.checks.leafLo[level]!) | (entryHi & this.checks.leafHi[level]!)) !== 0) {
      return 0x72;
    }
    // 4. The permissions of all levels.
    let access = asked;
    const privileged = (access & PRIVILEGED) !== 0;
    const supervisorWrites = (rights & WRITABLE) !== 0 || !target.writeProtect;
    const executable = !this.#executeRequests || (rights & EXECUTE_DISABLE) === 0;
    if (!privileged && (rights & USER) === 0) return 0x81;
    if ((access & WRITE) !== 0 && !(privileged ? supervisorWrites : (rights & WRITABLE) !== 0)) {
      access = withoutOptionalWrite(access, WRITE);
      if (access === 0) return 0x85;
    }
    if ((access & EXECUTE) !== 0 && !executable) return 0x82;
    // 5. The output address.
    const pageLg2 = 12 + 9 * level;
    const offset = (1 << pageLg2) - 1;
    const outLo = (entryLo & ~offset) | (lo & offset);
    const outHi = entryHi & 0xf_ffff;
    const interrupts =
      target.type !== NESTED &&
      (this.#interruptsByLeaf
        ? pageHoldsInterrupts(outHi, outLo, level)
        : inInterruptRange(outHi, outLo));
    if (interrupts && !this.#marksFirst) return 0x87;
    // 6. Accessed, and dirty for a write, in one update.
    const wanted =
      ACCESSED |
      (target.extendedAccessed ? EXTENDED_ACCESSED : 0) |
      ((access & WRITE) !== 0 ? DIRTY : 0);
    const code =
      (entryLo & wanted) === wanted || (this.#dirtyOnce && (entryLo & wanted) !== 0)
        ? 0
        : this.#mark(target, wanted);
    if (code !== 0) return code;
    if (interrupts) return 0x87;
    const dirty = this.#dirtyOnce || (cursor.lo & DIRTY) !== 0;
    this.rights = keptRights(target, rights, dirty, executable);
    this.granted = access;
    this.outHi = outHi;
    this.outLo = outLo;
    this.pageLg2 = pageLg2;
    return 0;
  }

  /** Sets flags in the entry under the cursor, through the second stage where there is one. */
  #mark(target: Target, bits: number): number {
    const { capabilities } = this.#parts;
    if (!target.snooped && !capabilities.unsnoopedUpdates) return 0x90;
    if (target.type === NESTED) {
      // The walk began at a known table, so its guest address is not known: begin at the top.
      if (this.#guestPfn < 0) return CHANGED;
      const code = this.#second.translate(
        this.#secondTag,
        target,
        frameHigh(this.#guestPfn),
        frameLow(this.#guestPfn),
        capabilities.erratum772415 && target.snooped ? WRITE | UNCHECKED_WRITE : WRITE,
      );
      if (code === 0x79 || code === 0x85) return 0x77;
      if (code !== 0) return this.#blameSecond(code);
    }
    return this.cursor.mark(bits);
  }

  #blameSecond(code: number): number {
    this.refusing = this.#second.cursor;
    return code;
  }
}
