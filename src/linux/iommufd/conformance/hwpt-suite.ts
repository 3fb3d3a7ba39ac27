import { expect } from "vitest";
import type { Errno } from "../../errno.ts";
import * as uapi from "../../uapi/index.ts";
import { BASE, type Check, LAST, PAGE, World } from "./world.ts";

type HwptValues = Partial<uapi.ValuesOf<typeof uapi.IOMMU_HWPT_ALLOC_ARGS>>;

export const allocHwpt = (world: World, values: HwptValues) =>
  world.call(uapi.IOMMU_HWPT_ALLOC, uapi.IOMMU_HWPT_ALLOC_ARGS, values);

/** A page table that must be made. */
export const hwptOf = async (world: World, values: HwptValues): Promise<number> => {
  const { out_hwpt_id: id } = await world.must(
    uapi.IOMMU_HWPT_ALLOC,
    uapi.IOMMU_HWPT_ALLOC_ARGS,
    values,
  );
  return id;
};

const NEST = uapi.IOMMU_HWPT_ALLOC_NEST_PARENT;
const DIRTY = uapi.IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
const FAULT = uapi.IOMMU_HWPT_FAULT_ID_VALID;
const PASID = uapi.IOMMU_HWPT_ALLOC_PASID;
const SELFTEST = uapi.IOMMU_HWPT_DATA_SELFTEST;

/** The mock driver's data in a client's memory, as fields of an allocation. */
export const selftestData = async (
  world: World,
  iotlb: number = uapi.IOMMU_TEST_IOTLB_DEFAULT,
): Promise<HwptValues> => {
  const data = await world.client.mmap(PAGE);
  await world.client.store(data, uapi.IOMMU_HWPT_SELFTEST.encode({ iotlb }));
  return { data_type: SELFTEST, data_len: uapi.IOMMU_HWPT_SELFTEST.size, data_uptr: data };
};

