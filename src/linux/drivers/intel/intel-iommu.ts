import type { DeviceScope, Platform } from "../../../hardware/platform/index.ts";
import { CONTEXT_ENTRY, TT_PASS_THROUGH } from "../../../hardware/vtd/spec/context-entry.ts";
import { PASID_ENTRY, PGTT_PASS_THROUGH } from "../../../hardware/vtd/spec/pasid-entry.ts";
import { DONE, fail, type Outcome, ok } from "../../errno.ts";
import type {
  Capability,
  HwInfo,
  IommuDevice,
  IommuDriver,
  NestedDomain,
  PageResponse,
  PagingDomain,
  PagingRequest,
  ReservedRegion,
  UserData,
  UserDomain,
} from "../../iommu/index.ts";
import { isolationGroups, type PciDevice, PORT_TYPES } from "../../pci/index.ts";
import * as uapi from "../../uapi/index.ts";
import { type Binding, RID_PASID } from "./binding.ts";
import { PASS_THROUGH_DOMAIN } from "./domain-ids.ts";
import { IntelDevice } from "./intel-device.ts";
import type { Attachment, IntelDomain } from "./intel-domain.ts";
import { IntelUnit, type UnitMode, type UnitParts } from "./intel-unit.ts";
import { IntelNestedDomain, type StageOne } from "./nested-domain.ts";
import type { QueuedPageRequest } from "./page-request-service.ts";
import { IntelPagingDomain } from "./paging-domain.ts";
import { secondStageLevels, tracksDirty, widestCode } from "./second-stage.ts";
import { readStageOne } from "./stage-one-data.ts";

/** How the driver is to behave. */
export interface IntelIommuOptions extends Partial<UnitMode> {
  /** What devices can reach that nobody has claimed: everything, or nothing. Nothing on units that cannot pass requests through. */
  readonly unclaimed?: "identity" | "blocked";
  /**
   * Whether a unit counts as one with erratum 772415, by the address of its
   * registers: its nesting parents refuse read-only mappings. Every unit does
   * when absent, as in Linux.
   */
  readonly erratum772415?: (base: bigint) => boolean;
}

/** Where devices write interrupts: no address there is translated. */
const INTERRUPT_RANGE = { start: 0xfee0_0000n, last: 0xfeef_ffffn };

const everyUnit = (): boolean => true;

/** The driver of VT-d units: it programs tables in memory and registers, and knows no other way to the hardware. */
export class IntelIommu implements IommuDriver {
  readonly name = "intel";
  readonly units: readonly IntelUnit[];
  /** Every function behind a unit, bridges too. */
  readonly devices: readonly IntelDevice[] = [];
  readonly #parts: UnitParts;
  readonly #options: IntelIommuOptions;
  /** Attachments of devices, by PASID. */
  readonly #attachments = new Map<
    IntelDevice,
    Map<number, { readonly domain: IntelDomain; readonly attachment: Attachment }>
  >();

  private constructor(parts: UnitParts, units: readonly IntelUnit[], options: IntelIommuOptions) {
    this.#parts = parts;
    this.units = units;
    this.#options = options;
  }

  /**
   * Takes over every unit that firmware names and every function behind one,
   * and switches translation on.
   *
   * @returns ENODEV without units, or when one cannot be driven; ENOMEM,
   *   ETIMEDOUT, EIO; nothing is left in use then
   */
  static probe(
    parts: UnitParts,
    functions: readonly PciDevice[],
    options: IntelIommuOptions = {},
  ): Outcome<IntelIommu> {
    const mode = {
      scalable: options.scalable ?? true,
      legacyWithoutSecondStage: options.legacyWithoutSecondStage ?? false,
      interruptRemapping: options.interruptRemapping ?? true,
    };
    const { units: described } = parts.platform.firmware;
    const units: IntelUnit[] = [];
    for (const description of described) {
      const unit = IntelUnit.probe(parts, description, mode);
      if (!unit.ok) {
        for (const made of units) made.free();
        return unit;
      }
      units.push(unit.value);
    }
    if (units.length === 0) return fail("ENODEV");
    const driver = new IntelIommu(parts, units, options);
    for (const unit of units) {
      unit.onPageRequest = (request) => driver.#pageRequested(unit, request);
      unit.onPageRequestsLost = () => parts.pageRequestsLost?.(driver.devices);
    }
    const ready = driver.#start(functions);
    if (ready.ok) return ok(driver);
    driver.shutDown();
    return ready;
  }

