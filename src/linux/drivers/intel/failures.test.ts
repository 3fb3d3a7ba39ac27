import { describe, expect, it } from "vitest";
import { IntelRig, must } from "../../../../test/intel-rig.ts";
import type { FallibleResource } from "../../fault-injector.ts";

const IOVA = 0x4000_0000n;
const RW = 3;
const KINDS: readonly FallibleResource[] = ["table", "frame", "domain-id", "descriptor"];

describe("operations that fail", () => {
  it.each([
    ["scalable", {}],
    ["legacy", { scalable: false }],
  ])(
    "INTEL-FAIL-01: a failed attachment leaves the old translation or a blocked device: %s",
    (_, mode) => {
      let failures = 0;
      for (const before of ["blocked", "attached"] as const) {
        for (let n = 0; ; n++) {
          const rig = new IntelRig({}, { unclaimed: "blocked", ...mode });
          const used = rig.frames.counts.used;
          const [old, next] = [rig.paging(), rig.paging()];
          const pages = [rig.page(0xaa), rig.page(0xbb)] as const;
          old.map(IOVA, pages[0], 4096n, RW);
          next.map(IOVA, pages[1], 4096n, RW);
          if (before === "attached") must(rig.iommu.attach(rig.device(0), old));
          rig.load(0, IOVA);
          rig.faults.failNth(n, KINDS);
          const outcome = rig.iommu.attach(rig.device(0), next);
          const failed = rig.faults.hasFailed;
          rig.faults.reset();
          if (!failed) {
            expect(outcome.ok).toBe(true);
            break;
          }
          failures += 1;
          expect(outcome.ok).toBe(false);
          if (before === "attached") expect(rig.load(0, IOVA)).toBe("aa");
          else expect(rig.load(0, IOVA)).toMatch(/^fault/);
          old.unmap(IOVA, 4096n);
          expect(rig.load(0, IOVA)).toMatch(/^fault/);
          rig.iommu.attach(rig.device(0), undefined);
          next.unmap(IOVA, 4096n);
          old.free();
          next.free();
          for (const page of pages) rig.frames.free(Number(page >> 12n));
          expect(rig.iommu.units[0]!.domainIds.used).toBe(0);
          // Tables of devices stay: at most one for each way to an entry.
          expect(rig.frames.counts.used - used).toBeLessThanOrEqual(1);
        }
      }
      expect(failures).toBeGreaterThanOrEqual(4);
    },
  );

  it("INTEL-FAIL-02: nothing stale survives an unmap whose descriptor is not to be had", () => {
    for (let n = 0; n < 4; n++) {
      const rig = new IntelRig();
      const domain = rig.paging();
      rig.iommu.attach(rig.device(0), domain);
      domain.map(IOVA, rig.page(0xaa), 4096n, RW);
      expect(rig.load(0, IOVA, undefined, true)).toBe("aa");
      rig.faults.failNth(n, ["descriptor"]);
      expect(domain.unmap(IOVA, 4096n)).toBe(4096n);
      expect(rig.faults.hasFailed).toBe(n < 2);
      expect(rig.load(0, IOVA)).toMatch(/^fault/);
      expect(rig.load(0, IOVA, undefined, true)).toMatch(/^fault/);
      expect(rig.iommu.units[0]!.isDead).toBe(false);
    }
  });

  it("INTEL-FAIL-03: a device that does not answer loses its cache, not the others their memory", () => {
    const rig = new IntelRig({
      populate: ({ root, addEngine }) => {
        addEngine({ device: 2 }, root, { answers: "never" });
        addEngine({ device: 3 });
      },
    });
    const domain = rig.paging();
    for (const index of [0, 1]) must(rig.iommu.attach(rig.device(index), domain));
    domain.map(IOVA, rig.page(0xaa), 4096n, RW);
    expect(rig.load(0, IOVA, undefined, true)).toBe("aa");
    expect(rig.load(1, IOVA)).toBe("aa");
    expect(domain.unmap(IOVA, 4096n)).toBe(4096n);
    expect(rig.load(0, IOVA, undefined, true)).toMatch(/^fault/);
    expect(rig.load(0, IOVA)).toMatch(/^fault/);
    expect(rig.load(1, IOVA)).toMatch(/^fault/);
    expect(rig.device(0).ats).toBe(false);
    expect(rig.iommu.units[0]!.isDead).toBe(false);
    expect(rig.log.join("\n")).toMatch(/0000:00:02.0 does not answer/);
  });

  it("INTEL-FAIL-04: a unit that takes no descriptors any more blocks everything", () => {
    const rig = new IntelRig();
    const domain = rig.paging();
    must(rig.iommu.attach(rig.device(0), domain));
    domain.map(IOVA, rig.page(0xaa), 4096n, RW);
    expect(rig.load(0, IOVA)).toBe("aa");
    rig.faults.shouldFail = (kind) => kind === "descriptor";
    expect(domain.unmap(IOVA, 4096n)).toBe(4096n);
    expect(rig.load(0, IOVA)).toMatch(/^fault/);
    expect(rig.iommu.units[0]!.isDead).toBe(true);
    expect(rig.iommu.attach(rig.device(1), domain)).toEqual({ ok: false, errno: "EIO" });
    rig.iommu.attach(rig.device(0), undefined);
    domain.free();
  });

  it("INTEL-FAIL-05: going down gives every frame and every id back, from every failed beginning too", () => {
    const rig = new IntelRig();
    const domain = rig.paging({ nestParent: true });
    must(rig.iommu.attach(rig.device(0), domain));
    must(rig.iommu.attachPasid(rig.device(1), 77, domain));
    rig.iommu.shutDown();
    domain.free();
    expect(rig.frames.counts.used).toBe(0);
    let n = 0;
    for (let ok = false; !ok; n++) ok = IntelRig.beginsWithFailure(n);
    expect(n).toBeGreaterThan(8);
  });
});

describe("faults", () => {
  it("INTEL-FAULT-01: each becomes a line of the log, and its record is free for the next", () => {
    const rig = new IntelRig();
    const domain = rig.paging();
    must(rig.iommu.attach(rig.device(0), domain));
    must(rig.iommu.attachPasid(rig.device(0), 7, domain));
    rig.load(0, IOVA);
    rig.store(0, IOVA + 0x5123n, 1, 7);
    rig.load(1, IOVA);
    const unit = "dmar at 0xfed90000: ";
    expect(rig.log).toEqual([
      `${unit}0000:00:02.0: read of 0x40000000 refused: a first-stage entry is not present (reason 0x71)`,
      `${unit}0000:00:02.0 PASID 0x7: write of 0x40005000 refused: a first-stage entry is not present (reason 0x71)`,
      expect.stringMatching(/0000:00:03.0: read of 0x40000000 refused: .*PASID.* not present/),
    ]);
    expect(rig.faultsSeen.map(({ pasid, kind }) => [pasid, kind])).toEqual([
      [undefined, "read"],
      [7, "write"],
      [undefined, "read"],
    ]);
  });
});
