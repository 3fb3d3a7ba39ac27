import { expect } from "vitest";
import type { Errno } from "../../errno.ts";
import * as uapi from "../../uapi/index.ts";
import { BASE, type Check, FIXED, LAST, PAGE, RW, World } from "./world.ts";

const RANGES = uapi.IOMMU_IOAS_IOVA_RANGES_ARGS;

const rangeRules = (check: Check): void => {
  check("UAPI-RANGES-01: a new address space is one range, of all addresses", async (harness) => {
    const world = await World.open(harness);
    const { ranges, alignment } = await world.ranges(await world.ioas());
    expect(ranges).toEqual(["0-ffffffffffffffff"]);
    expect(alignment).toBe(1n);
  });

  check(
    "UAPI-RANGES-02: a reserved field is EOPNOTSUPP, another object ENOENT",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      const { device } = await world.device(ioas);
      const ask = (values: Partial<uapi.ValuesOf<typeof RANGES>>) =>
        world.call(uapi.IOMMU_IOAS_IOVA_RANGES, RANGES, values);
      expect((await ask({ ioas_id: ioas, __reserved: 1 })).errno).toBe("EOPNOTSUPP");
      expect((await ask({ ioas_id: device })).errno).toBe("ENOENT");
    },
  );

  check(
    "UAPI-RANGES-03: with too little room the count is told and EMSGSIZE, with what fits copied",
    async (harness) => {
      const world = await World.open(harness);
      const { client } = world;
      const ioas = await world.ioas();
      await world.test("ADD_RESERVED", ioas, { start: 0n, length: PAGE });
      await world.test("ADD_RESERVED", ioas, { start: 8n * PAGE, length: PAGE });
      const { ranges } = await world.ranges(ioas);
      expect(ranges).toEqual(["1000-7fff", "9000-ffffffffffffffff"]);
      const page = await client.mmap(PAGE);
      const ask = (room: number, at = page) =>
        world.call(uapi.IOMMU_IOAS_IOVA_RANGES, RANGES, {
          ioas_id: ioas,
          num_iovas: room,
          allowed_iovas: at,
        });
      for (const room of [0, 1]) {
        const { errno, args } = await ask(room);
        expect(errno).toBe("EMSGSIZE");
        expect([args.num_iovas, args.out_iova_alignment]).toEqual([2, 1n]);
        const copied = uapi.IOMMU_IOVA_RANGE.decode(await client.load(page, 16));
        expect(copied).toEqual(
          room === 0 ? { start: 0n, last: 0n } : { start: PAGE, last: 8n * PAGE - 1n },
        );
      }
      expect((await ask(2, 0x1000n)).errno).toBe("EFAULT");
    },
  );

  check(
    "UAPI-RANGES-04: a domain reserves what its aperture leaves out, and raises the alignment",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      const { stdev } = await world.device(ioas);
      expect(await world.ranges(ioas)).toEqual({ ranges: ["1000000-7fffffff"], alignment: 2048n });
      await world.destroy(stdev);
      expect(await world.ranges(ioas)).toEqual({ ranges: ["0-ffffffffffffffff"], alignment: 1n });
    },
  );

  check(
    "UAPI-RANGES-05: with everything reserved there is no range and no error",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      await world.test("ADD_RESERVED", ioas, { start: 0n, length: LAST });
      await world.test("ADD_RESERVED", ioas, { start: LAST, length: 1n });
      expect((await world.ranges(ioas)).ranges).toEqual([]);
    },
  );
};

