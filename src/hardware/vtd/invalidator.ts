import { fromHalves, highHalf, lowHalf } from "../../bits/halves.ts";
import type { Bindings } from "./bindings.ts";
import { INVALIDATED } from "./events.ts";
import type { Translation } from "./translation.ts";
import type { WalkParts } from "./walk-parts.ts";

/** Which context entries; `functionMask` 1 to 3 leaves out the low bits b2, b2:1, b2:0 of the function. */
export type ContextInvalidation =
  | { readonly granularity: "global" }
  | { readonly granularity: "domain"; readonly domain: number }
  | { readonly granularity: "device"; readonly source: number; readonly functionMask: number };

/** Which PASID entries; the domain is the one that was cached. */
export type PasidInvalidation =
  | { readonly granularity: "global" }
  | { readonly granularity: "domain"; readonly domain: number }
  | { readonly granularity: "pasid"; readonly domain: number; readonly pasid: number };

/** 2^`mask` pages of 4 KiB around `address`; `hint` keeps the paging-structure caches. */
export interface PageRange {
  readonly address: bigint;
  readonly mask: number;
  readonly hint: boolean;
}

/** Which translations, of all stages. */
export type IotlbInvalidation =
  | { readonly granularity: "global" }
  | { readonly granularity: "domain"; readonly domain: number }
  | ({ readonly granularity: "page"; readonly domain: number } & PageRange);

/** Which first-stage and nested translations. */
export type PasidIotlbInvalidation =
  | { readonly granularity: "pasid"; readonly domain: number; readonly pasid: number }
  | ({ readonly granularity: "page"; readonly domain: number; readonly pasid: number } & PageRange);

/** CCMD.FM and the context-cache descriptor's FM: the function bits that are not compared. */
const FUNCTION_MASKS = [0b000, 0b100, 0b110, 0b111];

/** Empties caches as software asks, at every granularity (§6.5.1). */
export class Invalidator {
  readonly #parts: WalkParts;
  readonly #translation: Translation;
  readonly #bindings: Bindings;

  constructor(parts: WalkParts, translation: Translation, bindings: Bindings) {
    this.#parts = parts;
    this.#translation = translation;
    this.#bindings = bindings;
  }

  context(what: ContextInvalidation): void {
    const { contexts } = this.#translation.tables;
    if (what.granularity === "device") {
      const care = 0xffff & ~FUNCTION_MASKS[what.functionMask & 3]!;
      contexts?.drop((line) => ((line.source ^ what.source) & care) === 0);
    } else {
      // A scalable context has no domain, so that one by domain must take them all.
      contexts?.drop(
        (line) =>
          what.granularity === "global" || !line.legacy || line.target.domain === what.domain,
      );
    }
    this.#bindings.clear();
    this.#trace("context", what);
  }

  pasid(what: PasidInvalidation): void {
    this.#translation.tables.pasids?.drop(
      (line) =>
        what.granularity === "global" ||
        (line.target.domain === what.domain &&
          (what.granularity === "domain" || line.pasid === what.pasid)),
    );
    this.#bindings.clear();
    this.#trace("pasid", what);
  }

  iotlb(what: IotlbInvalidation): void {
    const { spaces } = this.#parts;
    if (what.granularity === "global") spaces.forgetAll();
    else if (what.granularity === "domain") spaces.forgetDomain(what.domain);
    else {
      spaces.forgetFirstStages(what.domain);
      const { domain, address, mask, hint } = what;
      const space = spaces.inUse(domain);
      if (space?.fractured === true) spaces.forgetSpace(domain);
      else if (space !== undefined) {
        this.#dropPages(space.tag, highHalf(address), lowHalf(address), mask, hint);
      }
    }
    this.#bindings.clear();
    this.#trace("iotlb", what);
  }

  pasidIotlb(what: PasidIotlbInvalidation): void {
    if (what.granularity === "pasid") {
      this.#forgetPasid(what.domain, what.pasid);
      this.#trace("pasid-iotlb", what);
    } else {
      const { domain, pasid, address, mask, hint } = what;
      this.pasidPages(domain, pasid, highHalf(address), lowHalf(address), mask, hint);
    }
  }

  /** As `pasidIotlb` for pages, with the address in halves. */
  pasidPages(
    domain: number,
    pasid: number,
    hi: number,
    lo: number,
    mask: number,
    hint: boolean,
  ): void {
    const { spaces, trace } = this.#parts;
    const space = spaces.inUse(domain, pasid);
    if (space?.fractured === true) this.#forgetPasid(domain, pasid);
    else if (space !== undefined) this.#dropPages(space.tag, hi, lo, mask, hint);
    if (!trace.enabled) return;
    const address = fromHalves(hi, lo);
    this.#trace("pasid-iotlb", { granularity: "page", domain, pasid, address, mask, hint });
  }

  #forgetPasid(domain: number, pasid: number): void {
    this.#parts.spaces.forgetSpace(domain, pasid);
    this.#bindings.clear();
  }

  #dropPages(tag: number, hi: number, lo: number, mask: number, hint: boolean): void {
    this.#parts.iotlb.drop(tag, hi, lo, mask);
    if (!hint) this.#translation.dropStructuresFor(tag, hi, lo, mask);
  }

  #trace(
    cache: "context" | "pasid" | "iotlb" | "pasid-iotlb",
    what: ContextInvalidation | PasidInvalidation | IotlbInvalidation | PasidIotlbInvalidation,
  ): void {
    const { trace } = this.#parts;
    if (trace.enabled) trace.emit(INVALIDATED, { cache, ...what });
  }
}
