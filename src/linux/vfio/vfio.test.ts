import { describe, expect, it } from "vitest";
import { MockIommu } from "../drivers/mock/mock-iommu.ts";
import { DONE, type Errno, type Outcome } from "../errno.ts";
import { createInProcessMachine, leaksOf } from "../iommufd/conformance/in-process.ts";
import { IOAS_ALLOC, type IommufdFile, openIommufd, perform } from "../iommufd/index.ts";
import type { File } from "../mm/file.ts";
import type { Mm } from "../mm/mm.ts";
import type { Process } from "../mm/process.ts";
import * as uapi from "../uapi/index.ts";
import { Vfio } from "./vfio.ts";
import type { VfioDevice } from "./vfio-device.ts";

const SCRATCH = 0x7000_0000n;

/** Two devices of one group, and a third by itself that a hot reset resets with them. */
const createRig = () => {
  const machine = createInProcessMachine();
  const iommu = new MockIommu(machine.faults);
  const vfio = new Vfio(machine.parts);
  const resets: string[] = [];
  const add = (index: number, flags: number, beside?: VfioDevice): VfioDevice => {
    const mock = iommu.createDevice(flags, beside?.device as never);
    if (!mock.ok) throw new Error(mock.errno);
    const ops = {
      pasids: flags !== 0,
      reset: () => {
        resets.push(`reset ${index}`);
        return DONE;
      },
      hotReset: () => {
        resets.push(`hot ${index}`);
        return DONE;
      },
    };
    const place = { segment: 0, bus: 1, devfn: index * 8 };
    return vfio.register(`0000:01:0${index}.0`, mock.value, place, ops, vfio.devices);
  };
  const first = add(0, uapi.MOCK_FLAGS_DEVICE_PASID);
  const second = add(1, 0, first);
  const third = add(2, 0);
  const newProcess = (): Process<Mm> => {
    const process = machine.processes.create();
    process.mm.map({ address: SCRATCH, length: 4096n });
    return process;
  };
  return { machine, vfio, resets, first, second, third, newProcess, process: newProcess() };
};

type Rig = ReturnType<typeof createRig>;

const opened = <F extends File>(
  process: Process<Mm>,
  file: Outcome<F>,
): { fd: number; file: F } => {
  if (!file.ok) throw new Error(file.errno);
  const fd = process.files.add(file.value);
  if (!fd.ok) throw new Error(fd.errno);
  return { fd: fd.value, file: file.value };
};

const iommufdOf = ({ machine }: Rig, process: Process<Mm>): { fd: number; file: IommufdFile } =>
  opened(process, { ok: true, value: openIommufd(machine.parts) });

/** An ioctl with an argument in the process's memory; answers with an error or the bytes as they are then. */
const call = (
  process: Process<Mm>,
  file: File,
  command: number,
  bytes: Uint8Array,
): { readonly errno: Errno | undefined; readonly value: number; readonly bytes: Uint8Array } => {
  process.mm.write(SCRATCH, bytes);
  const outcome = file.ioctl(process, command, SCRATCH);
  const after = new Uint8Array(bytes.length);
  process.mm.read(SCRATCH, after);
  return {
    errno: outcome.ok ? undefined : outcome.errno,
    value: outcome.ok ? outcome.value : -1,
    bytes: after,
  };
};

type BindValues = Partial<uapi.ValuesOf<typeof uapi.VFIO_DEVICE_BIND_IOMMUFD_ARGS>>;

const bind = (process: Process<Mm>, file: File, values: BindValues) => {
  const struct = uapi.VFIO_DEVICE_BIND_IOMMUFD_ARGS;
  const bytes = struct.encode({ argsz: 24, ...values });
  const answer = call(process, file, uapi.VFIO_DEVICE_BIND_IOMMUFD, bytes);
  return { errno: answer.errno, id: struct.decode(answer.bytes).out_devid };
};

type AttachValues = Partial<uapi.ValuesOf<typeof uapi.VFIO_DEVICE_ATTACH_IOMMUFD_PT_ARGS>>;

const attach = (process: Process<Mm>, file: File, values: AttachValues) => {
  const struct = uapi.VFIO_DEVICE_ATTACH_IOMMUFD_PT_ARGS;
  const bytes = struct.encode({ argsz: 16, ...values });
  const answer = call(process, file, uapi.VFIO_DEVICE_ATTACH_IOMMUFD_PT, bytes);
  return { errno: answer.errno, id: struct.decode(answer.bytes).pt_id };
};

