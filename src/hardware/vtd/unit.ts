import { frameOf, fromHalves, highHalf, lowHalf } from "../../bits/halves.ts";
import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import { TraceChannel } from "../../trace/channel.ts";
import {
  type DmaRequest,
  EXECUTE,
  NO_PASID,
  READ,
  type Translator,
  UNTRANSLATED,
  WRITE,
} from "../pci/dma-request.ts";
import { ACCESS, Bindings, REFUSED_SHIFT, TAG } from "./bindings.ts";
import { type CacheSizes, cacheSizes } from "./cache-sizes.ts";
import type { Capabilities } from "./capabilities.ts";
import { Counters } from "./counters.ts";
import { inInterruptRange } from "./entry-checks.ts";
import { IOTLB_HIT, ROOT_TABLE_SET, TRANSLATION_SWITCHED } from "./events.ts";
import { inspectUnit, type UnitInspection } from "./inspect-unit.ts";
import {
  type ContextInvalidation,
  Invalidator,
  type IotlbInvalidation,
  type PasidInvalidation,
  type PasidIotlbInvalidation,
} from "./invalidator.ts";
import { Iotlb } from "./iotlb.ts";
import { neededRights } from "./rights.ts";
import { Spaces } from "./spaces.ts";
import { RTADDR, TTM_SCALABLE } from "./spec/root-table-address.ts";
import { Translation } from "./translation.ts";
import { OUT_HI, PAGE_LG2, RIGHTS } from "./translation-cache.ts";

/** What a unit is made of. */
export interface TranslationUnitOptions {
  readonly capabilities: Capabilities;
  /** Where its tables are and what its output addresses. */
  readonly memory: PhysicalMemory;
  /** Where its events go; nowhere when absent. */
  readonly trace?: TraceChannel;
  /** Sizes of its caches; `off` for a unit that reads every table for every request. */
  readonly caches?: CacheSizes | "off";
}

/**
 * A VT-d remapping unit's translation: from a request to a physical address or
 * a fault, through tables in memory and caches that software must invalidate.
 */
export class TranslationUnit implements Translator {
  readonly capabilities: Capabilities;
  readonly counters: Counters = new Counters();
  readonly trace: TraceChannel;
  readonly #iotlb: Iotlb;
  readonly #spaces: Spaces;
  readonly #bindings = new Bindings();
  readonly #translation: Translation;
  readonly #invalidator: Invalidator;
  /** What `granted` may say: execute only where there are execute requests. */
  readonly #grantable: number;
  #enabled = false;

  constructor(options: TranslationUnitOptions) {
    const { capabilities, memory, caches } = options;
    const sizes = cacheSizes(caches);
    this.capabilities = capabilities;
    this.trace = options.trace ?? new TraceChannel();
    this.#grantable = capabilities.has("ERS") ? READ | WRITE | EXECUTE : READ | WRITE;
    this.#iotlb = new Iotlb(sizes.iotlbLg2);
    this.#spaces = new Spaces(() => this.#dropTranslations());
    const parts = {
      memory,
      capabilities,
      iotlb: this.#iotlb,
      spaces: this.#spaces,
      structuresLg2: sizes.structuresLg2,
      counters: this.counters,
      trace: this.trace,
    };
    this.#translation = new Translation(parts, this.#bindings, sizes, caches !== "off");
    this.#invalidator = new Invalidator(parts, this.#translation, this.#bindings);
  }

  /** Whether requests are translated; if not, they pass. */
  get enabled(): boolean {
    return this.#enabled;
  }

  /** The root table address register as it was set last. */
  get rootTableAddress(): bigint {
    return this.#translation.rtaddr;
  }

  /** Whether that register puts the unit into scalable mode. */
  get isScalable(): boolean {
    return RTADDR.decode([this.rootTableAddress]).TTM === BigInt(TTM_SCALABLE);
  }

  /**
   * Makes the unit use another root table, as GCMD.SRTP does.
   *
   * @param rtaddr the root table address register: the table and its mode
   */
  setRootTable(rtaddr: bigint): void {
    const { RTA, TTM } = RTADDR.decode([rtaddr]);
    this.#translation.setRoot(rtaddr, frameOf(highHalf(RTA), lowHalf(RTA)), Number(TTM));
    this.#bindings.clear();
    if (this.trace.enabled) this.trace.emit(ROOT_TABLE_SET, { rtaddr });
    if (!this.capabilities.has("ESRTPS")) return;
    this.invalidateContext({ granularity: "global" });
    this.invalidatePasid({ granularity: "global" });
    this.invalidateIotlb({ granularity: "global" });
  }

