import { expect } from "vitest";
import * as uapi from "../../uapi/index.ts";
import { OPERATIONS } from "../main.ts";
import { type Check, PAGE, World } from "./world.ts";

/** Rules that hold for every ioctl of `/dev/iommu`. */
export const dispatchRules = (check: Check): void => {
  check("UAPI-CALL-01: an unknown number is ENOTTY, once its size can be read", async (harness) => {
    const world = await World.open(harness);
    const { fd, client } = world;
    const bytes = new Uint8Array([64]);
    for (const command of [0x3b9f, 0x4b81, 0xc0083b81]) {
      expect((await client.ioctl(fd, command, bytes)).errno, command.toString(16)).toBe("ENOTTY");
    }
    expect((await client.ioctl(fd, 0x3b9f, 0x10n)).errno).toBe("EFAULT");
    expect((await client.ioctl(fd, 0x3b60, 0x10n)).errno).toBe("ENOTTY");
  });

  check(
    "UAPI-CALL-02: an argument that cannot be read or is too short is EFAULT, EINVAL",
    async (harness) => {
      const world = await World.open(harness);
      const { fd, client } = world;
      for (const { number, minSize, struct } of OPERATIONS) {
        const bytes = new Uint8Array(struct.size);
        new DataView(bytes.buffer).setUint32(0, minSize - 1, true);
        const { errno } = await client.ioctl(fd, number, bytes);
        expect(errno, struct.name).toBe("EINVAL");
        expect((await client.ioctl(fd, number, 0n)).errno, struct.name).toBe("EFAULT");
      }
      const page = await client.mmap(PAGE);
      await client.store(page + PAGE - 4n, Uint8Array.of(12, 0, 0, 0));
      expect((await client.ioctl(fd, uapi.IOMMU_IOAS_ALLOC, page + PAGE - 4n)).errno).toBe(
        "EFAULT",
      );
    },
  );

  check("UAPI-CALL-03: what a longer argument has more must be 0, else E2BIG", async (harness) => {
    const world = await World.open(harness);
    for (const { number, struct } of OPERATIONS) {
      const bytes = new Uint8Array(struct.size + 9);
      new DataView(bytes.buffer).setUint32(0, bytes.length, true);
      bytes[bytes.length - 1] = 1;
      const { errno } = await world.client.ioctl(world.fd, number, bytes);
      expect(errno, struct.name).toBe("E2BIG");
    }
    const long = new Uint8Array(20);
    long[0] = 20;
    expect((await world.client.ioctl(world.fd, uapi.IOMMU_IOAS_ALLOC, long)).errno).toBeUndefined();
  });

  check(
    "UAPI-CALL-04: an argument may be as short as its version was; the answer is as long",
    async (harness) => {
      const world = await World.open(harness);
      const { device } = await world.device(await world.ioas());
      const struct = uapi.IOMMU_GET_HW_INFO_ARGS;
      const bytes = struct.encode({ size: 32, dev_id: device, out_capabilities: 0x77n });
      const { errno, argument } = await world.client.ioctl(world.fd, uapi.IOMMU_GET_HW_INFO, bytes);
      expect(errno).toBeUndefined();
      expect(struct.decode(argument)).toMatchObject({ data_len: 8, out_capabilities: 0x77n });
    },
  );

  check(
    "UAPI-CALL-05: ids begin at 1, the lowest free one is next, and all kinds share them",
    async (harness) => {
      const world = await World.open(harness);
      const ids = [await world.ioas(), await world.ioas(), await world.ioas()];
      expect(ids).toEqual([1, 2, 3]);
      expect(await world.destroy(2)).toBeUndefined();
      expect(await world.ioas()).toBe(2);
      expect(await world.device(1)).toEqual({ stdev: 4, device: 5, hwpt: 6 });
      const other = await World.open(harness);
      expect(await other.ioas()).toBe(1);
    },
  );

  check(
    "UAPI-CALL-06: where the answer cannot be written, what was made is gone",
    async (harness) => {
      const world = await World.open(harness);
      const { client, fd } = world;
      const ioas = await world.ioas();
      const { device } = await world.device(ioas);
      const next = await world.nextId();
      const readOnly = await client.memfd(PAGE);
      const writable = await client.mmap(PAGE, { fd: readOnly, shared: true });
      const page = await client.mmap(PAGE, { fd: readOnly, shared: true, readOnly: true });
      const rows: readonly (readonly [number, Uint8Array])[] = [
        [uapi.IOMMU_IOAS_ALLOC, uapi.IOMMU_IOAS_ALLOC_ARGS.encode({ size: 12 })],
        [
          uapi.IOMMU_HWPT_ALLOC,
          uapi.IOMMU_HWPT_ALLOC_ARGS.encode({ size: 48, dev_id: device, pt_id: ioas }),
        ],
        [uapi.IOMMU_FAULT_QUEUE_ALLOC, uapi.IOMMU_FAULT_QUEUE_ALLOC_ARGS.encode({ size: 16 })],
        [
          uapi.IOMMU_IOAS_MAP,
          uapi.IOMMU_IOAS_MAP_ARGS.encode({
            size: 40,
            flags: uapi.IOMMU_IOAS_MAP_READABLE,
            ioas_id: ioas,
            user_va: page,
            length: PAGE,
          }),
        ],
      ];
      for (const [command, bytes] of rows) {
        await client.store(writable, bytes);
        expect((await client.ioctl(fd, command, page)).errno, command.toString(16)).toBe("EFAULT");
        expect(await world.nextId()).toBe(next);
      }
      expect((await world.unmap(ioas, 0n, (1n << 64n) - 1n)).length).toBe(0n);
      // Nor has the fault queue left a descriptor.
      expect(await client.memfd(PAGE)).toBe(readOnly + 1);
    },
  );
};