const detach = (
  process: Process<Mm>,
  file: File,
  values: { argsz?: number; flags?: number; pasid?: number },
) =>
  call(
    process,
    file,
    uapi.VFIO_DEVICE_DETACH_IOMMUFD_PT,
    uapi.VFIO_DEVICE_DETACH_IOMMUFD_PT_ARGS.encode({ argsz: 12, ...values }),
  ).errno;

const ioasOf = (rig: Rig, process: Process<Mm>, iommufd: IommufdFile): number => {
  const args = perform(IOAS_ALLOC, iommufd.context, process, {});
  if (!args.ok) throw new Error(args.errno);
  expect(rig.machine.parts.frames).toBeDefined();
  return args.value.out_ioas_id;
};

const endOf = (rig: Rig): readonly string[] => {
  for (const process of rig.machine.processes.alive) {
    rig.machine.processes.exit(process as Process<Mm>);
  }
  for (const device of rig.vfio.devices) expect(device.bound, device.name).toBeUndefined();
  return leaksOf(rig.machine);
};

describe("VFIO devices", () => {
  it("UAPI-CDEV-01, UAPI-CDEV-02: a device is bound before anything else, by a right argument", () => {
    const rig = createRig();
    const { process, vfio, first } = rig;
    const iommufd = iommufdOf(rig, process);
    const { file, fd } = opened(process, vfio.openDevice(first.name));
    expect(attach(process, file, {}).errno).toBe("EINVAL");
    expect(file.ioctl(process, uapi.VFIO_DEVICE_RESET, 0n)).toMatchObject({ errno: "EINVAL" });
    const good = { iommufd: iommufd.fd };
    expect(bind(process, file, { ...good, argsz: 15 }).errno).toBe("EINVAL");
    expect(bind(process, file, { ...good, flags: 2 }).errno).toBe("EINVAL");
    expect(bind(process, file, { ...good, flags: 1 }).errno).toBe("EINVAL");
    expect(bind(process, file, { iommufd: -1 }).errno).toBe("EINVAL");
    expect(bind(process, file, { iommufd: 77 }).errno).toBe("EBADF");
    expect(bind(process, file, { iommufd: fd }).errno).toBe("EBADFD");
    const long = new Uint8Array(32);
    long.set(uapi.VFIO_DEVICE_BIND_IOMMUFD_ARGS.encode({ ...good, argsz: 32 }));
    long[31] = 1;
    expect(call(process, file, uapi.VFIO_DEVICE_BIND_IOMMUFD, long).errno).toBe("E2BIG");
    expect(bind(process, file, good)).toEqual({ errno: undefined, id: 1 });
    expect(bind(process, file, good).errno).toBe("EINVAL");
    const again = opened(process, vfio.openDevice(first.name));
    expect(bind(process, again.file, good).errno).toBe("EINVAL");
    expect(endOf(rig)).toEqual([]);
  });

  it("UAPI-CDEV-03: an iommufd lives until its last device is closed, whichever closes first", () => {
    const rig = createRig();
    const { process, vfio, first } = rig;
    const iommufd = iommufdOf(rig, process);
    const ioas = ioasOf(rig, process, iommufd.file);
    const { file, fd } = opened(process, vfio.openDevice(first.name));
    expect(bind(process, file, { iommufd: iommufd.fd }).errno).toBeUndefined();
    expect(attach(process, file, { pt_id: ioas }).errno).toBeUndefined();
    process.files.close(iommufd.fd);
    expect(iommufd.file.context.objects.count).toBe(3);
    process.files.close(fd);
    expect(iommufd.file.context.objects.count).toBe(0);
    const other = iommufdOf(rig, process);
    const second = opened(process, vfio.openDevice(first.name));
    expect(bind(process, second.file, { iommufd: other.fd }).errno).toBeUndefined();
    process.files.close(second.fd);
    expect(other.file.context.objects.count).toBe(0);
    expect(endOf(rig)).toEqual([]);
  });

  it("UAPI-CDEV-04: attaches, replaces when attached, and detaches", () => {
    const rig = createRig();
    const { process, vfio, first } = rig;
    const iommufd = iommufdOf(rig, process);
    const [a, b] = [ioasOf(rig, process, iommufd.file), ioasOf(rig, process, iommufd.file)];
    const { file } = opened(process, vfio.openDevice(first.name));
    const { id } = bind(process, file, { iommufd: iommufd.fd });
    expect(attach(process, file, { argsz: 11, pt_id: a }).errno).toBe("EINVAL");
    expect(attach(process, file, { flags: 2, pt_id: a }).errno).toBe("EINVAL");
    expect(attach(process, file, { pt_id: 99 }).errno).toBe("ENOENT");
    expect(attach(process, file, { pt_id: id }).errno).toBe("EINVAL");
    expect(detach(process, file, {})).toBeUndefined();
    expect(attach(process, file, { argsz: 12, pt_id: a })).toEqual({ errno: undefined, id: 4 });
    expect(attach(process, file, { pt_id: b })).toEqual({ errno: undefined, id: 5 });
    expect(iommufd.file.context.objects.find(4)).toBeUndefined();
    expect(detach(process, file, { argsz: 7 })).toBe("EINVAL");
    expect(detach(process, file, { flags: 2 })).toBe("EINVAL");
    expect(detach(process, file, { argsz: 8 })).toBeUndefined();
    expect(iommufd.file.context.objects.find(5)).toBeUndefined();
    expect(endOf(rig)).toEqual([]);
  });

  it("UAPI-CDEV-05: PASIDs need a longer argument and a driver that has them", () => {
    const rig = createRig();
    const { process, vfio, first, third } = rig;
    const iommufd = iommufdOf(rig, process);
    const ioas = ioasOf(rig, process, iommufd.file);
    const { file } = opened(process, vfio.openDevice(first.name));
    bind(process, file, { iommufd: iommufd.fd });
    expect(attach(process, file, { argsz: 12, flags: 1, pt_id: ioas, pasid: 5 }).errno).toBe(
      "EINVAL",
    );
    expect(attach(process, file, { flags: 1, pt_id: ioas, pasid: 5 }).errno).toBe("EINVAL");
    expect(detach(process, file, { argsz: 8, flags: 1 })).toBe("EINVAL");
    expect(detach(process, file, { flags: 1, pasid: 5 })).toBeUndefined();
    const plain = opened(process, vfio.openDevice(third.name));
    bind(process, plain.file, { iommufd: iommufd.fd });
    expect(attach(process, plain.file, { flags: 1, pt_id: ioas }).errno).toBe("EOPNOTSUPP");
    expect(detach(process, plain.file, { flags: 1 })).toBe("EOPNOTSUPP");
    expect(endOf(rig)).toEqual([]);
  });

  it("UAPI-CDEV-06: a group belongs to one iommufd, and its devices to one page table", () => {
    const rig = createRig();
    const { process, vfio, first, second } = rig;
    const [one, two] = [iommufdOf(rig, process), iommufdOf(rig, process)];
    const a = opened(process, vfio.openDevice(first.name));
    const b = opened(process, vfio.openDevice(second.name));
    bind(process, a.file, { iommufd: one.fd });
    expect(bind(process, b.file, { iommufd: two.fd }).errno).toMatch(/EPERM|EBUSY/);
    expect(bind(process, b.file, { iommufd: one.fd }).errno).toBeUndefined();
    const [x, y] = [ioasOf(rig, process, one.file), ioasOf(rig, process, one.file)];
    const { id } = attach(process, a.file, { pt_id: x });
    expect(attach(process, b.file, { pt_id: y }).errno).toBe("EINVAL");
    expect(attach(process, b.file, { pt_id: x }).id).toBe(id);
    // Replacing one replaces for both.
    expect(attach(process, a.file, { pt_id: y }).errno).toBeUndefined();
    expect(one.file.context.objects.find(id)?.kind).not.toBe("hwpt-paging");
    expect(detach(process, a.file, {})).toBeUndefined();
    expect(detach(process, b.file, {})).toBeUndefined();
    expect(endOf(rig)).toEqual([]);
  });
});

