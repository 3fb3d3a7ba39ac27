import { expect } from "vitest";
import type { Errno } from "../../errno.ts";
import * as uapi from "../../uapi/index.ts";
import { allocHwpt, hwptOf, selftestData } from "./hwpt-suite.ts";
import { BASE, type Check, FIXED, LAST, PAGE, World } from "./world.ts";

const NEST = uapi.IOMMU_HWPT_ALLOC_NEST_PARENT;
const VIOMMU = uapi.IOMMU_VIOMMU_TYPE_SELFTEST;

/** A device attached to a nesting parent. */
const nesting = async (world: World) => {
  const ioas = await world.ioas();
  const first = await world.device(ioas);
  const base = { dev_id: first.device, pt_id: ioas };
  const parent = await hwptOf(world, { ...base, flags: NEST });
  const plain = await hwptOf(world, base);
  await world.test("MOCK_DOMAIN_REPLACE", first.stdev, { pt_id: parent });
  return { ioas, stdev: first.stdev, device: first.device, parent, plain };
};

type InvalidateValues = Partial<uapi.ValuesOf<typeof uapi.IOMMU_HWPT_INVALIDATE_ARGS>>;

const invalidate = (world: World, values: InvalidateValues) =>
  world.call(uapi.IOMMU_HWPT_INVALIDATE, uapi.IOMMU_HWPT_INVALIDATE_ARGS, values);

