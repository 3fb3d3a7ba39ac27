import { expect, it } from "vitest";
import { MockIommu } from "../drivers/mock/mock-iommu.ts";
import * as uapi from "../uapi/index.ts";
import { createInProcessMachine } from "./conformance/in-process.ts";
import { openIommufd } from "./context.ts";
import { bindDevice } from "./device.ts";
import { HWPT_ALLOC } from "./hwpt-alloc.ts";
import { IOAS_ALLOC } from "./ioas.ts";
import { perform } from "./operation.ts";
import { VIOMMU_ALLOC } from "./viommu.ts";

it("UAPI-MMAP-01: a window of a vIOMMU is mapped shared and whole, and uses the vIOMMU meanwhile", () => {
  const machine = createInProcessMachine();
  const process = machine.processes.create();
  const file = openIommufd(machine.parts);
  const { context } = file;
  const mock = new MockIommu(machine.faults).createDevice(0);
  const device = mock.ok ? bindDevice(context, mock.value) : mock;
  if (!device.ok) throw new Error(device.errno);
  perform(IOAS_ALLOC, context, process, {});
  const parent = perform(HWPT_ALLOC, context, process, {
    dev_id: device.value.id,
    pt_id: 2,
    flags: uapi.IOMMU_HWPT_ALLOC_NEST_PARENT,
  });
  const data = process.mm.map({ length: 4096n });
  if (!parent.ok || !data.ok) throw new Error("no parent");
  const viommu = perform(VIOMMU_ALLOC, context, process, {
    type: uapi.IOMMU_VIOMMU_TYPE_SELFTEST,
    dev_id: device.value.id,
    hwpt_id: parent.value.out_hwpt_id,
    data_len: uapi.IOMMU_VIOMMU_SELFTEST.size,
    data_uptr: data.value,
  });
  if (!viommu.ok) throw new Error(viommu.errno);
  const bytes = new Uint8Array(uapi.IOMMU_VIOMMU_SELFTEST.size);
  process.mm.read(data.value, bytes);
  const { out_mmap_offset: offset, out_mmap_length: length } =
    uapi.IOMMU_VIOMMU_SELFTEST.decode(bytes);
  expect(file.mmap(offset, length, { shared: false })).toMatchObject({ errno: "EINVAL" });
  const executable = { shared: true, executable: true };
  expect(file.mmap(offset, length, executable)).toMatchObject({ errno: "EPERM" });
  expect(file.mmap(offset + 4096n, length, { shared: true })).toMatchObject({ errno: "ENXIO" });
  expect(file.mmap(offset, 4096n, { shared: true })).toMatchObject({ errno: "ENXIO" });
  const mapping = file.mmap(offset, length, { shared: true });
  const id = viommu.value.out_viommu_id;
  expect(context.objects.destroy(id)).toMatchObject({ errno: "EBUSY" });
  if (mapping.ok) mapping.value();
  expect(context.objects.destroy(id).ok).toBe(true);
  device.value.unbind();
  file.put();
  machine.processes.exit(process);
});