const allowRules = (check: Check): void => {
  check(
    "UAPI-ALLOW-01: ranges must have a first address below the last, and not overlap: EINVAL",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      expect(await world.allow(ioas, [[5n, 5n]])).toBe("EINVAL");
      expect(await world.allow(ioas, [[6n, 5n]])).toBe("EINVAL");
      expect(
        await world.allow(ioas, [
          [0n, 9n],
          [20n, 30n],
          [9n, 15n],
        ]),
      ).toBe("EINVAL");
      expect(await world.allow(ioas, [[0n, LAST]])).toBeUndefined();
    },
  );

  check(
    "UAPI-ALLOW-02: over a reserved range is EADDRINUSE, and the old list stays",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      await world.test("ADD_RESERVED", ioas, { start: 0x8000n, length: PAGE });
      expect(await world.allow(ioas, [[0x4000n, 0x4fffn]])).toBeUndefined();
      expect(await world.allow(ioas, [[0x7000n, 0x8000n]])).toBe("EADDRINUSE");
      expect(await world.mapAnywhere(ioas, 0x1000n, PAGE)).toBe(0x4000n);
    },
  );

  check(
    "UAPI-ALLOW-03: what is allowed cannot be reserved, by a test or by a domain's aperture",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      expect(await world.allow(ioas, [[0x4000n, 0x4fffn]])).toBeUndefined();
      const { errno } = await world.test("ADD_RESERVED", ioas, { start: 0x4fffn, length: 1n });
      expect(errno).toBe("EADDRINUSE");
      expect((await world.test("MOCK_DOMAIN", ioas)).errno).toBe("EADDRINUSE");
      expect((await world.ranges(ioas)).ranges).toEqual(["0-ffffffffffffffff"]);
      expect(await world.allow(ioas, [])).toBeUndefined();
      await world.device(ioas);
    },
  );

  check(
    "UAPI-ALLOW-04: reserved fields, unknown ids and unreadable lists are refused",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      expect(await world.allow(ioas, [], { __reserved: 1 })).toBe("EOPNOTSUPP");
      expect(await world.allow(9, [])).toBe("ENOENT");
      expect(await world.allow(ioas, [[0n, 9n]], { allowed_iovas: 0x1000n })).toBe("EFAULT");
    },
  );

  check("UAPI-RESERVE-01: areas and domains keep each other out: EADDRINUSE", async (harness) => {
    const world = await World.open(harness);
    const ioas = await world.ioas();
    expect(await world.map(ioas, 0x1000n, PAGE, 0x1000n)).toBeUndefined();
    const { errno } = await world.test("ADD_RESERVED", ioas, { start: 0x1fffn, length: 10n });
    expect(errno).toBe("EADDRINUSE");
    expect((await world.test("MOCK_DOMAIN", ioas)).errno).toBe("EADDRINUSE");
    await world.unmap(ioas, 0x1000n, PAGE);
    expect(await world.map(ioas, 0x1000n, 10n, BASE)).toBeUndefined();
    expect((await world.test("MOCK_DOMAIN", ioas)).errno, "alignment").toBe("EADDRINUSE");
    expect(await world.nextId()).toBe(2);
  });
};

type CopyValues = Partial<uapi.ValuesOf<typeof uapi.IOMMU_IOAS_COPY_ARGS>>;

const copy = (world: World, values: CopyValues) =>
  world.call(uapi.IOMMU_IOAS_COPY, uapi.IOMMU_IOAS_COPY_ARGS, values);

const READ = uapi.IOMMU_IOAS_MAP_READABLE;

