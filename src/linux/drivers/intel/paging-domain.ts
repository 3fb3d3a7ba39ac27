import { frameAddress } from "../../../bits/halves.ts";
import type { Range } from "../../../bits/range.ts";
import { PASID_ENTRY, PGTT_FIRST_STAGE } from "../../../hardware/vtd/spec/pasid-entry.ts";
import {
  adoptPageTable,
  createPageTable,
  Gather,
  type PageTable,
  type PageTableOptions,
  PROT_READ,
  PROT_WRITE,
  VTD_SECOND_STAGE,
  X86_64,
} from "../../../page-table/index.ts";
import { DONE, fail, type Outcome, ok } from "../../errno.ts";
import type { DeferralOps, DirtyOps, DirtyVisit, PagingDomain } from "../../iommu/index.ts";
import type { Frames } from "../../mm/frames.ts";
import { type Binding, deviceTlbItems } from "./binding.ts";
import { iotlbOfDomain, iotlbPages, pasidIotlb, pasidIotlbPages } from "./descriptors.ts";
import type { IntelDevice } from "./intel-device.ts";
import { IntelDomain } from "./intel-domain.ts";
import type { FlushItem, IntelUnit } from "./intel-unit.ts";
import { type PageSpan, spanOf } from "./page-span.ts";
import {
  firstStageSizes,
  guestAddressWidth,
  hasSecondStageLevels,
  secondStageEntry,
  secondStageLevels,
  secondStageSizes,
  tracksDirty,
  widestCode,
} from "./second-stage.ts";

/** What a paging domain is to be able to do. */
export interface IntelPagingOptions {
  readonly stage: "first" | "second";
  readonly nestParent: boolean;
  readonly dirtyTracking: boolean;
  /** Read-only mappings are refused: the way around erratum 772415 for a nesting parent. */
  readonly writableOnly: boolean;
}

/** Whether page-selective invalidation can say a span. */
const canSelect = ({ registers }: IntelUnit, { mask }: PageSpan): boolean =>
  registers.capFields.PSI === 1n && BigInt(mask) <= registers.capFields.MAMV;

const tableOptions = (
  frames: Frames,
  unit: IntelUnit,
  { stage, writableOnly }: IntelPagingOptions,
): PageTableOptions => {
  const common = { memory: frames.memory, pages: frames };
  if (stage === "first") {
    const levels = unit.has("FS5LP") ? 5 : 4;
    // The lower of the two canonical halves.
    const inputLg2 = 12 + 9 * levels - 1;
    return { ...common, format: X86_64, levels, inputLg2, pageSizes: firstStageSizes(unit) };
  }
  const levels = secondStageLevels(unit);
  return {
    ...common,
    format: VTD_SECOND_STAGE,
    levels,
    inputLg2: Math.min(12 + 9 * levels, guestAddressWidth(unit)),
    pageSizes: secondStageSizes(unit),
    writableOnly,
  };
};