const pagingRules = (check: Check): void => {
  const rows: readonly (readonly [string, HwptValues, Errno])[] = [
    ["UAPI-HWPT-01: the reserved field is EOPNOTSUPP", { __reserved: 1 }, "EOPNOTSUPP"],
    ["UAPI-HWPT-02: a length without a type is EINVAL", { data_len: 8 }, "EINVAL"],
    ["UAPI-HWPT-02: a type without a length is EINVAL", { data_type: SELFTEST }, "EINVAL"],
    ["UAPI-HWPT-03: an unknown device is ENOENT", { dev_id: 99 }, "ENOENT"],
    ["UAPI-HWPT-04: an unknown page table is EINVAL", { pt_id: 99 }, "EINVAL"],
    ["UAPI-HWPT-04: an object of another kind is EINVAL", { pt_id: 2 }, "EINVAL"],
    ["UAPI-HWPT-05: unknown flags are EOPNOTSUPP", { flags: 16 }, "EOPNOTSUPP"],
    [
      "UAPI-HWPT-05: faults of a nesting parent are EOPNOTSUPP",
      { flags: NEST | FAULT },
      "EOPNOTSUPP",
    ],
    ["UAPI-HWPT-06: an unknown fault queue is ENOENT", { flags: FAULT, fault_id: 99 }, "ENOENT"],
  ];
  for (const [title, values, errno] of rows) {
    check(title, async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      const { device } = await world.device(ioas);
      const next = await world.nextId();
      const answer = await allocHwpt(world, { dev_id: device, pt_id: ioas, ...values });
      expect(answer.errno).toBe(errno);
      expect(await world.nextId()).toBe(next);
    });
  }

  check(
    "UAPI-HWPT-07: dirty tracking of a device without it is EOPNOTSUPP, and attaching it elsewhere EINVAL",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      const plain = await world.device(ioas, uapi.MOCK_FLAGS_DEVICE_NO_DIRTY);
      const answer = await allocHwpt(world, { dev_id: plain.device, pt_id: ioas, flags: DIRTY });
      expect(answer.errno).toBe("EOPNOTSUPP");
      const { device } = await world.device(ioas);
      const hwpt = await hwptOf(world, { dev_id: device, pt_id: ioas, flags: DIRTY });
      const replace = await world.test("MOCK_DOMAIN_REPLACE", plain.stdev, { pt_id: hwpt });
      expect(replace.errno).toBe("EINVAL");
      const flags = { dev_flags: uapi.MOCK_FLAGS_DEVICE_NO_DIRTY };
      expect((await world.test("MOCK_DOMAIN_FLAGS", hwpt, flags)).errno).toBe("EINVAL");
      expect(await world.destroy(hwpt)).toBeUndefined();
    },
  );

  check(
    "UAPI-HWPT-08: one made by a client has all that is mapped, and stays without devices",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      const { device, stdev } = await world.device(ioas);
      const va = await world.client.mmap(4n * PAGE);
      expect(await world.map(ioas, va, 4n * PAGE, BASE)).toBeUndefined();
      const hwpt = await hwptOf(world, { dev_id: device, pt_id: ioas, flags: NEST | PASID });
      expect(await world.leadsTo(hwpt, BASE, va, 4n * PAGE)).toBe(true);
      expect(await world.destroy(ioas)).toBe("EBUSY");
      const { args } = await world.test("MOCK_DOMAIN_REPLACE", stdev, { pt_id: hwpt });
      expect(args.pt_id).toBe(hwpt);
      expect(await world.destroy(hwpt)).toBe("EBUSY");
      await world.destroy(stdev);
      expect(await world.leadsTo(hwpt, BASE, va, 4n * PAGE)).toBe(true);
      expect(await world.destroy(hwpt)).toBeUndefined();
      await world.expectPins(va, 4n * PAGE, 0);
    },
  );

  check(
    "UAPI-HWPT-09: data of another type is EOPNOTSUPP; too short, too long EINVAL; unreadable EFAULT",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      const { device } = await world.device(ioas);
      const data = await selftestData(world);
      const base = { dev_id: device, pt_id: ioas };
      const parent = await hwptOf(world, { ...base, flags: NEST });
      for (const pt_id of [ioas, parent]) {
        const ask = async (values: HwptValues) =>
          (await allocHwpt(world, { ...base, pt_id, ...data, ...values })).errno;
        expect(await ask({ data_type: uapi.IOMMU_HWPT_DATA_VTD_S1 })).toBe("EOPNOTSUPP");
        expect(await ask({ data_len: 3 })).toBe("EINVAL");
        expect(await ask({ data_len: 12 })).toBe("EINVAL");
        expect(await ask({ data_uptr: 0x1000n })).toBe("EFAULT");
        expect(await ask({ data_len: 4 })).toBeUndefined();
      }
    },
  );
};

