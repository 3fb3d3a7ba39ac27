import { expect } from "vitest";
import type { Errno } from "../../errno.ts";
import * as uapi from "../../uapi/index.ts";
import { BASE, type Check, FIXED, LAST, PAGE, RW, World } from "./world.ts";

type MapValues = Partial<uapi.ValuesOf<typeof uapi.IOMMU_IOAS_MAP_ARGS>>;

const READ = uapi.IOMMU_IOAS_MAP_READABLE;
const FIXED_IOVA = uapi.IOMMU_IOAS_MAP_FIXED_IOVA;

const map = (world: World, values: MapValues) =>
  world.call(uapi.IOMMU_IOAS_MAP, uapi.IOMMU_IOAS_MAP_ARGS, values);

/** An address space with a mock device and 16 pages of memory. */
const mapped = async (world: World) => {
  const ioas = await world.ioas();
  const device = await world.device(ioas);
  const va = await world.client.mmap(16n * PAGE, { shared: true });
  return { ioas, device, va };
};

const argumentRules = (check: Check): void => {
  const rows: readonly (readonly [string, MapValues, Errno])[] = [
    ["UAPI-MAP-01: unknown flags are EOPNOTSUPP", { flags: RW | 8 }, "EOPNOTSUPP"],
    ["UAPI-MAP-01: a reserved field is EOPNOTSUPP", { __reserved: 1 }, "EOPNOTSUPP"],
    ["UAPI-MAP-02: length 2^64-1 is EOVERFLOW", { length: LAST }, "EOVERFLOW"],
    [
      "UAPI-MAP-02: iova 2^64-1 is EOVERFLOW, even with no permission",
      { iova: LAST, flags: FIXED_IOVA },
      "EOVERFLOW",
    ],
    [
      "UAPI-MAP-03: neither readable nor writeable is EINVAL",
      { flags: FIXED_IOVA, ioas_id: 99 },
      "EINVAL",
    ],
    ["UAPI-MAP-04: an unknown address space is ENOENT", { ioas_id: 99, length: 0n }, "ENOENT"],
    ["UAPI-MAP-04: an object of another kind is ENOENT", { ioas_id: 2 }, "ENOENT"],
    [
      "UAPI-MAP-05: memory that passes 2^64 is EOVERFLOW",
      { user_va: LAST, length: PAGE },
      "EOVERFLOW",
    ],
    ["UAPI-MAP-06: length 0 is EINVAL", { length: 0n }, "EINVAL"],
    ["UAPI-MAP-07: a length against the alignment is EINVAL", { length: 2047n }, "EINVAL"],
    ["UAPI-MAP-08: a fixed address against the alignment is EINVAL", { iova: BASE + 1n }, "EINVAL"],
    [
      "UAPI-MAP-09: a fixed range that passes 2^64 is EOVERFLOW",
      { iova: LAST - 2047n, length: PAGE },
      "EOVERFLOW",
    ],
    ["UAPI-MAP-10: a fixed range over a reserved one is EINVAL", { iova: 0n }, "EINVAL"],
    [
      "UAPI-MAP-10: also when only its last byte is reserved",
      { iova: 0x7fff_f000n, length: 2n * PAGE },
      "EINVAL",
    ],
    [
      "UAPI-MAP-11: a fixed range over an area is EEXIST",
      { iova: BASE + 0x800n, length: PAGE },
      "EEXIST",
    ],
    [
      "UAPI-MAP-12: an address of half the space is EOVERFLOW",
      { flags: RW, user_va: 0n, length: 1n << 63n },
      "EOVERFLOW",
    ],
    [
      "UAPI-MAP-13: an address in memory against the alignment is EINVAL",
      { iova: BASE + 0x10000n, user_va: 0x10001n },
      "EINVAL",
    ],
    [
      "UAPI-MAP-14: memory that is not there is EFAULT",
      { iova: BASE + 0x10000n, user_va: 0x1000n },
      "EFAULT",
    ],
  ];
  for (const [title, values, errno] of rows) {
    check(title, async (harness) => {
      const world = await World.open(harness);
      const { ioas, device, va } = await mapped(world);
      expect(await world.map(ioas, va, PAGE, BASE)).toBeUndefined();
      const next = await world.nextId();
      const defaults = { flags: FIXED, ioas_id: ioas, user_va: va, length: PAGE, iova: BASE };
      expect((await map(world, { ...defaults, ...values })).errno).toBe(errno);
      expect(await world.nextId()).toBe(next);
      expect(await world.leadsTo(device.hwpt, BASE, va, PAGE)).toBe(true);
      await world.expectPins(va, PAGE, 1);
      await world.expectPins(va + PAGE, 15n * PAGE, 0);
      expect((await world.unmap(ioas, 0n, LAST)).length).toBe(PAGE);
    });
  }
};

