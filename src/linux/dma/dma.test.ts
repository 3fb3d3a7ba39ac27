import { describe, expect, it } from "vitest";
import { IntelRig, must } from "../../../test/intel-rig.ts";
import { requesterId } from "../../hardware/pci/index.ts";
import { StaleDmaWatch } from "../../machine/stale-dma.ts";
import type { IntelIommuOptions } from "../drivers/intel/index.ts";
import { DirectDma, DmaDevice, DmaDomain, type FlushMode, joinSegments, layOut } from "./index.ts";

const PAGE = 4096n;
const TEN_MS = 10_000_000n;

interface DmaOptions {
  readonly mode?: FlushMode;
  readonly driver?: IntelIommuOptions;
  readonly dirtyTracking?: boolean;
  readonly reserved?: readonly { readonly start: bigint; readonly last: bigint }[];
}

/** Two devices that share one DMA domain. */
class DmaRig extends IntelRig {
  readonly domain: DmaDomain;
  readonly dma: readonly DmaDevice[];
  readonly watch: StaleDmaWatch;

  constructor({ mode = "strict", driver = {}, dirtyTracking = false, reserved }: DmaOptions = {}) {
    super({}, { unclaimed: "blocked", ...driver });
    const { clock, trace } = this.machine;
    const domain = this.paging({ dirtyTracking });
    for (const index of [0, 1]) must(this.iommu.attach(this.device(index), domain));
    const regions = reserved ?? this.iommu.reservedRegions(this.device(0));
    const log = (line: string) => void this.log.push(line);
    const options = { name: "group 0", domain, mode, reserved: regions, clock, trace, log };
    this.domain = must(DmaDomain.create(options));
    this.dma = ["nic", "disk"].map((name) => new DmaDevice(name, this.domain, log));
    this.watch = new StaleDmaWatch(trace, clock, () => "group 0");
  }

  map(pa: bigint, length = 4096n, direction: "to-device" | "from-device" | "both" = "both") {
    return must(this.dma[0]!.map(pa, length, direction));
  }
}

const STAGES: [string, DmaOptions][] = [
  ["first stage", {}],
  ["second stage", { dirtyTracking: true }],
  ["legacy", { driver: { scalable: false } }],
];

