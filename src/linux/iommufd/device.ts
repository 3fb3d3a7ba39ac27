import { DONE, fail, type Outcome, ok } from "../errno.ts";
import type { FaultSink, Group, IommuDevice, IoPageFault } from "../iommu/index.ts";
import * as uapi from "../uapi/index.ts";
import type { IommufdContext } from "./context.ts";
import { allocPaging, type HwPagetable, HwptPaging } from "./hw-pagetable.ts";
import { Ioas } from "./ioas.ts";
import { IommufdObject } from "./object.ts";
import type { Vdevice } from "./vdevice.ts";

/** Who faults belong to that arrive for one attachment. */
export interface AttachHandle {
  readonly device: Device;
  readonly hwpt: HwPagetable;
  readonly pasid: number | undefined;
}

/** Devices of a group that have been attached to one page table, for the requester ID or for one PASID. */
interface Attachment {
  hwpt: HwPagetable;
  readonly devices: Set<Device>;
  handle: AttachHandle;
}

/** What one client knows about a group of which it has bound a device. */
export class IommufdGroup {
  readonly group: Group;
  /** By PASID; `undefined` is the requester ID's own. */
  readonly attachments: Map<number | undefined, Attachment> = new Map();
  /** Devices bound. */
  bound = 0;

  constructor(group: Group) {
    this.group = group;
  }

  get usesPasids(): boolean {
    return [...this.attachments.keys()].some((pasid) => pasid !== undefined);
  }
}

/** Where page requests of an attachment go: to the queue of its page table, where that has one. */
const faultSinkOf = (handle: AttachHandle): FaultSink | undefined => {
  const { fault } = handle.hwpt;
  if (fault === undefined) return undefined;
  return ({ pasid, groupId, faults, respond }) => {
    fault.report(handle, {
      pasid,
      groupId,
      faults: faults.map(({ address, ...wants }, i) => ({
        address,
        permissions: permissionsOf(wants),
        lastPage: i === faults.length - 1,
      })),
      respond: (success) => respond(success ? "success" : "invalid"),
    });
  };
};

const permissionsOf = (wants: Omit<IoPageFault, "address">): number =>
  (wants.read ? uapi.IOMMU_PGFAULT_PERM_READ : 0) |
  (wants.write ? uapi.IOMMU_PGFAULT_PERM_WRITE : 0) |
  (wants.execute ? uapi.IOMMU_PGFAULT_PERM_EXEC : 0) |
  (wants.privileged ? uapi.IOMMU_PGFAULT_PERM_PRIV : 0);

/** A device that its driver has bound to this client. */
export class Device extends IommufdObject {
  override readonly kind = "device";
  readonly context: IommufdContext;
  readonly device: IommuDevice;
  readonly group: IommufdGroup;
  readonly enforcesCoherency: boolean;
  vdevice: Vdevice | undefined = undefined;

  constructor(context: IommufdContext, device: IommuDevice, group: IommufdGroup) {
    super();
    this.context = context;
    this.device = device;
    this.group = group;
    this.enforcesCoherency = device.driver.capable(device, "enforce-cache-coherency");
  }

  /** What the device is attached to, for its requester ID or a PASID. */
  attached(pasid?: number): HwPagetable | undefined {
    const attachment = this.group.attachments.get(pasid);
    return attachment?.devices.has(this) ? attachment.hwpt : undefined;
  }

  /**
   * Attaches to a page table, or to an address space by one of its automatic page tables.
   *
   * @returns the page table; ENOENT without such an object, EINVAL for one of
   *   another kind or one that does not suit, EBUSY when the device is attached
   */
  attach(ptId: number, pasid?: number): Outcome<HwPagetable> {
    const attached = this.#change(ptId, (hwpt) => this.#attach(hwpt, pasid));
    if (attached.ok) this.get();
    return attached;
  }

  /** Attaches to another page table in one step. @returns as `attach`; EINVAL when the device is not attached; the old one stays then */
  replace(ptId: number, pasid?: number): Outcome<HwPagetable> {
    return this.#change(ptId, (hwpt) => this.#replace(hwpt, pasid));
  }

