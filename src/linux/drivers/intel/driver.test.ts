import { describe, expect, it } from "vitest";
import { IntelRig, must } from "../../../../test/intel-rig.ts";
import {
  createCapabilities,
  PASID_ENTRY,
  QEMU_7_2,
  QEMU_11_1_FIRST_STAGE,
  SERVER,
} from "../../../hardware/vtd/index.ts";
import { HostMachine } from "../../../machine/host-machine.ts";
import { FaultInjector } from "../../fault-injector.ts";
import { Frames } from "../../mm/frames.ts";
import { enumeratePci } from "../../pci/index.ts";
import * as uapi from "../../uapi/index.ts";
import { IntelIommu, type IntelIommuOptions } from "./index.ts";
import { spanOf } from "./page-span.ts";

const IOVA = 0x4000_0000n;
const RW = 3;
const WITHOUT_ATS = { ...SERVER, ecap: SERVER.ecap & ~4n };

describe("descriptors for each operation", () => {
  it.each([
    ["first stage", {}, {}],
    ["second stage", { nestParent: true }, {}],
    ["legacy", {}, { scalable: false }],
  ])("INTEL-COST-01: %s", (_, kind, mode) => {
    const rig = new IntelRig({}, { unclaimed: "blocked", ...mode });
    const [domain, other] = [rig.paging(kind), rig.paging(kind)];
    // From blocked on nothing is cached: nothing to forget.
    expect(rig.cost(() => must(rig.iommu.attach(rig.device(0), domain)))).toEqual([0, 0]);
    expect(rig.cost(() => must(domain.map(IOVA, rig.page(1), 4096n, RW)))).toEqual([0, 0]);
    // The translations and the device's cache.
    expect(rig.cost(() => domain.unmap(IOVA, 4096n))).toEqual([2, 1]);
    expect(rig.cost(() => domain.unmap(IOVA, 4096n))).toEqual([0, 0]);
    must(rig.iommu.attach(rig.device(1), domain));
    must(domain.map(IOVA, BigInt(rig.frames.allocateBlock(10)!) << 12n, 4n << 20n, RW));
    expect(rig.cost(() => domain.unmap(IOVA, 4n << 20n))).toEqual([1 + 2, 1]);
    // The entry, the translations and the device's cache.
    expect(rig.cost(() => must(rig.iommu.attach(rig.device(0), other)))).toEqual([3, 1]);
    expect(rig.cost(() => rig.iommu.attach(rig.device(0), undefined))).toEqual([3, 1]);
    expect(rig.cost(() => rig.iommu.attach(rig.device(0), undefined))).toEqual([0, 0]);
  });

  it("INTEL-COST-02: one page-selective descriptor covers a range, up to the largest mask; beyond it goes the domain", () => {
    expect(spanOf({ start: 0x1000n, last: 0x1fffn })).toEqual({ address: 0x1000n, mask: 0 });
    expect(spanOf({ start: 0x1000n, last: 0x2fffn })).toEqual({ address: 0n, mask: 2 });
    expect(spanOf({ start: 0n, last: (1n << 64n) - 1n })).toEqual({ address: 0n, mask: 52 });
    const narrow = { ...WITHOUT_ATS, cap: (SERVER.cap & ~(0x3fn << 48n)) | (9n << 48n) };
    const rig = new IntelRig({ units: [{ capabilities: createCapabilities(narrow) }] });
    const domain = rig.paging();
    must(rig.iommu.attach(rig.device(0), domain));
    const block = BigInt(rig.frames.allocateBlock(10)!) << 12n;
    for (const length of [2n << 20n, 4n << 20n]) {
      must(domain.map(IOVA, block, length, RW));
      rig.machine.memory.write8(block + length - 1n, 9);
      expect(rig.load(0, IOVA + length - 1n)).toBe("09");
      expect(rig.cost(() => domain.unmap(IOVA, length))).toEqual([1, 1]);
      expect(rig.load(0, IOVA + length - 1n)).toMatch(/^fault/);
    }
  });

  it("INTEL-COST-03: a parent costs one descriptor for itself and one for each nested domain, and device caches", () => {
    const rig = new IntelRig();
    const parent = rig.paging({ nestParent: true });
    const flags = { supervisorRequests: false, extendedAccessed: false, writeProtect: false };
    const stageOne = { tableAddress: 0x1000n, addressWidth: 48, ...flags };
    const children = [0, 1].map(() => rig.iommu.createNested(parent, stageOne));
    must(rig.iommu.attach(rig.device(0), children[0]));
    must(rig.iommu.attachPasid(rig.device(0), 3, children[1]));
    must(rig.iommu.attach(rig.device(1), parent));
    must(parent.map(IOVA, rig.page(1), 4096n, RW));
    expect(rig.cost(() => parent.unmap(IOVA, 4096n))).toEqual([1 + 2 + 3, 1]);
  });
});

