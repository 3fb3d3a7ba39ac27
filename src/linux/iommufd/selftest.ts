import { LAST_ADDRESS } from "../../bits/address.ts";
import { frameAddress } from "../../bits/halves.ts";
import type { MockDomain, MockIommu, MockNestedDomain } from "../drivers/mock/index.ts";
import { MockDevice } from "../drivers/mock/mock-device.ts";
import { DONE, fail, type Outcome, ok } from "../errno.ts";
import type { Process } from "../mm/process.ts";
import * as uapi from "../uapi/index.ts";
import type { IommufdContext } from "./context.ts";
import { bindDevice, Device } from "./device.ts";
import { type HwPagetable, HwptNested, HwptPaging } from "./hw-pagetable.ts";
import { Ioas } from "./ioas.ts";
import { readStruct } from "./operation.ts";
import { accessOperations } from "./selftest-access.ts";
import {
  definePart,
  SelftestDevice,
  type TestCall,
  type TestOperationRow,
} from "./selftest-call.ts";
import type { TestCommands } from "./test-command.ts";

/** Smallest limit of temporary memory that the kernel accepts, in bytes. */
const MIN_MEMORY_LIMIT = 12;

const GRANULE = uapi.MOCK_IO_PAGE_SIZE;

const addReserved = ({ context, id, part }: TestCall<"ADD_RESERVED">): Outcome<undefined> => {
  const ioas = context.objects.get(id, Ioas);
  if (ioas === undefined) return fail("ENOENT");
  if (part.length === 0n) return fail("EINVAL");
  const last = part.start + part.length - 1n;
  if (last > LAST_ADDRESS) return fail("EOVERFLOW");
  return ioas.iopt.reserve([{ start: part.start, last }]);
};

/** Makes a mock device, binds and attaches it. */
const mockDomain = (
  iommu: MockIommu,
  call: TestCall<"MOCK_DOMAIN"> | TestCall<"MOCK_DOMAIN_FLAGS">,
  flags: number,
): Outcome<undefined> => {
  const { context, id, part } = call;
  const stdev = context.objects.add(new SelftestDevice());
  if (!stdev.ok) return stdev;
  const abort = (outcome: Outcome<undefined>): Outcome<undefined> => {
    context.objects.remove(stdev.value);
    return outcome;
  };
  const mock = iommu.createDevice(flags);
  if (!mock.ok) return abort(mock);
  const device = bindDevice(context, mock.value);
  if (!device.ok) return abort(device);
  stdev.value.device = device.value;
  const hwpt = device.value.attach(id);
  if (!hwpt.ok) return abort(hwpt);
  part.out_stdev_id = stdev.value.id;
  part.out_hwpt_id = hwpt.value.id;
  part.out_idev_id = device.value.id;
  const answered = call.respond();
  return answered.ok ? DONE : abort(answered);
};

const deviceOf = ({ context, id }: { context: IommufdContext; id: number }): Device | undefined =>
  context.objects.get(id, SelftestDevice)?.device;

const mockDomainReplace = (call: TestCall<"MOCK_DOMAIN_REPLACE">): Outcome<undefined> => {
  const device = deviceOf(call);
  if (device === undefined) return fail("ENOENT");
  const hwpt = device.replace(call.part.pt_id);
  if (!hwpt.ok) return hwpt;
  call.part.pt_id = hwpt.value.id;
  return call.respond();
};

const mockDomainOf = (context: IommufdContext, id: number): MockDomain | undefined =>
  context.objects.get(id, HwptPaging)?.domain as MockDomain | undefined;

/** The frame that an address of the caller is in. @returns EFAULT */
const frameOf = (
  context: IommufdContext,
  process: Process,
  address: bigint,
  visit: (frame: number) => Outcome<undefined>,
): Outcome<undefined> => {
  const frames = new Float64Array(1);
  if (process.mm.pin(Number(address >> 12n), 1, false, frames) < 1) return fail("EFAULT");
  const outcome = visit(frames[0]!);
  context.frames.unpin(frames[0]!);
  return outcome;
};

