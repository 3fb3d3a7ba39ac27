import { describe, expect, it } from "vitest";
import * as uapi from "../uapi/index.ts";
import { hwptOf, selftestData } from "./conformance/hwpt-suite.ts";
import { inProcessHarness, leaksOf } from "./conformance/in-process.ts";
import { BASE, FIXED, PAGE, World } from "./conformance/world.ts";

/** A step that is allowed to fail; the steps behind it are then left out. */
type Flow = (world: World, shared: Shared) => Promise<void>;

/** What exists before anything may fail. */
interface Shared {
  readonly va: bigint;
  readonly memfd: number;
  readonly file: bigint;
}

const must = (errno: unknown): void => {
  if (errno !== undefined) throw new Refused();
};

/** A call was refused: nothing wrong in a run in which something must fail. */
class Refused extends Error {}

const ioas = async (world: World): Promise<number> => {
  const { errno, args } = await world.call(uapi.IOMMU_IOAS_ALLOC, uapi.IOMMU_IOAS_ALLOC_ARGS, {});
  must(errno);
  return args.out_ioas_id;
};

const device = async (world: World, pt: number, dev_flags = 0) => {
  const { errno, args } = await world.test("MOCK_DOMAIN_FLAGS", pt, { dev_flags });
  must(errno);
  return args;
};

const mapAndShare: Flow = async (world, { va }) => {
  const [from, to] = [await ioas(world), await ioas(world)];
  must(await world.map(from, va, 4n * PAGE, BASE));
  const first = await device(world, from);
  await device(world, to);
  must(await world.map(from, va + PAGE, 2n * PAGE, BASE + 0x10000n));
  const { errno } = await world.call(uapi.IOMMU_IOAS_COPY, uapi.IOMMU_IOAS_COPY_ARGS, {
    flags: FIXED,
    src_ioas_id: from,
    dst_ioas_id: to,
    length: 3n * PAGE,
    src_iova: BASE + PAGE,
    dst_iova: BASE,
  });
  must(errno);
  must((await world.unmap(from, BASE, 4n * PAGE)).errno);
  must((await world.test("MOCK_DOMAIN_REPLACE", first.out_stdev_id, { pt_id: to })).errno);
};

const files: Flow = async (world, { memfd, file }) => {
  const space = await ioas(world);
  await device(world, space);
  const { errno } = await world.call(uapi.IOMMU_IOAS_MAP_FILE, uapi.IOMMU_IOAS_MAP_FILE_ARGS, {
    flags: FIXED,
    ioas_id: space,
    fd: memfd,
    start: 0n,
    length: 8n * PAGE,
    iova: BASE,
  });
  must(errno);
  must((await world.test("MD_CHECK_REFS", 0, { length: 8n * PAGE, uptr: file, refs: 1 })).errno);
};

const nested: Flow = async (world, { va }) => {
  const space = await ioas(world);
  must(await world.map(space, va, 4n * PAGE, BASE));
  const mock = await device(world, space);
  const call = async (values: object) => {
    const answer = await world.call(uapi.IOMMU_HWPT_ALLOC, uapi.IOMMU_HWPT_ALLOC_ARGS, values);
    must(answer.errno);
    return answer.args.out_hwpt_id;
  };
  const base = { dev_id: mock.out_idev_id };
  const parent = await call({ ...base, pt_id: space, flags: 1 });
  const queue = await world.call(
    uapi.IOMMU_FAULT_QUEUE_ALLOC,
    uapi.IOMMU_FAULT_QUEUE_ALLOC_ARGS,
    {},
  );
  must(queue.errno);
  const data = await selftestData(world);
  const fault = { flags: uapi.IOMMU_HWPT_FAULT_ID_VALID, fault_id: queue.args.out_fault_id };
  const first = await call({ ...base, pt_id: parent, ...data, ...fault });
  must((await world.test("MOCK_DOMAIN_REPLACE", mock.out_stdev_id, { pt_id: first })).errno);
  const viommu = await world.call(uapi.IOMMU_VIOMMU_ALLOC, uapi.IOMMU_VIOMMU_ALLOC_ARGS, {
    type: uapi.IOMMU_VIOMMU_TYPE_SELFTEST,
    ...base,
    hwpt_id: parent,
  });
  must(viommu.errno);
  const viommu_id = viommu.args.out_viommu_id;
  const vdevice = { viommu_id, ...base, virt_id: 9n };
  must((await world.call(uapi.IOMMU_VDEVICE_ALLOC, uapi.IOMMU_VDEVICE_ALLOC_ARGS, vdevice)).errno);
  const events = { viommu_id, type: uapi.IOMMU_VEVENTQ_TYPE_SELFTEST, veventq_depth: 4 };
  must((await world.call(uapi.IOMMU_VEVENTQ_ALLOC, uapi.IOMMU_VEVENTQ_ALLOC_ARGS, events)).errno);
  const hwQueue = {
    viommu_id,
    type: uapi.IOMMU_HW_QUEUE_TYPE_SELFTEST,
    nesting_parent_iova: BASE,
    length: PAGE,
  };
  must(
    (await world.call(uapi.IOMMU_HW_QUEUE_ALLOC, uapi.IOMMU_HW_QUEUE_ALLOC_ARGS, hwQueue)).errno,
  );
};