const nestedRules = (check: Check): void => {
  check(
    "UAPI-NESTED-01: flags but faults and PASIDs are EOPNOTSUPP, so is a missing structure",
    async (harness) => {
      const world = await World.open(harness);
      const { device, parent } = await nesting(world);
      const data = await selftestData(world);
      const base = { dev_id: device, pt_id: parent };
      expect((await allocHwpt(world, { ...base, ...data, flags: NEST })).errno).toBe("EOPNOTSUPP");
      expect((await allocHwpt(world, base)).errno).toBe("EOPNOTSUPP");
    },
  );

  check(
    "UAPI-NESTED-02: a parent must be one that a client made as a nesting parent: EINVAL",
    async (harness) => {
      const world = await World.open(harness);
      const { device, parent, plain, ioas } = await nesting(world);
      const data = await selftestData(world);
      const automatic = await world.device(ioas);
      const ask = async (pt_id: number) =>
        (await allocHwpt(world, { dev_id: device, pt_id, ...data })).errno;
      expect(await ask(plain)).toBe("EINVAL");
      expect(await ask(automatic.hwpt)).toBe("EINVAL");
      const nested = await hwptOf(world, { dev_id: device, pt_id: parent, ...data });
      expect(await ask(nested), "two levels only").toBe("EINVAL");
    },
  );

  check(
    "UAPI-NESTED-03: it uses its parent, which stays; attaching it reserves nothing",
    async (harness) => {
      const world = await World.open(harness);
      const { device, stdev, parent } = await nesting(world);
      const data = await selftestData(world);
      const nested = await hwptOf(world, { dev_id: device, pt_id: parent, ...data });
      expect(
        (await world.test("MOCK_DOMAIN_REPLACE", stdev, { pt_id: nested })).errno,
      ).toBeUndefined();
      expect(await world.destroy(parent)).toBe("EBUSY");
      expect(await world.destroy(nested)).toBe("EBUSY");
      await world.destroy(stdev);
      expect(await world.destroy(parent)).toBe("EBUSY");
      expect(await world.destroy(nested)).toBeUndefined();
      expect(await world.destroy(parent)).toBeUndefined();
    },
  );

  const rows: readonly (readonly [string, InvalidateValues, Errno])[] = [
    ["UAPI-INVALIDATE-01: the reserved field is EOPNOTSUPP", { __reserved: 1 }, "EOPNOTSUPP"],
    ["UAPI-INVALIDATE-02: entries at no address are EINVAL", { data_uptr: 0n }, "EINVAL"],
    ["UAPI-INVALIDATE-02: entries of length 0 are EINVAL", { entry_len: 0 }, "EINVAL"],
    ["UAPI-INVALIDATE-02: entries longer than a page are EINVAL", { entry_len: 4097 }, "EINVAL"],
    [
      "UAPI-INVALIDATE-02: more than 2^19 entries are EINVAL",
      { entry_num: (1 << 19) + 1 },
      "EINVAL",
    ],
    ["UAPI-INVALIDATE-03: an unknown id is ENOENT", { hwpt_id: 99 }, "ENOENT"],
    ["UAPI-INVALIDATE-04: a page table that is not nested is EINVAL", { hwpt_id: 5 }, "EINVAL"],
    [
      "UAPI-INVALIDATE-05: data of another type is EINVAL, without entries too",
      { data_type: 1, entry_num: 0 },
      "EINVAL",
    ],
    ["UAPI-INVALIDATE-06: entries that are too short are EINVAL", { entry_len: 4 }, "EINVAL"],
    [
      "UAPI-INVALIDATE-06: what longer entries have more must be 0, else E2BIG",
      { entry_len: 12 },
      "E2BIG",
    ],
    [
      "UAPI-INVALIDATE-07: entries that cannot be read are EFAULT",
      { data_uptr: 0x1000n },
      "EFAULT",
    ],
  ];
  for (const [title, values, errno] of rows) {
    check(title, async (harness) => {
      const world = await World.open(harness);
      const { device, parent } = await nesting(world);
      const nested = await hwptOf(world, {
        dev_id: device,
        pt_id: parent,
        ...(await selftestData(world)),
      });
      const entries = await world.client.mmap(PAGE);
      await world.client.store(entries, new Uint8Array(32).fill(1));
      const answer = await invalidate(world, {
        hwpt_id: nested,
        data_type: uapi.IOMMU_HWPT_INVALIDATE_DATA_SELFTEST,
        data_uptr: entries,
        entry_len: 8,
        entry_num: 1,
        ...values,
      });
      expect([answer.errno, answer.args.entry_num]).toEqual([errno, 0]);
      for (let id = 0; id < 4; id++) {
        const iotlb = { id, iotlb: uapi.IOMMU_TEST_IOTLB_DEFAULT };
        expect((await world.test("MD_CHECK_IOTLB", nested, iotlb)).errno).toBeUndefined();
      }
    });
  }

  check(
    "UAPI-INVALIDATE-08: entries are done one by one, and how many were is told, whatever stopped it",
    async (harness) => {
      const world = await World.open(harness);
      const { device, parent } = await nesting(world);
      const nested = await hwptOf(world, {
        dev_id: device,
        pt_id: parent,
        ...(await selftestData(world, 7)),
      });
      const entries = await world.client.mmap(PAGE);
      const send = async (list: readonly (readonly [number, number])[]) => {
        for (const [i, [flags, iotlb_id]] of list.entries()) {
          const bytes = uapi.IOMMU_HWPT_INVALIDATE_SELFTEST.encode({ flags, iotlb_id });
          await world.client.store(entries + BigInt(i * 8), bytes);
        }
        const { errno, args } = await invalidate(world, {
          hwpt_id: nested,
          data_type: uapi.IOMMU_HWPT_INVALIDATE_DATA_SELFTEST,
          data_uptr: entries,
          entry_len: 8,
          entry_num: list.length,
        });
        return [errno, args.entry_num];
      };
      const holds = async (id: number, iotlb: number) =>
        (await world.test("MD_CHECK_IOTLB", nested, { id, iotlb })).errno === undefined;
      expect(await send([])).toEqual([undefined, 0]);
      expect(
        await send([
          [0, 1],
          [0, 4],
          [0, 2],
        ]),
      ).toEqual(["EINVAL", 1]);
      expect(
        await send([
          [0, 3],
          [2, 0],
        ]),
      ).toEqual(["EOPNOTSUPP", 1]);
      expect([await holds(0, 7), await holds(1, 0), await holds(2, 7), await holds(3, 0)]).toEqual([
        true,
        true,
        true,
        true,
      ]);
      expect(await send([[1, 0]])).toEqual([undefined, 1]);
      expect([await holds(0, 0), await holds(2, 0)]).toEqual([true, true]);
    },
  );
};