const attachRules = (check: Check): void => {
  check(
    "UAPI-ATTACH-01: devices share an automatic page table, which goes with the last",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      const first = await world.device(ioas);
      const second = await world.device(ioas);
      expect(second.hwpt).toBe(first.hwpt);
      await world.destroy(first.stdev);
      expect(await world.destroy(second.hwpt)).toBe("EBUSY");
      await world.destroy(second.stdev);
      expect(await world.destroy(second.hwpt)).toBe("ENOENT");
    },
  );

  check(
    "UAPI-ATTACH-02: a page table that a client made is not chosen for an address space",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      const first = await world.device(ioas);
      const manual = await hwptOf(world, { dev_id: first.device, pt_id: ioas });
      const { hwpt } = await world.device(ioas);
      expect([hwpt, hwpt === manual]).toEqual([first.hwpt, false]);
      expect((await world.device(manual)).hwpt).toBe(manual);
    },
  );

  check(
    "UAPI-ATTACH-03: an unknown page table is ENOENT, an object of another kind EINVAL; nothing is left",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      const { device, stdev } = await world.device(ioas);
      const next = await world.nextId();
      expect((await world.test("MOCK_DOMAIN", 99)).errno).toBe("ENOENT");
      expect((await world.test("MOCK_DOMAIN", device)).errno).toBe("EINVAL");
      const replace = (pt_id: number) => world.test("MOCK_DOMAIN_REPLACE", stdev, { pt_id });
      expect((await replace(99)).errno).toBe("ENOENT");
      expect((await replace(device)).errno).toBe("EINVAL");
      expect(await world.nextId()).toBe(next);
    },
  );

  check(
    "UAPI-ATTACH-04: replacing goes over in one step, drops what only the old one needed, and the same is no change",
    async (harness) => {
      const world = await World.open(harness);
      const from = await world.ioas();
      const to = await world.ioas();
      const { stdev, hwpt } = await world.device(from);
      const va = await world.client.mmap(PAGE);
      expect(await world.map(from, va, PAGE, BASE)).toBeUndefined();
      const replaced = await world.test("MOCK_DOMAIN_REPLACE", stdev, { pt_id: to });
      expect(replaced.errno).toBeUndefined();
      expect(await world.destroy(hwpt), "the old one").toBe("ENOENT");
      await world.expectPins(va, PAGE, 0);
      expect((await world.ranges(from)).ranges).toEqual(["0-ffffffffffffffff"]);
      const again = await world.test("MOCK_DOMAIN_REPLACE", stdev, { pt_id: to });
      expect([again.errno, again.args.pt_id]).toEqual([undefined, replaced.args.pt_id]);
      const same = await world.test("MOCK_DOMAIN_REPLACE", stdev, { pt_id: replaced.args.pt_id });
      expect(same.errno).toBeUndefined();
    },
  );

  check(
    "UAPI-ATTACH-05: a replacement that cannot be filled leaves the old one",
    async (harness) => {
      const world = await World.open(harness);
      const from = await world.ioas();
      const to = await world.ioas();
      const { stdev, hwpt } = await world.device(from);
      expect(await world.map(to, 0x1000n, PAGE, BASE)).toBeUndefined();
      const next = await world.nextId();
      const replace = await world.test("MOCK_DOMAIN_REPLACE", stdev, { pt_id: to });
      expect(replace.errno).toBe("EFAULT");
      expect(await world.destroy(hwpt)).toBe("EBUSY");
      expect(await world.nextId()).toBe(next);
      expect((await world.ranges(to)).ranges).toEqual(["0-ffffffffffffffff"]);
    },
  );
};