  #start(functions: readonly PciDevice[]): Outcome<undefined> {
    for (const [id, members] of isolationGroups(functions).entries()) {
      const devices: IntelDevice[] = [];
      const group = { id, devices };
      for (const pci of members) {
        const unit = this.#unitOf(pci);
        if (unit === undefined) continue;
        const device = new IntelDevice(this, pci, unit, group);
        const probed = this.#probeDevice(device);
        if (!probed.ok) return probed;
        devices.push(device);
      }
    }
    for (const unit of this.units) {
      const enabled = unit.enableTranslation();
      if (!enabled.ok) return enabled;
    }
    return DONE;
  }

  #unitOf(pci: PciDevice): IntelUnit | undefined {
    const inSegment = this.units.filter((unit) => unit.description.segment === pci.segment);
    return (
      inSegment.find(({ description: { scope } }) => scope !== "all" && covers(scope, pci)) ??
      inSegment.find(({ description: { scope } }) => scope === "all")
    );
  }

  #probeDevice(device: IntelDevice): Outcome<undefined> {
    device.enableFeatures(atsAllowed(this.#parts.platform, device.pci));
    (this.devices as IntelDevice[]).push(device);
    if (device.unit.scalable) {
      const alias = device.pci.aliases.at(-1)!;
      const sharing = this.devices.find(
        (other) =>
          other !== device &&
          other.unit === device.unit &&
          other.pci.segment === device.pci.segment &&
          other.pci.aliases.at(-1) === alias,
      );
      const installed = device.installPasids(this.#parts.frames, sharing?.pasids);
      if (!installed.ok) return installed;
      device.enablePageRequests();
    }
    return this.restoreDefault(device);
  }

  /** Has an unclaimed device reach everything, or nothing, as the options say. */
  restoreDefault(given: IommuDevice): Outcome<undefined> {
    const device = given as IntelDevice;
    const passes = device.unit.has("PT") && this.#options.unclaimed !== "blocked";
    if (!passes) return this.attach(device, undefined);
    const changed = device.change(RID_PASID, passThrough(device));
    if (changed.ok) this.#leave(device, RID_PASID);
    return changed;
  }

  /** Hands a page request on; what makes no sense, and what nobody takes, is refused. */
  #pageRequested(unit: IntelUnit, request: QueuedPageRequest): void {
    const { source, pasid, group, last, ...fault } = request;
    const { read, write, execute, privileged } = fault;
    // A Stop Marker wants no answer (PCIe 6.3 §10.4.1.2).
    if (last && !read && !write) return;
    const device = this.devices.find((each) => each.unit === unit && each.source === source);
    const report = this.#parts.pageRequested;
    const odd = (privileged && (read || write)) || (execute && read);
    if (device !== undefined && report !== undefined && !odd) {
      const answer = (response: PageResponse): void => unit.answer(request, response);
      report({ device, pasid, group, last, fault, answer });
    } else if (last) unit.answer(request, "invalid");
  }

  /** @returns ENODEV when the device may not request pages */
  enablePageFaults(device: IommuDevice): Outcome<undefined> {
    return (device as IntelDevice).pageRequests ? DONE : fail("ENODEV");
  }

  drainPageRequests(device: IommuDevice): void {
    const { unit, pageRequests } = device as IntelDevice;
    if (pageRequests) unit.drainPageRequests();
  }

  capable(given: IommuDevice, capability: Capability): boolean {
    const { unit } = given as IntelDevice;
    switch (capability) {
      case "cache-coherency":
        return true;
      case "enforce-cache-coherency":
        return unit.has("SC");
      case "dirty-tracking":
        return tracksDirty(unit);
      case "isolated-msi":
        return unit.remapsInterrupts;
    }
  }

  reservedRegions(given: IommuDevice): readonly ReservedRegion[] {
    const { pci } = given as IntelDevice;
    const direct = this.#parts.platform.firmware.reservedMemory
      .filter(({ segment, devices }) => segment === pci.segment && covers(devices, pci))
      .map(({ start, last }) => ({ type: "direct", start, last }) as const);
    return [...direct, { type: "msi", ...INTERRUPT_RANGE }];
  }

  hwInfo(given: IommuDevice, type: number): Outcome<HwInfo> {
    const own = uapi.IOMMU_HW_INFO_TYPE_INTEL_VTD;
    if (type !== uapi.IOMMU_HW_INFO_TYPE_DEFAULT && type !== own) return fail("EOPNOTSUPP");
    const { unit } = given as IntelDevice;
    const bytes = uapi.IOMMU_HW_INFO_VTD.encode({
      flags: this.#hasErratum(unit) ? uapi.IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17 : 0,
      cap_reg: unit.registers.cap,
      ecap_reg: unit.registers.ecap,
    });
    return ok({ type: own, bytes });
  }

  #hasErratum({ description }: IntelUnit): boolean {
    return (this.#options.erratum772415 ?? everyUnit)(description.base);
  }

  /**
   * A first stage where that is enough, else a second stage.
   *
   * @returns EOPNOTSUPP for what the unit cannot do; ENOMEM
   */
  allocPaging(given: IommuDevice, request: PagingRequest): Outcome<PagingDomain> {
    const { unit } = given as IntelDevice;
    const { nestParent, dirtyTracking, userData } = request;
    if (userData !== undefined) return fail("EOPNOTSUPP");
    const wanted = {
      nestParent,
      dirtyTracking,
      writableOnly: nestParent && this.#hasErratum(unit),
    };
    const { frames } = this.#parts;
    if (!nestParent && !dirtyTracking && unit.scalable && unit.has("FSTS")) {
      return IntelPagingDomain.create(this, frames, unit, { ...wanted, stage: "first" });
    }
    const lacks =
      (nestParent && !(unit.scalable && unit.has("NEST"))) ||
      (dirtyTracking && !tracksDirty(unit)) ||
      (unit.scalable && !unit.has("SSTS")) ||
      secondStageLevels(unit) === 0;
    if (lacks) return fail("EOPNOTSUPP");
    return IntelPagingDomain.create(this, frames, unit, { ...wanted, stage: "second" });
  }

  allocNested(
    given: IommuDevice,
    parent: PagingDomain,
    flags: number,
    data: UserData,
  ): Outcome<NestedDomain> {
    const { unit } = given as IntelDevice;
    if (!unit.scalable || !unit.has("NEST")) return fail("EOPNOTSUPP");
    if ((flags & ~uapi.IOMMU_HWPT_ALLOC_PASID) !== 0) return fail("EOPNOTSUPP");
    if (data.type !== uapi.IOMMU_HWPT_DATA_VTD_S1) return fail("EOPNOTSUPP");
    const { stage, nestParent } = parent as IntelPagingDomain;
    if (stage !== "second" || !nestParent) return fail("EINVAL");
    const stageOne = readStageOne(data);
    return stageOne.ok ? ok(this.createNested(parent, stageOne.value)) : stageOne;
  }

  /** A nested domain, by typed parameters; whether a unit can do it is looked at when a device is attached. */
  createNested(parent: PagingDomain, stageOne: StageOne): IntelNestedDomain {
    return new IntelNestedDomain(this, parent as IntelPagingDomain, stageOne);
  }

  /** @param domain `undefined` blocks the device, which cannot fail */
  attach(device: IommuDevice, domain: UserDomain | undefined): Outcome<undefined> {
    return this.#attach(device as IntelDevice, RID_PASID, domain);
  }

  /** @returns EOPNOTSUPP without PASIDs, EINVAL for that of requests without one; else as `attach` */
  attachPasid(
    given: IommuDevice,
    pasid: number,
    domain: UserDomain | undefined,
  ): Outcome<undefined> {
    const device = given as IntelDevice;
    if (device.pasidLg2 === 0) return fail("EOPNOTSUPP");
    if (pasid === RID_PASID || pasid >= 2 ** device.pasidLg2) return fail("EINVAL");
    return this.#attach(device, pasid, domain);
  }

  #attach(device: IntelDevice, pasid: number, given: UserDomain | undefined): Outcome<undefined> {
    if (given === undefined) {
      device.block(pasid);
      this.#leave(device, pasid);
      return DONE;
    }
    if (given.driver !== this) return fail("EINVAL");
    const domain = given as IntelPagingDomain | IntelNestedDomain;
    const compatible = domain.compatible(device);
    if (!compatible.ok) return compatible;
    const joined = domain.join(device, pasid);
    if (!joined.ok) return joined;
    const attachment = joined.value;
    const changed = device.change(pasid, domain.bindingFor(device, attachment.domainId));
    if (!changed.ok) {
      domain.leave(attachment);
      return changed;
    }
    this.#leave(device, pasid);
    const own = this.#attachments.get(device) ?? new Map();
    this.#attachments.set(device, own.set(pasid, { domain, attachment }));
    return DONE;
  }

  /** Counts a device out of the domain that it has left. */
  #leave(device: IntelDevice, pasid: number): void {
    const current = this.#attachments.get(device)?.get(pasid);
    if (current === undefined) return;
    this.#attachments.get(device)!.delete(pasid);
    current.domain.leave(current.attachment);
  }

  /** Blocks every device, gives all memory back and switches remapping off: for a machine that goes down. */
  shutDown(): void {
    for (const device of this.devices) {
      for (const pasid of [...device.bindings.keys()]) {
        device.block(pasid);
        this.#leave(device, pasid);
      }
      device.quarantine();
    }
    for (const unit of this.units) unit.free();
    for (const table of new Set(this.devices.map(({ pasids }) => pasids))) table?.free();
  }
}

