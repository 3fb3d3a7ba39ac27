import { expect } from "vitest";
import { POLLIN, POLLOUT } from "../../mm/file.ts";
import * as uapi from "../../uapi/index.ts";
import { hwptOf, selftestData } from "./hwpt-suite.ts";
import { type Check, type MockDeviceIds, World } from "./world.ts";

const FAULT_SIZE = uapi.IOMMU_HWPT_PGFAULT.size;

const faultQueue = async (world: World): Promise<{ readonly id: number; readonly fd: number }> => {
  const args = await world.must(
    uapi.IOMMU_FAULT_QUEUE_ALLOC,
    uapi.IOMMU_FAULT_QUEUE_ALLOC_ARGS,
    {},
  );
  return { id: args.out_fault_id, fd: args.out_fault_fd };
};

/** A device attached to a page table whose faults go to a queue. */
const faulting = async (world: World) => {
  const ioas = await world.ioas();
  const queue = await faultQueue(world);
  const device: MockDeviceIds = await world.device(ioas);
  const hwpt = await hwptOf(world, {
    dev_id: device.device,
    pt_id: ioas,
    flags: uapi.IOMMU_HWPT_FAULT_ID_VALID,
    fault_id: queue.id,
  });
  await world.test("MOCK_DOMAIN_REPLACE", device.stdev, { pt_id: hwpt });
  const trigger = (grpid: number, addr = 0x1234_5000n) =>
    world.test("TRIGGER_IOPF", 0, { dev_id: device.device, grpid, perm: 3, addr });
  const read = async (length: number) => {
    const { errno, bytes } = await world.client.read(queue.fd, length);
    const faults = Array.from({ length: bytes.length / FAULT_SIZE }, (_, i) =>
      uapi.IOMMU_HWPT_PGFAULT.decode(bytes.subarray(i * FAULT_SIZE)),
    );
    return { errno, faults };
  };
  const answer = async (...responses: readonly (readonly [number, number])[]) => {
    const { size } = uapi.IOMMU_HWPT_PAGE_RESPONSE;
    const bytes = new Uint8Array(responses.length * size);
    for (const [i, [cookie, code]] of responses.entries()) {
      bytes.set(uapi.IOMMU_HWPT_PAGE_RESPONSE.encode({ cookie, code }), i * size);
    }
    const { errno, value } = await world.client.write(queue.fd, bytes);
    return errno ?? value;
  };
  return { ioas, queue, device, hwpt, trigger, read, answer };
};