const pasidRules = (check: Check): void => {
  const pasids = async (world: World) => {
    const ioas = await world.ioas();
    const plain = await world.device(ioas, uapi.MOCK_FLAGS_DEVICE_PASID);
    const base = { dev_id: plain.device, pt_id: ioas };
    const suited = [
      await hwptOf(world, { ...base, flags: PASID }),
      await hwptOf(world, { ...base, flags: PASID }),
    ] as const;
    const other = await hwptOf(world, base);
    const set = async (name: "PASID_ATTACH" | "PASID_REPLACE", pasid: number, pt_id: number) =>
      (await world.test(name, plain.stdev, { pasid, pt_id })).errno;
    const isAt = async (pasid: number, hwpt_id: number) =>
      (await world.test("PASID_CHECK_HWPT", plain.stdev, { pasid, hwpt_id })).errno === undefined;
    const rid = async (pt_id: number) =>
      (await world.test("MOCK_DOMAIN_REPLACE", plain.stdev, { pt_id })).errno;
    return { ...plain, ioas, suited, other, set, isAt, rid };
  };

  check(
    "UAPI-PASID-01: PASIDs and the requester ID of a device that uses them need page tables that allow PASIDs: EINVAL",
    async (harness) => {
      const world = await World.open(harness);
      const { ioas, suited, other, set, isAt, rid } = await pasids(world);
      expect(await set("PASID_ATTACH", 5, suited[0]), "requester ID").toBe("EINVAL");
      expect(await rid(suited[0])).toBeUndefined();
      expect(await set("PASID_ATTACH", 5, other)).toBe("EINVAL");
      expect(await set("PASID_ATTACH", 5, ioas)).toBe("EINVAL");
      expect(await set("PASID_ATTACH", 5, suited[0])).toBeUndefined();
      expect(await isAt(5, suited[0])).toBe(true);
      expect(await rid(other)).toBe("EINVAL");
      expect(await rid(suited[1])).toBeUndefined();
      expect(await isAt(6, 0)).toBe(true);
    },
  );

  check(
    "UAPI-PASID-02: a PASID is attached once, replaced when attached, and detached without an error",
    async (harness) => {
      const world = await World.open(harness);
      const { stdev, suited, set, isAt, rid } = await pasids(world);
      expect(await rid(suited[0])).toBeUndefined();
      expect(await set("PASID_REPLACE", 7, suited[0])).toBe("EINVAL");
      expect(await set("PASID_ATTACH", 7, suited[0])).toBeUndefined();
      expect(await set("PASID_ATTACH", 7, suited[0])).toBe("EBUSY");
      expect(await set("PASID_ATTACH", 7, suited[1])).toBe("EINVAL");
      expect(await set("PASID_REPLACE", 7, suited[1])).toBeUndefined();
      expect(await isAt(7, suited[1])).toBe(true);
      const detach = () => world.test("PASID_DETACH", stdev, { pasid: 7 });
      expect((await detach()).errno).toBeUndefined();
      expect((await detach()).errno).toBeUndefined();
      expect(await isAt(7, 0)).toBe(true);
      expect(await world.destroy(suited[1])).toBeUndefined();
    },
  );

  check("UAPI-PASID-03: a replacement that fails leaves the old page table", async (harness) => {
    const world = await World.open(harness);
    const { suited, set, isAt, rid } = await pasids(world);
    const pasid = uapi.IOMMU_TEST_PASID_RESERVED;
    expect(await rid(suited[0])).toBeUndefined();
    expect(await set("PASID_ATTACH", pasid, suited[0])).toBeUndefined();
    expect(await set("PASID_REPLACE", pasid, suited[1])).toBe("ENOMEM");
    expect(await isAt(pasid, suited[0])).toBe(true);
    expect(await world.destroy(suited[1])).toBeUndefined();
  });

  check(
    "UAPI-PASID-04: a device without PASIDs, or a PASID too large for it, is EINVAL",
    async (harness) => {
      const world = await World.open(harness);
      const { ioas, device, suited, set, rid } = await pasids(world);
      expect(await rid(suited[0])).toBeUndefined();
      expect(await set("PASID_ATTACH", 1 << 20, suited[0])).toBe("EINVAL");
      const hwpt = await hwptOf(world, { dev_id: device, pt_id: ioas, flags: PASID });
      const { stdev } = await world.device(hwpt);
      const values = { pasid: 3, pt_id: hwpt };
      expect((await world.test("PASID_ATTACH", stdev, values)).errno).toBe("EINVAL");
    },
  );
};

type InfoValues = Partial<uapi.ValuesOf<typeof uapi.IOMMU_GET_HW_INFO_ARGS>>;