type ViommuValues = Partial<uapi.ValuesOf<typeof uapi.IOMMU_VIOMMU_ALLOC_ARGS>>;

const allocViommu = (world: World, values: ViommuValues) =>
  world.call(uapi.IOMMU_VIOMMU_ALLOC, uapi.IOMMU_VIOMMU_ALLOC_ARGS, values);

const withViommu = async (world: World) => {
  const parts = await nesting(world);
  const { out_viommu_id: viommu } = await world.must(
    uapi.IOMMU_VIOMMU_ALLOC,
    uapi.IOMMU_VIOMMU_ALLOC_ARGS,
    { type: VIOMMU, dev_id: parts.device, hwpt_id: parts.parent },
  );
  return { ...parts, viommu };
};

const allocVdevice = (world: World, viommu_id: number, dev_id: number, virt_id: bigint) =>
  world.call(uapi.IOMMU_VDEVICE_ALLOC, uapi.IOMMU_VDEVICE_ALLOC_ARGS, {
    viommu_id,
    dev_id,
    virt_id,
  });

const viommuRules = (check: Check): void => {
  const rows: readonly (readonly [string, ViommuValues, Errno])[] = [
    ["UAPI-VIOMMU-01: flags are EOPNOTSUPP", { flags: 1 }, "EOPNOTSUPP"],
    ["UAPI-VIOMMU-01: the default type is EOPNOTSUPP", { type: 0, dev_id: 99 }, "EOPNOTSUPP"],
    ["UAPI-VIOMMU-02: an unknown device is ENOENT", { dev_id: 99, hwpt_id: 99 }, "ENOENT"],
    [
      "UAPI-VIOMMU-03: a type that the driver lacks is EOPNOTSUPP, before the page table is looked at",
      { type: 7, hwpt_id: 99 },
      "EOPNOTSUPP",
    ],
    ["UAPI-VIOMMU-04: an unknown page table is ENOENT", { hwpt_id: 99 }, "ENOENT"],
    ["UAPI-VIOMMU-05: a page table that is no nesting parent is EINVAL", { hwpt_id: 6 }, "EINVAL"],
    [
      "UAPI-VIOMMU-06: data that cannot be read are EFAULT",
      { data_len: 24, data_uptr: 0x1000n },
      "EFAULT",
    ],
  ];
  for (const [title, values, errno] of rows) {
    check(title, async (harness) => {
      const world = await World.open(harness);
      const { device, parent, plain } = await nesting(world);
      expect(plain).toBe(6);
      const next = await world.nextId();
      const base = { type: VIOMMU, dev_id: device, hwpt_id: parent };
      expect((await allocViommu(world, { ...base, ...values })).errno).toBe(errno);
      expect(await world.nextId()).toBe(next);
    });
  }

  check(
    "UAPI-VIOMMU-07: it uses the parent, and the driver's structure is answered",
    async (harness) => {
      const world = await World.open(harness);
      const { device, parent, stdev } = await nesting(world);
      const data = await world.client.mmap(PAGE);
      await world.client.store(data, uapi.IOMMU_VIOMMU_SELFTEST.encode({ in_data: 0x1234 }));
      const values = {
        type: VIOMMU,
        dev_id: device,
        hwpt_id: parent,
        data_len: 24,
        data_uptr: data,
      };
      const { errno, args } = await allocViommu(world, values);
      expect(errno).toBeUndefined();
      const reply = uapi.IOMMU_VIOMMU_SELFTEST.decode(await world.client.load(data, 24));
      expect(reply).toMatchObject({ out_data: 0x1234, out_mmap_length: 2n * PAGE });
      expect(reply.out_mmap_offset >= PAGE).toBe(true);
      await world.destroy(stdev);
      expect(await world.destroy(parent)).toBe("EBUSY");
      expect(await world.destroy(args.out_viommu_id)).toBeUndefined();
      expect(await world.destroy(parent)).toBeUndefined();
    },
  );

  check("UAPI-VDEVICE-01: unknown ids are ENOENT", async (harness) => {
    const world = await World.open(harness);
    const { viommu, device, parent } = await withViommu(world);
    expect((await allocVdevice(world, parent, device, 1n)).errno).toBe("ENOENT");
    expect((await allocVdevice(world, viommu, parent, 1n)).errno).toBe("ENOENT");
  });

  check(
    "UAPI-VDEVICE-02: a device has one, and a virtual id is taken once: EEXIST",
    async (harness) => {
      const world = await World.open(harness);
      const { viommu, device, ioas } = await withViommu(world);
      const { errno, args } = await allocVdevice(world, viommu, device, 0x99n);
      expect(errno).toBeUndefined();
      expect((await allocVdevice(world, viommu, device, 0x98n)).errno).toBe("EEXIST");
      const second = await world.device(ioas);
      expect((await allocVdevice(world, viommu, second.device, 0x99n)).errno).toBe("EEXIST");
      expect((await allocVdevice(world, viommu, second.device, LAST)).errno).toBeUndefined();
      expect(await world.destroy(viommu)).toBe("EBUSY");
      expect(await world.destroy(args.out_vdevice_id)).toBeUndefined();
      expect((await allocVdevice(world, viommu, device, 0x98n)).errno).toBeUndefined();
    },
  );

  check(
    "UAPI-VDEVICE-03: it goes with its device, and its id stays taken until the file is closed",
    async (harness) => {
      const world = await World.open(harness);
      const { viommu, device, stdev } = await withViommu(world);
      const { args } = await allocVdevice(world, viommu, device, 0x99n);
      const id = args.out_vdevice_id;
      await world.destroy(stdev);
      expect(await world.destroy(id)).toBe("ENOENT");
      expect(await world.destroy(viommu)).toBeUndefined();
      const ids = [];
      for (let i = 0; i < 6; i++) ids.push(await world.ioas());
      expect(ids).not.toContain(id);
    },
  );

  check(
    "UAPI-VDEVICE-04: a nested page table of a vIOMMU is attached by its virtual id only: ENOENT without",
    async (harness) => {
      const world = await World.open(harness);
      const { viommu, device, stdev } = await withViommu(world);
      const data = await selftestData(world);
      const nested = await hwptOf(world, { dev_id: device, pt_id: viommu, ...data });
      const attach = async () =>
        (await world.test("MOCK_DOMAIN_REPLACE", stdev, { pt_id: nested })).errno;
      expect(await attach()).toBe("ENOENT");
      expect((await allocVdevice(world, viommu, device, 0x99n)).errno).toBeUndefined();
      expect(await attach()).toBeUndefined();
      expect(await world.destroy(viommu)).toBe("EBUSY");
      const flags = await allocHwpt(world, { dev_id: device, pt_id: viommu, ...data, flags: NEST });
      expect(flags.errno).toBe("EOPNOTSUPP");
      expect((await allocHwpt(world, { dev_id: device, pt_id: viommu })).errno).toBe("EOPNOTSUPP");
    },
  );

  check(
    "UAPI-VIOMMU-08: invalidation reads all entries first, needs their exact length and known virtual ids",
    async (harness) => {
      const world = await World.open(harness);
      const { viommu, device } = await withViommu(world);
      await allocVdevice(world, viommu, device, 0x99n);
      const entries = await world.client.mmap(PAGE);
      const send = async (
        list: readonly (readonly [number, number, number])[],
        values: InvalidateValues = {},
      ) => {
        for (const [i, [flags, vdev_id, cache_id]] of list.entries()) {
          const bytes = uapi.IOMMU_VIOMMU_INVALIDATE_SELFTEST.encode({ flags, vdev_id, cache_id });
          await world.client.store(entries + BigInt(i * 12), bytes);
        }
        const { errno, args } = await invalidate(world, {
          hwpt_id: viommu,
          data_type: uapi.IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST,
          data_uptr: entries,
          entry_len: 12,
          entry_num: list.length,
          ...values,
        });
        return [errno, args.entry_num];
      };
      const holds = async (id: number, cache: number) =>
        (await world.test("DEV_CHECK_CACHE", device, { id, cache })).errno === undefined;
      expect(await send([[0, 0x99, 1]], { entry_len: 11 })).toEqual(["EINVAL", 0]);
      expect(await send([[0, 0x99, 1]], { entry_len: 16 })).toEqual(["EINVAL", 0]);
      expect(await send([[0, 0x99, 1]], { data_type: 3 })).toEqual(["EINVAL", 0]);
      expect(await holds(1, uapi.IOMMU_TEST_DEV_CACHE_DEFAULT)).toBe(true);
      expect(
        await send([
          [0, 0x99, 1],
          [0, 0x98, 2],
        ]),
      ).toEqual(["EINVAL", 1]);
      expect([await holds(1, 0), await holds(2, uapi.IOMMU_TEST_DEV_CACHE_DEFAULT)]).toEqual([
        true,
        true,
      ]);
      expect(await send([[1, 0x99, 0]])).toEqual([undefined, 1]);
      expect(await holds(3, 0)).toBe(true);
    },
  );
};

