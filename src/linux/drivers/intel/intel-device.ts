import {
  PAGE_REQUEST_CAPABILITY,
  PASID_CAPABILITY,
} from "../../../hardware/pci/spec/capabilities.ts";
import { SCALABLE_CONTEXT_ENTRY } from "../../../hardware/vtd/spec/context-entry.ts";
import { DONE, fail, type Outcome, ok } from "../../errno.ts";
import type { Group, IommuDevice, IommuDriver } from "../../iommu/index.ts";
import type { Frames } from "../../mm/frames.ts";
import type { PciDevice } from "../../pci/index.ts";
import { type Binding, bindingItems, RID_PASID } from "./binding.ts";
import type { CachingDevice, FlushItem, IntelUnit } from "./intel-unit.ts";
import { PAGE_REQUEST_ROOM } from "./page-request-service.ts";
import { PasidTable } from "./pasid-table.ts";

const LEGACY_ABSENT = [0n, 0n];
const SCALABLE_ABSENT = [0n, 0n, 0n, 0n, 0n, 0n, 0n, 0n];

/** A function behind a unit. */
export class IntelDevice implements IommuDevice, CachingDevice {
  readonly name: string;
  readonly driver: IommuDriver;
  readonly pci: PciDevice;
  readonly unit: IntelUnit;
  readonly group: Group;
  /** How requests are translated, by PASID; those without one at `RID_PASID`. */
  readonly bindings: Map<number, Binding> = new Map();
  /** Its PASIDs, in scalable mode. */
  pasids: PasidTable | undefined = undefined;
  pasidLg2 = 0;
  ats = false;
  pasidExec = false;
  pasidPrivileged = false;
  /** It may request pages. */
  pageRequests = false;

  constructor(driver: IommuDriver, pci: PciDevice, unit: IntelUnit, group: Group) {
    this.name = pci.name;
    this.driver = driver;
    this.pci = pci;
    this.unit = unit;
    this.group = group;
  }

  /**
   * Lets the device use what it and the unit have: PASIDs first, for enabling
   * them after ATS has no defined meaning.
   */
  enableFeatures(atsAllowed: boolean): void {
    const { unit, pci } = this;
    if (unit.scalable && unit.has("PASID") && pci.enablePasid().ok) {
      this.pasidLg2 = Math.min(pci.pasidWidth, Number(unit.registers.ecapFields.PSS) + 1);
      this.pasidExec = pci.config.get(PASID_CAPABILITY, "executePermission") === 1;
      this.pasidPrivileged = pci.config.get(PASID_CAPABILITY, "privilegedMode") === 1;
    }
    if (atsAllowed && unit.has("DT")) this.ats = pci.enableAts().ok;
  }

