import { describe, expect, it } from "vitest";
import { IntelRig, must } from "../../../../test/intel-rig.ts";
import { createCapabilities, QEMU_7_2, SERVER } from "../../../hardware/vtd/index.ts";

const IOVA = 0x4000_0000n;
const RW = 3;

const UNITS = [
  ["scalable, first stage", {}, {}],
  ["scalable, second stage", {}, { dirtyTracking: true }],
  ["legacy", { scalable: false }, {}],
] as const;

describe("DMA through domains", () => {
  it.each(UNITS)(
    "INTEL-MAP-01: what is mapped is reached, what is unmapped is not: %s",
    (_, mode, kind) => {
      const rig = new IntelRig({}, { unclaimed: "blocked", ...mode });
      const domain = rig.paging(kind);
      const [a, b] = [rig.page(0xaa), rig.page(0xbb)];
      expect(rig.load(0, IOVA)).toMatch(/^fault/);
      expect(rig.iommu.attach(rig.device(0), domain).ok).toBe(true);
      expect(domain.map(IOVA, a, 4096n, RW).ok).toBe(true);
      expect(domain.map(IOVA + 4096n, b, 4096n, 1).ok).toBe(true);
      expect([rig.load(0, IOVA), rig.load(0, IOVA + 4096n)]).toEqual(["aa", "bb"]);
      expect(rig.store(0, IOVA, 0x11)).toBe("ok");
      expect(rig.machine.memory.read8(a)).toBe(0x11);
      expect(rig.store(0, IOVA + 4096n, 0x22)).toMatch(/^fault/);
      expect(rig.load(1, IOVA)).toMatch(/^fault/);
      expect(domain.iovaToPhys(IOVA + 5n)).toBe(a + 5n);
      expect(domain.unmap(IOVA, 8192n)).toBe(8192n);
      expect(rig.load(0, IOVA)).toMatch(/^fault/);
      expect(rig.load(0, IOVA + 4096n)).toMatch(/^fault/);
      rig.iommu.attach(rig.device(0), undefined);
      domain.free();
    },
  );

  it.each(UNITS)(
    "INTEL-MAP-02: a device's own cache forgets with the unit's: %s",
    (_, mode, kind) => {
      const rig = new IntelRig({}, { unclaimed: "blocked", ...mode });
      const domain = rig.paging(kind);
      rig.iommu.attach(rig.device(0), domain);
      domain.map(IOVA, rig.page(0xaa), 4096n, RW);
      const { tlb } = rig.machine.engines[0]!;
      expect(rig.load(0, IOVA, undefined, true)).toBe("aa");
      expect(tlb.translations).toHaveLength(1);
      domain.unmap(IOVA, 4096n);
      expect(tlb.translations).toHaveLength(0);
      domain.map(IOVA, rig.page(0xbb), 4096n, RW);
      expect(rig.load(0, IOVA, undefined, true)).toBe("bb");
      rig.iommu.attach(rig.device(0), undefined);
      expect(tlb.translations).toHaveLength(0);
    },
  );

  it("INTEL-MAP-03: a mapping that fails half way leaves nothing", () => {
    const rig = new IntelRig();
    const domain = rig.paging();
    rig.iommu.attach(rig.device(0), domain);
    const page = rig.page(1);
    domain.map(IOVA + 0x20_0000n, page, 4096n, RW);
    const before = rig.frames.counts.used;
    expect(domain.map(IOVA, 0x20_0000n, 0x20_1000n, RW)).toEqual({
      ok: false,
      errno: "EADDRINUSE",
    });
    rig.faults.failNth(0, ["table"]);
    expect(domain.map(0x80_0000_0000n, page, 4096n, RW)).toEqual({ ok: false, errno: "ENOMEM" });
    expect(rig.frames.counts.used).toBe(before);
    expect(rig.load(0, IOVA)).toMatch(/^fault/);
    expect(rig.load(0, IOVA + 0x20_0000n)).toBe("01");
  });

  it("INTEL-MAP-04: tables go back only after the flush that makes hardware forget them", () => {
    const rig = new IntelRig();
    const domain = rig.paging();
    rig.iommu.attach(rig.device(0), domain);
    const block = BigInt(rig.frames.allocateBlock(9)!) << 12n;
    domain.map(IOVA, block, 4096n, RW);
    domain.unmap(IOVA, 4096n);
    const used = rig.frames.counts.used;
    let atFlush = 0;
    rig.machine.units[0]!.subscribe({
      invalidated: (_, done) => {
        atFlush = rig.frames.counts.used;
        done();
      },
    });
    expect(domain.map(IOVA, block, 2n << 20n, RW).ok).toBe(true);
    expect([atFlush, rig.frames.counts.used]).toEqual([used, used - 1]);
  });
});