describe("single buffers", () => {
  it.each(STAGES)("DMA-MAP-01: a device reaches a buffer from map to unmap: %s", (_, options) => {
    const rig = new DmaRig(options);
    const page = rig.page(0xaa);
    const address = rig.map(page);
    expect([rig.load(0, address), rig.load(1, address)]).toEqual(["aa", "aa"]);
    expect(rig.store(0, address, 0xbb)).toBe("ok");
    expect(rig.machine.memory.read8(page)).toBe(0xbb);
    rig.dma[0]!.unmap(address, 4096n);
    expect(rig.load(0, address)).toMatch(/^fault/);
    expect(rig.load(1, address, undefined, true)).toMatch(/^fault/);
    expect(rig.watch.windows.accesses).toEqual([]);
  });

  it("DMA-MAP-02: a buffer keeps its place in the page, and all its pages are mapped", () => {
    const rig = new DmaRig();
    const pages = rig.frames.allocateBlock(1)!;
    const start = BigInt(pages) * 4096n + 0xff0n;
    rig.machine.memory.write8(start, 0x11);
    rig.machine.memory.write8(start + 31n, 0x22);
    const address = rig.map(start, 32n);
    expect(address & 0xfffn).toBe(0xff0n);
    expect([rig.load(0, address), rig.load(0, address + 31n)]).toEqual(["11", "22"]);
    expect(rig.load(0, (address & ~0xfffn) + 0x2000n)).toMatch(/^fault/);
    rig.dma[0]!.unmap(address, 32n);
    expect([rig.load(0, address), rig.load(0, address + 31n)].join()).toMatch(/fault.*fault/);
    rig.domain.destroy();
    expect(rig.domain.iovas.taken).toBe(1);
  });

  it("DMA-MAP-03: a device may only do what the direction says", () => {
    const rig = new DmaRig({ dirtyTracking: true });
    const out = rig.map(rig.page(0x01), 4096n, "to-device");
    const into = rig.map(rig.page(0x02), 4096n, "from-device");
    expect([rig.load(0, out), rig.store(0, out, 9)].join()).toMatch(/^01,fault/);
    expect([rig.load(0, into), rig.store(0, into, 9)].join()).toMatch(/^fault.*,ok$/);
  });

  it("DMA-MAP-04: addresses of 32 bits come first; wider ones when there are no more, and the log says so once", () => {
    const rig = new DmaRig({ reserved: [{ start: 0x3000n, last: 0xffff_ffffn }] });
    const [device] = rig.dma;
    const page = rig.page(0xaa);
    const narrow = [rig.map(page), rig.map(page)];
    expect(narrow).toEqual([0x2000n, 0x1000n]);
    expect(device!.map(page, 4096n, "both")).toEqual({ ok: false, errno: "ENOMEM" });
    device!.addressLg2 = 40;
    const wide = [rig.map(page), rig.map(page)];
    expect(wide.every((at) => at > 0xffff_ffffn && at < 1n << 40n)).toBe(true);
    expect([rig.load(0, wide[1]!), rig.load(0, narrow[1]!)]).toEqual(["aa", "aa"]);
    expect(rig.log).toEqual(["nic: Using 40-bit DMA addresses"]);
  });

  it("DMA-MAP-05: a map that fails leaves nothing: tables, addresses, and nothing to reach", () => {
    let failures = 0;
    for (let n = 0; ; n++) {
      const rig = new DmaRig();
      const list = [0xaa, 0xbb].map((byte) => ({ pa: rig.page(byte), length: 4096n }));
      const before = [rig.domain.iovas.taken, rig.frames.counts.used];
      rig.faults.failNth(n, ["table"]);
      const outcome =
        n % 2 === 0
          ? rig.dma[0]!.mapScatterList(list, "both")
          : rig.dma[0]!.map(list[0]!.pa, PAGE, "both");
      if (!rig.faults.hasFailed) break;
      failures += 1;
      expect(outcome).toEqual({ ok: false, errno: "ENOMEM" });
      rig.domain.iovas.emptyCaches();
      const left = [rig.domain.iovas.taken, rig.frames.counts.used];
      // Tables that became empty may stay until something is unmapped there.
      expect(left[0]).toBe(before[0]);
      expect(left[1]! - before[1]!).toBeLessThanOrEqual(n);
      expect(rig.load(0, 0xffff_e000n)).toMatch(/^fault/);
      rig.faults.reset();
      expect(rig.load(0, must(rig.dma[0]!.map(list[1]!.pa, 1n, "both")))).toBe("bb");
    }
    // A table on each level below the top, which has five.
    expect(failures).toBe(4);
  });

  it("DMA-MAP-06: a device that is not translated is given physical addresses, if it can make them", () => {
    const rig = new IntelRig({}, { unclaimed: "identity" });
    const dma = new DirectDma();
    const page = rig.page(0x5a);
    expect(rig.load(0, must(dma.map(page, 16n)))).toBe("5a");
    dma.addressLg2 = 16;
    expect(dma.map(page, 16n)).toEqual({ ok: false, errno: "EIO" });
    expect(dma.mapScatterList([{ pa: page, length: 1n }])).toEqual({ ok: false, errno: "EIO" });
  });
});

