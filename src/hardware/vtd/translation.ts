import { frameOf, fromHalves } from "../../bits/halves.ts";
import {
  type DmaRequest,
  EXECUTE,
  NO_PASID,
  PRIVILEGED,
  READ,
  TRANSLATED as TRANSLATED_ADDRESS,
  TRANSLATION_REQUEST,
  UNTRANSLATED,
  WRITE,
} from "../pci/dma-request.ts";
import { ACCESS, type Bindings, FPD, REFUSED_SHIFT, SECOND_TAG, TAG } from "./bindings.ts";
import type { CacheSizes } from "./cache-sizes.ts";
import { DeviceTables } from "./device-tables.ts";
import { inInterruptRange } from "./entry-checks.ts";
import type { EntryCursor } from "./entry-cursor.ts";
import { FAULT, TRANSLATED } from "./events.ts";
import { createFault, createSilentFault, FaultSite, isSilencedByFpd } from "./fault.ts";
import { FirstStage } from "./first-stage.ts";
import { legacyCode } from "./legacy-codes.ts";
import { QuickWalk } from "./quick-walk.ts";
import { neededRights, OPTIONAL_WRITE } from "./rights.ts";
import { SecondStage } from "./second-stage.ts";
import { TTM_ABORT, TTM_LEGACY, TTM_SCALABLE } from "./spec/root-table-address.ts";
import { FIRST_STAGE, NESTED, PASS_THROUGH, SECOND_STAGE, type Target } from "./target.ts";
import { OUT_HI, PAGE_LG2, RIGHTS } from "./translation-cache.ts";
import type { WalkParts } from "./walk-parts.ts";

/** `DmaRequest.pageLg2` where nothing was translated. */
const UNTRANSLATED_LG2 = 64;

const READ_WRITE = READ | WRITE;
const GRANTABLE = READ | WRITE | EXECUTE;

/** What refuses a request in abort-DMA mode; as a fault its code is 0. */
const ABORTED = 0x100;
/** What refuses a request that a cached translation does not permit, where nothing is recorded. */
const NOT_CACHED_SO = 0x101;

/** Codes that an entry just read has caused, by its contents or for want of it. */
const STRUCTURE_CODES: ReadonlySet<number> = new Set([
  0x01, 0x02, 0x03, 0x08, 0x09, 0x0a, 0x0b, 0x38, 0x39, 0x3a, 0x40, 0x41, 0x42, 0x50, 0x51, 0x52,
  0x58, 0x59, 0x5a, 0x5b,
]);

/** The access bits that the target refuses whatever its tables say: supervisor requests without SRE. */
const refusedAccess = (target: Target): number =>
  target.type === SECOND_STAGE || target.supervisorRequests ? 0 : PRIVILEGED;

/**
 * The translation of one request that the IOTLB could not answer at once: the
 * way through device tables and page tables, and the fault at its end.
 */
export class Translation {
  readonly tables: DeviceTables;
  rtaddr = 0n;
  readonly #parts: WalkParts;
  readonly #bindings: Bindings;
  readonly #site: FaultSite;
  readonly #second: SecondStage;
  readonly #first: FirstStage;
  readonly #quick: QuickWalk;
  readonly #cached: boolean;
  readonly #executeRequests: boolean;
  readonly #legacyReasons: boolean;
  readonly #reasons: Readonly<Record<number, number>>;
  /** Whether a cached translation is final. */
  readonly #cachedRefusals: boolean;
  /** By RTADDR.TTM: 0, or why every request is refused. */
  readonly #modeCodes: readonly number[];
  #rootPfn = 0;
  #mode = TTM_LEGACY;
  /** The walker's cursor at the entry that refused. */
  #refusing: EntryCursor | undefined = undefined;