const checkMap = ({ context, process, id, part }: TestCall<"MD_CHECK_MAP">): Outcome<undefined> => {
  const { iova, length, uptr } = part;
  if (iova % GRANULE !== 0n || length % GRANULE !== 0n || uptr % GRANULE !== 0n) {
    return fail("EINVAL");
  }
  const domain = mockDomainOf(context, id);
  if (domain === undefined) return fail("ENOENT");
  for (let done = 0n; done < length; done += GRANULE) {
    const checked = frameOf(context, process, uptr + done, (frame) => {
      const expected = frameAddress(frame) + ((uptr + done) & 0xfffn);
      return domain.iovaToPhys(iova + done) === expected ? DONE : fail("EINVAL");
    });
    if (!checked.ok) return checked;
  }
  return DONE;
};

const checkRefs = ({ context, process, part }: TestCall<"MD_CHECK_REFS">): Outcome<undefined> => {
  const { length, uptr, refs } = part;
  if (length % 4096n !== 0n || uptr % 4096n !== 0n) return fail("EINVAL");
  for (let done = 0n; done < length; done += 4096n) {
    const checked = frameOf(context, process, uptr + done, (frame) =>
      // The look itself has the page pinned.
      context.frames.pins(frame) - 1 === refs ? DONE : fail("EIO"),
    );
    if (!checked.ok) return checked;
  }
  return DONE;
};

const memoryLimit = ({ part }: TestCall<"SET_TEMP_MEMORY_LIMIT">): Outcome<undefined> =>
  part.limit < MIN_MEMORY_LIMIT ? fail("EINVAL") : DONE;

const dirty = (call: TestCall<"DIRTY">): Outcome<undefined> => {
  const { context, process, id, part } = call;
  const { iova, length, page_size: size, uptr } = part;
  if (size === 0n || length === 0n || uptr === 0n) return fail("EINVAL");
  if (iova % size !== 0n || length % size !== 0n) return fail("EINVAL");
  const domain = mockDomainOf(context, id);
  if (domain === undefined) return fail("ENOENT");
  if (domain.dirty === undefined || !domain.tracking) return fail("EINVAL");
  const count = Number(length / size);
  const bitmap = new Uint8Array(Math.ceil(count / 8));
  if (!process.mm.read(uptr, bitmap)) return fail("EFAULT");
  let marked = 0n;
  for (let i = 0; i < count; i++) {
    if ((bitmap[i >> 3]! & (1 << (i & 7))) === 0) continue;
    if (domain.table.setDirty(iova + BigInt(i) * size)) marked += 1n;
  }
  part.out_nr_dirty = marked;
  return call.respond();
};

const checkIotlb = ({ context, id, part }: TestCall<"MD_CHECK_IOTLB">): Outcome<undefined> => {
  const nested = context.objects.get(id, HwptNested);
  if (nested === undefined) return fail("ENOENT");
  const { iotlb } = nested.domain as MockNestedDomain;
  return part.id < iotlb.length && iotlb[part.id] === part.iotlb ? DONE : fail("EINVAL");
};

const triggerIopf = ({ context, part }: TestCall<"TRIGGER_IOPF">): Outcome<undefined> => {
  const device = context.objects.get(part.dev_id, Device);
  if (device === undefined) return fail("ENOENT");
  const pasid = part.pasid === 0 ? undefined : part.pasid;
  const handle = device.handleOf(pasid);
  const fault = { address: part.addr, permissions: part.perm, lastPage: true };
  handle?.hwpt.fault?.report(handle, {
    pasid,
    groupId: part.grpid,
    faults: [fault],
    respond: () => {},
  });
  return DONE;
};

const checkCache = ({ context, id, part }: TestCall<"DEV_CHECK_CACHE">): Outcome<undefined> => {
  const device = context.objects.get(id, Device)?.device;
  if (!(device instanceof MockDevice)) return fail("ENOENT");
  const { cache } = device;
  return part.id < cache.length && cache[part.id] === part.cache ? DONE : fail("EINVAL");
};

const triggerVevent = ({ context, part }: TestCall<"TRIGGER_VEVENT">): Outcome<undefined> => {
  const device = context.objects.get(part.dev_id, Device);
  if (device === undefined) return fail("ENOENT");
  const hwpt = device.attached();
  const viommu = hwpt instanceof HwptNested && hwpt.base.kind === "viommu" ? hwpt.base : undefined;
  const virtualId = device.vdevice?.virtualId ?? 0n;
  if (viommu === undefined || virtualId === 0n) return fail("ENOENT");
  const queue = viommu.eventQueues.get(uapi.IOMMU_VEVENTQ_TYPE_SELFTEST);
  if (queue === undefined) return fail("EOPNOTSUPP");
  queue.report(uapi.IOMMU_VIOMMU_EVENT_SELFTEST.encode({ virt_id: Number(virtualId) }));
  return DONE;
};