describe("scatter lists", () => {
  it("DMA-SG-01: pieces anywhere become one run of addresses, neighbours one segment", () => {
    const rig = new DmaRig();
    const pages = [1, 2, 3, 4].map((byte) => rig.page(byte));
    const list = [
      { pa: pages[3]!, length: 4096n },
      { pa: pages[0]!, length: 4096n },
      { pa: pages[2]!, length: 0x800n },
      { pa: pages[1]! + 0x10n, length: 0x20n },
    ];
    rig.machine.memory.write8(pages[1]! + 0x10n, 0x77);
    const mapping = must(rig.dma[0]!.mapScatterList(list, "both"));
    const [a, b] = mapping.segments;
    expect(mapping.segments.map(({ length }) => length)).toEqual([0x2800n, 0x20n]);
    expect([0n, 4096n, 8192n].map((at) => rig.load(0, a!.address + at))).toEqual([
      "04",
      "01",
      "03",
    ]);
    expect(rig.load(0, b!.address)).toBe("77");
    rig.dma[0]!.unmapScatterList(mapping);
    for (const { address } of mapping.segments) expect(rig.load(0, address)).toMatch(/^fault/);
    rig.domain.destroy();
    expect(rig.domain.iovas.taken).toBe(1);
  });

  it("DMA-SG-02: no segment is longer than the device takes, or on both sides of a boundary", () => {
    const limits = { maxLength: 0x2000n, boundaryLg2: 14 };
    const list = [0x1000n, 0x1000n, 0x1000n, 0x2000n].map((length, i) => ({
      pa: BigInt(i) << 20n,
      length,
    }));
    const layout = layOut(list, 12, limits);
    expect(layout.segments.map(({ offset }) => offset)).toEqual([0n, 0x1000n, 0x2000n, 0x4000n]);
    expect(layout.length).toBe(0x6000n);
    expect(joinSegments(layout, 0x10_0000n, 12, limits)).toEqual([
      { address: 0x10_0000n, length: 0x2000n },
      { address: 0x10_2000n, length: 0x1000n },
      { address: 0x10_4000n, length: 0x2000n },
    ]);
  });

  it("DMA-SG-02: neighbours that meet on a boundary stay two segments", () => {
    const limits = { maxLength: 0x1_0000n, boundaryLg2: 14 };
    const list = Array.from({ length: 5 }, (_, i) => ({ pa: BigInt(i) << 20n, length: 0x1000n }));
    expect(joinSegments(layOut(list, 12, limits), 0x10_0000n, 12, limits)).toEqual([
      { address: 0x10_0000n, length: 0x4000n },
      { address: 0x10_4000n, length: 0x1000n },
    ]);
  });

  it("DMA-SG-03: what lies between segments, before a boundary, is not mapped", () => {
    const rig = new DmaRig();
    const [device] = rig.dma;
    device!.limits = { maxLength: 0x1_0000n, boundaryLg2: 13 };
    const block = BigInt(rig.frames.allocateBlock(2)!) * 4096n;
    const list = [
      { pa: rig.page(0xaa), length: 4096n },
      { pa: block, length: 8192n },
    ];
    const mapping = must(device!.mapScatterList(list, "both"));
    expect(mapping.segments.map(({ address }) => address - mapping.address)).toEqual([0n, 8192n]);
    expect(rig.load(0, mapping.address + 4096n)).toMatch(/^fault/);
    device!.unmapScatterList(mapping);
    for (const { address } of mapping.segments) expect(rig.load(0, address)).toMatch(/^fault/);
    // Nothing but the three refusals, which the driver tells of.
    expect(rig.log.filter((line) => !line.includes(" refused: "))).toEqual([]);
  });

  it("DMA-SG-04: an empty list, and an empty piece, are EINVAL", () => {
    const [device] = new DmaRig().dma;
    expect(device!.mapScatterList([], "both")).toEqual({ ok: false, errno: "EINVAL" });
    const empty = device!.mapScatterList([{ pa: 0n, length: 0n }], "both");
    expect(empty).toEqual({ ok: false, errno: "EINVAL" });
    expect(device!.map(0n, 0n, "both")).toEqual({ ok: false, errno: "EINVAL" });
  });
});

