import { NO_PASID, TRANSLATED, UNTRANSLATED } from "../pci/dma-request.ts";
import { Context, ContextCache } from "./context-cache.ts";
import { createDeviceReaders, type DeviceReaders } from "./device-readers.ts";
import type { FaultSite } from "./fault.ts";
import { PasidCache, PasidLine } from "./pasid-cache.ts";
import {
  CONTEXT_ENTRY,
  SCALABLE_CONTEXT_ENTRY,
  TT_DEVICE_TLB,
  TT_PASS_THROUGH,
} from "./spec/context-entry.ts";
import { PASID_DIRECTORY_ENTRY, PASID_ENTRY } from "./spec/pasid-entry.ts";
import { ROOT_ENTRY, SCALABLE_ROOT_HALF } from "./spec/root-entry.ts";
import type { StructureParts, StructureReader } from "./structure-reader.ts";
import { FIRST_STAGE, NESTED, PASS_THROUGH, SECOND_STAGE, type Target } from "./target.ts";

/** What the context and PASID caches are made of. */
export interface DeviceTablesOptions {
  /** log2 of the lines, or -1 for no cache. */
  readonly contextsLg2: number;
  readonly pasidsLg2: number;
}

/**
 * From a requester ID and a PASID to how its requests are translated: root
 * table, context table and, in scalable mode, PASID directory and PASID table
 * (§3.4, §9.1 to §9.6). `resolve` leaves its answer in `target` and `context`.
 */
export class DeviceTables {
  readonly contexts: ContextCache | undefined;
  readonly pasids: PasidCache | undefined;
  /** Answer: how the request is translated; not set for a request that has been translated. */
  target: Target;
  /** Answer: the device's context entry. */
  context: Context = new Context();
  /** The reader whose entry was looked at last. */
  reading: StructureReader<string>;
  readonly #parts: StructureParts;
  readonly #site: FaultSite;
  readonly #root: DeviceReaders["root"];
  readonly #half: DeviceReaders["half"];
  readonly #legacy: DeviceReaders["legacy"];
  readonly #scalable: DeviceReaders["scalable"];
  readonly #directory: DeviceReaders["directory"];
  readonly #entry: DeviceReaders["entry"];
  /** By PASID_ENTRY.PGTT: whether the unit has that translation type. */
  readonly #types: readonly boolean[];
  /** The largest PASID_ENTRY.FSPM that the unit has. */
  readonly #largestPagingMode: number;
  /** PASIDs the unit takes: below this. */
  readonly #pasidLimit: number;
  /** Where entries are decoded that no cache keeps. */
  readonly #looseContext = new Context();
  readonly #loosePasid = new PasidLine();
  /** Called before a cached line is given to another device or read again. */
  readonly #lineChanges: () => void;

  /** @param lineChanges called before what `target` has referred to changes under it */
  constructor(
    parts: StructureParts,
    site: FaultSite,
    options: DeviceTablesOptions,
    lineChanges: () => void = () => {},
  ) {
    const { capabilities } = parts;
    const readers = createDeviceReaders(parts);
    this.#parts = parts;
    this.#site = site;
    this.#root = readers.root;
    this.#half = readers.half;
    this.#legacy = readers.legacy;
    this.#scalable = readers.scalable;
    this.#directory = readers.directory;
    this.#entry = readers.entry;
    const has = (name: string): boolean => capabilities.has(name);
    this.#types = [false, has("FSTS"), has("SSTS"), has("NEST"), has("PT"), false, false, false];
    this.#largestPagingMode = has("FS5LP") ? 1 : 0;
    this.#pasidLimit = 2 ** capabilities.pasidBits;
    this.contexts = options.contextsLg2 < 0 ? undefined : new ContextCache(options.contextsLg2);
    this.pasids = options.pasidsLg2 < 0 ? undefined : new PasidCache(options.pasidsLg2);
    this.target = this.#looseContext.target;
    this.#lineChanges = lineChanges;
    this.reading = this.#root;
  }

  /**
   * @param rootPfn frame of the root table
   * @param pasid `NO_PASID` for a request without one
   * @returns 0 or the fault's code
   */
  resolve(
    rootPfn: number,
    legacy: boolean,
    source: number,
    pasid: number,
    addressType: number,
  ): number {
    if (legacy && pasid !== NO_PASID) return 0x31;
    const code = this.#findContext(rootPfn, legacy, source);
    if (code !== 0) return code;
    if (this.context.fpd) this.#site.fpd = true;
    return legacy
      ? this.#resolveLegacy(addressType)
      : this.#resolveScalable(source, pasid, addressType);
  }

