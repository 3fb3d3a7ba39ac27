import { DONE, fail, type Outcome } from "../errno.ts";
import type { PagingDomain, UserDomain } from "./domain.ts";
import type { Group, IommuDevice } from "./driver.ts";
import { type FaultSink, IoPageFaults } from "./io-page-fault.ts";

/** PASID 0 stands for requests without one: nothing is attached to it as a PASID. */
const NO_PASID = 0;

interface Attached {
  readonly domain: UserDomain;
  readonly sink: FaultSink | undefined;
}

/** What becomes of a group's requests. */
type Target = UserDomain | "blocked" | "default";

/** What is known of one group. */
class GroupState {
  owner: object | undefined = undefined;
  /** Claims of the owner. */
  claims = 0;
  /** Drivers of this kernel that use its DMA. */
  users = 0;
  /** What the owner has attached; without it the group is blocked while it is owned, and as usual else. */
  attached: Attached | undefined = undefined;
  /** What its devices have while nobody owns them; what their driver chooses when absent. */
  defaultDomain: PagingDomain | undefined = undefined;
  readonly pasids: Map<number, Attached> = new Map();

  get target(): Target {
    return this.attached?.domain ?? this.restTarget;
  }

  /** Where the group is without an attachment. */
  get restTarget(): "blocked" | "default" {
    return this.owner === undefined ? "default" : "blocked";
  }
}

/** Attaches domains to groups and PASIDs, and knows who owns a group's DMA. */
export class IommuCore {
  /** The way of page requests from drivers to attachments. */
  readonly pageFaults: IoPageFaults = new IoPageFaults();
  readonly #groups = new Map<Group, GroupState>();

