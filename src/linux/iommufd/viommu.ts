import { fail, type Outcome } from "../errno.ts";
import type { DriverViommu, IommuDevice } from "../iommu/index.ts";
import * as uapi from "../uapi/index.ts";
import type { IommufdContext } from "./context.ts";
import { Device } from "./device.ts";
import { HwptPaging } from "./hw-pagetable.ts";
import type { HwQueue } from "./hw-queue.ts";
import type { CallOf } from "./ioas.ts";
import { IommufdObject } from "./object.ts";
import { defineOperation } from "./operation.ts";
import { userDataOf } from "./user-data.ts";
import type { Vdevice } from "./vdevice.ts";
import type { EventQueue } from "./veventq.ts";

/** A part of a vIOMMU that a client may map. */
export interface MmapWindow {
  readonly offset: bigint;
  /** In bytes. */
  readonly length: bigint;
}

/** A slice of a physical IOMMU that a guest has for itself, over one nesting parent. */
export class Viommu extends IommufdObject {
  override readonly kind = "viommu";
  /** Some device behind the physical IOMMU. */
  readonly hardware: IommuDevice;
  readonly parent: HwptPaging;
  readonly type: number;
  readonly driver: DriverViommu;
  readonly vdevices: Map<bigint, Vdevice> = new Map();
  readonly eventQueues: Map<number, EventQueue> = new Map();
  readonly hwQueues: Map<number, HwQueue> = new Map();
  window: MmapWindow | undefined = undefined;

  constructor(hardware: IommuDevice, parent: HwptPaging, type: number, driver: DriverViommu) {
    super();
    this.hardware = hardware;
    this.parent = parent.get();
    this.type = type;
    this.driver = driver;
  }

  /** Whether a device is behind the same physical IOMMU. */
  covers({ device }: Device): boolean {
    return device.driver === this.hardware.driver;
  }

  override destroy(): void {
    this.driver.free();
    this.parent.put();
  }
}

type ViommuCall = CallOf<typeof uapi.IOMMU_VIOMMU_ALLOC_ARGS>;

const viommuAlloc = ({ context, process, args, respond }: ViommuCall): Outcome<undefined> => {
  if (args.flags !== 0 || args.type === uapi.IOMMU_VIOMMU_TYPE_DEFAULT) return fail("EOPNOTSUPP");
  const device = context.objects.get(args.dev_id, Device);
  if (device === undefined) return fail("ENOENT");
  const { driver } = device.device;
  if (driver.allocViommu === undefined) return fail("EOPNOTSUPP");
  if (!driver.viommuSupported?.(device.device, args.type)) return fail("EOPNOTSUPP");
  const parent = context.objects.get(args.hwpt_id, HwptPaging);
  if (parent === undefined) return fail("ENOENT");
  if (!parent.nestParent) return fail("EINVAL");
  const data =
    args.data_len === 0 ? undefined : userDataOf(process, args.type, args.data_uptr, args.data_len);
  const made = driver.allocViommu(device.device, { type: args.type, parent: parent.domain, data });
  if (!made.ok) return made;
  const viommu = new Viommu(device.device, parent, args.type, made.value);
  return addViommu(context, viommu, (id) => {
    const reply = made.value.reply?.(viommu.window?.offset ?? 0n);
    if (reply !== undefined && data !== undefined && !data.write(reply)) return fail("EFAULT");
    args.out_viommu_id = id;
    return respond();
  });
};

const addViommu = (
  context: IommufdContext,
  viommu: Viommu,
  respond: (id: number) => Outcome<undefined>,
): Outcome<undefined> => {
  const added = context.objects.add(viommu);
  if (!added.ok) {
    viommu.destroy();
    return added;
  }
  const length = viommu.driver.mmapLength;
  if (length !== undefined) {
    viommu.window = { offset: context.nextMmapOffset, length };
    context.nextMmapOffset += length;
  }
  const answered = respond(viommu.id);
  if (!answered.ok) context.objects.remove(viommu);
  return answered;
};

export const VIOMMU_ALLOC = defineOperation(
  uapi.IOMMU_VIOMMU_ALLOC,
  uapi.IOMMU_VIOMMU_ALLOC_ARGS,
  viommuAlloc,
  "out_viommu_id",
);