const pinRules = (check: Check): void => {
  check(
    "UAPI-MAP-14: part of the memory not there, not writable, or a device's registers: EFAULT, nothing pinned",
    async (harness) => {
      const world = await World.open(harness);
      const { client } = world;
      const { ioas, va } = await mapped(world);
      await client.munmap(va + 7n * PAGE, PAGE);
      expect(await world.map(ioas, va, 16n * PAGE, BASE)).toBe("EFAULT");
      await world.expectPins(va, 7n * PAGE, 0);
      const constant = await client.mmap(PAGE, { readOnly: true });
      expect(await world.map(ioas, constant, PAGE, BASE)).toBe("EFAULT");
      expect(await world.map(ioas, constant, PAGE, BASE, READ | FIXED_IOVA)).toBeUndefined();
      const registers = await client.mmap(PAGE, { device: true });
      expect(await world.map(ioas, registers, PAGE, BASE + PAGE)).toBe("EFAULT");
      expect((await world.unmap(ioas, 0n, LAST)).length).toBe(PAGE);
    },
  );

  check(
    "UAPI-MAP-15: without a domain nothing is looked at until there is one",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      expect(await world.map(ioas, 1n << 31n, 0x10000n, BASE)).toBeUndefined();
      const { errno } = await world.test("MOCK_DOMAIN", ioas);
      expect(errno).toBe("EFAULT");
      expect((await world.unmap(ioas, BASE, 0x10000n)).errno).toBeUndefined();
      const va = await world.client.mmap(4n * PAGE);
      expect(await world.map(ioas, va, 4n * PAGE, BASE)).toBeUndefined();
      await world.expectPins(va, 4n * PAGE, 0);
      const { hwpt } = await world.device(ioas);
      expect(await world.leadsTo(hwpt, BASE, va, 4n * PAGE)).toBe(true);
      await world.expectPins(va, 4n * PAGE, 1);
    },
  );

  check(
    "UAPI-MAP-16: beyond RLIMIT_MEMLOCK is ENOMEM, unless the caller has CAP_IPC_LOCK",
    async (harness) => {
      const limited = { uid: 1000, memlock: 8n * PAGE };
      const world = await World.open(harness, limited);
      const { ioas, va } = await mapped(world);
      expect(await world.map(ioas, va, 9n * PAGE, BASE)).toBe("ENOMEM");
      await world.expectPins(va, 9n * PAGE, 0);
      expect(await world.map(ioas, va, 8n * PAGE, BASE)).toBeUndefined();
      expect(await world.map(ioas, va, PAGE, BASE + 0x10000n)).toBe("ENOMEM");
      // All of a user's processes together.
      const second = await World.open(harness, limited);
      const other = await mapped(second);
      expect(await second.map(other.ioas, other.va, PAGE, BASE)).toBe("ENOMEM");
      await world.unmap(ioas, BASE, 8n * PAGE);
      expect(await second.map(other.ioas, other.va, 8n * PAGE, BASE)).toBeUndefined();
      const root = await World.open(harness, { ...limited, capabilities: ["CAP_IPC_LOCK"] });
      const free = await mapped(root);
      expect(await root.map(free.ioas, free.va, 16n * PAGE, BASE)).toBeUndefined();
    },
  );

  check(
    "UAPI-MAP-17: a page is pinned once for all domains, until the last has left",
    async (harness) => {
      const world = await World.open(harness);
      const { ioas, device, va } = await mapped(world);
      const hwpt = await world.must(uapi.IOMMU_HWPT_ALLOC, uapi.IOMMU_HWPT_ALLOC_ARGS, {
        dev_id: device.device,
        pt_id: ioas,
      });
      expect(await world.map(ioas, va, 16n * PAGE, BASE)).toBeUndefined();
      await world.expectPins(va, 16n * PAGE, 1);
      for (const id of [device.hwpt, hwpt.out_hwpt_id]) {
        expect(await world.leadsTo(id, BASE, va, 16n * PAGE)).toBe(true);
      }
      expect(await world.destroy(device.stdev)).toBeUndefined();
      await world.expectPins(va, 16n * PAGE, 1);
      expect(await world.destroy(hwpt.out_hwpt_id)).toBeUndefined();
      await world.expectPins(va, 16n * PAGE, 0);
    },
  );

  check("UAPI-MAP-18: mapping the same memory twice pins it twice", async (harness) => {
    const world = await World.open(harness);
    const { ioas, va } = await mapped(world);
    expect(await world.map(ioas, va, 4n * PAGE, BASE)).toBeUndefined();
    expect(await world.map(ioas, va + PAGE, 4n * PAGE, BASE + 0x10000n)).toBeUndefined();
    await world.expectPins(va, PAGE, 1);
    await world.expectPins(va + PAGE, 3n * PAGE, 2);
    await world.expectPins(va + 4n * PAGE, PAGE, 1);
  });

  check(
    "UAPI-MAP-19: what is pinned stays what it is through unmap, fork and exit",
    async (harness) => {
      const world = await World.open(harness);
      const { client } = world;
      const { ioas, device } = await mapped(world);
      const va = await client.mmap(2n * PAGE);
      await client.store(va, Uint8Array.of(1, 2, 3));
      expect(await world.map(ioas, va, 2n * PAGE, BASE)).toBeUndefined();
      const child = await client.fork();
      await child.store(va, Uint8Array.of(9));
      await client.store(va + 1n, Uint8Array.of(8));
      expect(await client.load(va, 3)).toEqual(Uint8Array.of(1, 8, 3));
      expect(await world.leadsTo(device.hwpt, BASE, va, 2n * PAGE)).toBe(true);
      await client.munmap(va, PAGE);
      expect(await world.leadsTo(device.hwpt, BASE, va, PAGE)).toBe(false);
      expect(await world.leadsTo(device.hwpt, BASE + PAGE, va + PAGE, PAGE)).toBe(true);
      await client.exit();
      const rest = new World(child, world.fd);
      expect((await rest.unmap(ioas, BASE, 2n * PAGE)).length).toBe(2n * PAGE);
    },
  );

  check(
    "UAPI-MAP-20: memory is the caller's even when a child attaches the first device",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      const va = await world.client.mmap(PAGE, { shared: true });
      const lost = await world.client.mmap(PAGE);
      expect(await world.map(ioas, va, PAGE, BASE)).toBeUndefined();
      const child = new World(await world.client.fork(), world.fd);
      const { hwpt, stdev } = await child.device(ioas);
      expect(await child.leadsTo(hwpt, BASE, va, PAGE)).toBe(true);
      expect(await child.destroy(stdev)).toBeUndefined();
      expect(await world.map(ioas, lost, PAGE, BASE + PAGE)).toBeUndefined();
      await world.client.exit();
      expect((await child.test("MOCK_DOMAIN", ioas)).errno).toBe("EFAULT");
    },
  );
};