/** A domain with a page table of ours, in first- or second-stage format. */
export class IntelPagingDomain extends IntelDomain implements PagingDomain {
  readonly kind = "paging";
  readonly stage: "first" | "second";
  readonly nestParent: boolean;
  readonly aperture: Range;
  readonly dirty?: DirtyOps;
  readonly deferral: DeferralOps = {
    unmap: (iova, length) => {
      const gather = new Gather(this.table.pages);
      const { unmapped } = this.table.unmap(iova, length, gather);
      return { unmapped, release: () => gather.release() };
    },
    flush: () => {
      for (const { unit, id } of this.#unitsBelow()) unit.mustFlush(this.#itemsFor(unit, id));
    },
  };
  /** Nested domains over it: what it unmaps, they cache. */
  readonly children: Set<IntelDomain> = new Set();
  table: PageTable;
  tracking = false;
  coherent = false;
  readonly #options: PageTableOptions;

  private constructor(
    driver: object,
    table: PageTable,
    tableOptions: PageTableOptions,
    options: IntelPagingOptions,
  ) {
    super(driver);
    this.table = table;
    this.#options = tableOptions;
    this.stage = options.stage;
    this.nestParent = options.nestParent;
    this.aperture = { start: 0n, last: (1n << BigInt(table.inputLg2)) - 1n };
    if (options.dirtyTracking) {
      this.dirty = {
        set: (enabled) => this.#setTracking(enabled),
        readAndClear: (iova, length, clear, visit) =>
          this.#readAndClear(iova, length, clear, visit),
      };
    }
  }

  /** A table as wide as the unit allows. @returns EOPNOTSUPP without such a stage, ENOMEM */
  static create(
    driver: object,
    frames: Frames,
    unit: IntelUnit,
    options: IntelPagingOptions,
  ): Outcome<IntelPagingDomain> {
    if (options.stage === "second" && secondStageLevels(unit) === 0) return fail("EOPNOTSUPP");
    const wanted = tableOptions(frames, unit, options);
    const made = createPageTable(wanted);
    if (!made.ok) return fail(made.errno);
    return ok(new IntelPagingDomain(driver, made.table, wanted, options));
  }

  get pageSizes(): bigint {
    return this.table.pageSizes;
  }

  compatible({ unit }: IntelDevice): Outcome<undefined> {
    const { levels, pageSizes } = this.table;
    if (this.stage === "first") {
      const fits =
        unit.scalable &&
        unit.has("FSTS") &&
        (levels === 4 || unit.has("FS5LP")) &&
        (pageSizes & ~firstStageSizes(unit)) === 0n;
      return fits && (!this.coherent || unit.has("SC")) ? DONE : fail("EINVAL");
    }
    const fits =
      (!unit.scalable || unit.has("SSTS")) &&
      hasSecondStageLevels(unit, levels) &&
      this.table.inputLg2 <= guestAddressWidth(unit) &&
      (pageSizes & ~secondStageSizes(unit)) === 0n &&
      (this.dirty === undefined || tracksDirty(unit)) &&
      (!this.coherent || unit.has("SC"));
    return fits ? DONE : fail("EINVAL");
  }

  bindingFor(device: IntelDevice, domainId: number): Binding {
    const { table, stage } = this;
    const words =
      stage === "second"
        ? secondStageEntry(device, table, domainId, this)
        : PASID_ENTRY.encode({
            P: 1,
            PGTT: PGTT_FIRST_STAGE,
            // Not of this stage's, but some units take from it what is canonical.
            AW: widestCode(device.unit),
            DID: domainId,
            PWSNP: device.unit.has("SMPWCS"),
            PGSNP: this.coherent,
            FSPM: table.levels - 4,
            FSPTPTR: frameAddress(table.rootPfn),
          });
    return { stage, domain: this, domainId, words };
  }

  map(iova: bigint, pa: bigint, length: bigint, prot: number): Outcome<undefined> {
    const gather = new Gather(this.table.pages);
    const outcome = this.table.map(iova, pa, length, prot & (PROT_READ | PROT_WRITE), gather);
    if (!outcome.ok) {
      if (outcome.mapped > 0n) this.table.unmap(iova, outcome.mapped, gather);
      this.#flush(gather);
      return fail(outcome.errno);
    }
    if (this.units.some(({ unit }) => unit.has("CM"))) {
      gather.add(Number(iova >> 12n), Number(length >> 12n));
    }
    this.#flush(gather);
    return DONE;
  }

  unmap(iova: bigint, length: bigint): bigint {
    const gather = new Gather(this.table.pages);
    const { unmapped } = this.table.unmap(iova, length, gather);
    this.#flush(gather);
    return unmapped;
  }

  iovaToPhys(iova: bigint): bigint | undefined {
    return this.table.walk(iova)?.pa;
  }

  /** Has hardware forget what a gather holds, and only then gives the tables in it back. */
  #flush(gather: Gather): void {
    const { range, tableCount } = gather;
    if (range !== undefined) {
      for (const { unit, id } of this.#unitsBelow()) {
        unit.mustFlush(this.#itemsFor(unit, id, spanOf(range), tableCount === 0));
      }
    }
    gather.release();
  }

  /** Units that may have cached something of the table: those of users, and of users of nested domains. */
  #unitsBelow(): readonly { readonly unit: IntelUnit; readonly id: number | undefined }[] {
    const own = this.units;
    const others = [...this.children]
      .flatMap((child) => child.units.map(({ unit }) => unit))
      .filter((unit) => own.every((known) => known.unit !== unit));
    return [...own, ...[...new Set(others)].map((unit) => ({ unit, id: undefined }))];
  }

