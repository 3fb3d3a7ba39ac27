import { DONE, fail, type Outcome } from "../errno.ts";
import type { UserDomain } from "./domain.ts";
import type { Group, IommuDevice } from "./driver.ts";

/** Attaches domains to groups and PASIDs, and knows who owns a group's DMA. */
export class IommuCore {
  readonly #owners = new Map<Group, { owner: object; count: number }>();
  readonly #domains = new Map<Group, UserDomain>();

  /** Gives a group to an owner; its devices reach nothing until the owner attaches them. @returns EPERM when somebody else has it */
  claimDmaOwner(device: IommuDevice, owner: object): Outcome<undefined> {
    const current = this.#owners.get(device.group);
    if (current === undefined) {
      this.#owners.set(device.group, { owner, count: 1 });
      return this.#set(device.group, undefined);
    }
    if (current.owner !== owner) return fail("EPERM");
    current.count += 1;
    return DONE;
  }

  releaseDmaOwner(device: IommuDevice): void {
    const current = this.#owners.get(device.group)!;
    current.count -= 1;
    if (current.count > 0) return;
    this.#owners.delete(device.group);
    for (const member of device.group.devices) {
      const restored = member.driver.restoreDefault?.(member) ?? DONE;
      if (!restored.ok) member.driver.attach(member, undefined);
    }
  }

  #set(group: Group, domain: UserDomain | undefined): Outcome<undefined> {
    for (const [i, device] of group.devices.entries()) {
      const outcome = device.driver.attach(device, domain);
      if (outcome.ok) continue;
      for (const other of group.devices.slice(0, i)) {
        // Blocked is the way back that is always there.
        const back = other.driver.attach(other, this.#domains.get(group));
        if (!back.ok) other.driver.attach(other, undefined);
      }
      return outcome;
    }
    if (domain === undefined) this.#domains.delete(group);
    else this.#domains.set(group, domain);
    return DONE;
  }

  attachGroup(group: Group, domain: UserDomain): Outcome<undefined> {
    return this.#set(group, domain);
  }

  replaceGroup(group: Group, domain: UserDomain): Outcome<undefined> {
    return this.#set(group, domain);
  }

  detachGroup(group: Group): void {
    this.#set(group, undefined);
  }

  attachPasid(device: IommuDevice, pasid: number, domain: UserDomain): Outcome<undefined> {
    if (pasid >= 2 ** device.pasidLg2 || device.driver.attachPasid === undefined)
      return fail("EINVAL");
    return device.driver.attachPasid(device, pasid, domain);
  }

  replacePasid(device: IommuDevice, pasid: number, domain: UserDomain): Outcome<undefined> {
    return this.attachPasid(device, pasid, domain);
  }

  detachPasid(device: IommuDevice, pasid: number): void {
    device.driver.attachPasid?.(device, pasid, undefined);
  }
}