type QueueValues = Partial<uapi.ValuesOf<typeof uapi.IOMMU_HW_QUEUE_ALLOC_ARGS>>;

const hwQueueRules = (check: Check): void => {
  const ready = async (world: World) => {
    const parts = await withViommu(world);
    const fd = await world.client.memfd(4n * PAGE);
    const va = await world.client.mmap(4n * PAGE, { fd, shared: true });
    expect(await world.map(parts.ioas, va, 2n * PAGE, BASE, FIXED)).toBeUndefined();
    const alloc = async (values: QueueValues) => {
      const { errno, args } = await world.call(
        uapi.IOMMU_HW_QUEUE_ALLOC,
        uapi.IOMMU_HW_QUEUE_ALLOC_ARGS,
        {
          viommu_id: parts.viommu,
          type: uapi.IOMMU_HW_QUEUE_TYPE_SELFTEST,
          nesting_parent_iova: BASE,
          length: PAGE,
          ...values,
        },
      );
      return { errno, id: args.out_hw_queue_id };
    };
    return { ...parts, va, alloc };
  };

  check("UAPI-HWQUEUE-01: wrong arguments are refused in their order", async (harness) => {
    const world = await World.open(harness);
    const { alloc } = await ready(world);
    const next = await world.nextId();
    const rows: readonly (readonly [QueueValues, Errno])[] = [
      [{ flags: 1 }, "EOPNOTSUPP"],
      [{ type: 0 }, "EOPNOTSUPP"],
      [{ length: 0n, viommu_id: 99 }, "EINVAL"],
      [{ nesting_parent_iova: LAST, length: PAGE }, "EOVERFLOW"],
      [{ viommu_id: 99 }, "ENOENT"],
      [{ type: 5 }, "EOPNOTSUPP"],
      [{ nesting_parent_iova: BASE + 0x100000n }, "ENOENT"],
      [{ index: 2 }, "EINVAL"],
      [{ index: 1 }, "EIO"],
    ];
    for (const [values, errno] of rows) expect((await alloc(values)).errno).toBe(errno);
    expect(await world.nextId()).toBe(next);
  });

  check(
    "UAPI-HWQUEUE-02: its memory cannot be unmapped, and one goes before those it follows: EBUSY",
    async (harness) => {
      const world = await World.open(harness);
      const { ioas, va, viommu, alloc } = await ready(world);
      const first = await alloc({});
      const second = await alloc({ index: 1, nesting_parent_iova: BASE + PAGE });
      expect([first.errno, second.errno, (await alloc({})).errno]).toEqual([
        undefined,
        undefined,
        "EEXIST",
      ]);
      expect((await world.unmap(ioas, BASE, 2n * PAGE)).errno).toBe("EBUSY");
      expect(await world.destroy(viommu)).toBe("EBUSY");
      expect(await world.destroy(first.id)).toBe("EBUSY");
      expect(await world.destroy(second.id)).toBeUndefined();
      expect(await world.destroy(first.id)).toBeUndefined();
      expect((await world.unmap(ioas, BASE, 2n * PAGE)).errno).toBeUndefined();
      await world.expectPins(va, 2n * PAGE, 0);
    },
  );
};

/** Nested page tables, invalidation, vIOMMUs and what belongs to them. */
export const viommuAndNestedRules = (check: Check): void => {
  nestedRules(check);
  viommuRules(check);
  hwQueueRules(check);
};