describe("VFIO resets", () => {
  const info = (process: Process<Mm>, file: File, argsz: number) => {
    const bytes = new Uint8Array(12 + 3 * 8);
    bytes.set(uapi.VFIO_PCI_HOT_RESET_INFO.encode({ argsz }));
    const answer = call(process, file, uapi.VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, bytes);
    const { flags, count } = uapi.VFIO_PCI_HOT_RESET_INFO.decode(answer.bytes);
    const view = new DataView(answer.bytes.buffer);
    const ids = [0, 1, 2].map((i) => view.getInt32(12 + i * 8, true));
    return { errno: answer.errno, flags, count, ids };
  };

  it("UAPI-RESET-01, UAPI-RESET-02: who owns what is told, and a hot reset needs all of it", () => {
    const rig = createRig();
    const { process, vfio, first, second, third, resets } = rig;
    const iommufd = iommufdOf(rig, process);
    const { file } = opened(process, vfio.openDevice(first.name));
    const { id } = bind(process, file, { iommufd: iommufd.fd });
    expect(info(process, file, 20)).toMatchObject({ errno: "ENOSPC", count: 3 });
    const owned = info(process, file, 36);
    expect([owned.errno, owned.flags]).toEqual([undefined, uapi.VFIO_PCI_HOT_RESET_FLAG_DEV_ID]);
    expect([...owned.ids].sort((a, b) => a - b)).toEqual([-1, 0, id]);
    const reset = (count: number, flags = 0) =>
      call(
        process,
        file,
        uapi.VFIO_DEVICE_PCI_HOT_RESET,
        uapi.VFIO_PCI_HOT_RESET.encode({ argsz: 12, flags, count }),
      ).errno;
    expect(reset(0)).toBe("EINVAL");
    const other = opened(process, vfio.openDevice(third.name));
    bind(process, other.file, { iommufd: iommufd.fd });
    expect(info(process, file, 36).flags).toBe(3);
    expect(reset(1)).toBe("EINVAL");
    expect(reset(0, 1)).toBe("EINVAL");
    expect(resets).toEqual([]);
    expect(reset(0)).toBeUndefined();
    expect(file.ioctl(process, uapi.VFIO_DEVICE_RESET, 0n)).toEqual({ ok: true, value: 0 });
    expect(resets).toEqual(["hot 0", "reset 0"]);
    expect(second.resetSet.size).toBe(3);
    expect(endOf(rig)).toEqual([]);
  });
});

