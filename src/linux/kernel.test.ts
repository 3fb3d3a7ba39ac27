import { describe, expect, it } from "vitest";
import { must } from "../../test/intel-rig.ts";
import { KernelRig } from "../../test/kernel-rig.ts";
import { createCapabilities, ECAP, QEMU_7_2, SERVER } from "../hardware/vtd/index.ts";
import { HostMachine } from "../machine/host-machine.ts";
import { StaleDmaWatch } from "../machine/stale-dma.ts";
import { FaultInjector } from "./fault-injector.ts";
import {
  FAULT_QUEUE_ALLOC,
  HWPT_ALLOC,
  IOAS_ALLOC,
  IOAS_MAP,
  IOAS_UNMAP,
  perform,
} from "./iommufd/index.ts";
import { Kernel, type KernelOptions } from "./kernel.ts";
import type { Mm } from "./mm/mm.ts";
import type { Process } from "./mm/process.ts";
import * as uapi from "./uapi/index.ts";

const PAGE = 4096n;
const TEN_MS = 10_000_000n;
const FIRST_VECTOR = 0x30;
const BUFFER = 0x5000_0000n;
const SCRATCH = 0x6000_0000n;
const IOVA = 0x4000_0000n;

const UNITS = [
  ["a server", SERVER],
  ["a unit of QEMU 7.2", QEMU_7_2],
] as const;

describe("default domains", () => {
  it.each(UNITS)(
    "CORE-DOMAIN-01: strict: a driver's device reaches what is mapped for it, and nothing once it is not: %s",
    (_, capabilities) => {
      const rig = new KernelRig({ units: [{ capabilities }] }, { dma: "strict" });
      const dma = must(rig.kernel.useDma(rig.device(0)));
      const page = rig.page(0x5a);
      const address = must(dma.map(page, PAGE, "both"));
      expect([rig.load(0, address), rig.load(0, page)].join()).toMatch(/^5a,fault/);
      dma.unmap(address, PAGE);
      expect(rig.load(0, address)).toMatch(/^fault/);
    },
  );

  it("CORE-DOMAIN-02: lazy: the same, within 10 ms; what gets through meanwhile is seen", () => {
    const rig = new KernelRig();
    const { trace, clock } = rig.machine;
    const { group } = rig.device(0);
    const watch = new StaleDmaWatch(trace, clock, () => `group ${group.id}`);
    const dma = must(rig.kernel.useDma(rig.device(0)));
    const address = must(dma.map(rig.page(0x5a), PAGE, "both"));
    expect(rig.load(0, address)).toBe("5a");
    dma.unmap(address, PAGE);
    expect(rig.load(0, address)).toBe("5a");
    clock.advance(TEN_MS);
    expect(rig.load(0, address)).toMatch(/^fault/);
    expect(watch.windows.accesses).toHaveLength(1);
  });

  it("CORE-DOMAIN-03: passthrough: physical addresses", () => {
    const rig = new KernelRig({}, { dma: "passthrough" });
    const dma = must(rig.kernel.useDma(rig.device(0)));
    const page = rig.page(0x5a);
    expect(must(dma.map(page, 1n, "both"))).toBe(page);
    expect(rig.load(0, page)).toBe("5a");
  });

  it("CORE-DOMAIN-04: what firmware needs stays where it is, and no driver is given its addresses", () => {
    const reservedMemory = [
      {
        segment: 0,
        start: 0xffff_f000n,
        last: 0xffff_ffffn,
        devices: [{ source: 0x10, subtree: false }],
      },
    ];
    const ram = [
      { base: 0x10_0000n, length: 64n << 20n },
      { base: 0xffff_f000n, length: PAGE },
    ];
    const reserved = [{ base: 0xffff_f000n, length: PAGE }];
    const rig = new KernelRig({ ram, reserved, reservedMemory }, { dma: "strict" });
    rig.machine.memory.write8(0xffff_f000n, 0x42);
    const dma = must(rig.kernel.useDma(rig.device(0)));
    expect(rig.load(0, 0xffff_f000n)).toBe("42");
    expect(must(dma.map(rig.page(1), PAGE, "both"))).toBe(0xffff_e000n);
    expect(rig.kernel.log).toContain("iommu: 0000:00:02.0: 0xfffff000 to 0xffffffff stay mapped");
    dma.unmap(0xffff_e000n, PAGE);
    rig.kernel.shutDown();
    expect(rig.kernel.frames.counts.used).toBe(1);
  });
});

