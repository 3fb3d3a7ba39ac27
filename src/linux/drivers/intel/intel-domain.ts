import { fail, type Outcome, ok } from "../../errno.ts";
import type { Binding } from "./binding.ts";
import type { IntelDevice } from "./intel-device.ts";
import type { IntelUnit } from "./intel-unit.ts";

/** A device that uses a domain, for its requester ID or for a PASID. */
export interface Attachment {
  readonly device: IntelDevice;
  readonly pasid: number;
  readonly domainId: number;
}

/** A domain of this driver: who uses it, and under which id each unit knows it. */
export abstract class IntelDomain {
  readonly driver: object;
  readonly attachments: Set<Attachment> = new Set();
  readonly #ids = new Map<IntelUnit, { readonly id: number; users: number }>();

  constructor(driver: object) {
    this.driver = driver;
  }

  /** @returns EINVAL when the device's unit cannot do what the domain needs */
  abstract compatible(device: IntelDevice): Outcome<undefined>;

  /** How a device's requests are translated by it. */
  abstract bindingFor(device: IntelDevice, domainId: number): Binding;

  /**
   * Counts a user in. What the domain invalidates from now on is invalidated
   * for it too, so this comes before hardware knows of it.
   *
   * @returns ENOSPC when the unit has no domain id left
   */
  join(device: IntelDevice, pasid: number): Outcome<Attachment> {
    const { unit } = device;
    let entry = this.#ids.get(unit);
    if (entry === undefined) {
      const id = unit.domainIds.allocate();
      if (id === undefined) return fail("ENOSPC");
      entry = { id, users: 0 };
      this.#ids.set(unit, entry);
    }
    entry.users += 1;
    const attachment = { device, pasid, domainId: entry.id };
    this.attachments.add(attachment);
    return ok(attachment);
  }

  /** Counts a user out, of whom hardware has forgotten everything. */
  leave(attachment: Attachment): void {
    const { unit } = attachment.device;
    this.attachments.delete(attachment);
    const entry = this.#ids.get(unit)!;
    entry.users -= 1;
    if (entry.users > 0) return;
    this.#ids.delete(unit);
    unit.domainIds.free(entry.id);
  }

  /** Every unit that serves a user, with the domain's id there. */
  get units(): readonly { readonly unit: IntelUnit; readonly id: number }[] {
    return [...this.#ids].map(([unit, { id }]) => ({ unit, id }));
  }

  /** @throws Error while somebody uses it: a bug of the caller */
  protected requireUnused(): void {
    if (this.attachments.size > 0) throw new Error("a domain goes while devices use it");
  }
}