  /** Switches translation on or off, as GCMD.TE does. */
  setTranslation(enabled: boolean): void {
    this.#enabled = enabled;
    this.#bindings.clear();
    if (this.trace.enabled) this.trace.emit(TRANSLATION_SWITCHED, { enabled });
  }

  /** Translates `request`; `false` when it is refused, with `request.fault` set. */
  translate(request: DmaRequest): boolean {
    const { hi, lo } = request;
    const bindings = this.#bindings;
    // There are bindings only where translation is on and caches are.
    const binding =
      request.addressType === UNTRANSLATED && !inInterruptRange(hi, lo)
        ? bindings.find(request.source, request.pasid)
        : -1;
    if (binding < 0) {
      this.#translation.translate(request, this.#enabled);
      return request.fault === undefined;
    }
    const { words } = bindings;
    const rules = words[binding | ACCESS]!;
    const access = request.access | (rules & 0xff);
    const iotlb = this.#iotlb;
    const cached = iotlb.find(words[binding | TAG]!, hi, lo);
    if (cached >= 0) {
      // No rights have the bits that the target refuses.
      const need = neededRights(access) | (access & (rules >> REFUSED_SHIFT));
      const page = iotlb.words;
      if ((page[cached | RIGHTS]! & need) === need) {
        request.outHi = page[cached | OUT_HI]!;
        request.outLo = iotlb.outLow(cached, lo);
        request.pageLg2 = page[cached | PAGE_LG2]!;
        request.granted = request.access & this.#grantable;
        request.fault = undefined;
        if (this.trace.enabled === true) this.#traceHit(request);
        return true;
      }
    }
    this.#translation.translateBound(request, binding, cached >= 0);
    return request.fault === undefined;
  }

  /** Invalidates context entries (§6.5.1.1). */
  invalidateContext(what: ContextInvalidation): void {
    this.#invalidator.context(what);
  }

  /** Invalidates PASID entries (§6.5.1.2). */
  invalidatePasid(what: PasidInvalidation): void {
    this.#invalidator.pasid(what);
  }

  /** Invalidates translations of a domain, in all stages (§6.5.1.3). */
  invalidateIotlb(what: IotlbInvalidation): void {
    this.#invalidator.iotlb(what);
  }

  /** Invalidates first-stage and nested translations of a PASID (§6.5.1.4). */
  invalidatePasidIotlb(what: PasidIotlbInvalidation): void {
    this.#invalidator.pasidIotlb(what);
  }

  /**
   * As `invalidatePasidIotlb` for the 2^`mask` pages of 4 KiB around the address
   * `(hi, lo)`; `hint` keeps the paging-structure caches.
   */
  invalidatePasidPages(
    domain: number,
    pasid: number,
    hi: number,
    lo: number,
    mask: number,
    hint: boolean,
  ): void {
    this.#invalidator.pasidPages(domain, pasid, hi, lo, mask, hint);
  }

  /** What refuses a page request of a device; see `Translation.pageRequestRefusal`. */
  pageRequestRefusal(
    source: number,
    pasid: number,
  ): { readonly code: number; readonly recorded: boolean } | undefined {
    return this.#translation.pageRequestRefusal(source, pasid, this.#enabled);
  }

  /**
   * Drops the first-stage or nested translation of the page that a device asks
   * for (§6.5): what is cached of it is what the device could not use.
   */
  invalidateRequestedPage(source: number, pasid: number, address: bigint): void {
    const found = this.#translation.firstStageOf(source, pasid);
    if (found === undefined) return;
    this.invalidatePasidIotlb({ granularity: "page", ...found, address, mask: 0, hint: false });
  }

  /** Puts everything into its reset state: translation off, no root table, empty caches. */
  reset(): void {
    this.#enabled = false;
    this.#translation.setRoot(0n, 0, 0);
    this.invalidateContext({ granularity: "global" });
    this.invalidatePasid({ granularity: "global" });
    this.invalidateIotlb({ granularity: "global" });
  }

  /** The unit's state as plain data. */
  inspect(): UnitInspection {
    return inspectUnit(this, this.#translation.tables, this.#iotlb, this.#spaces);
  }

  #dropTranslations(): void {
    this.#iotlb.clear();
    this.#translation.dropStructures();
    this.#bindings.clear();
  }

  #traceHit(request: DmaRequest): void {
    this.trace.emit(IOTLB_HIT, {
      source: request.source,
      pasid: request.pasid === NO_PASID ? undefined : request.pasid,
      iova: fromHalves(request.hi, request.lo),
      address: fromHalves(request.outHi, request.outLo),
    });
  }
}