describe("a kernel", () => {
  it.each([
    ["strict", {}],
    ["passthrough", {}],
    ["lazy", { intel: { scalable: false } }],
  ] as [KernelOptions["dma"] & string, KernelOptions][])(
    "CORE-KERNEL-01: a boot that fails at any point leaves nothing in use, and so does going down: %s",
    (dma, options) => {
      let n = 0;
      for (; ; n++) {
        const populate: ConstructorParameters<typeof HostMachine>[0]["populate"] = ({
          addEngine,
        }) => void addEngine({ device: 2 });
        const { platform } = new HostMachine({ populate });
        const faults = new FaultInjector();
        faults.failNth(n);
        const booted = Kernel.boot(platform, { dma, faults, ...options });
        expect(booted.ok).toBe(!faults.hasFailed);
        faults.reset();
        if (booted.ok) {
          booted.value.shutDown();
          expect(booted.value.frames.counts.used).toBe(0);
        }
        // The first vector is free again, and the machine can be taken over.
        const connection = platform.connectInterrupt(() => {})!;
        expect(connection.data).toBe(FIRST_VECTOR);
        connection.disconnect();
        must(Kernel.boot(platform, { dma, ...options }));
        if (booted.ok) break;
      }
      expect(n).toBeGreaterThan(8);
    },
  );

  it("CORE-KERNEL-02: two kernels on two machines have nothing in common", () => {
    const [a, b] = [new KernelRig({}, { dma: "strict" }), new KernelRig({}, { dma: "strict" })];
    const dma = must(a.kernel.useDma(a.device(0)));
    const before = b.kernel.frames.counts;
    const address = must(dma.map(a.page(0x11), PAGE, "both"));
    b.enable(0);
    expect([a.load(0, address), b.load(0, address)].join()).toMatch(/^11,fault/);
    expect(b.kernel.frames.counts).toEqual(before);
    expect(a.kernel.log.length).toBe(b.kernel.log.length - 1);
  });

  it("CORE-KERNEL-03: without a unit that it can drive there is no kernel", () => {
    const noQueue = createCapabilities({
      cap: QEMU_7_2.cap,
      ecap: ECAP.encode({ C: true, PT: true, IRO: 0xf })[0]!,
    });
    const machine = new HostMachine({ units: [{ capabilities: noQueue }], populate: () => {} });
    expect(Kernel.boot(machine.platform)).toEqual({ ok: false, errno: "ENODEV" });
  });

  it("CORE-KERNEL-04: what is refused is in the log", () => {
    const rig = new KernelRig();
    rig.enable(0);
    rig.load(0, 0x1234_5000n);
    expect(rig.kernel.log.at(-1)).toMatch(/0000:00:02.0: read of 0x12345000 refused/);
  });
});

/** A client with a device, an address space and a buffer of 16 pages that is mapped in it at IOVA. */
class ClientRig extends KernelRig {
  readonly process: Process<Mm>;
  readonly iommufd = this.kernel.openIommufd();
  readonly ioas: number;

  constructor(options: KernelOptions = { dma: "strict" }) {
    super({}, options);
    this.process = this.kernel.processes.create();
    for (const address of [BUFFER, SCRATCH]) {
      must(this.process.mm.map({ address, length: 16n * PAGE }));
    }
    must(this.process.files.add(this.iommufd));
    this.ioas = must(this.perform(IOAS_ALLOC, {})).out_ioas_id;
    must(
      this.perform(IOAS_MAP, {
        flags:
          uapi.IOMMU_IOAS_MAP_FIXED_IOVA |
          uapi.IOMMU_IOAS_MAP_READABLE |
          uapi.IOMMU_IOAS_MAP_WRITEABLE,
        ioas_id: this.ioas,
        user_va: BUFFER,
        length: 16n * PAGE,
        iova: IOVA,
      }),
    );
  }

  readonly perform = ((operation, values) =>
    perform(operation, this.iommufd.context, this.process, values)) as <
    Fields extends Record<string, uapi.CField>,
  >(
    operation: Parameters<typeof perform<Fields>>[0],
    values: Parameters<typeof perform<Fields>>[3],
  ) => ReturnType<typeof perform<Fields>>;

  open(index: number) {
    const vfio = this.kernel.assign(this.device(index));
    return { vfio, device: must(vfio.open(this.iommufd)) };
  }

  /** Ends the client and the kernel. @returns frames that are still in use */
  end(): number {
    this.kernel.processes.exit(this.process);
    this.kernel.shutDown();
    return this.kernel.frames.counts.used;
  }
}

