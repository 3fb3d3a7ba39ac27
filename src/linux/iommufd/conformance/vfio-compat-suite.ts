import { expect } from "vitest";
import type { Errno } from "../../errno.ts";
import * as uapi from "../../uapi/index.ts";
import { BASE, type Check, LAST, PAGE, World } from "./world.ts";

const MAP = uapi.VFIO_IOMMU_TYPE1_DMA_MAP;
const UNMAP = uapi.VFIO_IOMMU_TYPE1_DMA_UNMAP;
const READ_WRITE = uapi.VFIO_DMA_MAP_FLAG_READ | uapi.VFIO_DMA_MAP_FLAG_WRITE;

type Values<S> = Partial<uapi.ValuesOf<S>>;

const number = async (world: World, command: number, value: number) => {
  const answer = await world.client.ioctl(world.fd, command, BigInt(value));
  return answer.errno ?? answer.value;
};

const mapDma = async (world: World, values: Values<typeof MAP>) =>
  (
    await world.call(uapi.VFIO_IOMMU_MAP_DMA, MAP, {
      argsz: MAP.size,
      flags: READ_WRITE,
      ...values,
    })
  ).errno;

const unmapDma = async (world: World, values: Values<typeof UNMAP>) => {
  const { errno, args } = await world.call(uapi.VFIO_IOMMU_UNMAP_DMA, UNMAP, {
    argsz: UNMAP.size,
    ...values,
  });
  return errno ?? args.size;
};

const vfioIoas = (world: World, values: Values<typeof uapi.IOMMU_VFIO_IOAS_ARGS>) =>
  world.call(uapi.IOMMU_VFIO_IOAS, uapi.IOMMU_VFIO_IOAS_ARGS, values);

/** A compatible address space with a device, and memory. */
const ready = async (world: World) => {
  const ioas = await world.ioas();
  expect(
    (await vfioIoas(world, { op: uapi.IOMMU_VFIO_IOAS_SET, ioas_id: ioas })).errno,
  ).toBeUndefined();
  const va = await world.client.mmap(16n * PAGE);
  return { ioas, va };
};

