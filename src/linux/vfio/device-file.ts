import { fail, type Outcome, ok } from "../errno.ts";
import { IommufdFile, readStruct } from "../iommufd/index.ts";
import { File } from "../mm/file.ts";
import type { Process } from "../mm/process.ts";
import * as uapi from "../uapi/index.ts";
import { hotReset, hotResetInfo } from "./hot-reset.ts";
import type { VfioDevice } from "./vfio-device.ts";

type Struct = uapi.CStruct<Record<string, uapi.CField>>;

/**
 * An argument whose first field is its size.
 *
 * @param minSize bytes that the caller must give; more are read when it gives them
 * @returns EFAULT, EINVAL when it is too short
 */
export const readArgument = <S extends Struct>(
  process: Process,
  pointer: bigint,
  struct: S,
  minSize: number = struct.size,
): Outcome<uapi.ValuesOf<S> & { readonly argsz: number }> => {
  const head = new Uint8Array(minSize);
  if (!process.mm.read(pointer, head)) return fail("EFAULT");
  const argsz = new DataView(head.buffer).getUint32(0, true);
  if (argsz < minSize) return fail("EINVAL");
  const bytes = new Uint8Array(struct.size);
  const given = bytes.subarray(0, Math.min(argsz, struct.size));
  if (!process.mm.read(pointer, given)) return fail("EFAULT");
  return ok(struct.decode(bytes) as never);
};

/** A word of an argument. */
export const writeWord = (
  process: Process,
  pointer: bigint,
  offset: number,
  value: number,
): boolean => {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return process.mm.write(pointer + BigInt(offset), bytes);
};

/**
 * An open VFIO device: `/dev/vfio/devices/vfioN`, which is bound to an iommufd
 * by its client, or what a group gave out, which is bound already. Until it is
 * bound it can do nothing else.
 */
export class VfioDeviceFile extends File {
  readonly device: VfioDevice;
  readonly #ofGroup: boolean;
  #granted: boolean;

  constructor(device: VfioDevice, ofGroup: boolean) {
    super();
    this.device = device;
    this.#ofGroup = ofGroup;
    this.#granted = ofGroup;
  }

  override ioctl(process: Process, command: number, pointer: bigint): Outcome<number> {
    if (command === uapi.VFIO_DEVICE_BIND_IOMMUFD) return this.#bind(process, pointer);
    if (!this.#granted) return fail("EINVAL");
    if (!this.#ofGroup) {
      if (command === uapi.VFIO_DEVICE_ATTACH_IOMMUFD_PT) return this.#attach(process, pointer);
      if (command === uapi.VFIO_DEVICE_DETACH_IOMMUFD_PT) return this.#detach(process, pointer);
    }
    const { device } = this;
    switch (command) {
      case uapi.VFIO_DEVICE_RESET: {
        const reset = device.ops.reset?.() ?? fail("EINVAL");
        return reset.ok ? ok(0) : reset;
      }
      case uapi.VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
        return hotResetInfo(device, process, pointer, !this.#ofGroup);
      case uapi.VFIO_DEVICE_PCI_HOT_RESET:
        return hotReset(device, process, pointer, !this.#ofGroup);
      default:
        return device.ops.ioctl?.(process, command, pointer) ?? fail("ENOTTY");
    }
  }

  override read(
    process: Process,
    address: bigint,
    length: number,
    position: bigint,
  ): Outcome<number> {
    if (!this.#granted) return fail("EINVAL");
    return this.device.ops.read?.(process, address, length, position) ?? fail("EINVAL");
  }

  override write(
    process: Process,
    address: bigint,
    length: number,
    position: bigint,
  ): Outcome<number> {
    if (!this.#granted) return fail("EINVAL");
    return this.device.ops.write?.(process, address, length, position) ?? fail("EINVAL");
  }

  #bind(process: Process, pointer: bigint): Outcome<number> {
    const struct = uapi.VFIO_DEVICE_BIND_IOMMUFD_ARGS;
    const bind = readArgument(process, pointer, struct, struct.members.token_uuid_ptr.offset);
    if (!bind.ok) return bind;
    const tail = readStruct(process, pointer, bind.value.argsz, struct.size);
    if (!tail.ok) return tail;
    // A token would be that of a virtual function, of which there is none here.
    if (bind.value.flags !== 0 || bind.value.iommufd < 0 || this.#ofGroup) return fail("EINVAL");
    if (this.device.group.isOpen) return fail("EBUSY");
    if (this.#granted) return fail("EINVAL");
    const iommufd = process.files.file(bind.value.iommufd);
    if (iommufd === undefined) return fail("EBADF");
    if (!(iommufd instanceof IommufdFile)) return fail("EBADFD");
    const object = this.device.open(iommufd);
    if (!object.ok) return object;
    if (!writeWord(process, pointer, struct.members.out_devid.offset, object.value.id)) {
      this.device.close();
      return fail("EFAULT");
    }
    this.#granted = true;
    this.device.group.cdevs += 1;
    return ok(0);
  }

  /** The PASID of an argument. @returns EINVAL for other flags or when it is not there, EOPNOTSUPP */
  #pasidOf(args: {
    readonly argsz: number;
    readonly flags: number;
    readonly pasid: number;
  }): Outcome<number | undefined> {
    if ((args.flags & ~uapi.VFIO_DEVICE_ATTACH_PASID) !== 0) return fail("EINVAL");
    return (args.flags & uapi.VFIO_DEVICE_ATTACH_PASID) === 0 ? ok(undefined) : ok(args.pasid);
  }

  #attach(process: Process, pointer: bigint): Outcome<number> {
    const struct = uapi.VFIO_DEVICE_ATTACH_IOMMUFD_PT_ARGS;
    const args = readArgument(process, pointer, struct, struct.members.pasid.offset);
    if (!args.ok) return args;
    const pasid = this.#pasidOf(args.value);
    if (!pasid.ok) return pasid;
    if (pasid.value !== undefined) {
      if (!this.device.ops.pasids) return fail("EOPNOTSUPP");
      if (args.value.argsz < struct.size) return fail("EINVAL");
    }
    const { object } = this.device.bound!;
    const replaces = object.attached(pasid.value) !== undefined;
    const hwpt = replaces
      ? object.replace(args.value.pt_id, pasid.value)
      : object.attach(args.value.pt_id, pasid.value);
    if (!hwpt.ok) return hwpt;
    if (writeWord(process, pointer, struct.members.pt_id.offset, hwpt.value.id)) return ok(0);
    object.detach(pasid.value);
    return fail("EFAULT");
  }

  #detach(process: Process, pointer: bigint): Outcome<number> {
    const struct = uapi.VFIO_DEVICE_DETACH_IOMMUFD_PT_ARGS;
    const args = readArgument(process, pointer, struct, struct.members.pasid.offset);
    if (!args.ok) return args;
    const pasid = this.#pasidOf(args.value);
    if (!pasid.ok) return pasid;
    if (pasid.value !== undefined) {
      if (!this.device.ops.pasids) return fail("EOPNOTSUPP");
      if (args.value.argsz < struct.size) return fail("EINVAL");
    }
    this.device.bound?.object.detach(pasid.value);
    return ok(0);
  }

  protected override release(): void {
    if (!this.#granted) return;
    if (this.#ofGroup) this.device.group.deviceClosed();
    else this.device.group.cdevs -= 1;
    this.device.close();
  }
}
