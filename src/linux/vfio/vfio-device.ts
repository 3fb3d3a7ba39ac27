import { fail, type Outcome } from "../errno.ts";
import type { IommuDevice } from "../iommu/index.ts";
import { bindDevice, type Device, type IommufdFile } from "../iommufd/index.ts";
import type { Process } from "../mm/process.ts";
import type { VfioGroup } from "./group.ts";

/** A PCI function's place: what a hot reset reports. */
export interface PciPlace {
  readonly segment: number;
  readonly bus: number;
  readonly devfn: number;
}

/** What the driver of one kind of device does beyond VFIO itself. */
export interface VfioDeviceOps {
  /** Resets the function; absent where that is impossible. */
  reset?(): Outcome<undefined>;
  /** Resets everything on the slot or bus of the function. */
  hotReset?(): Outcome<undefined>;
  /** ioctls that VFIO does not know itself. */
  ioctl?(process: Process, command: number, argument: bigint): Outcome<number>;
  read?(process: Process, address: bigint, length: number, position: bigint): Outcome<number>;
  write?(process: Process, address: bigint, length: number, position: bigint): Outcome<number>;
  /** PASIDs may be attached. */
  readonly pasids?: boolean;
  /** Called with the last close. */
  closed?(): void;
}

/** A device that VFIO drives for user space. */
export class VfioDevice {
  readonly name: string;
  readonly device: IommuDevice;
  readonly group: VfioGroup;
  readonly place: PciPlace;
  readonly ops: VfioDeviceOps;
  /** What hot-resets together with it, itself included. */
  readonly resetSet: Set<VfioDevice> = new Set([this]);
  /** The iommufd that it is bound to, and its object there. */
  bound: { readonly iommufd: IommufdFile; readonly object: Device } | undefined = undefined;

  constructor(
    name: string,
    device: IommuDevice,
    group: VfioGroup,
    place: PciPlace,
    ops: VfioDeviceOps,
  ) {
    this.name = name;
    this.device = device;
    this.group = group;
    this.place = place;
    this.ops = ops;
  }

  /**
   * Opens the device for an iommufd, which lives at least as long as the binding.
   *
   * @returns EINVAL when it is open elsewhere; what binding answers
   */
  open(iommufd: IommufdFile): Outcome<Device> {
    if (this.bound !== undefined) return fail("EINVAL");
    const object = bindDevice(iommufd.context, this.device);
    if (!object.ok) return object;
    this.bound = { iommufd: iommufd.get(), object: object.value };
    return object;
  }

  /** Ends every attachment and the binding. Nothing happens to one that is not open. */
  close(): void {
    const { bound } = this;
    if (bound === undefined) return;
    this.bound = undefined;
    this.ops.closed?.();
    const { object, iommufd } = bound;
    for (const pasid of [...object.group.attachments.keys()]) object.detach(pasid);
    object.unbind();
    iommufd.put();
  }
}