const placeRules = (check: Check): void => {
  check(
    "UAPI-MAP-21: an address that is chosen is free, aligned as the memory is, and keeps its place in the page",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      const first = await world.mapAnywhere(ioas, 0x20_0000n, 0x20_0000n);
      expect(first).toBe(0x20_0000n);
      expect(await world.mapAnywhere(ioas, 0x1234n, 10n)).toBe((0x1234n & 0xfffn) | 0x1000n);
      expect(await world.mapAnywhere(ioas, 0x3000n, 0x1000n)).toBe(0x2000n);
      expect(await world.mapAnywhere(ioas, 0n, 0x1000n)).toBe(0x3000n);
      expect(await world.mapAnywhere(ioas, 0n, 0x20_0001n)).toBe(0x40_0000n);
    },
  );

  check(
    "UAPI-MAP-22: only allowed ranges are chosen from, fixed addresses are free of them",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      expect(await world.allow(ioas, [[0x5000n, 0x6fffn]])).toBeUndefined();
      expect(await world.mapAnywhere(ioas, 0x1000n, PAGE)).toBe(0x5000n);
      expect(await world.mapAnywhere(ioas, 0x1000n, PAGE)).toBe(0x6000n);
      const full = await map(world, { flags: RW, ioas_id: ioas, user_va: 0x1000n, length: PAGE });
      expect(full.errno).toBe("ENOSPC");
      expect(await world.map(ioas, 0x1000n, PAGE, 0x9000n)).toBeUndefined();
      expect(await world.allow(ioas, [])).toBeUndefined();
      expect(await world.mapAnywhere(ioas, 0x1000n, PAGE)).toBe(0x1000n);
    },
  );

  check(
    "UAPI-MAP-23: a chosen address that would be aligned too little is EINVAL",
    async (harness) => {
      const world = await World.open(harness);
      const { ioas } = await mapped(world);
      const values = { flags: RW, ioas_id: ioas, user_va: 0x10_0400n, length: 2048n };
      expect((await map(world, values)).errno).toBe("EINVAL");
    },
  );

  check(
    "UAPI-MAP-24: the first page and the last are never chosen; all others are, down to the end",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      expect(
        await world.allow(ioas, [
          [0n, 0xfffn],
          [LAST - 0xfffn, LAST],
        ]),
      ).toBeUndefined();
      const values = { flags: RW, ioas_id: ioas, user_va: 0x1000n, length: PAGE };
      expect((await map(world, values)).errno).toBe("ENOSPC");
      expect(await world.allow(ioas, [[LAST - 0x2fffn, LAST]])).toBeUndefined();
      expect(await world.mapAnywhere(ioas, 0x1000n, PAGE)).toBe(LAST - 0x2fffn);
      expect(await world.map(ioas, 0x1000n, PAGE, LAST - 0xfffn)).toBeUndefined();
      expect((await world.unmap(ioas, LAST - 0xfffn, PAGE)).length).toBe(PAGE);
    },
  );
};