const copyRules = (check: Check): void => {
  const rows: readonly (readonly [string, CopyValues, Errno])[] = [
    ["UAPI-COPY-01: unknown flags are EOPNOTSUPP", { flags: RW | 8 }, "EOPNOTSUPP"],
    ["UAPI-COPY-02: length 2^64-1 is EOVERFLOW", { length: LAST }, "EOVERFLOW"],
    ["UAPI-COPY-02: src_iova 2^64-1 is EOVERFLOW", { src_iova: LAST }, "EOVERFLOW"],
    ["UAPI-COPY-02: dst_iova 2^64-1 is EOVERFLOW", { dst_iova: LAST }, "EOVERFLOW"],
    ["UAPI-COPY-03: neither readable nor writeable is EINVAL", { flags: 1 }, "EINVAL"],
    ["UAPI-COPY-04: an unknown source is ENOENT", { src_ioas_id: 99, length: 0n }, "ENOENT"],
    ["UAPI-COPY-05: length 0 is EINVAL", { length: 0n, dst_ioas_id: 99 }, "EINVAL"],
    ["UAPI-COPY-06: a gap in the source is ENOENT", { length: 3n * PAGE }, "ENOENT"],
    ["UAPI-COPY-06: a source that begins in a gap is ENOENT", { src_iova: BASE - 1n }, "ENOENT"],
    [
      "UAPI-COPY-07: an unknown destination is ENOENT, the source being right",
      { dst_ioas_id: 99 },
      "ENOENT",
    ],
    ["UAPI-COPY-08: an area at the destination is EEXIST", { dst_iova: BASE + PAGE }, "EEXIST"],
  ];
  for (const [title, values, errno] of rows) {
    check(title, async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      await world.device(ioas);
      const va = await world.client.mmap(2n * PAGE);
      expect(await world.map(ioas, va, 2n * PAGE, BASE)).toBeUndefined();
      const answer = await copy(world, {
        flags: FIXED,
        src_ioas_id: ioas,
        dst_ioas_id: ioas,
        length: PAGE,
        src_iova: BASE,
        dst_iova: BASE + 0x10000n,
        ...values,
      });
      expect(answer.errno).toBe(errno);
      await world.expectPins(va, 2n * PAGE, 1);
      expect((await world.unmap(ioas, 0n, LAST)).length).toBe(2n * PAGE);
    });
  }

  check(
    "UAPI-COPY-09: a copy shares the pages and pins nothing a second time; parts and neighbours can be copied",
    async (harness) => {
      const world = await World.open(harness);
      const from = await world.ioas();
      const to = await world.ioas();
      const source = await world.device(from);
      const { hwpt, stdev } = await world.device(to);
      const va = await world.client.mmap(4n * PAGE);
      expect(await world.map(from, va, 2n * PAGE, BASE)).toBeUndefined();
      expect(await world.map(from, va + 2n * PAGE, 2n * PAGE, BASE + 2n * PAGE)).toBeUndefined();
      const { errno, args } = await copy(world, {
        flags: FIXED,
        src_ioas_id: from,
        dst_ioas_id: to,
        length: 2n * PAGE,
        src_iova: BASE + PAGE,
        dst_iova: BASE + 0x10000n,
      });
      expect([errno, args.dst_iova]).toEqual([undefined, BASE + 0x10000n]);
      expect(await world.leadsTo(hwpt, BASE + 0x10000n, va + PAGE, 2n * PAGE)).toBe(true);
      await world.expectPins(va, 4n * PAGE, 1);
      await world.unmap(from, BASE, 4n * PAGE);
      await world.expectPins(va, PAGE, 0);
      await world.expectPins(va + PAGE, 2n * PAGE, 1);
      expect(await world.leadsTo(source.hwpt, BASE, va, PAGE)).toBe(false);
      await world.destroy(stdev);
      await world.expectPins(va, 4n * PAGE, 0);
    },
  );

  check(
    "UAPI-COPY-10: a writeable copy of pages that were mapped read-only is EPERM",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      const flags = READ | uapi.IOMMU_IOAS_MAP_FIXED_IOVA;
      expect(await world.map(ioas, 0x1000n, PAGE, BASE, flags)).toBeUndefined();
      const values = { src_ioas_id: ioas, dst_ioas_id: ioas, length: PAGE, src_iova: BASE };
      expect((await copy(world, { ...values, flags: RW })).errno).toBe("EPERM");
      expect((await copy(world, { ...values, flags: READ })).errno).toBeUndefined();
    },
  );

  check("UAPI-COPY-11: a chosen address suits the memory that is copied", async (harness) => {
    const world = await World.open(harness);
    const ioas = await world.ioas();
    expect(await world.map(ioas, 0x20_1000n, 2n * PAGE, 0x1000n)).toBeUndefined();
    const values = { src_ioas_id: ioas, dst_ioas_id: ioas, length: PAGE, src_iova: 0x2000n };
    const { errno, args } = await copy(world, { ...values, flags: RW });
    expect([errno, args.dst_iova]).toEqual([undefined, 0x3000n]);
  });
};

type FileValues = Partial<uapi.ValuesOf<typeof uapi.IOMMU_IOAS_MAP_FILE_ARGS>>;

const mapFile = (world: World, values: FileValues) =>
  world.call(uapi.IOMMU_IOAS_MAP_FILE, uapi.IOMMU_IOAS_MAP_FILE_ARGS, values);