/** `IOMMU_DESTROY`, `IOMMU_IOAS_ALLOC`, `IOMMU_OPTION`. */
export const objectRules = (check: Check): void => {
  check("UAPI-DESTROY-01: an unknown id is ENOENT", async (harness) => {
    const world = await World.open(harness);
    for (const id of [0, 1, 0x7fff_ffff, 0xffff_ffff]) {
      expect(await world.destroy(id)).toBe("ENOENT");
    }
  });

  check("UAPI-DESTROY-02: what something else uses is EBUSY, and stays", async (harness) => {
    const world = await World.open(harness);
    const ioas = await world.ioas();
    const { stdev, device, hwpt } = await world.device(ioas);
    for (const id of [ioas, device, hwpt]) expect(await world.destroy(id), `${id}`).toBe("EBUSY");
    expect(await world.destroy(stdev)).toBeUndefined();
    for (const id of [device, hwpt]) expect(await world.destroy(id)).toBe("ENOENT");
    expect(await world.destroy(ioas)).toBeUndefined();
    expect(await world.nextId()).toBe(1);
  });

  check(
    "UAPI-DESTROY-03: the last close destroys everything at once, whatever is used",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      await world.device(ioas);
      const va = await world.client.mmap(16n * PAGE);
      expect(await world.map(ioas, va, 16n * PAGE, BASE_OF)).toBeUndefined();
      await world.expectPins(va, 16n * PAGE, 1);
      await world.client.close(world.fd);
      const other = new World(world.client, await world.client.openIommufd());
      await other.expectPins(va, 16n * PAGE, 0);
    },
  );

  check("UAPI-IOAS-ALLOC-01: flags are EOPNOTSUPP", async (harness) => {
    const world = await World.open(harness);
    const answer = await world.call(uapi.IOMMU_IOAS_ALLOC, uapi.IOMMU_IOAS_ALLOC_ARGS, {
      flags: 1,
    });
    expect(answer.errno).toBe("EOPNOTSUPP");
    expect(await world.nextId()).toBe(1);
  });

  check("UAPI-NOIOMMU-01: GET_PA answers EOPNOTSUPP, whatever is asked", async (harness) => {
    const world = await World.open(harness);
    const struct = uapi.IOMMU_IOAS_NOIOMMU_GET_PA_ARGS;
    const answer = await world.call(uapi.IOMMU_IOAS_NOIOMMU_GET_PA, struct, { length: 1n });
    expect(answer.errno).toBe("EOPNOTSUPP");
  });
};