const infoRules = (check: Check): void => {
  const info = (world: World, values: InfoValues) =>
    world.call(uapi.IOMMU_GET_HW_INFO, uapi.IOMMU_GET_HW_INFO_ARGS, values);

  check(
    "UAPI-INFO-01: flags, reserved bytes and types that the driver lacks are EOPNOTSUPP, another object ENOENT",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      const { device } = await world.device(ioas);
      const ask = async (values: InfoValues) =>
        (await info(world, { dev_id: device, ...values })).errno;
      expect(await ask({ flags: 2 })).toBe("EOPNOTSUPP");
      expect(await ask({ __reserved: [0, 1, 0] })).toBe("EOPNOTSUPP");
      expect(await ask({ dev_id: ioas })).toBe("ENOENT");
      const chosen = { flags: uapi.IOMMU_HW_INFO_FLAG_INPUT_TYPE };
      expect(await ask({ ...chosen, in_data_type: uapi.IOMMU_HW_INFO_TYPE_AMD })).toBe(
        "EOPNOTSUPP",
      );
      const own = { ...chosen, in_data_type: uapi.IOMMU_HW_INFO_TYPE_SELFTEST };
      expect(await ask(own)).toBeUndefined();
      expect(await ask({ data_len: 8, data_uptr: 0x1000n })).toBe("EFAULT");
    },
  );

  check(
    "UAPI-INFO-02: as much as fits is copied, the rest of the room is 0, and the whole length is told",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      const { device } = await world.device(ioas, uapi.MOCK_FLAGS_DEVICE_PASID);
      const page = await world.client.mmap(PAGE);
      for (const length of [0, 5, 8, 24]) {
        await world.client.store(page, new Uint8Array(64).fill(0xff));
        const { errno, args } = await info(world, {
          dev_id: device,
          data_len: length,
          data_uptr: page,
        });
        expect(errno).toBeUndefined();
        expect(args).toMatchObject({
          data_len: 8,
          out_data_type: uapi.IOMMU_HW_INFO_TYPE_SELFTEST,
        });
        expect([
          args.out_max_pasid_log2,
          args.out_capabilities & uapi.IOMMU_HW_CAP_DIRTY_TRACKING,
        ]).toEqual([20, 1n]);
        const whole = new Uint8Array(64).fill(0xff);
        const bytes = [0, 0, 0, 0, 0xef, 0xbe, 0xad, 0xde];
        for (let i = 0; i < length; i++) whole[i] = bytes[i] ?? 0;
        expect(await world.client.load(page, 64)).toEqual(whole);
      }
    },
  );
};

type BitmapValues = Partial<uapi.ValuesOf<typeof uapi.IOMMU_HWPT_GET_DIRTY_BITMAP_ARGS>>;