  #of(group: Group): GroupState {
    const state = this.#groups.get(group) ?? new GroupState();
    this.#groups.set(group, state);
    return state;
  }

  /** What an owner has attached to a group. */
  attachedTo(group: Group): UserDomain | undefined {
    return this.#of(group).attached?.domain;
  }

  /**
   * Gives a group a domain for as long as nobody owns it.
   *
   * @returns EBUSY while somebody does; else as `attachGroup`
   */
  setDefaultDomain(group: Group, domain: PagingDomain | undefined): Outcome<undefined> {
    const state = this.#of(group);
    if (state.owner !== undefined) return fail("EBUSY");
    const before = state.defaultDomain;
    state.defaultDomain = domain;
    const done = this.#move(group, "default", before ?? "blocked");
    if (!done.ok) state.defaultDomain = before;
    return done;
  }

  /** Counts a driver of this kernel in, which uses the DMA of a device. @returns EBUSY when somebody owns the group, or PASIDs are in use */
  useDma({ group }: IommuDevice): Outcome<undefined> {
    const state = this.#of(group);
    if (state.owner !== undefined || state.pasids.size > 0) return fail("EBUSY");
    state.users += 1;
    return DONE;
  }

  /** Counts it out. */
  endDma({ group }: IommuDevice): void {
    this.#of(group).users -= 1;
  }

  /**
   * Gives a group to an owner; its devices reach nothing until the owner attaches them.
   *
   * @returns EPERM when somebody else has it, a driver of this kernel included;
   *   EBUSY while PASIDs are in use; EINVAL when firmware needs memory that must stay mapped
   */
  claimDmaOwner({ group }: IommuDevice, owner: object): Outcome<undefined> {
    const state = this.#of(group);
    if (state.owner === owner) {
      state.claims += 1;
      return DONE;
    }
    if (state.owner !== undefined || state.users > 0) return fail("EPERM");
    if (state.pasids.size > 0) return fail("EBUSY");
    if (group.devices.some(needsDirectMemory)) return fail("EINVAL");
    const blocked = this.#move(group, "blocked", "default");
    if (!blocked.ok) return blocked;
    state.owner = owner;
    state.claims = 1;
    return DONE;
  }

  /** Takes a claim back. With the last the group is as it was before. */
  releaseDmaOwner({ group }: IommuDevice): void {
    const state = this.#of(group);
    state.claims -= 1;
    if (state.claims > 0) return;
    state.owner = undefined;
    this.#settle(group, "default");
  }

  #apply(device: IommuDevice, target: Target): Outcome<undefined> {
    const { driver } = device;
    if (target === "blocked") return driver.attach(device, undefined);
    if (target !== "default") return driver.attach(device, target);
    const { defaultDomain } = this.#of(device.group);
    if (defaultDomain !== undefined) return driver.attach(device, defaultDomain);
    return driver.restoreDefault?.(device) ?? driver.attach(device, undefined);
  }

  /** Moves every device of a group, or none: whoever cannot go back is blocked, which always can be done. */
  #move(group: Group, target: Target, back: Target): Outcome<undefined> {
    for (const [i, device] of group.devices.entries()) {
      const outcome = this.#apply(device, target);
      if (outcome.ok) continue;
      for (const other of group.devices.slice(0, i)) {
        if (!this.#apply(other, back).ok) this.#apply(other, "blocked");
      }
      return outcome;
    }
    return DONE;
  }

  /** Moves every device of a group; those that cannot be are blocked. */
  #settle(group: Group, target: Target): void {
    for (const device of group.devices) {
      if (!this.#apply(device, target).ok) this.#apply(device, "blocked");
    }
  }

  /**
   * Attaches a group that has nothing attached.
   *
   * @param sink takes the page requests of its devices; without it they are refused
   * @returns EBUSY when something is attached; ENODEV when devices cannot request
   *   pages and there is a sink; what the driver answers. All is as before then.
   */
  attachGroup(group: Group, domain: UserDomain, sink?: FaultSink): Outcome<undefined> {
    const state = this.#of(group);
    if (state.attached !== undefined) return fail("EBUSY");
    const able = canTakeFaults(group, sink);
    if (!able.ok) return able;
    for (const device of group.devices) this.pageFaults.setSink(device, undefined, sink);
    const moved = this.#move(group, domain, state.restTarget);
    if (moved.ok) state.attached = { domain, sink };
    else this.#endFaults(group, undefined, sink);
    return moved;
  }

  /** Attaches a group to another domain, in one step for each device. @returns EINVAL when nothing is attached; else as `attachGroup` */
  replaceGroup(group: Group, domain: UserDomain, sink?: FaultSink): Outcome<undefined> {
    const state = this.#of(group);
    if (state.attached === undefined) return fail("EINVAL");
    const able = canTakeFaults(group, sink);
    if (!able.ok) return able;
    const moved = this.#move(group, domain, state.target);
    if (!moved.ok) return moved;
    this.#endFaults(group, undefined, state.attached.sink);
    state.attached = { domain, sink };
    for (const device of group.devices) this.pageFaults.setSink(device, undefined, sink);
    return DONE;
  }

  /** Ends a group's attachment. It cannot fail. */
  detachGroup(group: Group): void {
    const state = this.#of(group);
    const { attached } = state;
    if (attached === undefined) return;
    state.attached = undefined;
    this.#settle(group, state.restTarget);
    this.#endFaults(group, undefined, attached.sink);
  }

  /**
   * Resets a device, which reaches nothing until it is over; then it is attached as before, or blocked.
   *
   * @param reset what resets it
   * @returns what `reset` returns
   */
  reset(device: IommuDevice, reset: () => Outcome<undefined>): Outcome<undefined> {
    const { driver, group } = device;
    const { pasids, target } = this.#of(group);
    driver.attach(device, undefined);
    for (const pasid of pasids.keys()) driver.attachPasid!(device, pasid, undefined);
    driver.drainPageRequests?.(device);
    for (const pasid of [undefined, ...pasids.keys()]) this.pageFaults.refuseAll(device, pasid);
    const outcome = reset();
    if (!this.#apply(device, target).ok) this.#apply(device, "blocked");
    for (const [pasid, { domain }] of pasids) driver.attachPasid!(device, pasid, domain);
    return outcome;
  }

  /** Delivers to `sink` what is on its way, and refuses what waits; it takes no faults afterwards. */
  #endFaults(group: Group, pasid: number | undefined, sink: FaultSink | undefined): void {
    if (sink === undefined) return;
    for (const device of group.devices) {
      device.driver.drainPageRequests?.(device);
      this.pageFaults.setSink(device, pasid, undefined);
      this.pageFaults.refuseAll(device, pasid);
    }
  }

  #pasidError({ group }: IommuDevice, pasid: number): "EOPNOTSUPP" | "EINVAL" | undefined {
    if (group.devices.some(({ driver }) => driver.attachPasid === undefined)) return "EOPNOTSUPP";
    const fits = group.devices.every(({ pasidLg2 }) => pasid < 2 ** pasidLg2);
    return pasid === NO_PASID || !fits ? "EINVAL" : undefined;
  }

  #movePasid(
    group: Group,
    pasid: number,
    domain: UserDomain | undefined,
    back: UserDomain | undefined,
  ): Outcome<undefined> {
    for (const [i, device] of group.devices.entries()) {
      const outcome = device.driver.attachPasid!(device, pasid, domain);
      if (outcome.ok) continue;
      for (const other of group.devices.slice(0, i)) {
        const returned = other.driver.attachPasid!(other, pasid, back);
        if (!returned.ok) other.driver.attachPasid!(other, pasid, undefined);
      }
      return outcome;
    }
    return DONE;
  }

  /**
   * Attaches a PASID of a device, and of those in its group.
   *
   * @returns EOPNOTSUPP without a driver for it; EINVAL for 0 and beyond what each
   *   device of the group has; EBUSY when it is attached; else as `attachGroup`
   */
  attachPasid(
    device: IommuDevice,
    pasid: number,
    domain: UserDomain,
    sink?: FaultSink,
  ): Outcome<undefined> {
    const { group } = device;
    const { pasids } = this.#of(group);
    const error = this.#pasidError(device, pasid);
    if (error !== undefined) return fail(error);
    if (pasids.has(pasid)) return fail("EBUSY");
    const able = canTakeFaults(group, sink);
    if (!able.ok) return able;
    for (const each of group.devices) this.pageFaults.setSink(each, pasid, sink);
    const moved = this.#movePasid(group, pasid, domain, undefined);
    if (moved.ok) pasids.set(pasid, { domain, sink });
    else this.#endFaults(group, pasid, sink);
    return moved;
  }

  /** @returns EINVAL when it is not attached; else as `attachPasid`; the old domain stays then */
  replacePasid(
    device: IommuDevice,
    pasid: number,
    domain: UserDomain,
    sink?: FaultSink,
  ): Outcome<undefined> {
    const { group } = device;
    const { pasids } = this.#of(group);
    const error = this.#pasidError(device, pasid);
    if (error !== undefined) return fail(error);
    const current = pasids.get(pasid);
    if (current === undefined) return fail("EINVAL");
    const able = canTakeFaults(group, sink);
    if (!able.ok) return able;
    const moved = this.#movePasid(group, pasid, domain, current.domain);
    if (!moved.ok) return moved;
    this.#endFaults(group, pasid, current.sink);
    pasids.set(pasid, { domain, sink });
    for (const each of group.devices) this.pageFaults.setSink(each, pasid, sink);
    return DONE;
  }

  /** Ends the attachment of a PASID. It cannot fail; nothing happens without one. */
  detachPasid({ group }: IommuDevice, pasid: number): void {
    const { pasids } = this.#of(group);
    const current = pasids.get(pasid);
    if (current === undefined) return;
    pasids.delete(pasid);
    this.#movePasid(group, pasid, undefined, undefined);
    this.#endFaults(group, pasid, current.sink);
  }
}

/** Whether firmware needs memory of its own to stay mapped for a device. */
const needsDirectMemory = (device: IommuDevice): boolean =>
  device.driver.reservedRegions(device).some(({ type }) => type === "direct");

const canTakeFaults = (group: Group, sink: FaultSink | undefined): Outcome<undefined> => {
  if (sink === undefined) return DONE;
  for (const device of group.devices) {
    const able = device.driver.enablePageFaults?.(device) ?? DONE;
    if (!able.ok) return able;
  }
  return DONE;
};