const faultRules = (check: Check): void => {
  check("UAPI-FAULT-01: flags are EOPNOTSUPP", async (harness) => {
    const world = await World.open(harness);
    const struct = uapi.IOMMU_FAULT_QUEUE_ALLOC_ARGS;
    const { errno } = await world.call(uapi.IOMMU_FAULT_QUEUE_ALLOC, struct, { flags: 1 });
    expect(errno).toBe("EOPNOTSUPP");
  });

  check(
    "UAPI-FAULT-02: a queue is used by its open file and by page tables, and not gone with the file: EBUSY",
    async (harness) => {
      const world = await World.open(harness);
      const { queue, device, hwpt } = await faulting(world);
      await world.client.close(queue.fd);
      expect(await world.destroy(queue.id)).toBe("EBUSY");
      await world.destroy(device.stdev);
      expect(await world.destroy(hwpt)).toBeUndefined();
      expect(await world.destroy(queue.id)).toBeUndefined();
      const alone = await faultQueue(world);
      expect(await world.destroy(alone.id)).toBe("EBUSY");
      await world.client.close(alone.fd);
      expect(await world.destroy(alone.id)).toBeUndefined();
    },
  );

  check(
    "UAPI-FAULT-03: read gives whole groups with a cookie each, 0 bytes when there is none",
    async (harness) => {
      const world = await World.open(harness);
      const { trigger, read, device } = await faulting(world);
      expect(await read(FAULT_SIZE)).toEqual({ errno: undefined, faults: [] });
      await trigger(8);
      await trigger(9);
      const { faults } = await read(3 * FAULT_SIZE);
      expect(faults).toMatchObject([
        {
          dev_id: device.device,
          grpid: 8,
          perm: 3,
          addr: 0x1234_5000n,
          flags: 2,
          cookie: 1,
          length: 0,
        },
        { grpid: 9, cookie: 2 },
      ]);
    },
  );

  check(
    "UAPI-FAULT-04: a length that is no multiple of a record is ESPIPE, for answers too",
    async (harness) => {
      const world = await World.open(harness);
      const { trigger, read, queue } = await faulting(world);
      await trigger(1);
      expect((await read(FAULT_SIZE + 1)).errno).toBe("ESPIPE");
      expect((await world.client.write(queue.fd, new Uint8Array(9))).errno).toBe("ESPIPE");
      expect((await read(FAULT_SIZE)).faults).toHaveLength(1);
    },
  );

  check(
    "UAPI-FAULT-05: an answer has a cookie that waits and a code that exists, else EINVAL; those before it count",
    async (harness) => {
      const world = await World.open(harness);
      const { trigger, read, answer } = await faulting(world);
      await trigger(1);
      expect(await answer([1, 0]), "not read yet").toBe("EINVAL");
      await read(FAULT_SIZE);
      expect(await answer([1, 2])).toBe("EINVAL");
      expect(await answer([1, 0], [1, 0])).toBe(8);
      expect(await answer([1, 1])).toBe("EINVAL");
      await trigger(2);
      expect((await read(FAULT_SIZE)).faults).toMatchObject([{ cookie: 1 }]);
      expect(await answer([1, 1])).toBe(8);
    },
  );

  check(
    "UAPI-FAULT-06: it can always be written, and read while a group waits",
    async (harness) => {
      const world = await World.open(harness);
      const { trigger, read, queue } = await faulting(world);
      expect(await world.client.poll(queue.fd)).toBe(POLLOUT);
      await trigger(1);
      expect(await world.client.poll(queue.fd)).toBe(POLLIN | POLLOUT);
      await read(FAULT_SIZE);
      expect(await world.client.poll(queue.fd)).toBe(POLLOUT);
    },
  );

  check(
    "UAPI-FAULT-07: what belongs to an attachment is answered when that ends",
    async (harness) => {
      const world = await World.open(harness);
      const { ioas, trigger, read, answer, device } = await faulting(world);
      await trigger(1);
      await trigger(2);
      await read(FAULT_SIZE);
      await world.test("MOCK_DOMAIN_REPLACE", device.stdev, { pt_id: ioas });
      expect((await read(FAULT_SIZE)).faults).toEqual([]);
      expect(await answer([1, 0])).toBe("EINVAL");
      expect((await trigger(3)).errno, "nobody to tell").toBeUndefined();
      expect((await read(FAULT_SIZE)).faults).toEqual([]);
    },
  );
};

type EventValues = Partial<uapi.ValuesOf<typeof uapi.IOMMU_VEVENTQ_ALLOC_ARGS>>;

const TYPE = uapi.IOMMU_VEVENTQ_TYPE_SELFTEST;