const dirtyRules = (check: Check): void => {
  const tracked = async (world: World) => {
    const ioas = await world.ioas();
    const { device, stdev } = await world.device(ioas);
    const hwpt = await hwptOf(world, { dev_id: device, pt_id: ioas, flags: DIRTY });
    await world.test("MOCK_DOMAIN_REPLACE", stdev, { pt_id: hwpt });
    const track = async (values: { flags?: number; hwpt_id?: number }) =>
      (
        await world.call(
          uapi.IOMMU_HWPT_SET_DIRTY_TRACKING,
          uapi.IOMMU_HWPT_SET_DIRTY_TRACKING_ARGS,
          { hwpt_id: hwpt, ...values },
        )
      ).errno;
    const bitmap = await world.client.mmap(PAGE);
    const get = async (values: BitmapValues) =>
      (
        await world.call(uapi.IOMMU_HWPT_GET_DIRTY_BITMAP, uapi.IOMMU_HWPT_GET_DIRTY_BITMAP_ARGS, {
          hwpt_id: hwpt,
          iova: BASE,
          length: 16n * 2048n,
          page_size: 2048n,
          data: bitmap,
          ...values,
        })
      ).errno;
    const bits = async () => [...(await world.client.load(bitmap, 4))];
    return { ioas, device, hwpt, track, bitmap, get, bits };
  };

  check(
    "UAPI-DIRTY-01: unknown flags are EOPNOTSUPP, another object ENOENT, a page table without tracking EOPNOTSUPP",
    async (harness) => {
      const world = await World.open(harness);
      const { ioas, device, track, get } = await tracked(world);
      expect(await track({ flags: 2 })).toBe("EOPNOTSUPP");
      expect(await track({ hwpt_id: ioas, flags: 1 })).toBe("ENOENT");
      const plain = await hwptOf(world, { dev_id: device, pt_id: ioas });
      expect(await track({ hwpt_id: plain, flags: 1 })).toBe("EOPNOTSUPP");
      expect(await get({ hwpt_id: plain })).toBe("EOPNOTSUPP");
      expect(await get({ hwpt_id: ioas })).toBe("ENOENT");
      expect(await get({ flags: 2 })).toBe("EOPNOTSUPP");
      expect(await get({ __reserved: 1 })).toBe("EOPNOTSUPP");
    },
  );

  check(
    "UAPI-DIRTY-02: a range that passes 2^64 is EOVERFLOW, page size 0 or a range against it EINVAL",
    async (harness) => {
      const world = await World.open(harness);
      const { get } = await tracked(world);
      expect(await get({ iova: LAST - 2047n, length: 4096n })).toBe("EOVERFLOW");
      expect(await get({ page_size: 0n })).toBe("EINVAL");
      expect(await get({ iova: BASE + 1n })).toBe("EINVAL");
      expect(await get({ length: 2047n })).toBe("EINVAL");
      expect(await get({ iova: BASE + 2048n, page_size: 4096n })).toBe("EINVAL");
      expect(await get({ length: 2048n, page_size: 4096n })).toBe("EINVAL");
    },
  );

  check(
    "UAPI-DIRTY-03: pages written since the last call are bits that are set, and clean then unless NO_CLEAR",
    async (harness) => {
      const world = await World.open(harness);
      const { ioas, hwpt, track, bitmap, get, bits } = await tracked(world);
      const va = await world.client.mmap(8n * PAGE);
      for (let i = 0n; i < 16n; i++) {
        expect(await world.map(ioas, va + i * 2048n, 2048n, BASE + i * 2048n)).toBeUndefined();
      }
      const marks = await world.client.mmap(PAGE);
      await world.client.store(marks, Uint8Array.of(0b101, 0x80));
      const mark = () =>
        world.test("DIRTY", hwpt, {
          iova: BASE,
          length: 16n * 2048n,
          page_size: 2048n,
          uptr: marks,
        });
      expect((await mark()).errno).toBe("EINVAL");
      expect(await track({ flags: 1 })).toBeUndefined();
      expect((await mark()).args.out_nr_dirty).toBe(3n);
      await world.client.store(bitmap, Uint8Array.of(0x10, 0, 0xff, 0));
      expect(await get({ flags: uapi.IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR })).toBeUndefined();
      expect(await bits()).toEqual([0x15, 0x80, 0xff, 0]);
      await world.client.store(bitmap, new Uint8Array(4));
      expect(await get({})).toBeUndefined();
      expect(await bits()).toEqual([0b101, 0x80, 0, 0]);
      await world.client.store(bitmap, new Uint8Array(4));
      expect(await get({})).toBeUndefined();
      expect(await bits()).toEqual([0, 0, 0, 0]);
      await mark();
      expect(await get({ page_size: 4096n })).toBeUndefined();
      expect(await bits()).toEqual([0b1000_0011, 0, 0, 0]);
    },
  );

  check(
    "UAPI-DIRTY-04: enabling begins with everything clean; a hole in the range is no error",
    async (harness) => {
      const world = await World.open(harness);
      const { ioas, hwpt, track, get, bits } = await tracked(world);
      const va = await world.client.mmap(PAGE);
      expect(await world.map(ioas, va, 2048n, BASE)).toBeUndefined();
      expect(await world.map(ioas, va, 2048n, BASE + 8192n)).toBeUndefined();
      expect(await track({ flags: 1 })).toBeUndefined();
      const marks = await world.client.mmap(PAGE);
      await world.client.store(marks, Uint8Array.of(0x11));
      const values = { iova: BASE, length: 16384n, page_size: 2048n, uptr: marks };
      expect((await world.test("DIRTY", hwpt, values)).args.out_nr_dirty).toBe(2n);
      expect(await get({})).toBeUndefined();
      expect(await bits()).toEqual([1, 0, 0, 0]);
      expect(await track({ flags: 0 })).toBeUndefined();
      expect(await track({ flags: 1 })).toBeUndefined();
      expect(await get({ iova: BASE + 8192n, length: 2048n })).toBeUndefined();
      expect(await bits()).toEqual([1, 0, 0, 0]);
    },
  );
};

/** Page tables: making them, attaching devices and PASIDs, hardware information, dirty tracking. */
export const hwptRules = (check: Check): void => {
  pagingRules(check);
  attachRules(check);
  pasidRules(check);
  infoRules(check);
  dirtyRules(check);
};