const fileRules = (check: Check): void => {
  const rows: readonly (readonly [string, FileValues, Errno])[] = [
    ["UAPI-MAP-FILE-01: unknown flags are EOPNOTSUPP", { flags: FIXED | 8 }, "EOPNOTSUPP"],
    ["UAPI-MAP-FILE-02: length 2^64-1 is EOVERFLOW", { length: LAST }, "EOVERFLOW"],
    ["UAPI-MAP-FILE-03: neither readable nor writeable is EINVAL", { flags: 1 }, "EINVAL"],
    ["UAPI-MAP-FILE-04: an unknown address space is ENOENT", { ioas_id: 99 }, "ENOENT"],
    ["UAPI-MAP-FILE-05: length 0 is EINVAL", { length: 0n }, "EINVAL"],
    ["UAPI-MAP-FILE-06: a descriptor that is not open is EBADF", { fd: 77 }, "EBADF"],
    [
      "UAPI-MAP-FILE-07: beyond the end of the file is EINVAL",
      { start: 15n * PAGE, length: 2n * PAGE },
      "EINVAL",
    ],
    [
      "UAPI-MAP-FILE-08: start and length that pass 2^64 are EOVERFLOW",
      { start: LAST, length: PAGE },
      "EOVERFLOW",
    ],
    ["UAPI-MAP-FILE-09: a fixed range over an area is EEXIST", { iova: BASE + PAGE }, "EEXIST"],
  ];
  for (const [title, values, errno] of rows) {
    check(title, async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      await world.device(ioas);
      const fd = await world.client.memfd(16n * PAGE);
      const va = await world.client.mmap(16n * PAGE, { fd, shared: true });
      const good = { flags: FIXED, ioas_id: ioas, fd, start: 0n, length: 4n * PAGE, iova: BASE };
      expect((await mapFile(world, good)).errno).toBeUndefined();
      const answer = await mapFile(world, { ...good, iova: BASE + 0x100000n, ...values });
      expect(answer.errno).toBe(errno);
      await world.expectPins(va, 4n * PAGE, 1);
      await world.expectPins(va + 4n * PAGE, 12n * PAGE, 0);
      expect((await world.unmap(ioas, 0n, LAST)).length).toBe(4n * PAGE);
    });
  }

  check(
    "UAPI-MAP-FILE-10: a file's pages are mapped wherever they begin, and outlive every mapping and descriptor",
    async (harness) => {
      const world = await World.open(harness);
      const { client } = world;
      const ioas = await world.ioas();
      const { hwpt } = await world.device(ioas);
      const fd = await client.memfd(16n * PAGE);
      const va = await client.mmap(16n * PAGE, { fd, shared: true });
      const values = { flags: RW, ioas_id: ioas, fd, start: 3n * PAGE + 2048n, length: PAGE };
      const { errno, args } = await mapFile(world, values);
      expect(errno).toBeUndefined();
      expect(args.iova % PAGE).toBe(2048n);
      expect(await world.leadsTo(hwpt, args.iova, va + 3n * PAGE + 2048n, PAGE)).toBe(true);
      await client.close(fd);
      await client.munmap(va, 16n * PAGE);
      expect((await world.unmap(ioas, args.iova, PAGE)).length).toBe(PAGE);
      // A file that is no memory.
      const wrong = { ...values, fd: world.fd };
      expect((await mapFile(world, wrong)).errno).toBe("EINVAL");
    },
  );
};

const processRules = (check: Check): void => {
  const change = (world: World, values = {}) =>
    world.call(uapi.IOMMU_IOAS_CHANGE_PROCESS, uapi.IOMMU_IOAS_CHANGE_PROCESS_ARGS, values);

  check(
    "UAPI-PROCESS-01: a reserved field is EOPNOTSUPP; nothing mapped is no error; memory is EINVAL",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      expect((await change(world, { __reserved: 1 })).errno).toBe("EOPNOTSUPP");
      expect((await change(world)).errno).toBeUndefined();
      expect(await world.map(ioas, 0x1000n, PAGE, BASE)).toBeUndefined();
      expect((await change(world)).errno).toBe("EINVAL");
    },
  );

  check(
    "UAPI-PROCESS-02: the caller pays from now on, or nothing changes: ENOMEM",
    async (harness) => {
      const request = { uid: 1000, memlock: 8n * PAGE };
      const world = await World.open(harness, request);
      const ioas = await world.ioas();
      await world.device(ioas);
      const fd = await world.client.memfd(8n * PAGE);
      const values = { flags: RW, ioas_id: ioas, fd, length: 6n * PAGE };
      expect((await mapFile(world, values)).errno).toBeUndefined();
      // A second process of the user: the limit is that of both together, so that there is no room to pay twice.
      const child = new World(await world.client.fork(), world.fd);
      expect((await change(child)).errno).toBe("ENOMEM");
      expect((await child.unmap(ioas, 0n, LAST)).length).toBe(6n * PAGE);
      expect((await mapFile(child, { ...values, length: 4n * PAGE })).errno).toBeUndefined();
      expect((await change(world)).errno).toBeUndefined();
      await child.client.exit();
      expect((await mapFile(world, { ...values, length: 4n * PAGE })).errno).toBeUndefined();
      expect((await mapFile(world, { ...values, length: PAGE })).errno).toBe("ENOMEM");
    },
  );
};

/** Address spaces: ranges, copies, files, and who pays. */
export const ioasRules = (check: Check): void => {
  rangeRules(check);
  allowRules(check);
  copyRules(check);
  fileRules(check);
  processRules(check);
};
