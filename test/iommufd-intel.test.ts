import { describe, expect, it } from "vitest";
import { IommuCore } from "../src/linux/iommu/index.ts";
import { openIommufd } from "../src/linux/iommufd/index.ts";
import type { Mm, Process } from "../src/linux/mm/index.ts";
import { Processes } from "../src/linux/mm/index.ts";
import * as uapi from "../src/linux/uapi/index.ts";
import { Vfio } from "../src/linux/vfio/index.ts";
import { IntelRig, must } from "./intel-rig.ts";

const PAGE = 4096n;
const SCRATCH = 0x7000_0000n;
const FIXED = 7;
/** A guest's memory: its tables and what they lead to, by guest address. */
const TABLES = [0x1000n, 0x2000n, 0x3000n, 0x4000n] as const;
const GVA = 0x1234_5000n;
const DATA = 0x8000n;
const GUEST_BYTES = 64n * PAGE;

type Fields = Record<string, uapi.CField>;

/** A process with VFIO and iommufd over the driver of the rig. */
class Client extends IntelRig {
  readonly processes = new Processes(this.frames, this.faults);
  readonly process: Process<Mm> = this.processes.create();
  readonly #parts = { frames: this.frames, faults: this.faults, core: new IommuCore() };
  readonly iommufd = must(this.process.files.add(openIommufd(this.#parts)));
  readonly files: readonly number[];
  readonly deviceIds: readonly number[];

  constructor() {
    super({}, {});
    must(this.process.mm.map({ address: SCRATCH, length: PAGE }));
    const vfio = new Vfio(this.#parts);
    this.files = this.machine.engines.map((_, i) => {
      const { name, pci } = this.device(i);
      const place = { segment: pci.segment, bus: pci.source >>> 8, devfn: pci.source & 0xff };
      vfio.register(name, this.device(i), place, { pasids: true });
      return must(this.process.files.add(must(vfio.openDevice(name))));
    });
    this.deviceIds = this.files.map((fd) => {
      const struct = uapi.VFIO_DEVICE_BIND_IOMMUFD_ARGS;
      return this.call(fd, uapi.VFIO_DEVICE_BIND_IOMMUFD, struct, { iommufd: this.iommufd })
        .out_devid;
    });
  }

  /** An ioctl that must succeed. */
  call<F extends Fields>(
    fd: number,
    command: number,
    struct: uapi.CStruct<F>,
    values: Partial<uapi.CValues<F>>,
  ): uapi.CValues<F> {
    const sized = { size: struct.size, argsz: struct.size, ...values };
    const known = Object.entries(sized).filter(([name]) => name in struct.members);
    const bytes = struct.encode(Object.fromEntries(known) as never);
    this.process.mm.write(SCRATCH, bytes);
    must(this.process.files.file(fd)!.ioctl(this.process, command, SCRATCH));
    this.process.mm.read(SCRATCH, bytes);
    return struct.decode(bytes);
  }

  ioctl<F extends Fields>(
    command: number,
    struct: uapi.CStruct<F>,
    values: Partial<uapi.CValues<F>>,
  ): uapi.CValues<F> {
    return this.call(this.iommufd, command, struct, values);
  }

  attach(index: number, pt_id: number, pasid?: number): void {
    const flags = pasid === undefined ? {} : { flags: 1, pasid };
    const struct = uapi.VFIO_DEVICE_ATTACH_IOMMUFD_PT_ARGS;
    const command = uapi.VFIO_DEVICE_ATTACH_IOMMUFD_PT;
    this.call(this.files[index]!, command, struct, { pt_id, ...flags });
  }

  ioas(): number {
    return this.ioctl(uapi.IOMMU_IOAS_ALLOC, uapi.IOMMU_IOAS_ALLOC_ARGS, {}).out_ioas_id;
  }

  map(ioas_id: number, user_va: bigint, length: bigint, iova: bigint): void {
    const values = { flags: FIXED, ioas_id, user_va, length, iova };
    this.ioctl(uapi.IOMMU_IOAS_MAP, uapi.IOMMU_IOAS_MAP_ARGS, values);
  }

  unmap(ioas_id: number, iova: bigint, length: bigint): void {
    this.ioctl(uapi.IOMMU_IOAS_UNMAP, uapi.IOMMU_IOAS_UNMAP_ARGS, { ioas_id, iova, length });
  }

  memory(length: bigint): bigint {
    return must(this.process.mm.map({ length }));
  }

  poke(address: bigint, value: bigint): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    this.process.mm.write(address, bytes);
  }

  peek(address: bigint): number {
    const bytes = new Uint8Array(1);
    this.process.mm.read(address, bytes);
    return bytes[0]!;
  }

  end(): void {
    this.processes.exit(this.process);
  }
}

describe("iommufd over the VT-d driver", () => {
  it("INTEL-IOMMUFD-01: two devices share what a client maps, and lose it with the unmap", () => {
    const client = new Client();
    const used = client.frames.counts.used;
    const ioas = client.ioas();
    const memory = client.memory(4n * PAGE);
    client.poke(memory, 0x5an);
    expect(client.load(0, 0x10_0000n)).toMatch(/^fault/);
    client.attach(0, ioas);
    client.attach(1, ioas);
    client.map(ioas, memory, 4n * PAGE, 0x4000_0000n);
    expect([client.load(0, 0x4000_0000n), client.load(1, 0x4000_0000n)]).toEqual(["5a", "5a"]);
    expect(client.store(1, 0x4000_1000n, 0x77)).toBe("ok");
    expect(client.peek(memory + PAGE)).toBe(0x77);
    client.unmap(ioas, 0x4000_0000n, 4n * PAGE);
    const seen = client.faultsSeen.length;
    expect(client.load(0, 0x4000_0000n)).toMatch(/^fault/);
    expect(client.faultsSeen.at(seen)).toMatchObject({ source: 0x10, address: 0x4000_0000n });
    client.end();
    expect(client.frames.counts.pins).toBe(0);
    expect(client.frames.counts.used).toBeLessThanOrEqual(used);
    expect(client.iommu.units[0]!.domainIds.used).toBe(0);
    // The driver has them back, as they were before anybody claimed them.
    const page = client.page(0x33);
    expect(client.load(0, page)).toBe("33");
  });

  it("INTEL-IOMMUFD-02: a guest's first stage over a nesting parent, its invalidations, its PASIDs, and what it wrote", () => {
    const client = new Client();
    const ioas = client.ioas();
    const guest = client.memory(GUEST_BYTES);
    client.map(ioas, guest, GUEST_BYTES, 0n);
    const [dev_id] = client.deviceIds;
    const alloc = (values: Partial<uapi.ValuesOf<typeof uapi.IOMMU_HWPT_ALLOC_ARGS>>): number =>
      client.ioctl(uapi.IOMMU_HWPT_ALLOC, uapi.IOMMU_HWPT_ALLOC_ARGS, {
        dev_id: dev_id!,
        ...values,
      }).out_hwpt_id;
    const parent = alloc({ pt_id: ioas, flags: 1 | 2 });
    for (const [i, table] of TABLES.entries()) {
      const index = (GVA >> BigInt(39 - 9 * i)) & 511n;
      client.poke(guest + table + index * 8n, (TABLES[i + 1] ?? DATA) | 7n);
    }
    client.poke(guest + DATA, 0xa1n);
    client.poke(guest + DATA + PAGE, 0xa2n);
    const stageOne = uapi.IOMMU_HWPT_VTD_S1.encode({ pgtbl_addr: TABLES[0], addr_width: 48 });
    const data_uptr = SCRATCH + 0x800n;
    client.process.mm.write(data_uptr, stageOne);
    const nested = alloc({ pt_id: parent, data_type: 1, data_len: 24, data_uptr });
    client.attach(0, nested);
    expect(client.load(0, GVA)).toBe("a1");
    const leaf = guest + TABLES[3] + ((GVA >> 12n) & 511n) * 8n;
    client.poke(leaf, (DATA + PAGE) | 7n);
    expect(client.load(0, GVA)).toBe("a1");
    const entry = uapi.IOMMU_HWPT_VTD_S1_INVALIDATE.encode({ addr: GVA, npages: 1n });
    client.process.mm.write(data_uptr, entry);
    const request = { hwpt_id: nested, data_uptr, data_type: 0, entry_len: 24, entry_num: 1 };
    const invalidate = uapi.IOMMU_HWPT_INVALIDATE_ARGS;
    expect(client.ioctl(uapi.IOMMU_HWPT_INVALIDATE, invalidate, request).entry_num).toBe(1);
    expect(client.load(0, GVA)).toBe("a2");

    const tracking = { flags: 1, hwpt_id: parent };
    const set = uapi.IOMMU_HWPT_SET_DIRTY_TRACKING_ARGS;
    client.ioctl(uapi.IOMMU_HWPT_SET_DIRTY_TRACKING, set, tracking);
    expect(client.store(0, GVA, 0x99)).toBe("ok");
    expect(client.peek(guest + DATA + PAGE)).toBe(0x99);
    client.process.mm.write(data_uptr, new Uint8Array(8));
    const bitmap = { hwpt_id: parent, iova: 0n, length: GUEST_BYTES, page_size: PAGE };
    const get = uapi.IOMMU_HWPT_GET_DIRTY_BITMAP_ARGS;
    client.ioctl(uapi.IOMMU_HWPT_GET_DIRTY_BITMAP, get, { ...bitmap, data: data_uptr });
    // The page, and the table with its leaf, in which hardware set the dirty flag.
    expect([client.peek(data_uptr), client.peek(data_uptr + 1n)]).toEqual([0b10000, 0b10]);
    client.end();
    expect(client.frames.counts.pins).toBe(0);
    expect(client.iommu.units[0]!.domainIds.used).toBe(0);
    expect(client.load(0, GVA)).not.toBe("99");
  });
});
