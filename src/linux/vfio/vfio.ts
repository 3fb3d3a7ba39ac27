import { fail, type Outcome, ok } from "../errno.ts";
import type { Group, IommuDevice } from "../iommu/index.ts";
import { type IommufdFile, type IommufdParts, openIommufd } from "../iommufd/index.ts";
import { VfioDeviceFile } from "./device-file.ts";
import { VfioGroup, type VfioGroupFile } from "./group.ts";
import { type PciPlace, VfioDevice, type VfioDeviceOps } from "./vfio-device.ts";

/** VFIO of one kernel: the devices that have been given to it, and the files through which they are used. */
export class Vfio {
  readonly #parts: IommufdParts;
  readonly #groups = new Map<Group, VfioGroup>();
  readonly #devices = new Map<string, VfioDevice>();

  constructor(parts: IommufdParts) {
    this.#parts = parts;
  }

  get devices(): readonly VfioDevice[] {
    return [...this.#devices.values()];
  }

  /**
   * Takes a device over.
   *
   * @param name as its bus names it, `0000:01:00.0`
   * @param resetWith devices that a hot reset resets too
   */
  register(
    name: string,
    device: IommuDevice,
    place: PciPlace,
    ops: VfioDeviceOps,
    resetWith: readonly VfioDevice[] = [],
  ): VfioDevice {
    const group = this.#groups.get(device.group) ?? new VfioGroup(device.group);
    this.#groups.set(device.group, group);
    const registered = new VfioDevice(name, device, group, place, ops);
    group.devices.add(registered);
    this.#devices.set(name, registered);
    for (const other of resetWith) {
      for (const each of [other, ...other.resetSet]) {
        each.resetSet.add(registered);
        registered.resetSet.add(each);
      }
    }
    return registered;
  }

  /** Opens `/dev/vfio/devices/…` of a device. @returns ENODEV */
  openDevice(name: string): Outcome<VfioDeviceFile> {
    const device = this.#devices.get(name);
    return device === undefined ? fail("ENODEV") : ok(new VfioDeviceFile(device, false));
  }

  /** Opens `/dev/vfio/N`. @returns ENODEV, EBUSY */
  openGroup(id: number): Outcome<VfioGroupFile> {
    const group = [...this.#groups.values()].find((each) => each.group.id === id);
    return group === undefined ? fail("ENODEV") : group.open();
  }

  /** Opens `/dev/vfio/vfio`: an iommufd that pays as VFIO's own container did. */
  openContainer(): IommufdFile {
    const file = openIommufd(this.#parts);
    file.context.accountMode = "mm";
    return file;
  }
}
