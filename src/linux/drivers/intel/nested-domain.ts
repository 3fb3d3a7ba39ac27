import { LAST_ADDRESS } from "../../../bits/address.ts";
import { PASID_ENTRY, PGTT_NESTED } from "../../../hardware/vtd/spec/pasid-entry.ts";
import { DONE, fail, type Outcome } from "../../errno.ts";
import type { InvalidateResult, NestedDomain, UserDataArray } from "../../iommu/index.ts";
import * as uapi from "../../uapi/index.ts";
import { type Binding, deviceTlbItems } from "./binding.ts";
import { pasidIotlb, pasidIotlbPages } from "./descriptors.ts";
import type { IntelDevice } from "./intel-device.ts";
import { IntelDomain } from "./intel-domain.ts";
import type { FlushItem, IntelUnit } from "./intel-unit.ts";
import { spanOf } from "./page-span.ts";
import type { IntelPagingDomain } from "./paging-domain.ts";
import { secondStageFields } from "./second-stage.ts";
import { mergeRanges, type StageOneRange } from "./stage-one-ranges.ts";

/** A guest's first stage, as a driver is told of it: no structure of the user interface. */
export interface StageOne {
  /** Guest physical address of the top table. */
  readonly tableAddress: bigint;
  /** 48 or 57. */
  readonly addressWidth: number;
  readonly supervisorRequests: boolean;
  readonly extendedAccessed: boolean;
  readonly writeProtect: boolean;
}

/** A guest's first stage over a second stage of ours. Its domain id is ours too: the guest's never reaches hardware. */
export class IntelNestedDomain extends IntelDomain implements NestedDomain {
  readonly kind = "nested";
  readonly parent: IntelPagingDomain;
  readonly #stageOne: StageOne;

  constructor(driver: object, parent: IntelPagingDomain, stageOne: StageOne) {
    super(driver);
    this.parent = parent;
    this.#stageOne = stageOne;
    parent.children.add(this);
  }

  compatible(device: IntelDevice): Outcome<undefined> {
    const { unit } = device;
    const { addressWidth, supervisorRequests, extendedAccessed } = this.#stageOne;
    const wide = addressWidth === 57;
    const fits =
      unit.scalable &&
      unit.has("NEST") &&
      (wide ? unit.has("FS5LP") : addressWidth === 48) &&
      (!supervisorRequests || unit.has("SRS")) &&
      (!extendedAccessed || unit.has("EAFS"));
    return fits ? this.parent.compatible(device) : fail("EINVAL");
  }

  bindingFor({ unit }: IntelDevice, domainId: number): Binding {
    const { tableAddress, addressWidth, ...flags } = this.#stageOne;
    const words = PASID_ENTRY.encode({
      P: 1,
      PGTT: PGTT_NESTED,
      DID: domainId,
      ...secondStageFields(unit, this.parent.table, this.parent),
      SRE: flags.supervisorRequests,
      EAFE: flags.extendedAccessed,
      WPE: flags.writeProtect,
      FSPM: addressWidth === 57 ? 1 : 0,
      FSPTPTR: tableAddress & ~0xfffn,
    });
    return { stage: "nested", domain: this, domainId, words };
  }

  /**
   * Has hardware forget translations of the guest's, as the guest asked. Entries
   * are looked at in order up to the first wrong one; those before it are done,
   * with one submission for each unit.
   */
  invalidate(array: UserDataArray): InvalidateResult {
    if (array.type !== uapi.IOMMU_HWPT_INVALIDATE_DATA_VTD_S1) {
      return { done: 0, outcome: fail("EINVAL") };
    }
    const ranges: StageOneRange[] = [];
    let outcome: Outcome<undefined> = DONE;
    let done = 0;
    while (done < array.count && outcome.ok) {
      outcome = readRange(array, done, ranges);
      if (outcome.ok) done += 1;
    }
    this.invalidateRanges(ranges);
    return { done, outcome };
  }

  /** Has hardware forget translations of these ranges: in as few descriptors as they allow. */
  invalidateRanges(ranges: readonly StageOneRange[]): void {
    const merged = mergeRanges(ranges);
    if (merged.length === 0) return;
    for (const { unit, id } of this.units) unit.mustFlush(this.#itemsFor(unit, id, merged));
  }

  #itemsFor(unit: IntelUnit, id: number, ranges: readonly StageOneRange[]): readonly FlushItem[] {
    const { PSI, MAMV } = unit.registers.capFields;
    const users = [...this.attachments].filter(({ device }) => device.unit === unit);
    const pasids = [...new Set(users.map(({ pasid }) => pasid))];
    const spans = ranges.map(({ leavesOnly, ...range }) => ({ leavesOnly, span: spanOf(range) }));
    const selects = PSI === 1n && spans.every(({ span }) => BigInt(span.mask) <= MAMV);
    const whole = spans.some(({ span }) => span.mask + 12 >= 64);
    return [
      ...pasids.flatMap((pasid) =>
        selects
          ? spans.map(({ span, leavesOnly }) => ({
              descriptor: pasidIotlbPages(id, pasid, span, leavesOnly),
            }))
          : [{ descriptor: pasidIotlb(id, pasid) }],
      ),
      ...users.flatMap(({ device, pasid }) =>
        whole
          ? deviceTlbItems(device, pasid)
          : spans.flatMap(({ span }) => deviceTlbItems(device, pasid, span)),
      ),
    ];
  }

  /** @throws Error while devices use it: a bug of the caller */
  free(): void {
    this.requireUnused();
    this.parent.children.delete(this);
  }
}

/** All pages: with address 0. */
const EVERY_PAGE = LAST_ADDRESS;

/** Reads one entry of a client's array. @returns EOPNOTSUPP for flags, EINVAL for an address inside a page; EFAULT and as the array says */
const readRange = (
  array: UserDataArray,
  index: number,
  into: StageOneRange[],
): Outcome<undefined> => {
  const struct = uapi.IOMMU_HWPT_VTD_S1_INVALIDATE;
  const bytes = array.read(index, struct.size);
  if (!bytes.ok) return bytes;
  const { addr, npages, flags, __reserved } = struct.decode(bytes.value);
  if ((flags & ~uapi.IOMMU_VTD_INV_FLAGS_LEAF) !== 0 || __reserved !== 0) {
    return fail("EOPNOTSUPP");
  }
  if ((addr & 0xfffn) !== 0n || (npages === EVERY_PAGE && addr !== 0n)) return fail("EINVAL");
  if (npages === 0n) return DONE;
  const last = addr + (npages << 12n) - 1n;
  const leavesOnly = (flags & uapi.IOMMU_VTD_INV_FLAGS_LEAF) !== 0;
  into.push({ start: addr, last: last > LAST_ADDRESS ? LAST_ADDRESS : last, leavesOnly });
  return DONE;
};