describe("flushing", () => {
  it("DMA-FLUSH-01: strict: each unmap flushes its pages and waits once", () => {
    const rig = new DmaRig();
    const addresses = Array.from({ length: 8 }, () => rig.map(rig.page(1)));
    for (const address of addresses) {
      expect(rig.load(0, address)).toBe("01");
      // The unit's cache, and those of two devices.
      expect(rig.cost(() => rig.dma[0]!.unmap(address, 4096n))).toEqual([3, 1]);
      expect(rig.load(0, address)).toMatch(/^fault/);
    }
    expect(rig.watch.windows).toEqual({ count: 8, openPages: 0, longest: 0n, accesses: [] });
  });

  it("DMA-FLUSH-02: lazy: 255 unmaps cost nothing, and the next flushes the whole domain for all", () => {
    const rig = new DmaRig({ mode: "lazy" });
    const page = rig.page(0xaa);
    const addresses = Array.from({ length: 256 }, () => rig.map(page));
    expect(
      rig.cost(() => {
        for (const address of addresses.slice(0, 255)) rig.dma[0]!.unmap(address, 4096n);
      }),
    ).toEqual([0, 0]);
    expect(rig.domain.queue.length).toBe(255);
    expect(rig.cost(() => rig.dma[0]!.unmap(addresses[255]!, 4096n))).toEqual([3, 1]);
    expect([rig.domain.queue.length, rig.domain.queue.flushes]).toEqual([1, 1]);
    rig.domain.destroy();
    expect([rig.domain.queue.length, rig.domain.iovas.taken]).toEqual([0, 1]);
  });

  it("DMA-FLUSH-03: lazy: what waits is flushed after 10 ms", () => {
    const rig = new DmaRig({ mode: "lazy" });
    const address = rig.map(rig.page(0xaa));
    expect(rig.load(0, address)).toBe("aa");
    rig.dma[0]!.unmap(address, 4096n);
    rig.machine.clock.advance(TEN_MS - 1n);
    expect(rig.load(0, address)).toBe("aa");
    rig.machine.clock.advance(1n);
    expect(rig.load(0, address)).toMatch(/^fault/);
    expect(rig.domain.queue.length).toBe(0);
  });

  it("DMA-FLUSH-04: lazy: neither addresses nor tables are somebody else's before the flush", () => {
    const rig = new DmaRig({ mode: "lazy" });
    // Addresses are multiples of 2 MiB, memory is not: a table of 4 KiB pages, all of whose entries go.
    const pa = BigInt(rig.frames.allocateBlock(10)!) * 4096n + 4096n;
    const address = rig.map(pa, 512n * 4096n);
    expect(rig.load(0, address)).toBe("00");
    rig.dma[0]!.unmap(address, 512n * 4096n);
    const { used } = rig.frames.counts;
    expect(rig.map(pa, 512n * 4096n)).not.toBe(address);
    expect(rig.frames.counts.used).toBe(used + 1);
    rig.machine.clock.advance(TEN_MS);
    expect(rig.frames.counts.used).toBe(used);
    expect(rig.map(pa, 512n * 4096n)).toBe(address);
  });
});

describe("the stale window", () => {
  it("DMA-STALE-01: lazy: a DMA after the unmap goes through and is reported, with its age", () => {
    const rig = new DmaRig({ mode: "lazy" });
    const page = rig.page(0xaa);
    const address = rig.map(page);
    rig.load(0, address);
    rig.dma[0]!.unmap(address, 4096n);
    rig.machine.clock.advance(3_000_000n);
    expect(rig.store(0, address, 0x66)).toBe("ok");
    expect(rig.machine.memory.read8(page)).toBe(0x66);
    expect(rig.watch.windows).toMatchObject({ count: 1, openPages: 1, longest: 0n });
    rig.machine.clock.advance(TEN_MS);
    expect(rig.store(0, address, 0x67)).toMatch(/^fault/);
    const source = requesterId(0, 2, 0);
    expect(rig.watch.windows).toEqual({
      count: 1,
      openPages: 0,
      longest: TEN_MS,
      accesses: [{ source, address, translated: false, age: 3_000_000n, flushed: false }],
    });
  });

  it("DMA-STALE-02: a translation that a device has cached is found out too", () => {
    const rig = new DmaRig({ mode: "lazy" });
    const page = rig.page(0xaa);
    const address = rig.map(page);
    expect(rig.load(0, address, undefined, true)).toBe("aa");
    expect(rig.watch.windows.accesses).toEqual([]);
    rig.dma[0]!.unmap(address, 4096n);
    expect(rig.load(0, address, undefined, true)).toBe("aa");
    expect(rig.watch.windows.accesses).toMatchObject([{ translated: true, address: page }]);
    rig.machine.clock.advance(TEN_MS);
    expect(rig.load(0, address, undefined, true)).toMatch(/^fault/);
  });

  it("DMA-STALE-03: an address that is mapped again is nobody's stale one", () => {
    const rig = new DmaRig({ mode: "lazy" });
    const address = rig.map(rig.page(0xaa));
    rig.dma[0]!.unmap(address, 4096n);
    rig.machine.clock.advance(TEN_MS);
    expect(rig.map(rig.page(0xbb))).toBe(address);
    expect(rig.load(0, address)).toBe("bb");
    expect(rig.watch.windows.accesses).toEqual([]);
    rig.watch.stop();
  });

  it("DMA-STALE-04: unmapping what is not mapped, or not all of it, is in the log", () => {
    const rig = new DmaRig();
    const address = rig.map(rig.page(0xaa));
    rig.dma[0]!.unmap(address, 4096n);
    rig.dma[0]!.unmap(address, 4096n);
    expect(rig.log).toEqual(["DMA-API: group 0: 0 bytes unmapped of 4096"]);
  });
});
