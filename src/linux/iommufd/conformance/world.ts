import { expect } from "vitest";
import type { Errno } from "../../errno.ts";
import * as uapi from "../../uapi/index.ts";
import type { Client, ClientRequest, Harness } from "./harness.ts";

/** Addresses that the mock domain translates begin here. */
export const BASE: bigint = uapi.MOCK_APERTURE_START;
export const PAGE = 4096n;
export const LAST: bigint = (1n << 64n) - 1n;

/** `READABLE | WRITEABLE`, and the same at a fixed address. */
export const RW: number = uapi.IOMMU_IOAS_MAP_READABLE | uapi.IOMMU_IOAS_MAP_WRITEABLE;
export const FIXED: number = RW | uapi.IOMMU_IOAS_MAP_FIXED_IOVA;

/** What a call answered: nothing wrong, or an error; and the argument as it is now. */
export interface CallAnswer<Values> {
  readonly errno: Errno | undefined;
  readonly args: Values;
}

type Fields = Record<string, uapi.CField>;

/** A mock device as the test knows it. */
export interface MockDeviceIds {
  readonly stdev: number;
  readonly hwpt: number;
  readonly device: number;
}

/** A client with an open iommufd, and short names for what tests do again and again. */
export class World {
  readonly client: Client;
  readonly fd: number;

  constructor(client: Client, fd: number) {
    this.client = client;
    this.fd = fd;
  }

  /** The same for another client, or another file of the same one. */
  static async open(harness: Harness, request?: ClientRequest): Promise<World> {
    const client = await harness.client(request);
    return new World(client, await client.openIommufd());
  }

  /** An ioctl. Its size is the structure's unless given. */
  async call<F extends Fields>(
    command: number,
    struct: uapi.CStruct<F>,
    values: Partial<uapi.CValues<F>>,
  ): Promise<CallAnswer<uapi.CValues<F>>> {
    const first = struct.members["size"]?.offset === 0 ? { size: struct.size } : {};
    const sized = { ...first, ...values } as Partial<uapi.CValues<F>>;
    const { errno, argument } = await this.client.ioctl(this.fd, command, struct.encode(sized));
    return { errno, args: struct.decode(argument) };
  }

  /** An ioctl that must succeed. */
  async must<F extends Fields>(
    command: number,
    struct: uapi.CStruct<F>,
    values: Partial<uapi.CValues<F>>,
  ): Promise<uapi.CValues<F>> {
    const { errno, args } = await this.call(command, struct, values);
    expect(errno, struct.name).toBeUndefined();
    return args;
  }

  /** A test operation. */
  async test<Name extends uapi.TestOperation>(
    name: Name,
    id: number,
    values: Partial<uapi.ValuesOf<(typeof uapi.TEST_PARTS)[Name]>> = {},
    fd: number = this.fd,
  ): Promise<CallAnswer<uapi.ValuesOf<(typeof uapi.TEST_PARTS)[Name]>>> {
    const struct = uapi.TEST_PARTS[name];
    const body = struct.encode(values as never);
    const command = uapi.encodeTestCommand(uapi.IOMMU_TEST_OP[name], id, body);
    const { errno, argument } = await this.client.ioctl(fd, uapi.IOMMU_TEST_CMD, command);
    return { errno, args: struct.decode(uapi.testPartOf(argument)) as never };
  }

  async ioas(): Promise<number> {
    const { out_ioas_id: id } = await this.must(
      uapi.IOMMU_IOAS_ALLOC,
      uapi.IOMMU_IOAS_ALLOC_ARGS,
      {},
    );
    return id;
  }

  /** Makes a mock device and attaches it. */
  async device(ptId: number, flags = 0): Promise<MockDeviceIds> {
    const { errno, args } = await this.test("MOCK_DOMAIN_FLAGS", ptId, { dev_flags: flags });
    expect(errno, "mock device").toBeUndefined();
    return { stdev: args.out_stdev_id, hwpt: args.out_hwpt_id, device: args.out_idev_id };
  }

  async destroy(id: number): Promise<Errno | undefined> {
    const { errno } = await this.call(uapi.IOMMU_DESTROY, uapi.IOMMU_DESTROY_ARGS, { id });
    return errno;
  }