  /** @param span everything when absent */
  #itemsFor(
    unit: IntelUnit,
    id: number | undefined,
    span?: PageSpan,
    leavesOnly = false,
  ): readonly FlushItem[] {
    const users = [...this.attachments].filter(({ device }) => device.unit === unit);
    const nested = [...this.children].filter((child) =>
      child.units.some((known) => known.unit === unit),
    );
    return [
      ...(id === undefined ? [] : this.#translations(unit, id, users, span, leavesOnly)),
      // A nested translation is cached by the guest's address: which ones the range made is not known.
      ...nested.flatMap((child) =>
        child.units
          .filter((known) => known.unit === unit)
          .map((known) => ({ descriptor: iotlbOfDomain(known.id, unit.drains) })),
      ),
      ...users.flatMap(({ device, pasid }) => deviceTlbItems(device, pasid, span)),
      ...nested
        .flatMap((child) => [...child.attachments])
        .filter(({ device }) => device.unit === unit)
        .flatMap(({ device, pasid }) => deviceTlbItems(device, pasid)),
    ];
  }

  #translations(
    unit: IntelUnit,
    id: number,
    users: readonly { readonly pasid: number }[],
    span: PageSpan | undefined,
    leavesOnly: boolean,
  ): readonly FlushItem[] {
    const selects = span !== undefined && canSelect(unit, span);
    if (this.stage === "second") {
      return [
        {
          descriptor: selects
            ? iotlbPages(id, span, leavesOnly, unit.drains)
            : iotlbOfDomain(id, unit.drains),
        },
      ];
    }
    // First-stage translations are known by PASID: each user's are dropped, devices of one PASID together.
    return [...new Set(users.map(({ pasid }) => pasid))].map((pasid) => ({
      descriptor: selects ? pasidIotlbPages(id, pasid, span, leavesOnly) : pasidIotlb(id, pasid),
    }));
  }

  /** Writes every entry anew that leads to the table; all, or none. */
  #rewrite(undo: () => void): Outcome<undefined> {
    const done: (() => void)[] = [];
    for (const domain of [this, ...this.children]) {
      for (const { device, pasid, domainId } of domain.attachments) {
        const outcome = device.change(pasid, domain.bindingFor(device, domainId));
        if (outcome.ok) {
          done.push(() => device.force(pasid, domain.bindingFor(device, domainId)));
          continue;
        }
        undo();
        for (const back of done) back();
        return outcome;
      }
    }
    return DONE;
  }

  #setTracking(enabled: boolean): Outcome<undefined> {
    if (this.tracking === enabled) return DONE;
    this.tracking = enabled;
    return this.#rewrite(() => {
      this.tracking = !enabled;
    });
  }

  /** What has been written is told once hardware has forgotten that it was: no later write goes unseen. */
  #readAndClear(
    iova: bigint,
    length: bigint,
    clear: boolean,
    visit: DirtyVisit | undefined,
  ): Outcome<undefined> {
    const gather = new Gather(this.table.pages);
    const found: [vfn: number, count: number][] = [];
    const error = this.table.readAndClearDirty(iova, length, clear, gather, (vfn, count) => {
      found.push([vfn, count]);
    });
    this.#flush(gather);
    if (error !== undefined) return fail(error);
    for (const [vfn, count] of found) visit?.(frameAddress(vfn), frameAddress(count));
    return DONE;
  }

  /** Has every access snoop the caches: by a bit of each second-stage entry, and of the PASID entry where there is one. */
  enforceCacheCoherency(): boolean {
    if (this.coherent) return true;
    const units = this.#unitsBelow();
    if (!units.every(({ unit }) => unit.has("SC"))) return false;
    // Entries that are there already would lack the bit.
    if (this.table.leaves().next().done !== true) return false;
    const { rootPfn } = this.table;
    const forceSnoop = this.stage === "second";
    const adopted = adoptPageTable(rootPfn, { ...this.#options, forceSnoop });
    if (!adopted.ok) return false;
    const before = this.table;
    this.table = adopted.table;
    this.coherent = true;
    const rewritten = this.#rewrite(() => {
      this.table = before;
      this.coherent = false;
    });
    return rewritten.ok;
  }

  /** @throws Error while devices or nested domains use it, or something is mapped: a bug of the caller */
  free(): void {
    this.requireUnused();
    if (this.children.size > 0) throw new Error("a parent goes before its nested domains");
    if (this.table.leaves().next().done !== true) {
      throw new Error("a domain goes with something mapped in it");
    }
    this.table.free();
  }
}