const pasidChange = (
  call: TestCall<"PASID_ATTACH"> | TestCall<"PASID_REPLACE">,
  change: (device: Device, ptId: number, pasid: number) => Outcome<HwPagetable>,
): Outcome<undefined> => {
  const device = deviceOf(call);
  if (device === undefined) return fail("ENOENT");
  const hwpt = change(device, call.part.pt_id, call.part.pasid);
  if (!hwpt.ok) return hwpt;
  call.part.pt_id = hwpt.value.id;
  return call.respond();
};

const pasidAttach = (call: TestCall<"PASID_ATTACH">): Outcome<undefined> => {
  const outcome = pasidChange(call, (device, ptId, pasid) => device.attach(ptId, pasid));
  if (!outcome.ok && outcome.errno === "EFAULT") deviceOf(call)?.detach(call.part.pasid);
  return outcome;
};

const pasidDetach = (call: TestCall<"PASID_DETACH">): Outcome<undefined> => {
  const device = deviceOf(call);
  if (device === undefined) return fail("ENOENT");
  device.detach(call.part.pasid);
  return DONE;
};

const pasidCheck = (call: TestCall<"PASID_CHECK_HWPT">): Outcome<undefined> => {
  const device = deviceOf(call);
  if (device === undefined) return fail("ENOENT");
  const { pasid, hwpt_id: id } = call.part;
  const attached = device.attached(pasid);
  if (id === 0) return attached === undefined ? DONE : fail("EINVAL");
  if (call.context.objects.find(id, "hwpt-paging", "hwpt-nested") === undefined) {
    return fail("ENOENT");
  }
  return attached?.id === id ? DONE : fail("EINVAL");
};

const rowsOf = (iommu: MockIommu): readonly TestOperationRow[] => [
  definePart("ADD_RESERVED", addReserved),
  definePart("MOCK_DOMAIN", (call) => mockDomain(iommu, call, 0)),
  definePart("MOCK_DOMAIN_FLAGS", (call) => mockDomain(iommu, call, call.part.dev_flags)),
  definePart("MD_CHECK_MAP", checkMap),
  definePart("MD_CHECK_REFS", checkRefs),
  definePart("SET_TEMP_MEMORY_LIMIT", memoryLimit),
  definePart("MOCK_DOMAIN_REPLACE", mockDomainReplace),
  definePart("DIRTY", dirty),
  definePart("MD_CHECK_IOTLB", checkIotlb),
  definePart("TRIGGER_IOPF", triggerIopf),
  definePart("DEV_CHECK_CACHE", checkCache),
  definePart("TRIGGER_VEVENT", triggerVevent),
  definePart("PASID_ATTACH", pasidAttach),
  definePart("PASID_REPLACE", (call) =>
    pasidChange(call, (device, ptId, pasid) => device.replace(ptId, pasid)),
  ),
  definePart("PASID_DETACH", pasidDetach),
  definePart("PASID_CHECK_HWPT", pasidCheck),
  ...accessOperations,
];

/** `IOMMU_TEST_CMD` over a mock IOMMU. Errors before the operation's own: EINVAL too short, EFAULT, E2BIG; EOPNOTSUPP for an unknown one. */
export const createTestCommands = (iommu: MockIommu): TestCommands => {
  const rows = new Map(rowsOf(iommu).map((row) => [row.op, row]));
  return {
    run: (context, process, pointer, userSize) => {
      if (userSize < uapi.TEST_CMD_MIN_SIZE) return fail("EINVAL");
      const bytes = readStruct(process, pointer, userSize, uapi.TEST_CMD_SIZE);
      if (!bytes.ok) return bytes;
      const { op, id } = uapi.IOMMU_TEST_CMD_HEAD.decode(bytes.value);
      const row = rows.get(op);
      if (row === undefined) return fail("EOPNOTSUPP");
      const respond = (body: Uint8Array): Outcome<undefined> => {
        const answer = bytes.value.slice();
        uapi.testPartOf(answer).set(body);
        return process.mm.write(pointer, answer.subarray(0, userSize)) ? DONE : fail("EFAULT");
      };
      const body = uapi.testPartOf(bytes.value);
      const outcome = row.run({ context, process, id, body, respond });
      return outcome.ok ? ok(0) : outcome;
    },
  };
};
