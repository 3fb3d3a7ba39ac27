import { fail, type Outcome, ok } from "../errno.ts";
import type { Group } from "../iommu/index.ts";
import { Ioas, IommufdFile } from "../iommufd/index.ts";
import { File } from "../mm/file.ts";
import type { Process } from "../mm/process.ts";
import * as uapi from "../uapi/index.ts";
import { readArgument, VfioDeviceFile } from "./device-file.ts";
import type { VfioDevice } from "./vfio-device.ts";

/** The longest name of a device that a client may ask for. */
const MAX_NAME = 256;

/** A group of devices as VFIO's older interface has it: `/dev/vfio/N`. */
export class VfioGroup {
  readonly group: Group;
  readonly devices: Set<VfioDevice> = new Set();
  /** The one open file of the group. */
  file: VfioGroupFile | undefined = undefined;
  /** The container or iommufd that the group has been given to. */
  container: IommufdFile | undefined = undefined;
  /** Devices of the group that are open by their own files, and by the group. */
  cdevs = 0;
  #open = 0;

  constructor(group: Group) {
    this.group = group;
  }

  /** Whether somebody has the group's file open. */
  get isOpen(): boolean {
    return this.file !== undefined;
  }

  /** @returns EBUSY when it is open already, or a device of it by its own file */
  open(): Outcome<VfioGroupFile> {
    if (this.file !== undefined || this.cdevs > 0) return fail("EBUSY");
    this.file = new VfioGroupFile(this);
    return ok(this.file);
  }

  /** @returns EINVAL when it has been given already, EBADFD for a file that is no container */
  setContainer(file: File): Outcome<number> {
    if (this.container !== undefined) return fail("EINVAL");
    if (!(file instanceof IommufdFile)) return fail("EBADFD");
    this.container = file.get();
    const ready = compatIoas(file);
    if (ready.ok) return ok(0);
    this.clearContainer();
    return ready;
  }

  /** @returns EINVAL when there is none, EBUSY while devices are open */
  unsetContainer(): Outcome<number> {
    if (this.container === undefined) return fail("EINVAL");
    if (this.#open > 0) return fail("EBUSY");
    this.clearContainer();
    return ok(0);
  }

  clearContainer(): void {
    const { container } = this;
    this.container = undefined;
    container?.put();
  }

  /** Opens a device and attaches it to the container's address space. */
  openDevice(device: VfioDevice): Outcome<VfioDeviceFile> {
    const { container } = this;
    if (container === undefined) return fail("EINVAL");
    const object = device.open(container);
    if (!object.ok) return object;
    const ioas = compatIoas(container);
    const attached = ioas.ok ? object.value.attach(ioas.value.id) : ioas;
    if (!attached.ok) {
      device.close();
      return attached;
    }
    this.#open += 1;
    return ok(new VfioDeviceFile(device, true));
  }

  /** A device that the group gave out has been closed. */
  deviceClosed(): void {
    this.#open -= 1;
  }
}

/** The address space of VFIO's own ioctls, made when it is first needed. */
const compatIoas = ({ context }: IommufdFile): Outcome<Ioas> => {
  if (context.vfioIoas !== undefined) return ok(context.vfioIoas);
  const ioas = context.objects.add(new Ioas());
  if (ioas.ok) context.vfioIoas = ioas.value;
  return ioas;
};

/** The open file of a group. Devices that it gave out keep the group's container. */
export class VfioGroupFile extends File {
  readonly group: VfioGroup;

  constructor(group: VfioGroup) {
    super();
    this.group = group;
  }

  override ioctl(process: Process, command: number, pointer: bigint): Outcome<number> {
    switch (command) {
      case uapi.VFIO_GROUP_GET_STATUS:
        return this.#status(process, pointer);
      case uapi.VFIO_GROUP_SET_CONTAINER:
        return this.#setContainer(process, pointer);
      case uapi.VFIO_GROUP_UNSET_CONTAINER:
        return this.group.unsetContainer();
      case uapi.VFIO_GROUP_GET_DEVICE_FD:
        return this.#deviceFd(process, pointer);
      default:
        return fail("ENOTTY");
    }
  }

  #status(process: Process, pointer: bigint): Outcome<number> {
    const struct = uapi.VFIO_GROUP_STATUS;
    const args = readArgument(process, pointer, struct);
    if (!args.ok) return args;
    const set = this.group.container === undefined ? 0 : uapi.VFIO_GROUP_FLAGS_CONTAINER_SET;
    const answer = struct.encode({
      argsz: args.value.argsz,
      flags: uapi.VFIO_GROUP_FLAGS_VIABLE | set,
    });
    return process.mm.write(pointer, answer) ? ok(0) : fail("EFAULT");
  }

  #setContainer(process: Process, pointer: bigint): Outcome<number> {
    const bytes = new Uint8Array(4);
    if (!process.mm.read(pointer, bytes)) return fail("EFAULT");
    const fd = new DataView(bytes.buffer).getInt32(0, true);
    if (fd < 0) return fail("EINVAL");
    const file = process.files.file(fd);
    return file === undefined ? fail("EBADF") : this.group.setContainer(file);
  }

  #deviceFd(process: Process, pointer: bigint): Outcome<number> {
    const name = readText(process, pointer);
    if (!name.ok) return name;
    const device = [...this.group.devices].find((each) => each.name === name.value);
    if (device === undefined) return fail("ENODEV");
    const fd = process.files.reserve();
    if (!fd.ok) return fd;
    const file = this.group.openDevice(device);
    if (!file.ok) {
      process.files.cancel(fd.value);
      return file;
    }
    process.files.install(fd.value, file.value);
    return fd;
  }

  protected override release(): void {
    this.group.file = undefined;
    this.group.clearContainer();
  }
}

const readText = (process: Process, pointer: bigint): Outcome<string> => {
  const byte = new Uint8Array(1);
  let text = "";
  for (let i = 0; i < MAX_NAME; i++) {
    if (!process.mm.read(pointer + BigInt(i), byte)) return fail("EFAULT");
    if (byte[0] === 0) return ok(text);
    text += String.fromCharCode(byte[0]!);
  }
  return fail("EINVAL");
};