const BASE_OF = uapi.MOCK_APERTURE_START;

type OptionValues = Partial<uapi.ValuesOf<typeof uapi.IOMMU_OPTION_ARGS>>;

const option = (world: World, values: OptionValues) =>
  world.call(uapi.IOMMU_OPTION, uapi.IOMMU_OPTION_ARGS, values);

const SET = uapi.IOMMU_OPTION_OP_SET;
const GET = uapi.IOMMU_OPTION_OP_GET;
const HUGE = uapi.IOMMU_OPTION_HUGE_PAGES;

export const optionRules = (check: Check): void => {
  check(
    "UAPI-OPTION-01: reserved fields, unknown options and operations are EOPNOTSUPP",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      const rows: readonly OptionValues[] = [
        { __reserved: 1, op: GET },
        { option_id: 2, op: GET },
        { option_id: HUGE, op: 2, object_id: ioas },
        { op: 2 },
        { op: GET, object_id: ioas },
      ];
      for (const values of rows) expect((await option(world, values)).errno).toBe("EOPNOTSUPP");
    },
  );

  check(
    "UAPI-OPTION-02: accounting by memory needs CAP_SYS_RESOURCE and an empty file",
    async (harness) => {
      const world = await World.open(harness);
      expect((await option(world, { op: GET, val64: 7n })).args.val64).toBe(0n);
      expect((await option(world, { op: SET, val64: 2n })).errno).toBe("EINVAL");
      expect((await option(world, { op: SET, val64: 1n })).errno).toBeUndefined();
      expect((await option(world, { op: GET })).args.val64).toBe(1n);
      await world.ioas();
      expect((await option(world, { op: SET, val64: 0n })).errno).toBe("EBUSY");
      expect((await option(world, { op: GET })).args.val64).toBe(1n);
      const user = await World.open(harness, { uid: 1000 });
      expect((await option(user, { op: SET, val64: 1n })).errno).toBe("EPERM");
      expect((await option(user, { op: GET })).args.val64).toBe(0n);
    },
  );

  check(
    "UAPI-OPTION-03: large pages are an address space's own; without them alignment is a page",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      const huge = (val64: bigint) =>
        option(world, { option_id: HUGE, op: SET, object_id: ioas, val64 });
      expect((await option(world, { option_id: HUGE, op: GET, object_id: 9 })).errno).toBe(
        "ENOENT",
      );
      expect((await huge(2n)).errno).toBe("EINVAL");
      expect((await world.ranges(ioas)).alignment).toBe(1n);
      expect((await huge(0n)).errno).toBeUndefined();
      expect((await world.ranges(ioas)).alignment).toBe(PAGE);
      const now = await option(world, { option_id: HUGE, op: GET, object_id: ioas, val64: 5n });
      expect(now.args.val64).toBe(0n);
      expect((await huge(1n)).errno).toBeUndefined();
      expect((await world.ranges(ioas)).alignment).toBe(1n);
    },
  );

  check(
    "UAPI-OPTION-04: they cannot be turned off over mapped domains, or under pieces of pages",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      const off = { option_id: HUGE, op: SET, object_id: ioas, val64: 0n };
      const va = await world.client.mmap(2n * PAGE);
      expect(await world.map(ioas, va, 100n, BASE_OF)).toBeUndefined();
      expect((await option(world, off)).errno).toBe("EADDRINUSE");
      await world.unmap(ioas, BASE_OF, 100n);
      await world.device(ioas);
      expect((await option(world, off)).errno).toBeUndefined();
      expect((await option(world, { ...off, val64: 1n })).errno).toBeUndefined();
      expect(await world.map(ioas, va, PAGE, BASE_OF)).toBeUndefined();
      expect((await option(world, off)).errno).toBe("EINVAL");
      expect((await world.ranges(ioas)).alignment).toBe(uapi.MOCK_IO_PAGE_SIZE);
    },
  );
};