const containerRules = (check: Check): void => {
  check("UAPI-VFIO-01: version 0, and the extensions that there are", async (harness) => {
    const world = await World.open(harness);
    expect(await number(world, uapi.VFIO_GET_API_VERSION, 0)).toBe(0);
    const extension = (type: number) => number(world, uapi.VFIO_CHECK_EXTENSION, type);
    const answers = [];
    for (const type of [1, 3, 9, 2, 6, 8, 10, 99]) answers.push(await extension(type));
    expect(answers).toEqual([1, 1, 1, 0, 0, 0, 0, 0]);
    expect(await extension(uapi.VFIO_DMA_CC_IOMMU)).toBe("ENODEV");
    await ready(world);
    expect(await extension(uapi.VFIO_DMA_CC_IOMMU)).toBe(1);
  });

  check(
    "UAPI-VFIO-02: without a compatible address space everything is ENODEV",
    async (harness) => {
      const world = await World.open(harness);
      expect(await number(world, uapi.VFIO_SET_IOMMU, 1)).toBe("ENODEV");
      expect(await mapDma(world, { size: PAGE })).toBe("ENODEV");
      expect(await unmapDma(world, { size: PAGE })).toBe("ENODEV");
      const info = await world.call(uapi.VFIO_IOMMU_GET_INFO, uapi.VFIO_IOMMU_TYPE1_INFO, {
        argsz: 24,
      });
      expect(info.errno).toBe("ENODEV");
      expect((await vfioIoas(world, { op: uapi.IOMMU_VFIO_IOAS_GET })).errno).toBe("ENODEV");
    },
  );

  check(
    "UAPI-VFIO-03: it is chosen, told, cleared, and forgotten when it is destroyed",
    async (harness) => {
      const world = await World.open(harness);
      const ioas = await world.ioas();
      const get = async () => {
        const { errno, args } = await vfioIoas(world, { op: uapi.IOMMU_VFIO_IOAS_GET });
        return errno ?? args.ioas_id;
      };
      expect((await vfioIoas(world, { __reserved: 1 })).errno).toBe("EOPNOTSUPP");
      expect((await vfioIoas(world, { op: 3 })).errno).toBe("EOPNOTSUPP");
      expect((await vfioIoas(world, { op: uapi.IOMMU_VFIO_IOAS_SET, ioas_id: 9 })).errno).toBe(
        "ENOENT",
      );
      const set = () => vfioIoas(world, { op: uapi.IOMMU_VFIO_IOAS_SET, ioas_id: ioas });
      await set();
      expect(await get()).toBe(ioas);
      await vfioIoas(world, { op: uapi.IOMMU_VFIO_IOAS_CLEAR });
      expect(await get()).toBe("ENODEV");
      await set();
      await world.destroy(ioas);
      expect(await get()).toBe("ENODEV");
    },
  );

  check(
    "UAPI-VFIO-04: the kinds of IOMMU are 1 and 3, the first without large pages; others are EINVAL",
    async (harness) => {
      const world = await World.open(harness);
      const { ioas } = await ready(world);
      const kinds = [];
      for (const kind of [0, 2, 6, 8]) kinds.push(await number(world, uapi.VFIO_SET_IOMMU, kind));
      expect(kinds).toEqual(["EINVAL", "EINVAL", "EINVAL", "EINVAL"]);
      expect(await number(world, uapi.VFIO_SET_IOMMU, uapi.VFIO_TYPE1v2_IOMMU)).toBe(0);
      expect((await world.ranges(ioas)).alignment).toBe(1n);
      expect(await number(world, uapi.VFIO_SET_IOMMU, uapi.VFIO_TYPE1_IOMMU)).toBe(0);
      expect((await world.ranges(ioas)).alignment).toBe(PAGE);
      expect((await world.client.ioctl(world.fd, uapi.VFIO_IOMMU_DIRTY_PAGES, 0n)).errno).toBe(
        "ENOTTY",
      );
    },
  );

  check(
    "UAPI-VFIO-05: information tells page sizes and, where all of them fit, where capabilities are",
    async (harness) => {
      const world = await World.open(harness);
      const { ioas } = await ready(world);
      await world.device(ioas);
      const struct = uapi.VFIO_IOMMU_TYPE1_INFO;
      const ask = async (argsz: number) => {
        const bytes = new Uint8Array(Math.max(argsz, 64));
        new DataView(bytes.buffer).setUint32(0, argsz, true);
        const { errno, argument } = await world.client.ioctl(
          world.fd,
          uapi.VFIO_IOMMU_GET_INFO,
          bytes,
        );
        return { errno, argument, info: struct.decode(argument) };
      };
      expect((await ask(15)).errno).toBe("EINVAL");
      const short = await ask(16);
      expect(short.info).toMatchObject({ argsz: 72, flags: 3, cap_offset: 0 });
      expect(short.info.iova_pgsizes & 0x1fffn).toBe(0x1000n);
      expect((await ask(71)).info.cap_offset).toBe(0);
      const { info, argument } = await ask(72);
      expect(info).toMatchObject({ argsz: 72, cap_offset: 24 });
      const words = [...new Uint32Array(argument.slice(24, 72).buffer)];
      expect(words).toEqual([
        ...[0x1_0003, 40, 0xffff_ffff, 0],
        ...[0x1_0001, 0, 1, 0],
        ...[0x100_0000, 0, 0x7fff_ffff, 0],
      ]);
    },
  );
};