  #change(
    ptId: number,
    attach: (hwpt: HwPagetable) => Outcome<HwPagetable | undefined>,
  ): Outcome<HwPagetable> {
    const { objects } = this.context;
    const target = objects.find(ptId);
    if (target === undefined) return fail("ENOENT");
    let hwpt: HwPagetable | undefined;
    let old: Outcome<HwPagetable | undefined> = fail("EINVAL");
    if (target instanceof Ioas) {
      const found = this.#automatic(target, attach);
      if (!found.ok) return found;
      hwpt = found.value.hwpt;
      old = ok(found.value.old);
    } else if (target.kind === "hwpt-paging" || target.kind === "hwpt-nested") {
      hwpt = target as HwPagetable;
      old = attach(hwpt);
    }
    if (!old.ok || hwpt === undefined) return old.ok ? fail("EINVAL") : old;
    if (old.value !== undefined) this.#putHwpt(old.value);
    return ok(hwpt);
  }

  /** Attaches to the first automatic page table that suits, or a new one. */
  #automatic(
    ioas: Ioas,
    attach: (hwpt: HwPagetable) => Outcome<HwPagetable | undefined>,
  ): Outcome<{ readonly hwpt: HwPagetable; readonly old: HwPagetable | undefined }> {
    for (const hwpt of ioas.hwpts) {
      if (!hwpt.autoDomain) continue;
      const old = attach(hwpt);
      if (old.ok) return ok({ hwpt, old: old.value });
      if (old.errno !== "EINVAL") return old;
    }
    const hwpt = allocPaging(this.context, ioas, this, 0);
    if (!hwpt.ok) return hwpt;
    const old = attach(hwpt.value);
    if (!old.ok) {
      this.context.objects.remove(hwpt.value);
      return old;
    }
    hwpt.value.autoDomain = true;
    return ok({ hwpt: hwpt.value, old: old.value });
  }

  /** Takes a user off a page table that the device has left; an automatic one goes with its last. */
  #putHwpt(hwpt: HwPagetable): void {
    hwpt.put();
    if (hwpt instanceof HwptPaging && hwpt.autoDomain && hwpt.users === 1) {
      this.context.objects.remove(hwpt);
    }
  }

  #attach(hwpt: HwPagetable, pasid: number | undefined): Outcome<undefined> {
    const { attachments } = this.group;
    const current = attachments.get(pasid);
    if (current !== undefined && current.hwpt !== hwpt) return fail("EINVAL");
    if (current?.devices.has(this)) return fail("EBUSY");
    const reserves = hwpt instanceof HwptPaging && pasid === undefined;
    if (reserves) {
      const reserved = this.#reserve(hwpt);
      if (!reserved.ok) return reserved;
    }
    if (current !== undefined) current.devices.add(this);
    else {
      const handle = { device: this, hwpt, pasid };
      const attached = this.#attachDomain(handle);
      if (!attached.ok) {
        if (reserves) hwpt.ioas.iopt.reserved.removeOwner(this);
        return attached;
      }
      attachments.set(pasid, { hwpt, devices: new Set([this]), handle });
    }
    hwpt.get();
    return DONE;
  }

  #attachDomain(handle: AttachHandle): Outcome<undefined> {
    const { hwpt, pasid } = handle;
    const error = this.#pasidError(hwpt, pasid);
    if (error !== undefined) return fail(error);
    const { core } = this.context;
    const sink = faultSinkOf(handle);
    return pasid === undefined
      ? core.attachGroup(this.device.group, hwpt.domain, sink)
      : core.attachPasid(this.device, pasid, hwpt.domain, sink);
  }

  /** A device's PASIDs and its requester ID together use page tables that allow PASIDs, or there are no PASIDs. */
  #pasidError(hwpt: HwPagetable, pasid: number | undefined): "EINVAL" | undefined {
    if (pasid === undefined) {
      return this.group.usesPasids && !hwpt.pasidCompatible ? "EINVAL" : undefined;
    }
    const own = this.group.attachments.get(undefined);
    if (!hwpt.pasidCompatible || (own !== undefined && !own.hwpt.pasidCompatible)) return "EINVAL";
    return undefined;
  }

  /** Keeps the addresses that hardware uses for itself free of mappings. */
  #reserve(hwpt: HwptPaging): Outcome<undefined> {
    const regions = this.device.driver
      .reservedRegions(this.device)
      .filter(({ type }) => type !== "direct-relaxable");
    return hwpt.ioas.iopt.reserve(regions, this);
  }

  #replace(hwpt: HwPagetable, pasid: number | undefined): Outcome<HwPagetable | undefined> {
    const current = this.group.attachments.get(pasid);
    if (current === undefined || !current.devices.has(this)) return fail("EINVAL");
    const old = current.hwpt;
    if (hwpt === old) return ok(undefined);
    const newIoas = hwpt instanceof HwptPaging && pasid === undefined ? hwpt.ioas : undefined;
    const oldIoas = old instanceof HwptPaging && pasid === undefined ? old.ioas : undefined;
    if (newIoas !== undefined && newIoas !== oldIoas) {
      const reserved = this.#reserveForGroup(current, hwpt as HwptPaging);
      if (!reserved.ok) return reserved;
    }
    const handle = { device: this, hwpt, pasid };
    const replaced = this.#replaceDomain(handle);
    const left = replaced.ok ? oldIoas : newIoas;
    if (left !== undefined && oldIoas !== newIoas) {
      for (const device of current.devices) left.iopt.reserved.removeOwner(device);
    }
    if (!replaced.ok) return replaced;
    old.fault?.answerAll(current.handle);
    current.hwpt = hwpt;
    current.handle = handle;
    for (let i = 0; i < current.devices.size; i++) {
      hwpt.get();
      // The last user that the old one loses is taken off by the caller, who may destroy it.
      if (i > 0) old.put();
    }
    return ok(old);
  }

  #replaceDomain(handle: AttachHandle): Outcome<undefined> {
    const { hwpt, pasid } = handle;
    const error = this.#pasidError(hwpt, pasid);
    if (error !== undefined) return fail(error);
    const { core } = this.context;
    const sink = faultSinkOf(handle);
    return pasid === undefined
      ? core.replaceGroup(this.device.group, hwpt.domain, sink)
      : core.replacePasid(this.device, pasid, hwpt.domain, sink);
  }

  #reserveForGroup(attachment: Attachment, hwpt: HwptPaging): Outcome<undefined> {
    const done: Device[] = [];
    for (const device of attachment.devices) {
      const reserved = device.#reserve(hwpt);
      if (!reserved.ok) {
        for (const other of done) hwpt.ioas.iopt.reserved.removeOwner(other);
        return reserved;
      }
      done.push(device);
    }
    return DONE;
  }

  /** Ends an attachment. Nothing happens without one. */
  detach(pasid: number | undefined): void {
    const { attachments } = this.group;
    const current = attachments.get(pasid);
    if (current === undefined || !current.devices.delete(this)) return;
    const { hwpt } = current;
    if (current.devices.size === 0) {
      attachments.delete(pasid);
      if (pasid === undefined) this.context.core.detachGroup(this.device.group);
      else this.context.core.detachPasid(this.device, pasid);
      hwpt.fault?.answerAll(current.handle);
    }
    if (hwpt instanceof HwptPaging && pasid === undefined) {
      hwpt.ioas.iopt.reserved.removeOwner(this);
    }
    this.#putHwpt(hwpt);
    this.put();
  }

  /** Sends an I/O page fault to whoever has asked for those of an attachment. @returns whether somebody has */
  handleOf(pasid?: number): AttachHandle | undefined {
    return this.group.attachments.get(pasid)?.handle;
  }

  /** Ends the binding; every attachment has been ended before. */
  unbind(): void {
    const { objects } = this.context;
    if (this.vdevice !== undefined) {
      const { vdevice } = this;
      objects.bury(vdevice);
    }
    this.put();
    objects.remove(this);
  }

  override destroy(): void {
    const { context, group } = this;
    context.core.releaseDmaOwner(this.device);
    group.bound -= 1;
    if (group.bound === 0) {
      if (group.attachments.size > 0) throw new Error("a group goes while it is attached");
      context.groups.delete(group.group);
    }
  }
}

/**
 * Binds a device to a client for its driver, who unbinds it.
 *
 * @returns EINVAL for a device whose DMA is not coherent, EPERM where nothing
 *   keeps its interrupts apart, EBUSY or EPERM when somebody else owns its group's DMA
 */
export const bindDevice = (context: IommufdContext, device: IommuDevice): Outcome<Device> => {
  const { driver } = device;
  if (!driver.capable(device, "cache-coherency")) return fail("EINVAL");
  if (!driver.capable(device, "isolated-msi") && !context.parts.allowUnsafeInterrupts) {
    return fail("EPERM");
  }
  const claimed = context.core.claimDmaOwner(device, context);
  if (!claimed.ok) return claimed;
  const group = context.groups.get(device.group) ?? new IommufdGroup(device.group);
  const bound = context.objects.add(new Device(context, device, group));
  if (!bound.ok) {
    context.core.releaseDmaOwner(device);
    return bound;
  }
  context.groups.set(device.group, group);
  group.bound += 1;
  // The driver is a user until it unbinds.
  return ok(bound.value.get());
};