describe("VFIO groups", () => {
  const openDeviceOf = (process: Process<Mm>, group: File, name: string) => {
    const bytes = new Uint8Array(64);
    bytes.set(new TextEncoder().encode(name));
    return call(process, group, uapi.VFIO_GROUP_GET_DEVICE_FD, bytes);
  };

  const setContainer = (process: Process<Mm>, group: File, fd: number) => {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setInt32(0, fd, true);
    return call(process, group, uapi.VFIO_GROUP_SET_CONTAINER, bytes).errno;
  };

  it("UAPI-GROUP-01: one opener, and either the group or its devices' own files", () => {
    const rig = createRig();
    const { process, vfio, first } = rig;
    const iommufd = iommufdOf(rig, process);
    const group = opened(process, vfio.openGroup(first.group.group.id));
    expect(vfio.openGroup(first.group.group.id)).toMatchObject({ errno: "EBUSY" });
    expect(vfio.openGroup(99)).toMatchObject({ errno: "ENODEV" });
    const { file } = opened(process, vfio.openDevice(first.name));
    expect(bind(process, file, { iommufd: iommufd.fd }).errno).toBe("EBUSY");
    process.files.close(group.fd);
    expect(bind(process, file, { iommufd: iommufd.fd }).errno).toBeUndefined();
    expect(vfio.openGroup(first.group.group.id)).toMatchObject({ errno: "EBUSY" });
    expect(endOf(rig)).toEqual([]);
  });

  it("UAPI-GROUP-02: a device of a group is attached to its container, which maps for it", () => {
    const rig = createRig();
    const { process, vfio, first, second } = rig;
    const group = opened(process, vfio.openGroup(first.group.group.id));
    expect(openDeviceOf(process, group.file, first.name).errno).toBe("EINVAL");
    expect(setContainer(process, group.file, 88)).toBe("EBADF");
    expect(setContainer(process, group.file, group.fd)).toBe("EBADFD");
    const container = opened(process, { ok: true, value: vfio.openContainer() });
    expect(setContainer(process, group.file, container.fd)).toBeUndefined();
    expect(setContainer(process, group.file, container.fd)).toBe("EINVAL");
    const device = openDeviceOf(process, group.file, first.name);
    expect(device.errno).toBeUndefined();
    expect(openDeviceOf(process, group.file, "0000:09:00.0").errno).toBe("ENODEV");
    expect(openDeviceOf(process, group.file, second.name).errno).toBeUndefined();
    const va = process.mm.map({ length: 4096n });
    const map = uapi.VFIO_IOMMU_TYPE1_DMA_MAP.encode({
      argsz: 32,
      flags: 3,
      vaddr: va.ok ? va.value : 0n,
      iova: uapi.MOCK_APERTURE_START,
      size: 4096n,
    });
    expect(call(process, container.file, uapi.VFIO_IOMMU_MAP_DMA, map).errno).toBeUndefined();
    expect([process.mm.pinnedVm, rig.machine.frames.counts.pins]).toEqual([1, 1]);
    expect(group.file.ioctl(process, uapi.VFIO_GROUP_UNSET_CONTAINER, 0n)).toMatchObject({
      errno: "EBUSY",
    });
    process.files.close(device.value);
    process.files.close(container.fd);
    expect(endOf(rig)).toEqual([]);
  });
});