  #resolveLegacy(addressType: number): number {
    const { context } = this;
    if (addressType !== UNTRANSLATED && !context.deviceTlb) return 0x0d;
    this.target = context.target;
    return 0;
  }

  #resolveScalable(source: number, pasid: number, addressType: number): number {
    const { context } = this;
    if (addressType !== UNTRANSLATED && !context.deviceTlb) return 0x44;
    if (pasid !== NO_PASID) {
      if (!context.pasids) return 0x45;
      if (pasid >= context.pasidLimit || pasid >= this.#pasidLimit) return 0x46;
    } else if (context.ridPasid >= context.pasidLimit) {
      return 0x48;
    }
    // A translated request needs the context's consent, and nothing of the PASID entry (§4.1).
    if (addressType === TRANSLATED) return 0;
    const effective = pasid === NO_PASID ? context.ridPasid : pasid;
    const line = this.pasids?.lineOf(source, effective) ?? this.#loosePasid;
    if (this.pasids === undefined || line.source !== source || line.pasid !== effective) {
      this.#lineChanges();
      line.source = -1;
      const code = this.#readPasidEntry(line.target, effective);
      if (code !== 0) return code;
      line.source = source;
      line.pasid = effective;
    }
    this.target = line.target;
    if (line.target.fpd) this.#site.fpd = true;
    return 0;
  }

  /** Finds the device's context entry, in the cache or in memory. */
  #findContext(rootPfn: number, legacy: boolean, source: number): number {
    const line = this.contexts?.lineOf(source) ?? this.#looseContext;
    this.context = line;
    if (this.contexts !== undefined && line.source === source && line.legacy === legacy) return 0;
    this.#lineChanges();
    line.source = -1;
    const code = legacy
      ? this.#readLegacyContext(line, rootPfn, source)
      : this.#readScalableContext(line, rootPfn, source);
    if (code === 0) line.source = source;
    return code;
  }

  #readLegacyContext(line: Context, rootPfn: number, source: number): number {
    const root = this.#root;
    this.reading = root;
    if (!root.read(rootPfn, (source >>> 8) * 16)) return 0x08;
    if (!root.has(ROOT_ENTRY.fields.P)) return 0x01;
    if (root.violatesReserved) return 0x0a;
    const entry = this.#legacy;
    const { fields } = CONTEXT_ENTRY;
    this.reading = entry;
    if (!entry.read(root.frame(ROOT_ENTRY.fields.CTP), (source & 0xff) * 16)) return 0x09;
    if (entry.has(fields.FPD)) this.#site.fpd = true;
    if (!entry.has(fields.P)) return 0x02;
    if (entry.violatesReserved) return 0x0b;
    const { capabilities } = this.#parts;
    const type = entry.get(fields.TT);
    const width = entry.get(fields.AW);
    if (
      type === 3 ||
      (type === TT_DEVICE_TLB && !capabilities.has("DT")) ||
      (type === TT_PASS_THROUGH && !capabilities.has("PT")) ||
      !hasWidth(capabilities.secondStageWidths, width)
    ) {
      return 0x03;
    }
    line.legacy = true;
    line.fpd = entry.has(fields.FPD);
    line.deviceTlb = type === TT_DEVICE_TLB;
    line.ridPrivileged = false;
    const { target } = line;
    target.type = type === TT_PASS_THROUGH ? PASS_THROUGH : SECOND_STAGE;
    target.legacy = true;
    target.domain = entry.get(fields.DID);
    target.secondStageLevels = width + 2;
    target.secondStagePfn = entry.frame(fields.SSPTPTR);
    return 0;
  }

  #readScalableContext(line: Context, rootPfn: number, source: number): number {
    const half = this.#half;
    this.reading = half;
    const upper = (source & 0x80) === 0 ? 0 : 8;
    if (!half.read(rootPfn, (source >>> 8) * 16 + upper)) return 0x38;
    if (!half.has(SCALABLE_ROOT_HALF.fields.P)) return 0x39;
    if (half.violatesReserved || this.#otherHalfIsBad(rootPfn, source)) return 0x3a;
    const entry = this.#scalable;
    const { fields } = SCALABLE_CONTEXT_ENTRY;
    this.reading = entry;
    if (!entry.read(half.frame(SCALABLE_ROOT_HALF.fields.CTP), (source & 0x7f) * 32)) return 0x40;
    if (entry.has(fields.FPD)) this.#site.fpd = true;
    if (!entry.has(fields.P)) return 0x41;
    if (entry.violatesReserved) return 0x42;
    line.legacy = false;
    line.fpd = entry.has(fields.FPD);
    line.deviceTlb = entry.has(fields.DTE);
    line.pasids = entry.has(fields.PASIDE);
    line.pageRequests = entry.has(fields.PRE);
    line.pasidLimit = 1 << (entry.get(fields.PDTS) + 13);
    line.pfn = entry.frame(fields.PASIDDIRPTR);
    const { capabilities } = this.#parts;
    line.ridPasid = capabilities.has("RPS") ? entry.get(fields.RID_PASID) : 0;
    line.ridPrivileged = capabilities.has("RPRIVS") && entry.has(fields.RID_PRIV);
    return 0;
  }

  /** Where a unit looks at both halves of a root entry: whether the one not in use has reserved bits. */
  #otherHalfIsBad(rootPfn: number, source: number): boolean {
    if (!this.#parts.capabilities.deviations.rootHalvesTogether) return false;
    const half = this.#half;
    const upper = (source & 0x80) === 0 ? 0 : 8;
    half.read(rootPfn, (source >>> 8) * 16 + 8 - upper);
    const bad = half.violatesReserved;
    half.read(rootPfn, (source >>> 8) * 16 + upper);
    return bad;
  }

  #readPasidEntry(target: Target, pasid: number): number {
    const directory = this.#directory;
    this.reading = directory;
    if (!directory.read(this.context.pfn, (pasid >>> 6) * 8)) return 0x50;
    const directoryFpd = directory.has(PASID_DIRECTORY_ENTRY.fields.FPD);
    const { capabilities } = this.#parts;
    const { validityBeforePresence, pasidFpdNeedsValidity } = capabilities.deviations;
    if (directoryFpd && !pasidFpdNeedsValidity) this.#site.fpd = true;
    if (!directory.has(PASID_DIRECTORY_ENTRY.fields.P)) return 0x51;
    if (directory.violatesReserved) return 0x52;
    const entry = this.#entry;
    const { fields } = PASID_ENTRY;
    this.reading = entry;
    if (!entry.read(directory.frame(PASID_DIRECTORY_ENTRY.fields.SMPTBLPTR), (pasid & 63) * 64)) {
      return 0x58;
    }
    if (entry.has(fields.FPD) && !pasidFpdNeedsValidity) this.#site.fpd = true;
    if (validityBeforePresence && !this.#isValid()) return 0x5b;
    if (!entry.has(fields.P)) return 0x59;
    if (entry.violatesReserved) return 0x5a;
    if (!this.#isValid()) return 0x5b;
    target.legacy = false;
    target.type = entry.get(fields.PGTT);
    target.pasid = pasid;
    target.fpd = directoryFpd || entry.has(fields.FPD);
    target.domain = entry.get(fields.DID);
    target.secondStageLevels = entry.get(fields.AW) + 2;
    target.secondStagePfn = entry.frame(fields.SSPTPTR);
    target.secondStageFlags = capabilities.has("SSADS") && entry.has(fields.SSADE);
    target.snooped = entry.has(fields.PWSNP);
    target.firstStageLevels = entry.get(fields.FSPM) + 4;
    target.firstStagePfn = entry.frame(fields.FSPTPTR);
    target.supervisorRequests = entry.has(fields.SRE);
    target.writeProtect = entry.has(fields.WPE);
    target.extendedAccessed = this.#parts.capabilities.has("EAFS") && entry.has(fields.EAFE);
    return 0;
  }

  /** Whether the unit can do what the PASID entry asks for. */
  #isValid(): boolean {
    const { fields } = PASID_ENTRY;
    const type = this.#entry.get(fields.PGTT);
    if (!this.#types[type]) return false;
    const usesFirst = type === FIRST_STAGE || type === NESTED;
    const usesSecond = type === SECOND_STAGE || type === NESTED;
    const widths = this.#parts.capabilities.secondStageWidths;
    return (
      (!usesFirst || this.#entry.get(fields.FSPM) <= this.#largestPagingMode) &&
      (!usesSecond || hasWidth(widths, this.#entry.get(fields.AW)))
    );
  }
}

/** Whether AW `width` (levels less 2) is among CAP.SAGAW `widths`; only 3 to 5 levels exist. */
const hasWidth = (widths: number, width: number): boolean =>
  width >= 1 && width <= 3 && ((widths >> width) & 1) !== 0;