const mappingRules = (check: Check): void => {
  const rows: readonly (readonly [string, Values<typeof MAP>, Errno])[] = [
    ["UAPI-VFIO-06: an argument that is too short is EINVAL", { argsz: 31 }, "EINVAL"],
    ["UAPI-VFIO-06: a flag that is not supported is EINVAL", { flags: 4 | READ_WRITE }, "EINVAL"],
    ["UAPI-VFIO-06: size 0 is EINVAL", { size: 0n }, "EINVAL"],
    ["UAPI-VFIO-06: over another mapping is EEXIST", { iova: BASE }, "EEXIST"],
    ["UAPI-VFIO-06: memory that is not there is EFAULT", { vaddr: 0x1000n }, "EFAULT"],
  ];
  for (const [title, values, errno] of rows) {
    check(title, async (harness) => {
      const world = await World.open(harness);
      const { ioas, va } = await ready(world);
      await world.device(ioas);
      expect(await mapDma(world, { vaddr: va, iova: BASE, size: PAGE })).toBeUndefined();
      const good = { vaddr: va, iova: BASE + 0x10000n, size: PAGE };
      expect(await mapDma(world, { ...good, ...values })).toBe(errno);
      await world.expectPins(va, PAGE, 1);
    });
  }

  check(
    "UAPI-VFIO-07: in version 2 mappings go whole; nothing there is no error",
    async (harness) => {
      const world = await World.open(harness);
      const { ioas, va } = await ready(world);
      await world.device(ioas);
      expect(await mapDma(world, { vaddr: va, iova: BASE, size: 4n * PAGE })).toBeUndefined();
      expect(await unmapDma(world, { argsz: 23 })).toBe("EINVAL");
      expect(await unmapDma(world, { flags: 1, iova: BASE, size: PAGE })).toBe("EINVAL");
      expect(await unmapDma(world, { flags: 2, iova: BASE, size: PAGE })).toBe("EINVAL");
      expect(await unmapDma(world, { iova: BASE, size: 0n })).toBe("EINVAL");
      expect(await unmapDma(world, { iova: LAST, size: 2n })).toBe("EOVERFLOW");
      expect(await unmapDma(world, { iova: BASE + PAGE, size: PAGE })).toBe("ENOENT");
      expect(await unmapDma(world, { iova: BASE + 0x100000n, size: PAGE })).toBe(0n);
      expect(await unmapDma(world, { flags: uapi.VFIO_DMA_UNMAP_FLAG_ALL })).toBe(4n * PAGE);
      expect(await unmapDma(world, { flags: uapi.VFIO_DMA_UNMAP_FLAG_ALL })).toBe(0n);
      await world.expectPins(va, 4n * PAGE, 0);
    },
  );

  check(
    "UAPI-VFIO-08: in version 1 a mapping is cut where an unmap begins and ends",
    async (harness) => {
      const world = await World.open(harness);
      const { ioas, va } = await ready(world);
      expect(await number(world, uapi.VFIO_SET_IOMMU, uapi.VFIO_TYPE1_IOMMU)).toBe(0);
      const { hwpt } = await world.device(ioas);
      expect(await mapDma(world, { vaddr: va, iova: BASE, size: 16n * PAGE })).toBeUndefined();
      expect(await unmapDma(world, { iova: BASE + 3n * PAGE, size: 2n * PAGE })).toBe(2n * PAGE);
      await world.expectPins(va, 3n * PAGE, 1);
      await world.expectPins(va + 3n * PAGE, 2n * PAGE, 0);
      await world.expectPins(va + 5n * PAGE, 11n * PAGE, 1);
      expect(await world.leadsTo(hwpt, BASE, va, 3n * PAGE)).toBe(true);
      expect(await world.leadsTo(hwpt, BASE + 3n * PAGE, va + 3n * PAGE, PAGE)).toBe(false);
      expect(await world.leadsTo(hwpt, BASE + 5n * PAGE, va + 5n * PAGE, 11n * PAGE)).toBe(true);
      expect(await unmapDma(world, { iova: BASE + PAGE + 1n, size: PAGE })).toBe("EINVAL");
      expect(await unmapDma(world, { flags: uapi.VFIO_DMA_UNMAP_FLAG_ALL })).toBe(14n * PAGE);
    },
  );
};

/** VFIO's own ioctls on an iommufd. */
export const vfioCompatRules = (check: Check): void => {
  containerRules(check);
  mappingRules(check);
};