describe("dirty tracking", () => {
  it("INTEL-DIRTY-01: what is written while it is on is told, once hardware has forgotten it", () => {
    const rig = new IntelRig();
    const domain = rig.paging({ dirtyTracking: true });
    must(rig.iommu.attach(rig.device(0), domain));
    const pages = [rig.page(1), rig.page(2)] as const;
    must(domain.map(IOVA, pages[0], 4096n, RW));
    must(domain.map(IOVA + 4096n, pages[1], 4096n, RW));
    expect(rig.store(0, IOVA, 1)).toBe("ok");
    const dirty = (clear = true): bigint[] => {
      const found: bigint[] = [];
      must(domain.dirty!.readAndClear(IOVA, 8192n, clear, (iova) => void found.push(iova)));
      return found;
    };
    expect(dirty()).toEqual([]);
    must(domain.dirty!.set(true));
    expect(rig.load(0, IOVA)).toBe("01");
    expect(dirty()).toEqual([]);
    expect(rig.store(0, IOVA + 4096n, 1)).toBe("ok");
    expect(dirty(false)).toEqual([IOVA + 4096n]);
    expect(dirty()).toEqual([IOVA + 4096n]);
    expect(dirty()).toEqual([]);
    expect(rig.store(0, IOVA + 4096n, 1)).toBe("ok");
    expect(dirty()).toEqual([IOVA + 4096n]);
    must(domain.dirty!.set(false));
    expect(rig.store(0, IOVA, 1)).toBe("ok");
    expect(dirty()).toEqual([]);
  });

  it("INTEL-DIRTY-03: switching it fails for all users or for none", () => {
    for (let n = 0, failed = true; failed; n++) {
      const rig = new IntelRig();
      const domain = rig.paging({ dirtyTracking: true });
      for (const index of [0, 1]) must(rig.iommu.attach(rig.device(index), domain));
      must(domain.map(IOVA, rig.page(1), 4096n, RW));
      rig.faults.failNth(n, ["descriptor"]);
      const outcome = domain.dirty!.set(true);
      failed = rig.faults.hasFailed;
      rig.faults.reset();
      expect(outcome.ok).toBe(!failed);
      for (const index of [0, 1]) {
        expect(rig.store(index, IOVA, 1)).toBe("ok");
        let found = 0;
        must(domain.dirty!.readAndClear(IOVA, 4096n, true, () => found++));
        expect(found).toBe(failed ? 0 : 1);
      }
      expect(n).toBeLessThan(20);
    }
  });
});