describe("attachment", () => {
  it("INTEL-ATTACH-01: identity passes requests on, blocked refuses them, and both need no page table", () => {
    const rig = new IntelRig({}, {});
    const page = rig.page(0x5a);
    expect(rig.load(0, page)).toBe("5a");
    rig.iommu.attach(rig.device(0), undefined);
    expect(rig.load(0, page)).toMatch(/^fault/);
    expect(rig.load(1, page)).toBe("5a");
    expect(rig.iommu.restoreDefault(rig.device(0)).ok).toBe(true);
    expect(rig.load(0, page)).toBe("5a");
    const legacy = new IntelRig({}, { scalable: false });
    expect(legacy.load(0, legacy.page(0x5b))).toBe("5b");
  });

  it("INTEL-ATTACH-01: a unit that cannot pass requests through blocks devices that nobody has claimed", () => {
    const noPassThrough = createCapabilities({ ...SERVER, ecap: SERVER.ecap & ~(1n << 6n) });
    const rig = new IntelRig({ units: [{ capabilities: noPassThrough }] }, {});
    expect(rig.load(0, rig.page(1))).toMatch(/^fault/);
  });

  it.each(UNITS)("INTEL-ATTACH-02: a replacement is never between the two: %s", (_, mode, kind) => {
    const rig = new IntelRig({}, { unclaimed: "blocked", ...mode });
    const [old, next] = [rig.paging(kind), rig.paging(kind)];
    old.map(IOVA, rig.page(0xaa), 4096n, RW);
    next.map(IOVA, rig.page(0xbb), 4096n, RW);
    rig.iommu.attach(rig.device(0), old);
    expect(rig.load(0, IOVA)).toBe("aa");
    const seen: string[] = [];
    rig.machine.units[0]!.subscribe({
      invalidated: (_invalidation, done) => {
        seen.push(rig.load(0, IOVA));
        done();
      },
    });
    rig.iommu.attach(rig.device(0), next);
    expect(seen.length).toBe(3);
    expect(seen.filter((each) => each !== "aa" && each !== "bb")).toEqual([]);
    expect(rig.load(0, IOVA)).toBe("bb");
    old.unmap(IOVA, 4096n);
    old.free();
    expect(rig.load(0, IOVA)).toBe("bb");
  });

  it("INTEL-ATTACH-03: PASIDs have domains of their own", () => {
    const rig = new IntelRig();
    const device = rig.device(0);
    const [own, first, second] = [rig.paging(), rig.paging(), rig.paging({ nestParent: true })];
    for (const [domain, byte] of [
      [own, 1],
      [first, 2],
      [second, 3],
    ] as const) {
      domain.map(IOVA, rig.page(byte), 4096n, RW);
    }
    rig.iommu.attach(device, own);
    must(rig.iommu.attachPasid(device, 5, first));
    must(rig.iommu.attachPasid(device, 0xf_ffff, second));
    expect([rig.load(0, IOVA), rig.load(0, IOVA, 5), rig.load(0, IOVA, 0xf_ffff)]).toEqual([
      "01",
      "02",
      "03",
    ]);
    expect(rig.load(0, IOVA, 6)).toMatch(/^fault/);
    first.unmap(IOVA, 4096n);
    expect(rig.load(0, IOVA, 5)).toMatch(/^fault/);
    must(rig.iommu.attachPasid(device, 5, second));
    expect(rig.load(0, IOVA, 5)).toBe("03");
    must(rig.iommu.attachPasid(device, 5, undefined));
    expect([rig.load(0, IOVA), rig.load(0, IOVA, 0xf_ffff)]).toEqual(["01", "03"]);
    expect(rig.load(0, IOVA, 5)).toMatch(/^fault/);
    expect(rig.iommu.attachPasid(device, 0, first)).toEqual({ ok: false, errno: "EINVAL" });
    const legacy = new IntelRig({}, { scalable: false });
    expect(legacy.iommu.attachPasid(legacy.device(0), 5, legacy.paging())).toEqual({
      ok: false,
      errno: "EOPNOTSUPP",
    });
  });

  it("INTEL-ATTACH-04: a domain is known to each unit by an id of its own, which goes with the last user", () => {
    const rig = new IntelRig({ units: [{ serves: [{ device: 2 }] }, {}] });
    const [filler, domain] = [rig.paging({}, 1), rig.paging()];
    const [first, second] = rig.iommu.units;
    must(rig.iommu.attach(rig.device(1), filler));
    domain.map(IOVA, rig.page(0xcc), 4096n, RW);
    must(rig.iommu.attach(rig.device(0), domain));
    must(rig.iommu.attachPasid(rig.device(1), 9, domain));
    expect([first!.domainIds.used, second!.domainIds.used]).toEqual([1, 2]);
    expect([rig.load(0, IOVA), rig.load(1, IOVA, 9)]).toEqual(["cc", "cc"]);
    domain.unmap(IOVA, 4096n);
    expect(rig.load(0, IOVA)).toMatch(/^fault/);
    expect(rig.load(1, IOVA, 9)).toMatch(/^fault/);
    rig.iommu.attach(rig.device(0), undefined);
    rig.iommu.attachPasid(rig.device(1), 9, undefined);
    expect([first!.domainIds.used, second!.domainIds.used]).toEqual([0, 1]);
    domain.free();
  });

  it("INTEL-ATTACH-05: a domain that a unit cannot use is refused", () => {
    const rig = new IntelRig({
      units: [{ serves: [{ device: 2 }] }, { capabilities: QEMU_7_2 }],
    });
    const refused = { ok: false, errno: "EINVAL" };
    expect(rig.iommu.attach(rig.device(1), rig.paging())).toEqual(refused);
    expect(rig.iommu.attach(rig.device(1), rig.paging({ nestParent: true }))).toEqual(refused);
    const narrow = rig.paging({}, 1);
    expect(narrow.aperture.last).toBe((1n << 39n) - 1n);
    expect(rig.iommu.attach(rig.device(1), narrow).ok).toBe(true);
    expect(rig.iommu.attach(rig.device(0), narrow)).toEqual(refused);
  });

  it("INTEL-ATTACH-06: devices behind a bridge are translated under its requester ID, all at once", () => {
    const rig = new IntelRig({
      populate: ({ root, addEngine }) => {
        const port = root.add({ kind: "root-port", device: 4 });
        addEngine({ kind: "endpoint", device: 0 }, port.secondary);
        addEngine({ device: 5 });
      },
    });
    rig.machine.topology.functions()[0]!.config.write(4, 2, 6);
    const domain = rig.paging();
    domain.map(IOVA, rig.page(0x77), 4096n, RW);
    for (const device of rig.device(0).group.devices) must(rig.iommu.attach(device, domain));
    expect(rig.device(0).group.devices.map(({ name }) => name)).toEqual([
      "0000:00:04.0",
      "0000:01:00.0",
    ]);
    expect(rig.load(0, IOVA)).toBe("77");
  });
});