describe("clients", () => {
  it("CORE-CLIENT-01: a process's memory is reached through its address space by its devices, from map to unmap", () => {
    const rig = new ClientRig();
    const [first, second] = [rig.open(0), rig.open(1)];
    must(first.device.attach(rig.ioas));
    must(second.device.attach(rig.ioas));
    rig.process.mm.write(BUFFER + PAGE, new Uint8Array([0xc1]));
    expect([rig.load(0, IOVA + PAGE), rig.load(1, IOVA + PAGE, undefined, true)]).toEqual([
      "c1",
      "c1",
    ]);
    expect(rig.store(1, IOVA + 2n * PAGE, 0xd2)).toBe("ok");
    const byte = new Uint8Array(1);
    rig.process.mm.read(BUFFER + 2n * PAGE, byte);
    expect(byte[0]).toBe(0xd2);
    must(rig.perform(IOAS_UNMAP, { ioas_id: rig.ioas, iova: IOVA, length: 16n * PAGE }));
    for (const index of [0, 1]) expect(rig.load(index, IOVA, undefined, true)).toMatch(/^fault/);
    expect(rig.kernel.frames.counts.pins).toBe(0);
    first.vfio.close();
    second.vfio.close();
    expect(rig.end()).toBe(0);
  });

  it("CORE-CLIENT-02: a kernel's driver and a client use a device one after the other, never both", () => {
    const rig = new ClientRig();
    const dma = must(rig.kernel.useDma(rig.device(0)));
    const own = must(dma.map(rig.page(0x99), PAGE, "both"));
    const vfio = rig.kernel.assign(rig.device(0));
    expect(vfio.open(rig.iommufd)).toEqual({ ok: false, errno: "EPERM" });
    expect(rig.load(0, own)).toBe("99");
    rig.kernel.endDma(rig.device(0));
    const device = must(vfio.open(rig.iommufd));
    expect(rig.load(0, own)).toMatch(/^fault/);
    expect(rig.kernel.useDma(rig.device(0))).toEqual({ ok: false, errno: "EBUSY" });
    must(device.attach(rig.ioas));
    rig.process.mm.write(BUFFER, new Uint8Array([0x77]));
    expect(rig.load(0, IOVA)).toBe("77");
    must(rig.kernel.reset(rig.device(0)));
    expect(rig.load(0, IOVA)).toBe("77");
    vfio.close();
    expect([rig.load(0, IOVA), rig.load(0, own)].join()).toMatch(/^fault.*,99$/);
  });

  it("CORE-CLIENT-03: a device's page request reaches the client's fault queue, and its answer the device", () => {
    const rig = new ClientRig({ dma: "passthrough" });
    const { device, vfio } = rig.open(0);
    const { out_fault_id, out_fault_fd } = must(rig.perform(FAULT_QUEUE_ALLOC, {}));
    const { out_hwpt_id } = must(
      rig.perform(HWPT_ALLOC, {
        flags: uapi.IOMMU_HWPT_FAULT_ID_VALID,
        dev_id: device.id,
        pt_id: rig.ioas,
        fault_id: out_fault_id,
      }),
    );
    must(device.attach(out_hwpt_id));
    const queue = rig.process.files.file(out_fault_fd)!;
    const { size } = uapi.IOMMU_HWPT_PGFAULT;
    expect(rig.ask(0, IOVA + 64n * PAGE, { write: true, group: 6 })).toBe("busy");
    expect(must(queue.read(rig.process, SCRATCH, size, 0n))).toBe(size);
    const bytes = new Uint8Array(size);
    rig.process.mm.read(SCRATCH, bytes);
    const fault = uapi.IOMMU_HWPT_PGFAULT.decode(bytes);
    expect(fault).toMatchObject({ dev_id: device.id, addr: IOVA + 64n * PAGE, grpid: 6, perm: 3 });
    const answer = { cookie: fault.cookie, code: uapi.IOMMUFD_PAGE_RESP_SUCCESS };
    rig.process.mm.write(SCRATCH, uapi.IOMMU_HWPT_PAGE_RESPONSE.encode(answer));
    must(queue.write(rig.process, SCRATCH, uapi.IOMMU_HWPT_PAGE_RESPONSE.size, 0n));
    expect([rig.status(0), rig.answer(0)]).toEqual(["ok", "6:0"]);
    // One that waits when the device leaves is refused.
    expect(rig.ask(0, IOVA, { group: 7 })).toBe("busy");
    vfio.close();
    expect(rig.answer(0)).toBe("7:1");
    expect(rig.end()).toBe(0);
  });
});