const unmapRules = (check: Check): void => {
  const rows: readonly (readonly [string, bigint, bigint, Errno])[] = [
    ["UAPI-UNMAP-01: iova or length 2^64-1 is EOVERFLOW", LAST, PAGE, "EOVERFLOW"],
    ["UAPI-UNMAP-01: length 2^64-1 is EOVERFLOW but from 0", PAGE, LAST, "EOVERFLOW"],
    ["UAPI-UNMAP-02: length 0 is EINVAL", BASE, 0n, "EINVAL"],
    ["UAPI-UNMAP-03: a range that passes 2^64 is EOVERFLOW", LAST - PAGE, 2n * PAGE, "EOVERFLOW"],
    ["UAPI-UNMAP-04: nothing there is ENOENT", BASE + 0x100000n, PAGE, "ENOENT"],
    [
      "UAPI-UNMAP-05: an area that begins before the range is ENOENT",
      BASE + PAGE,
      3n * PAGE,
      "ENOENT",
    ],
    ["UAPI-UNMAP-05: an area that ends behind the range is ENOENT", BASE, 3n * PAGE, "ENOENT"],
  ];
  for (const [title, iova, length, errno] of rows) {
    check(title, async (harness) => {
      const world = await World.open(harness);
      const { ioas, device, va } = await mapped(world);
      expect(await world.map(ioas, va, 4n * PAGE, BASE)).toBeUndefined();
      expect((await world.unmap(ioas, iova, length)).errno).toBe(errno);
      expect(await world.leadsTo(device.hwpt, BASE, va, 4n * PAGE)).toBe(true);
      await world.expectPins(va, 4n * PAGE, 1);
    });
  }

  check("UAPI-UNMAP-06: an unknown address space is ENOENT", async (harness) => {
    const world = await World.open(harness);
    expect((await world.unmap(1, 0n, LAST)).errno).toBe("ENOENT");
  });

  check(
    "UAPI-UNMAP-07: all areas in the range go, in order, and the bytes are counted",
    async (harness) => {
      const world = await World.open(harness);
      const { ioas, va } = await mapped(world);
      for (const i of [0n, 2n, 5n]) {
        expect(await world.map(ioas, va + i * PAGE, PAGE, BASE + i * PAGE)).toBeUndefined();
      }
      expect(await world.unmap(ioas, BASE + PAGE, 5n * PAGE)).toEqual({
        errno: undefined,
        length: 2n * PAGE,
      });
      await world.expectPins(va, PAGE, 1);
      await world.expectPins(va + PAGE, 15n * PAGE, 0);
    },
  );

  check("UAPI-UNMAP-05: areas before one that is only partly inside stay gone", async (harness) => {
    const world = await World.open(harness);
    const { ioas, va } = await mapped(world);
    expect(await world.map(ioas, va, PAGE, BASE)).toBeUndefined();
    expect(await world.map(ioas, va + PAGE, 2n * PAGE, BASE + PAGE)).toBeUndefined();
    expect((await world.unmap(ioas, BASE, 2n * PAGE)).errno).toBe("ENOENT");
    await world.expectPins(va, PAGE, 0);
    await world.expectPins(va + PAGE, 2n * PAGE, 1);
  });

  check(
    "UAPI-UNMAP-08: from 0 with length 2^64-1 everything goes, and nothing is no error",
    async (harness) => {
      const world = await World.open(harness);
      const { ioas, va } = await mapped(world);
      expect(await world.unmap(ioas, 0n, LAST)).toEqual({ errno: undefined, length: 0n });
      expect(await world.map(ioas, va, 16n * PAGE, BASE)).toBeUndefined();
      expect(await world.unmap(ioas, 0n, LAST)).toEqual({ errno: undefined, length: 16n * PAGE });
      await world.expectPins(va, 16n * PAGE, 0);
    },
  );
};

/** `IOMMU_IOAS_MAP` and `IOMMU_IOAS_UNMAP`. */
export const mappingRules = (check: Check): void => {
  argumentRules(check);
  pinRules(check);
  placeRules(check);
  unmapRules(check);
};
