import { fail, type Outcome, ok } from "../errno.ts";
import type { Process } from "../mm/process.ts";
import * as uapi from "../uapi/index.ts";
import { readArgument } from "./device-file.ts";
import type { VfioDevice } from "./vfio-device.ts";

/** How a client that owns an iommufd owns another device: by its id, by its group, or not at all. */
const ownedAs = (device: VfioDevice, by: VfioDevice): number => {
  const context = by.bound?.iommufd.context;
  if (device.bound !== undefined && device.bound.iommufd.context === context) {
    return device.bound.object.id;
  }
  return context?.groups.has(device.device.group)
    ? uapi.VFIO_PCI_DEVID_OWNED
    : uapi.VFIO_PCI_DEVID_NOT_OWNED;
};

/**
 * Which devices a hot reset would reset.
 *
 * @param cdev whether ownership is told by ids of an iommufd; else by groups
 * @returns ENODEV without such a reset; ENOSPC, with the count, when there is no room for all
 */
export const hotResetInfo = (
  device: VfioDevice,
  process: Process,
  pointer: bigint,
  cdev: boolean,
): Outcome<number> => {
  const struct = uapi.VFIO_PCI_HOT_RESET_INFO;
  const args = readArgument(process, pointer, struct);
  if (!args.ok) return args;
  if (device.ops.hotReset === undefined) return fail("ENODEV");
  const devices = [...device.resetSet];
  const owners = devices.map((each) => (cdev ? ownedAs(each, device) : each.device.group.id));
  const allOwned = owners.every((owner) => owner !== uapi.VFIO_PCI_DEVID_NOT_OWNED);
  const flags = cdev
    ? uapi.VFIO_PCI_HOT_RESET_FLAG_DEV_ID |
      (allOwned ? uapi.VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED : 0)
    : 0;
  const item = uapi.VFIO_PCI_DEPENDENT_DEVICE;
  const { argsz } = args.value;
  const fits = argsz >= struct.size + devices.length * item.size;
  const head = struct.encode({ argsz, flags: fits ? flags : 0, count: devices.length });
  if (!process.mm.write(pointer, head)) return fail("EFAULT");
  if (!fits) return fail("ENOSPC");
  for (const [i, each] of devices.entries()) {
    const { segment, bus, devfn } = each.place;
    const bytes = item.encode({ group_id: owners[i]! >>> 0, segment, bus, devfn });
    // `devid` lies over `group_id`.
    new DataView(bytes.buffer).setInt32(0, owners[i]!, true);
    const at = pointer + BigInt(struct.size + i * item.size);
    if (!process.mm.write(at, bytes)) return fail("EFAULT");
  }
  return ok(0);
};

/** Resets all devices of a slot or bus. @returns EINVAL for flags, descriptors of groups on a device's own file, or devices of others */
export const hotReset = (
  device: VfioDevice,
  process: Process,
  pointer: bigint,
  cdev: boolean,
): Outcome<number> => {
  const struct = uapi.VFIO_PCI_HOT_RESET;
  const args = readArgument(process, pointer, struct);
  if (!args.ok) return args;
  const { flags, count } = args.value;
  if (flags !== 0) return fail("EINVAL");
  if (device.ops.hotReset === undefined) return fail("ENODEV");
  if (cdev !== (count === 0)) return fail("EINVAL");
  const owned = cdev
    ? [...device.resetSet].every((each) => ownedAs(each, device) !== uapi.VFIO_PCI_DEVID_NOT_OWNED)
    : ownsGroups(device, process, pointer + BigInt(struct.size), count);
  if (!owned) return fail("EINVAL");
  const reset = device.ops.hotReset();
  return reset.ok ? ok(0) : reset;
};

/** Whether `count` descriptors are those of all groups of the devices that are reset together. */
const ownsGroups = (
  device: VfioDevice,
  process: Process,
  pointer: bigint,
  count: number,
): boolean => {
  const needed = new Set([...device.resetSet].map(({ group }) => group));
  if (count > needed.size) return false;
  const bytes = new Uint8Array(count * 4);
  if (!process.mm.read(pointer, bytes)) return false;
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < count; i++) {
    const file = process.files.file(view.getInt32(i * 4, true));
    const group = [...needed].find((each) => each.file === file);
    if (file === undefined || group === undefined) return false;
    needed.delete(group);
  }
  return needed.size === 0;
};