  /** Maps at a fixed address. */
  async map(
    ioas: number,
    va: bigint,
    length: bigint,
    iova: bigint,
    flags: number = FIXED,
  ): Promise<Errno | undefined> {
    const { errno } = await this.call(uapi.IOMMU_IOAS_MAP, uapi.IOMMU_IOAS_MAP_ARGS, {
      flags,
      ioas_id: ioas,
      user_va: va,
      length,
      iova,
    });
    return errno;
  }

  /** Maps wherever it fits. */
  async mapAnywhere(ioas: number, va: bigint, length: bigint): Promise<bigint> {
    const { iova } = await this.must(uapi.IOMMU_IOAS_MAP, uapi.IOMMU_IOAS_MAP_ARGS, {
      flags: RW,
      ioas_id: ioas,
      user_va: va,
      length,
    });
    return iova;
  }

  async unmap(
    ioas: number,
    iova: bigint,
    length: bigint,
  ): Promise<{ readonly errno: Errno | undefined; readonly length: bigint }> {
    const { errno, args } = await this.call(uapi.IOMMU_IOAS_UNMAP, uapi.IOMMU_IOAS_UNMAP_ARGS, {
      ioas_id: ioas,
      iova,
      length,
    });
    return { errno, length: args.length };
  }

  /** Whether a page table leads from an address to the client's own memory. */
  async leadsTo(hwpt: number, iova: bigint, va: bigint, length: bigint): Promise<boolean> {
    const { errno } = await this.test("MD_CHECK_MAP", hwpt, { iova, length, uptr: va });
    return errno === undefined;
  }

  /** Expects every page of the client's memory to be pinned `refs` times. */
  async expectPins(va: bigint, length: bigint, refs: number): Promise<void> {
    const { errno } = await this.test("MD_CHECK_REFS", 0, { length, uptr: va, refs });
    expect(errno, `pinned ${refs} times`).toBeUndefined();
  }

  /** The ranges that may be mapped, as text, and the alignment. */
  async ranges(
    ioas: number,
  ): Promise<{ readonly ranges: readonly string[]; readonly alignment: bigint }> {
    const room = 64;
    const address = await this.client.mmap(PAGE);
    const args = await this.must(uapi.IOMMU_IOAS_IOVA_RANGES, uapi.IOMMU_IOAS_IOVA_RANGES_ARGS, {
      ioas_id: ioas,
      num_iovas: room,
      allowed_iovas: address,
    });
    const { size } = uapi.IOMMU_IOVA_RANGE;
    const bytes = await this.client.load(address, args.num_iovas * size);
    await this.client.munmap(address, PAGE);
    return {
      alignment: args.out_iova_alignment,
      ranges: Array.from({ length: args.num_iovas }, (_, i) => {
        const { start, last } = uapi.IOMMU_IOVA_RANGE.decode(bytes.subarray(i * size));
        return `${start.toString(16)}-${last.toString(16)}`;
      }),
    };
  }

  async allow(
    ioas: number,
    ranges: readonly (readonly [bigint, bigint])[],
    values: Partial<uapi.ValuesOf<typeof uapi.IOMMU_IOAS_ALLOW_IOVAS_ARGS>> = {},
  ): Promise<Errno | undefined> {
    const address = await this.client.mmap(PAGE);
    const { size } = uapi.IOMMU_IOVA_RANGE;
    for (const [i, [start, last]] of ranges.entries()) {
      await this.client.store(
        address + BigInt(i * size),
        uapi.IOMMU_IOVA_RANGE.encode({ start, last }),
      );
    }
    const { errno } = await this.call(
      uapi.IOMMU_IOAS_ALLOW_IOVAS,
      uapi.IOMMU_IOAS_ALLOW_IOVAS_ARGS,
      { ioas_id: ioas, num_iovas: ranges.length, allowed_iovas: address, ...values },
    );
    await this.client.munmap(address, PAGE);
    return errno;
  }

  /** The id that the next object would get: nothing that failed may have kept one. */
  async nextId(): Promise<number> {
    const id = await this.ioas();
    expect(await this.destroy(id)).toBeUndefined();
    return id;
  }
}

/** Runs one rule: its title, which begins with the ids, and what it does in a machine of its own. */
export type Check = (title: string, run: (harness: Harness) => Promise<void>) => void;