describe("what the driver says and takes", () => {
  it("INTEL-INFO-01: hardware information is the two registers, and the erratum, of all units or of those named", () => {
    const rig = new IntelRig();
    const info = must(rig.iommu.hwInfo(rig.device(0), 0));
    expect(info.type).toBe(1);
    const { cap, ecap } = SERVER;
    const struct = uapi.IOMMU_HW_INFO_VTD;
    expect(struct.decode(info.bytes)).toMatchObject({ flags: 1, cap_reg: cap, ecap_reg: ecap });
    expect(rig.iommu.hwInfo(rig.device(0), 2)).toEqual({ ok: false, errno: "EOPNOTSUPP" });
    const parent = rig.paging({ nestParent: true });
    expect(parent.map(IOVA, rig.page(1), 4096n, 1)).toEqual({ ok: false, errno: "EINVAL" });
    const sound = new IntelRig({}, { erratum772415: () => false });
    const { flags } = struct.decode(must(sound.iommu.hwInfo(sound.device(0), 1)).bytes);
    expect(flags).toBe(0);
    expect(sound.paging({ nestParent: true }).map(IOVA, sound.page(1), 4096n, 1).ok).toBe(true);
  });

  it("INTEL-INFO-02: reserved are the interrupt range and what firmware keeps for the device", () => {
    const devices = [{ source: 0x10, subtree: false }];
    const reservedMemory = [{ segment: 0, start: 0x20_0000n, last: 0x20_ffffn, devices }];
    const rig = new IntelRig({ reservedMemory });
    const msi = { type: "msi", start: 0xfee0_0000n, last: 0xfeef_ffffn };
    expect(rig.iommu.reservedRegions(rig.device(0))).toEqual([
      { type: "direct", start: 0x20_0000n, last: 0x20_ffffn },
      msi,
    ]);
    expect(rig.iommu.reservedRegions(rig.device(1))).toEqual([msi]);
  });

  it("INTEL-INFO-03: capabilities are those of the device's unit and mode", () => {
    const asked = [
      "cache-coherency",
      "enforce-cache-coherency",
      "dirty-tracking",
      "isolated-msi",
    ] as const;
    const answers = (...parts: ConstructorParameters<typeof IntelRig>) => {
      const rig = new IntelRig(...parts);
      return asked.map((each) => rig.iommu.capable(rig.device(0), each));
    };
    expect(answers()).toEqual([true, true, true, true]);
    expect(answers({}, { scalable: false, interruptRemapping: false })).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect(answers({ units: [{ capabilities: QEMU_7_2 }] })).toEqual([true, false, false, true]);
  });

  it("INTEL-INFO-04: what a unit cannot do is not promised", () => {
    const unsupported = { ok: false, errno: "EOPNOTSUPP" };
    const plain = { nestParent: false, dirtyTracking: false, pasid: false };
    const first = new IntelRig({ units: [{ capabilities: QEMU_11_1_FIRST_STAGE }] });
    expect(first.paging().stage).toBe("first");
    for (const more of [{ nestParent: true }, { dirtyTracking: true }]) {
      expect(first.iommu.allocPaging(first.device(0), { ...plain, ...more })).toEqual(unsupported);
    }
    const legacy = new IntelRig({}, { scalable: false });
    expect(legacy.paging().stage).toBe("second");
    expect(legacy.iommu.allocPaging(legacy.device(0), { ...plain, nestParent: true })).toEqual(
      unsupported,
    );
  });

  it("INTEL-MODE-01: a unit with scalable mode and no second stage is not driven in legacy mode, unless told to", () => {
    const probe = (options: IntelIommuOptions) => {
      const machine = new HostMachine({
        units: [{ capabilities: QEMU_11_1_FIRST_STAGE }],
        populate: ({ addEngine }) => void addEngine({ device: 2 }),
      });
      const { platform } = machine;
      const faults = new FaultInjector();
      const frames = new Frames(platform.memory, platform.ram, faults);
      const parts = { platform, frames, faults, log: () => {} };
      const outcome = IntelIommu.probe(parts, enumeratePci(platform), options);
      return { outcome, used: frames.counts.used };
    };
    expect(probe({ scalable: false })).toEqual({
      outcome: { ok: false, errno: "ENODEV" },
      used: 0,
    });
    expect(probe({ scalable: false, legacyWithoutSecondStage: true }).outcome.ok).toBe(true);
    expect(probe({}).outcome.ok).toBe(true);
  });

  it.each([
    ["first-stage", {}, {}],
    ["second-stage", {}, { dirtyTracking: true }],
    ["legacy", { scalable: false }, {}],
  ])(
    "INTEL-SNOOP-01: a %s domain enforces coherency, and then needs a unit that can",
    (_, mode, kind) => {
      const incoherent = { ...SERVER, ecap: SERVER.ecap & ~0x80n };
      const rig = new IntelRig(
        { units: [{ serves: [{ device: 2 }] }, { capabilities: createCapabilities(incoherent) }] },
        { unclaimed: "blocked", ...mode },
      );
      const late = rig.paging(kind);
      must(late.map(IOVA, rig.page(1), 4096n, RW));
      expect(late.enforceCacheCoherency()).toBe(false);
      const domain = rig.paging(kind);
      must(rig.iommu.attach(rig.device(0), domain));
      expect(domain.enforceCacheCoherency()).toBe(true);
      must(domain.map(IOVA, rig.page(0x21), 4096n, RW));
      expect(rig.load(0, IOVA)).toBe("21");
      expect(rig.iommu.attach(rig.device(1), domain)).toEqual({ ok: false, errno: "EINVAL" });
      const other = rig.paging(kind);
      must(rig.iommu.attach(rig.device(1), other));
      expect(other.enforceCacheCoherency()).toBe(false);
      const snoops = rig.device(0).ownBinding!.words;
      const entry = PASID_ENTRY.decode(snoops);
      if (!("scalable" in mode)) expect(entry.PGSNP).toBe(1n);
    },
  );
});