const accessAndPasid: Flow = async (world, { va }) => {
  const space = await ioas(world);
  must(await world.map(space, va, 4n * PAGE, BASE));
  const access = await world.test("CREATE_ACCESS", space, { flags: 1 });
  must(access.errno);
  const fd = access.args.out_access_fd;
  const part = { iova: BASE + PAGE, length: 2n * PAGE, uptr: va + PAGE };
  must((await world.test("ACCESS_PAGES", fd, part)).errno);
  must((await world.test("ACCESS_RW", fd, { iova: BASE, length: 64n, uptr: va })).errno);
  const mock = await device(world, space, uapi.MOCK_FLAGS_DEVICE_PASID);
  const answer = await world.call(uapi.IOMMU_HWPT_ALLOC, uapi.IOMMU_HWPT_ALLOC_ARGS, {
    dev_id: mock.out_idev_id,
    pt_id: space,
    flags: uapi.IOMMU_HWPT_ALLOC_PASID,
  });
  must(answer.errno);
  const pt_id = answer.args.out_hwpt_id;
  must((await world.test("MOCK_DOMAIN_REPLACE", mock.out_stdev_id, { pt_id })).errno);
  must((await world.test("PASID_ATTACH", mock.out_stdev_id, { pasid: 3, pt_id })).errno);
  must((await world.unmap(space, BASE, 4n * PAGE)).errno);
};

const FLOWS: readonly (readonly [string, Flow])[] = [
  ["maps, copies, replaces", mapAndShare],
  ["files", files],
  ["nested page tables, vIOMMUs, queues", nested],
  ["accesses and PASIDs", accessAndPasid],
];

/** Runs a flow with attempt `n` failing. @returns whether something was made to fail */
const runWithFailure = async (flow: Flow, n: number): Promise<boolean> => {
  const harness = inProcessHarness();
  const { faults } = harness.machine;
  const world = await World.open(harness, { uid: 1000, memlock: 64n * PAGE });
  const va = await world.client.mmap(4n * PAGE);
  const memfd = await world.client.memfd(8n * PAGE);
  const file = await world.client.mmap(8n * PAGE, { fd: memfd, shared: true });
  await hwptOf(world, { dev_id: (await world.device(await world.ioas())).device, pt_id: 1 });
  faults.failNth(n);
  try {
    await flow(world, { va, memfd, file });
  } catch (error) {
    const { hasFailed } = faults;
    faults.reset();
    if (!hasFailed) throw error;
    expect(await world.client.memfd(PAGE), "it still works").toBeGreaterThan(0);
    expect(await world.ioas()).toBeGreaterThan(0);
    expect(await harness.leaks(), `attempt ${n}`).toEqual([]);
    if (!(error instanceof Refused) && !/no memory there/.test(String(error))) throw error;
    return true;
  }
  const { hasFailed } = faults;
  faults.reset();
  expect(await harness.leaks(), `attempt ${n}`).toEqual([]);
  expect(leaksOf(harness.machine)).toEqual([]);
  return hasFailed;
};

describe("iommufd without resources", () => {
  it.each(FLOWS)("UAPI-FAIL-01: %s: whatever fails, nothing is left", async (_, flow) => {
    let failed = 0;
    for (let n = 0; await runWithFailure(flow, n); n++) failed += 1;
    expect(failed).toBeGreaterThan(10);
  });
});