const covers = (scope: readonly DeviceScope[], pci: PciDevice): boolean => {
  for (let hop: PciDevice | undefined = pci; hop !== undefined; hop = hop.parent) {
    const at = hop;
    if (scope.some(({ source, subtree }) => source === at.source && (subtree || at === pci))) {
      return true;
    }
  }
  return false;
};

/** Whether firmware lets a device use ATS: one of the root complex, or one below a port that it names. */
const atsAllowed = ({ firmware }: Platform, pci: PciDevice): boolean => {
  const { atsRootPorts } = firmware;
  if (atsRootPorts === "all" || pci.portType === PORT_TYPES.integratedEndpoint) return true;
  for (let hop = pci.parent; hop !== undefined; hop = hop.parent) {
    const { segment, source, portType } = hop;
    if (portType !== PORT_TYPES.rootPort) continue;
    return atsRootPorts.some((port) => port.segment === segment && port.source === source);
  }
  return false;
};

/** Requests without a PASID are not translated. */
const passThrough = ({ unit }: IntelDevice): Binding => {
  const AW = widestCode(unit);
  const DID = PASS_THROUGH_DOMAIN;
  const words = unit.scalable
    ? PASID_ENTRY.encode({ P: 1, PGTT: PGTT_PASS_THROUGH, AW, DID, PWSNP: unit.has("SMPWCS") })
    : CONTEXT_ENTRY.encode({ P: 1, TT: TT_PASS_THROUGH, AW, DID });
  return { stage: "none", domain: undefined, domainId: DID, words };
};
