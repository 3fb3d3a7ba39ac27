import { fail, type Outcome } from "../errno.ts";
import * as uapi from "../uapi/index.ts";
import { Device } from "./device.ts";
import type { CallOf } from "./ioas.ts";
import { IommufdObject } from "./object.ts";
import { defineOperation } from "./operation.ts";
import { Viommu } from "./viommu.ts";

/** A device as a guest knows it: by the id that it has on a vIOMMU. */
export class Vdevice extends IommufdObject {
  override readonly kind = "vdevice";
  readonly viommu: Viommu;
  readonly device: Device;
  readonly virtualId: bigint;
  /** Undoes what the driver did. */
  readonly #end: () => void;

  constructor(viommu: Viommu, device: Device, virtualId: bigint, end: () => void) {
    super();
    this.viommu = viommu.get();
    this.device = device;
    this.virtualId = virtualId;
    this.#end = end;
    device.vdevice = this;
    viommu.vdevices.set(virtualId, this);
  }

  override destroy(): void {
    this.#end();
    this.device.vdevice = undefined;
    this.viommu.vdevices.delete(this.virtualId);
    this.viommu.put();
  }
}

const vdeviceAlloc = ({
  context,
  args,
  respond,
}: CallOf<typeof uapi.IOMMU_VDEVICE_ALLOC_ARGS>): Outcome<undefined> => {
  const viommu = context.objects.get(args.viommu_id, Viommu);
  if (viommu === undefined) return fail("ENOENT");
  const device = context.objects.get(args.dev_id, Device);
  if (device === undefined) return fail("ENOENT");
  if (!viommu.covers(device)) return fail("EINVAL");
  if (device.vdevice !== undefined || viommu.vdevices.has(args.virt_id)) return fail("EEXIST");
  const end = viommu.driver.initVdevice?.(device.device, args.virt_id);
  if (end !== undefined && !end.ok) return end;
  const vdevice = new Vdevice(viommu, device, args.virt_id, end?.value ?? (() => {}));
  const added = context.objects.add(vdevice);
  if (!added.ok) {
    vdevice.destroy();
    return added;
  }
  args.out_vdevice_id = vdevice.id;
  const answered = respond();
  if (!answered.ok) context.objects.remove(vdevice);
  return answered;
};

export const VDEVICE_ALLOC = defineOperation(
  uapi.IOMMU_VDEVICE_ALLOC,
  uapi.IOMMU_VDEVICE_ALLOC_ARGS,
  vdeviceAlloc,
);