  constructor(parts: WalkParts, bindings: Bindings, sizes: Required<CacheSizes>, cached: boolean) {
    this.#parts = parts;
    this.#site = new FaultSite(parts.capabilities.deviations.alwaysRecorded);
    this.#bindings = bindings;
    this.#cached = cached;
    this.tables = new DeviceTables(parts, this.#site, sizes, () => bindings.clear());
    this.#second = new SecondStage(parts);
    this.#first = new FirstStage(parts, this.#second);
    this.#quick = new QuickWalk(parts, this.#first, this.#second);
    const { capabilities } = parts;
    this.#cachedRefusals = capabilities.deviations.cachedRefusalSilent;
    this.#legacyReasons = capabilities.deviations.legacySecondStageReasons;
    this.#reasons = capabilities.deviations.reasons;
    this.#executeRequests = capabilities.has("ERS");
    const modeCodes = [0x30, 0x30, 0x30, 0x30];
    modeCodes[TTM_LEGACY] = 0;
    if (capabilities.has("SMTS")) modeCodes[TTM_SCALABLE] = 0;
    if (capabilities.has("ADMS")) modeCodes[TTM_ABORT] = ABORTED;
    this.#modeCodes = modeCodes;
  }

  /** Uses another root table from now on; caches are the caller's business. */
  setRoot(rtaddr: bigint, rootPfn: number, mode: number): void {
    this.rtaddr = rtaddr;
    this.#rootPfn = rootPfn;
    this.#mode = mode;
  }

  /** Empties the paging-structure caches. */
  dropStructures(): void {
    this.#first.structures.clear();
    this.#second.structures.clear();
  }

  /** Drops what leads to the 2^`mask` pages around `(hi, lo)` of the space `tag`. */
  dropStructuresFor(tag: number, hi: number, lo: number, mask: number): void {
    this.#first.structures.drop(tag, hi, lo, mask);
    this.#second.structures.drop(tag, hi, lo, mask);
  }

  /**
   * What refuses a page request of the device, and whether that is recorded;
   * `undefined` when it may ask (§7.4.1).
   */
  pageRequestRefusal(
    source: number,
    pasid: number,
    enabled: boolean,
  ): { readonly code: number; readonly recorded: boolean } | undefined {
    this.#site.clear();
    const modeCode = this.#modeCodes[this.#mode]!;
    if (!enabled || modeCode === ABORTED) return { code: 0, recorded: false };
    if (modeCode !== 0) return { code: modeCode, recorded: true };
    if (this.#mode === TTM_LEGACY) return { code: 0x32, recorded: true };
    const found = this.tables.resolve(this.#rootPfn, false, source, pasid, TRANSLATED_ADDRESS);
    const code = found !== 0 ? found : this.tables.context.pageRequests ? 0 : 0x47;
    if (code === 0) return undefined;
    return { code, recorded: !isSilencedByFpd(code, this.#site) };
  }

  /** Whose first-stage or nested translations a request of the device uses; `undefined` when it uses none. */
  firstStageOf(
    source: number,
    pasid: number,
  ): { readonly domain: number; readonly pasid: number } | undefined {
    if (this.#mode !== TTM_SCALABLE) return undefined;
    if (this.tables.resolve(this.#rootPfn, false, source, pasid, UNTRANSLATED) !== 0)
      return undefined;
    const { target } = this.tables;
    if (target.type !== FIRST_STAGE && target.type !== NESTED) return undefined;
    return { domain: target.domain, pasid: target.pasid };
  }

  /** Translates `request` from the tables. */
  translate(request: DmaRequest, enabled: boolean): boolean {
    request.fault = undefined;
    if (!enabled) return this.#pass(request);
    this.#site.clear();
    this.#refusing = undefined;
    const code = this.#findCode(request);
    return code === 0 ? this.#succeed(request) : this.#refuse(code, request);
  }

  /**
   * Translates an untranslated request whose binding is known.
   *
   * @param cached whether the IOTLB has the page, with fewer rights than are needed
   */
  translateBound(request: DmaRequest, binding: number, cached: boolean): boolean {
    request.fault = undefined;
    const { words } = this.#bindings;
    const target = this.#bindings.targetOf(binding);
    const access = this.#known(request.access) | (words[binding + ACCESS]! & 0xff);
    const tag = words[binding + TAG]!;
    const secondTag = words[binding + SECOND_TAG]!;
    if (!cached && this.#quick.walk(request, target, access, tag, secondTag)) return true;
    const site = this.#site;
    site.clear();
    site.fpd = words[binding + FPD] !== 0;
    this.#refusing = undefined;
    const code = this.#walk(target, request, access, tag, secondTag);
    return code === 0 ? this.#succeed(request) : this.#refuse(code, request);
  }

  #succeed(request: DmaRequest): true {
    if (this.#parts.trace.enabled) this.#traceTranslated(request);
    return true;
  }

  /** @returns 0, with the answer in `request`, or the fault's code */
  #findCode(request: DmaRequest): number {
    const modeCode = this.#modeCodes[this.#mode]!;
    if (modeCode !== 0) return modeCode;
    const legacy = this.#mode === TTM_LEGACY;
    const { tables } = this;
    const { source, pasid, addressType } = request;
    const code = tables.resolve(this.#rootPfn, legacy, source, pasid, addressType);
    if (code !== 0) return this.#atStructure(code);
    if (pasid === NO_PASID && inInterruptRange(request.hi, request.lo)) return legacy ? 0x0e : 0x87;
    if (addressType === TRANSLATED_ADDRESS) {
      this.#pass(request);
      return 0;
    }
    const { target } = tables;
    const extra = pasid === NO_PASID && tables.context.ridPrivileged ? PRIVILEGED : 0;
    const access = this.#known(request.access) | extra;
    if (target.type === PASS_THROUGH) return this.#passThrough(target, request, access);
    const wishes = addressType === TRANSLATION_REQUEST && (access & READ_WRITE) === READ_WRITE;
    const asked = wishes ? access | OPTIONAL_WRITE : access;
    if (!this.#cached) return this.#walk(target, request, asked, 0, 0);
    const binding = this.#bind(target, request, extra);
    const { words } = this.#bindings;
    const tag = words[binding + TAG]!;
    // Whoever had the same space before may have left the answer.
    if (
      (access & (words[binding + ACCESS]! >> REFUSED_SHIFT)) === 0 &&
      this.#answerFromCache(request, access, tag)
    ) {
      return 0;
    }
    return this.#walk(target, request, asked, tag, words[binding + SECOND_TAG]!);
  }

  /** `access` less what the unit does not know. */
  #known(access: number): number {
    return this.#executeRequests ? access : access & ~EXECUTE;
  }

  /** Finds the tags under which the target's translations are kept, and remembers them for the pair. */
  #bind(target: Target, request: DmaRequest, extraAccess: number): number {
    const { spaces } = this.#parts;
    const { type, domain, pasid } = target;
    spaces.makeRoom();
    const secondTag = type === FIRST_STAGE ? 0 : spaces.secondStage(domain);
    const tag = type === SECOND_STAGE ? secondTag : spaces.firstStage(domain, pasid);
    return this.#bindings.put(request.source, request.pasid, target, {
      tag,
      secondTag,
      extraAccess,
      refusedAccess: refusedAccess(target),
      fpd: this.#site.fpd,
    });
  }

  #answerFromCache(request: DmaRequest, access: number, tag: number): boolean {
    const { iotlb } = this.#parts;
    const need = neededRights(access);
    const at = iotlb.find(tag, request.hi, request.lo);
    if (at < 0 || (iotlb.words[at | RIGHTS]! & need) !== need) return false;
    const { words } = iotlb;
    const outLo = iotlb.outLow(at, request.lo);
    this.#answer(request, words[at | OUT_HI]!, outLo, words[at | PAGE_LG2]!, access);
    return true;
  }

  #passThrough(target: Target, request: DmaRequest, access: number): number {
    const { hi, lo } = request;
    const write = (access & WRITE) !== 0;
    const { hostAddressWidth, deviations } = this.#parts.capabilities;
    const limit = deviations.passThroughUnlimited ? 2 ** 52 : 2 ** (hostAddressWidth - 12);
    if (frameOf(hi, lo) >= limit) return target.legacy ? legacyCode(0x83, write) : 0x83;
    if (inInterruptRange(hi, lo)) return target.legacy ? legacyCode(0x87, write) : 0x87;
    this.#pass(request);
    return 0;
  }

  /** Walks the target's tables; the answer goes into `request` and, where there are tags, into the caches. */
  #walk(
    target: Target,
    request: DmaRequest,
    access: number,
    tag: number,
    secondTag: number,
  ): number {
    if (
      this.#cachedRefusals &&
      tag !== 0 &&
      this.#parts.iotlb.find(tag, request.hi, request.lo) >= 0
    ) {
      return NOT_CACHED_SO;
    }
    this.#parts.counters.walks++;
    if (target.type === SECOND_STAGE) {
      const code = this.#walkSecond(target, request, access, tag);
      const asLegacy = target.legacy || (this.#legacyReasons && code !== 0x87);
      return code !== 0 && asLegacy ? legacyCode(code, (access & WRITE) !== 0) : code;
    }
    if ((access & refusedAccess(target)) !== 0) return 0x5d;
    return this.#walkFirst(target, request, access, tag, secondTag);
  }

  #walkSecond(target: Target, request: DmaRequest, access: number, tag: number): number {
    const second = this.#second;
    const code = second.walk(tag, target, request.hi, request.lo, access);
    if (code !== 0) return this.#stopAt(second.cursor, code);
    const granted = (access & ~READ_WRITE) | second.granted;
    this.#answer(request, second.outHi, second.outLo, second.pageLg2, granted);
    return 0;
  }

  #walkFirst(
    target: Target,
    request: DmaRequest,
    access: number,
    tag: number,
    secondTag: number,
  ): number {
    const first = this.#first;
    const code = first.translate(tag, secondTag, target, request.hi, request.lo, access);
    if (code !== 0) return this.#stopAt(first.refusing, code);
    if (target.type === NESTED) return this.#walkOutput(target, request, tag, secondTag);
    const { outHi, outLo, pageLg2, rights } = first;
    if (tag !== 0) this.#keep(target, request, tag, pageLg2, rights, outHi, outLo);
    this.#answer(request, outHi, outLo, pageLg2, first.granted);
    return 0;
  }

  /** Nested: translates what the first stage has found. */
  #walkOutput(target: Target, request: DmaRequest, tag: number, secondTag: number): number {
    const first = this.#first;
    const second = this.#second;
    const code = second.translate(secondTag, target, first.outHi, first.outLo, first.granted);
    if (code !== 0) return this.#stopAt(second.cursor, code);
    const { outHi, outLo } = second;
    const pageLg2 = first.pageLg2 < second.pageLg2 ? first.pageLg2 : second.pageLg2;
    if (tag !== 0)
      this.#keep(target, request, tag, pageLg2, first.rights & second.rights, outHi, outLo);
    const granted = (first.granted & ~READ_WRITE) | second.granted;
    this.#answer(request, outHi, outLo, pageLg2, granted);
    return 0;
  }

  /** Puts a first-stage or nested translation into the IOTLB. */
  #keep(
    target: Target,
    request: DmaRequest,
    tag: number,
    pageLg2: number,
    rights: number,
    outHi: number,
    outLo: number,
  ): void {
    const { iotlb, spaces } = this.#parts;
    const whole = iotlb.put(tag, request.hi, request.lo, pageLg2, rights, outHi, outLo);
    if (!whole || pageLg2 < this.#first.pageLg2) spaces.fracture(target.domain, target.pasid);
  }

  #answer(
    request: DmaRequest,
    outHi: number,
    outLo: number,
    pageLg2: number,
    access: number,
  ): void {
    request.outHi = outHi;
    request.outLo = outLo;
    request.pageLg2 = pageLg2;
    request.granted = access & GRANTABLE;
  }

