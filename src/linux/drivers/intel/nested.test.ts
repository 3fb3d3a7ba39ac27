import { describe, expect, it } from "vitest";
import { IntelRig, must } from "../../../../test/intel-rig.ts";
import { createCapabilities, SERVER } from "../../../hardware/vtd/index.ts";
import type { UserData, UserDataArray } from "../../iommu/index.ts";
import * as uapi from "../../uapi/index.ts";
import type { IntelNestedDomain, StageOne } from "./index.ts";

const RW = 3;
/** The guest's addresses: four tables and what they lead to. */
const GVA = 0x7000_0000_1000n;
const TABLES = [0x1000n, 0x2000n, 0x3000n, 0x4000n] as const;
const PLAIN = { supervisorRequests: false, extendedAccessed: false, writeProtect: false };
const STAGE_ONE: StageOne = { tableAddress: TABLES[0], addressWidth: 48, ...PLAIN };

/** A guest of 64 pages over a nesting parent, with a first stage that it has written itself. */
class GuestRig extends IntelRig {
  readonly parent = this.paging({ nestParent: true, dirtyTracking: true });
  readonly nested: IntelNestedDomain;
  readonly #base = BigInt(this.frames.allocateBlock(6)!) << 12n;

  constructor(stageOne = STAGE_ONE) {
    super();
    must(this.parent.map(0n, this.#base, 64n * 4096n, RW));
    for (const [i, table] of TABLES.slice(0, 3).entries()) this.#entry(i, table, TABLES[i + 1]!);
    this.nested = this.iommu.createNested(this.parent, stageOne);
  }

  #entry(depth: number, table: bigint, to: bigint, attributes = 7n): void {
    const index = (GVA >> BigInt(39 - 9 * depth)) & 511n;
    this.machine.memory.write64(this.host(table) + index * 8n, to | attributes);
  }

  host(guest: bigint): bigint {
    return this.#base + guest;
  }

  /** Has GVA lead to a guest page that begins with `byte`. */
  point(page: bigint, byte: number): void {
    this.machine.memory.write8(this.host(page), byte);
    this.#entry(3, TABLES[3], page);
  }
}

const arrayOf = (
  entries: readonly { readonly addr: bigint; readonly npages: bigint; readonly flags?: number }[],
  type: number = uapi.IOMMU_HWPT_INVALIDATE_DATA_VTD_S1,
): UserDataArray => ({
  type,
  entryLength: 24,
  count: entries.length,
  read: (index) => ({ ok: true, value: uapi.IOMMU_HWPT_VTD_S1_INVALIDATE.encode(entries[index]!) }),
});

const dataOf = (values: object, type: number = uapi.IOMMU_HWPT_DATA_VTD_S1): UserData => ({
  type,
  length: 24,
  read: () => ({ ok: true, value: uapi.IOMMU_HWPT_VTD_S1.encode(values) }),
  write: () => true,
});

const WHOLE = { addr: 0n, npages: (1n << 64n) - 1n };

describe("nested domains", () => {
  it.each([undefined, 33])(
    "INTEL-NEST-01: a guest's first stage is used as it was until the guest invalidates: PASID %s",
    (pasid) => {
      const rig = new GuestRig();
      const attached =
        pasid === undefined
          ? rig.iommu.attach(rig.device(0), rig.nested)
          : rig.iommu.attachPasid(rig.device(0), pasid, rig.nested);
      must(attached);
      rig.point(0x10000n, 0xa1);
      expect(rig.load(0, GVA, pasid)).toBe("a1");
      expect(rig.load(0, GVA, pasid, true)).toBe("a1");
      rig.point(0x11000n, 0xa2);
      expect([rig.load(0, GVA, pasid), rig.load(0, GVA, pasid, true)]).toEqual(["a1", "a1"]);
      expect(rig.nested.invalidate(arrayOf([{ addr: GVA, npages: 1n, flags: 1 }])).done).toBe(1);
      expect([rig.load(0, GVA, pasid), rig.load(0, GVA, pasid, true)]).toEqual(["a2", "a2"]);
      rig.point(0x12000n, 0xa3);
      rig.nested.invalidate(arrayOf([WHOLE]));
      expect([rig.load(0, GVA, pasid), rig.load(0, GVA, pasid, true)]).toEqual(["a3", "a3"]);
    },
  );

  it("INTEL-NEST-02: what the parent unmaps, nested devices lose, caches of theirs included", () => {
    const rig = new GuestRig();
    must(rig.iommu.attach(rig.device(0), rig.nested));
    rig.point(0x10000n, 0xa1);
    expect([rig.load(0, GVA), rig.load(0, GVA, undefined, true)]).toEqual(["a1", "a1"]);
    rig.parent.unmap(0n, 64n * 4096n);
    expect(rig.load(0, GVA)).toMatch(/^fault/);
    expect(rig.load(0, GVA, undefined, true)).toMatch(/^fault/);
  });

  it("INTEL-NEST-03: the entry bears a domain id of ours, one for each nested domain", () => {
    const rig = new GuestRig();
    const other = rig.iommu.createNested(rig.parent, STAGE_ONE);
    must(rig.iommu.attach(rig.device(0), rig.nested));
    must(rig.iommu.attachPasid(rig.device(0), 1, other));
    must(rig.iommu.attachPasid(rig.device(0), 2, rig.parent));
    const ids = [0, 1, 2].map((pasid) => rig.device(0).bindings.get(pasid)!.domainId);
    expect(new Set(ids).size).toBe(3);
    expect(rig.iommu.units[0]!.domainIds.used).toBe(3);
  });

  it("INTEL-NEST-04: entries are judged in order, those before the first wrong one are done", () => {
    const rig = new GuestRig();
    must(rig.iommu.attach(rig.device(0), rig.nested));
    rig.point(0x10000n, 0xa1);
    expect(rig.load(0, GVA)).toBe("a1");
    rig.point(0x11000n, 0xa2);
    const good = { addr: GVA, npages: 1n };
    const wrong = [
      [{ addr: GVA + 1n, npages: 1n }, "EINVAL"],
      [{ addr: 0x1000n, npages: WHOLE.npages }, "EINVAL"],
      [{ addr: 0n, npages: 1n, flags: 2 }, "EOPNOTSUPP"],
      [{ addr: 0n, npages: 1n, __reserved: 1 }, "EOPNOTSUPP"],
    ] as const;
    for (const [entry, errno] of wrong) {
      expect(rig.nested.invalidate(arrayOf([entry, good]))).toEqual({
        done: 0,
        outcome: { ok: false, errno },
      });
    }
    expect(rig.load(0, GVA)).toBe("a1");
    expect(rig.nested.invalidate(arrayOf([good, wrong[0][0]])).done).toBe(1);
    expect(rig.load(0, GVA)).toBe("a2");
    expect(rig.nested.invalidate(arrayOf([], 5)).outcome).toEqual({ ok: false, errno: "EINVAL" });
  });

  it("INTEL-NEST-05: ranges that overlap or touch cost one descriptor for each PASID and device", () => {
    const rig = new GuestRig();
    must(rig.iommu.attach(rig.device(0), rig.nested));
    must(rig.iommu.attachPasid(rig.device(0), 4, rig.nested));
    must(rig.iommu.attach(rig.device(1), rig.nested));
    const touching = Array.from({ length: 512 }, (_, i) => ({
      addr: BigInt(i) << 12n,
      npages: 1n,
    }));
    const [pasids, attachments] = [2, 3];
    expect(rig.cost(() => rig.nested.invalidate(arrayOf(touching)))).toEqual([
      pasids + attachments,
      1,
    ]);
    const apart = [0n, 1n, 2n].map((i) => ({ addr: i << 21n, npages: 1n }));
    expect(rig.cost(() => rig.nested.invalidate(arrayOf(apart)))).toEqual([
      3 * (pasids + attachments),
      1,
    ]);
    expect(rig.cost(() => rig.nested.invalidate(arrayOf([...apart, WHOLE])))).toEqual([
      pasids + attachments,
      1,
    ]);
    expect(rig.cost(() => rig.nested.invalidate(arrayOf([])))).toEqual([0, 0]);
  });

  it("INTEL-NEST-06: a first stage that the unit does not have is refused when it is attached", () => {
    const rig = new GuestRig();
    const refused = (stageOne: Partial<StageOne>) =>
      rig.iommu.attach(
        rig.device(0),
        rig.iommu.createNested(rig.parent, { ...STAGE_ONE, ...stageOne }),
      );
    expect(refused({ addressWidth: 39 })).toEqual({ ok: false, errno: "EINVAL" });
    expect(refused({ addressWidth: 57 }).ok).toBe(true);
    const ecap = SERVER.ecap & ~((1n << 31n) | (1n << 34n));
    const plain = createCapabilities({ ...SERVER, ecap });
    const weak = new IntelRig({ units: [{ capabilities: plain }] });
    const parent = weak.paging({ nestParent: true });
    for (const flag of ["supervisorRequests", "extendedAccessed"] as const) {
      const nested = weak.iommu.createNested(parent, { ...STAGE_ONE, [flag]: true });
      expect(weak.iommu.attach(weak.device(0), nested)).toEqual({ ok: false, errno: "EINVAL" });
    }
  });

  it("INTEL-NEST-07: a client's structure becomes a nested domain only over a nesting parent", () => {
    const rig = new GuestRig();
    const device = rig.device(0);
    const data = dataOf({ pgtbl_addr: TABLES[0], addr_width: 48 });
    const nested = must(rig.iommu.allocNested(device, rig.parent, 0, data));
    must(rig.iommu.attach(device, nested));
    rig.point(0x10000n, 0xa1);
    expect(rig.load(0, GVA)).toBe("a1");
    const errno = (outcome: { readonly ok: boolean }) => outcome;
    expect(errno(rig.iommu.allocNested(device, rig.paging(), 0, data))).toEqual({
      ok: false,
      errno: "EINVAL",
    });
    expect(rig.iommu.allocNested(device, rig.parent, 1, data)).toEqual({
      ok: false,
      errno: "EOPNOTSUPP",
    });
    expect(rig.iommu.allocNested(device, rig.parent, 0, dataOf({}, 2))).toEqual({
      ok: false,
      errno: "EOPNOTSUPP",
    });
    const legacy = new IntelRig({}, { scalable: false });
    expect(legacy.iommu.allocNested(legacy.device(0), legacy.paging(), 0, data)).toEqual({
      ok: false,
      errno: "EOPNOTSUPP",
    });
  });

  it("INTEL-DIRTY-02: a guest's tables count as written where hardware set flags in them", () => {
    const rig = new GuestRig();
    must(rig.iommu.attach(rig.device(0), rig.nested));
    rig.point(0x10000n, 0xa1);
    must(rig.parent.dirty!.set(true));
    const dirty = (): bigint[] => {
      const pages: bigint[] = [];
      must(rig.parent.dirty!.readAndClear(0n, 64n * 4096n, true, (iova) => void pages.push(iova)));
      return pages;
    };
    expect(rig.load(0, GVA)).toBe("a1");
    expect(dirty()).toEqual([...TABLES]);
    expect(rig.store(0, GVA, 1)).toBe("ok");
    expect(dirty()).toEqual([TABLES[3], 0x10000n]);
    expect(dirty()).toEqual([]);
    expect(rig.store(0, GVA, 2)).toBe("ok");
    expect(dirty()).toEqual([0x10000n]);
  });
});
