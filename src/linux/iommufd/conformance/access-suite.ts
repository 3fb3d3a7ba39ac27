import { expect } from "vitest";
import * as uapi from "../../uapi/index.ts";
import { BASE, type Check, FIXED, LAST, PAGE, World } from "./world.ts";

const NEEDS_PIN = uapi.MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES;
const WRITE = uapi.MOCK_ACCESS_RW_WRITE;

const openAccess = async (world: World, ioas: number, flags = NEEDS_PIN): Promise<number> => {
  const { errno, args } = await world.test("CREATE_ACCESS", ioas, { flags });
  expect(errno).toBeUndefined();
  return args.out_access_fd;
};

const pin = (world: World, fd: number, iova: bigint, length: bigint, uptr: bigint, flags = 0) =>
  world.test("ACCESS_PAGES", fd, { flags, iova, length, uptr });

/** Drivers' own accesses, as emulated devices have them. */
export const accessRules = (check: Check): void => {
  check(
    "UAPI-ACCESS-01: pages are pinned once with those of domains, and unpinned by the last",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      const va = await world.client.mmap(4n * PAGE);
      expect(await world.map(ioas, va, 4n * PAGE, BASE)).toBeUndefined();
      const fd = await openAccess(world, ioas);
      const { errno, args } = await pin(world, fd, BASE + PAGE, 2n * PAGE, va + PAGE);
      expect(errno).toBeUndefined();
      await world.expectPins(va + PAGE, 2n * PAGE, 1);
      await world.expectPins(va, PAGE, 0);
      const { stdev } = await world.device(ioas);
      await world.expectPins(va, 4n * PAGE, 1);
      await world.destroy(stdev);
      await world.expectPins(va + PAGE, 2n * PAGE, 1);
      const drop = () =>
        world.test("DESTROY_ACCESS_PAGES", fd, { access_pages_id: args.out_access_pages_id });
      expect((await drop()).errno).toBeUndefined();
      expect((await drop()).errno).toBe("ENOENT");
      await world.expectPins(va, 4n * PAGE, 0);
    },
  );

  check("UAPI-ACCESS-02: an unmap makes drivers let go first", async (harness) => {
    const world = await World.open(harness);
    const ioas = await world.ioas();
    const va = await world.client.mmap(4n * PAGE);
    expect(await world.map(ioas, va, 4n * PAGE, BASE)).toBeUndefined();
    const fd = await openAccess(world, ioas);
    const { args } = await pin(world, fd, BASE, 2n * PAGE, va);
    expect((await world.unmap(ioas, BASE, 4n * PAGE)).length).toBe(4n * PAGE);
    await world.expectPins(va, 4n * PAGE, 0);
    const gone = { access_pages_id: args.out_access_pages_id };
    expect((await world.test("DESTROY_ACCESS_PAGES", fd, gone)).errno).toBe("ENOENT");
  });

  check(
    "UAPI-ACCESS-03: length 0 is EINVAL, what passes 2^64 EOVERFLOW, a hole ENOENT, what may not be written EPERM",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      const va = await world.client.mmap(4n * PAGE);
      const flags = FIXED & ~uapi.IOMMU_IOAS_MAP_WRITEABLE;
      expect(await world.map(ioas, va, 2n * PAGE, BASE, flags)).toBeUndefined();
      const fd = await openAccess(world, ioas);
      const ask = async (iova: bigint, length: bigint, pinFlags = 0) =>
        (await pin(world, fd, iova, length, va, pinFlags)).errno;
      expect(await ask(BASE, 0n)).toBe("EINVAL");
      expect(await ask(LAST, PAGE)).toBe("EOVERFLOW");
      expect(await ask(BASE, 3n * PAGE)).toBe("ENOENT");
      expect(await ask(BASE, PAGE, uapi.MOCK_FLAGS_ACCESS_WRITE)).toBe("EPERM");
      const rw = async (iova: bigint, length: bigint, rwFlags: number) =>
        (await world.test("ACCESS_RW", fd, { iova, length, uptr: va, flags: rwFlags })).errno;
      expect(await rw(BASE, 0n, 0)).toBe("EINVAL");
      expect(await rw(LAST, 2n, 0)).toBe("EOVERFLOW");
      expect(await rw(BASE - 1n, 2n, 0)).toBe("ENOENT");
      expect(await rw(BASE, 2n, WRITE)).toBe("EPERM");
      await world.expectPins(va, 4n * PAGE, 0);
    },
  );

  check(
    "UAPI-ACCESS-04: bytes are read and written at any address, across areas, of whoever mapped them",
    async (harness) => {
      const world = await World.open(harness);
      const { client } = world;
      const ioas = await world.ioas();
      const va = await client.mmap(4n * PAGE, { shared: true });
      expect(await world.map(ioas, va, 2n * PAGE, BASE)).toBeUndefined();
      expect(await world.map(ioas, va + 3n * PAGE, PAGE, BASE + 2n * PAGE)).toBeUndefined();
      const fd = await openAccess(world, ioas, 0);
      const page = await client.mmap(PAGE);
      await client.store(
        page,
        Uint8Array.from({ length: 16 }, (_, i) => i + 1),
      );
      const rw = async (iova: bigint, flags: number, other = world) =>
        (await other.test("ACCESS_RW", fd, { iova, length: 16n, uptr: page, flags })).errno;
      expect(await rw(BASE + 2n * PAGE - 5n, WRITE)).toBeUndefined();
      expect([...(await client.load(va + 2n * PAGE - 5n, 5))]).toEqual([1, 2, 3, 4, 5]);
      expect([...(await client.load(va + 3n * PAGE, 11))]).toEqual([
        6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
      ]);
      const child = new World(await client.fork(), world.fd);
      await client.store(va + 3n, Uint8Array.of(77));
      expect(await rw(BASE + 3n, 0, child)).toBeUndefined();
      expect((await child.client.load(page, 1))[0]).toBe(77);
      await client.exit();
      expect(await rw(BASE + 3n, 0, child), "its owner has gone").toBe("EFAULT");
    },
  );

  check(
    "UAPI-ACCESS-05: an access uses its address space, keeps the file open, and raises the alignment",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      const other = await world.ioas();
      const fd = await openAccess(world, ioas);
      expect(await world.destroy(ioas)).toBe("EBUSY");
      expect((await world.ranges(ioas)).alignment).toBe(PAGE);
      const move = (ioas_id: number) => world.test("ACCESS_REPLACE_IOAS", fd, { ioas_id });
      expect((await move(99)).errno).toBe("ENOENT");
      expect((await move(other)).errno).toBeUndefined();
      expect((await world.ranges(ioas)).alignment).toBe(1n);
      expect(await world.destroy(ioas)).toBeUndefined();
      const va = await world.client.mmap(PAGE);
      expect(await world.map(other, va, 100n, BASE)).toBe("EINVAL");
      expect(await world.map(other, va, PAGE, BASE)).toBeUndefined();
      await pin(world, fd, BASE, PAGE, va);
      await world.client.close(world.fd);
      const second = new World(world.client, await world.client.openIommufd());
      await second.expectPins(va, PAGE, 1);
      await world.client.close(fd);
      await second.expectPins(va, PAGE, 0);
    },
  );

  check(
    "UAPI-ACCESS-06: one that needs alignment cannot be made over areas that lack it; one without pins cannot pin",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      expect(await world.map(ioas, 0x1000n, 100n, BASE)).toBeUndefined();
      const next = await world.nextId();
      const refused = await world.test("CREATE_ACCESS", ioas, { flags: NEEDS_PIN });
      expect(refused.errno).toBe("EADDRINUSE");
      expect(await world.nextId()).toBe(next);
      const fd = await openAccess(world, ioas, 0);
      expect((await pin(world, fd, BASE, PAGE, 0x1000n)).errno).toBe("EOPNOTSUPP");
      expect((await world.test("CREATE_ACCESS", 99)).errno).toBe("ENOENT");
    },
  );
};