  /** Whether it could request pages, and have answers that it understands. */
  get #canRequestPages(): boolean {
    const { config } = this.pci;
    return (
      this.ats &&
      this.unit.takesPageRequests &&
      config.offsetOf(PAGE_REQUEST_CAPABILITY) !== undefined &&
      (this.pasidLg2 === 0 || config.get(PAGE_REQUEST_CAPABILITY, "responsePasidRequired") === 1)
    );
  }

  /** Lets it request pages, once its context entry says that it may. */
  enablePageRequests(): void {
    if (this.#canRequestPages)
      this.pageRequests = this.pci.enablePageRequests(PAGE_REQUEST_ROOM).ok;
  }

  /**
   * Points the context entries of all its aliases at its PASIDs, in scalable mode.
   *
   * @param shared the table of others whose requests bear the same requester ID
   * @returns ENOMEM
   */
  installPasids(frames: Frames, shared: PasidTable | undefined): Outcome<undefined> {
    const table = shared === undefined ? PasidTable.create(frames, this.pasidLg2) : ok(shared);
    if (!table.ok) return table;
    this.pasids = table.value;
    const words = SCALABLE_CONTEXT_ENTRY.encode({
      P: 1,
      DTE: this.ats,
      PASIDE: this.pasidLg2 > 0,
      PRE: this.#canRequestPages,
      PDTS: table.value.sizeCode,
      PASIDDIRPTR: table.value.address,
      RID_PASID: 0,
    });
    const addresses = this.#contextAddresses();
    if (!addresses.ok) {
      if (shared === undefined) table.value.free();
      this.pasids = undefined;
      return addresses;
    }
    for (const address of addresses.value) this.unit.root.write(address, words);
    return DONE;
  }

  #contextAddresses(): Outcome<readonly bigint[]> {
    const addresses: bigint[] = [];
    for (const source of this.pci.aliases) {
      const address = this.unit.root.entryAddress(source);
      if (!address.ok) return address;
      addresses.push(address.value);
    }
    return ok(addresses);
  }

  /** Where the entries of a PASID are, whose tables are made if need be. @returns ENOMEM */
  #entryAddresses(pasid: number): Outcome<readonly bigint[]> {
    if (this.pasids === undefined) return this.#contextAddresses();
    const address = this.pasids.entryAddress(pasid);
    return address.ok ? ok([address.value]) : address;
  }

  #write(addresses: readonly bigint[], binding: Binding | undefined): void {
    const absent = this.unit.scalable ? SCALABLE_ABSENT : LEGACY_ABSENT;
    const table = this.pasids ?? this.unit.root;
    for (const address of addresses) table.write(address, binding?.words ?? absent);
  }

  /** What hardware may have cached of how requests were translated so far. */
  #itemsFor(
    pasid: number,
    old: Binding | undefined,
    next: Binding | undefined,
  ): readonly FlushItem[] {
    if (old !== undefined) return bindingItems(this, pasid, old);
    // Entries that are not present are cached in caching mode only: under domain 0 in legacy mode.
    if (next === undefined || !this.unit.has("CM")) return [];
    return bindingItems(this, pasid, this.unit.scalable ? next : { ...next, domainId: 0 });
  }

  /**
   * Changes how requests with a PASID are translated, in one step: there is no
   * moment at which they are not translated, or translated by neither.
   *
   * @returns ENOMEM; EIO, ETIMEDOUT when hardware did not forget the old way,
   *   which is in force again then
   */
  change(pasid: number, next: Binding): Outcome<undefined> {
    const { unit } = this;
    if (unit.isDead) return fail("EIO");
    const addresses = this.#entryAddresses(pasid);
    if (!addresses.ok) return addresses;
    const old = this.bindings.get(pasid);
    this.#write(addresses.value, next);
    const flushed = unit.flush(this.#itemsFor(pasid, old, next));
    if (flushed.ok) {
      this.bindings.set(pasid, next);
      return DONE;
    }
    this.#write(addresses.value, old);
    unit.mustFlush([...this.#itemsFor(pasid, old, undefined), ...bindingItems(this, pasid, next)]);
    return flushed;
  }

  /** As `change`, for the way back of something that failed: it cannot fail. */
  force(pasid: number, next: Binding): void {
    const old = this.bindings.get(pasid);
    const addresses = this.#entryAddresses(pasid);
    if (addresses.ok) this.#write(addresses.value, next);
    this.bindings.set(pasid, next);
    this.unit.mustFlush(this.#itemsFor(pasid, old, next));
  }

  /** Blocks requests with a PASID. It cannot fail. */
  block(pasid: number): void {
    const old = this.bindings.get(pasid);
    if (old === undefined) return;
    const addresses = this.#entryAddresses(pasid);
    // The tables have been made with the binding.
    if (addresses.ok) this.#write(addresses.value, undefined);
    this.unit.mustFlush(this.#itemsFor(pasid, old, undefined));
    this.bindings.delete(pasid);
  }

  get source(): number {
    return this.pci.source;
  }

  quarantine(): void {
    if (this.pageRequests) this.pci.disablePageRequests();
    this.pci.disableAts();
    this.ats = false;
    this.pageRequests = false;
  }

  /** The binding of requests without a PASID. */
  get ownBinding(): Binding | undefined {
    return this.bindings.get(RID_PASID);
  }
}