  /** The request goes on with its own address. */
  #pass(request: DmaRequest): true {
    const granted = this.#known(request.access);
    this.#answer(request, request.hi, request.lo, UNTRANSLATED_LG2, granted);
    return true;
  }

  #stopAt(cursor: EntryCursor, code: number): number {
    this.#refusing = cursor;
    this.#site.stage = cursor.stage;
    return code;
  }

  #atStructure(code: number): number {
    const { reading } = this.tables;
    // A fault that looked at no entry, or at a cached one, names none.
    if (!STRUCTURE_CODES.has(code)) return code;
    this.#site.entry = {
      address: reading.address,
      value: reading.readable ? reading.quadwords[0] : undefined,
    };
    return code;
  }

  #refuse(code: number, request: DmaRequest): false {
    const site = this.#site;
    const cursor = this.#refusing;
    if (cursor !== undefined && cursor.level >= 0) {
      site.level = cursor.level;
      if (cursor.pfn >= 0) {
        site.entry = {
          address: cursor.address,
          value: cursor.readable ? fromHalves(cursor.hi, cursor.lo) : undefined,
        };
      }
    }
    const fault =
      code === ABORTED
        ? createSilentFault("abort-dma", request)
        : code === NOT_CACHED_SO
          ? createSilentFault("cached-rights", request)
          : createFault(this.#reasons[code] ?? code, request, site);
    request.fault = fault;
    request.outHi = 0;
    request.outLo = 0;
    request.granted = 0;
    this.#parts.counters.faults++;
    if (this.#parts.trace.enabled) this.#parts.trace.emit(FAULT, fault);
    return false;
  }

  #traceTranslated(request: DmaRequest): void {
    this.#parts.trace.emit(TRANSLATED, {
      source: request.source,
      pasid: request.pasid === NO_PASID ? undefined : request.pasid,
      iova: fromHalves(request.hi, request.lo),
      address: fromHalves(request.outHi, request.outLo),
      pageLg2: request.pageLg2,
    });
  }
}