const eventRules = (check: Check): void => {
  const ready = async (world: World, depth = 2) => {
    const ioas = await world.ioas();
    const { device, stdev } = await world.device(ioas);
    const parent = await hwptOf(world, {
      dev_id: device,
      pt_id: ioas,
      flags: uapi.IOMMU_HWPT_ALLOC_NEST_PARENT,
    });
    const { out_viommu_id: viommu } = await world.must(
      uapi.IOMMU_VIOMMU_ALLOC,
      uapi.IOMMU_VIOMMU_ALLOC_ARGS,
      { type: uapi.IOMMU_VIOMMU_TYPE_SELFTEST, dev_id: device, hwpt_id: parent },
    );
    const alloc = (values: EventValues = {}) =>
      world.call(uapi.IOMMU_VEVENTQ_ALLOC, uapi.IOMMU_VEVENTQ_ALLOC_ARGS, {
        viommu_id: viommu,
        type: TYPE,
        veventq_depth: depth,
        ...values,
      });
    const trigger = async () => (await world.test("TRIGGER_VEVENT", 0, { dev_id: device })).errno;
    const attach = async () => {
      const nested = await hwptOf(world, {
        dev_id: device,
        pt_id: viommu,
        ...(await selftestData(world)),
      });
      await world.must(uapi.IOMMU_VDEVICE_ALLOC, uapi.IOMMU_VDEVICE_ALLOC_ARGS, {
        viommu_id: viommu,
        dev_id: device,
        virt_id: 0x99n,
      });
      await world.test("MOCK_DOMAIN_REPLACE", stdev, { pt_id: nested });
    };
    return { viommu, alloc, trigger, attach };
  };

  check("UAPI-VEVENTQ-01: wrong arguments are refused in their order", async (harness) => {
    const world = await World.open(harness);
    const { alloc } = await ready(world);
    const next = await world.nextId();
    const ask = async (values: EventValues) => (await alloc(values)).errno;
    expect(await ask({ flags: 1 })).toBe("EOPNOTSUPP");
    expect(await ask({ __reserved: 1 })).toBe("EOPNOTSUPP");
    expect(await ask({ type: 0, veventq_depth: 0 })).toBe("EOPNOTSUPP");
    expect(await ask({ veventq_depth: 0, viommu_id: 99 })).toBe("EINVAL");
    expect(await ask({ veventq_depth: (1 << 19) + 1 })).toBe("EINVAL");
    expect(await ask({ viommu_id: 99 })).toBe("ENOENT");
    expect(await ask({ type: 7 })).toBe("EOPNOTSUPP");
    expect(await world.nextId()).toBe(next);
  });

  check("UAPI-VEVENTQ-02: a vIOMMU has one queue of a type: EEXIST", async (harness) => {
    const world = await World.open(harness);
    const { alloc, viommu } = await ready(world);
    const { args } = await alloc();
    expect((await alloc()).errno).toBe("EEXIST");
    expect(await world.destroy(viommu)).toBe("EBUSY");
    expect(await world.destroy(args.out_veventq_id)).toBe("EBUSY");
    await world.client.close(args.out_veventq_fd);
    expect(await world.destroy(args.out_veventq_id)).toBeUndefined();
    expect((await alloc()).errno).toBeUndefined();
  });

  check(
    "UAPI-VEVENTQ-03: events come in order with their numbers; one mark stands for all that were lost",
    async (harness) => {
      const world = await World.open(harness);
      const { alloc, trigger, attach } = await ready(world);
      expect(await trigger()).toBe("ENOENT");
      await attach();
      expect(await trigger(), "no queue").toBe("EOPNOTSUPP");
      const { args } = await alloc();
      const fd = args.out_veventq_fd;
      expect((await world.client.read(fd, 64)).value).toBe(0);
      expect((await world.client.read(fd, 7)).errno).toBe("EINVAL");
      expect(await world.client.poll(fd)).toBe(0);
      for (let i = 0; i < 5; i++) expect(await trigger()).toBeUndefined();
      expect(await world.client.poll(fd)).toBe(POLLIN);
      expect((await world.client.read(fd, 8)).errno, "no room for the first").toBe("EINVAL");
      const { bytes } = await world.client.read(fd, 64);
      expect([...new Uint32Array(bytes.buffer)]).toEqual([0, 0, 0x99, 0, 1, 0x99, 1, 4]);
      await trigger();
      const next = await world.client.read(fd, 64);
      expect([...new Uint32Array(next.bytes.buffer)]).toEqual([0, 5, 0x99]);
      expect((await world.client.write(fd, new Uint8Array(8))).errno).toBe("EINVAL");
    },
  );
};

/** Queues that are read as files. */
export const queueRules = (check: Check): void => {
  faultRules(check);
  eventRules(check);
};
