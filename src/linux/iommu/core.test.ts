import { describe, expect, it } from "vitest";
import { must } from "../../../test/intel-rig.ts";
import { KernelRig } from "../../../test/kernel-rig.ts";
import { PAGE_REQUEST_CAPABILITY } from "../../hardware/pci/spec/capabilities.ts";
import type { HostBuilder } from "../../machine/host-machine.ts";
import type { FallibleResource } from "../fault-injector.ts";

const IOVA = 0x4000_0000n;
const PAGE = 4096n;
const RW = 3;
const ME = { me: true };
const OTHER = { me: false };

/** Two functions of one device without access control: one group. */
const ONE_GROUP = ({ addEngine }: HostBuilder): void => {
  addEngine({ device: 2 });
  addEngine({ device: 2, function: 1 });
};

/** A kernel, and a domain in which one page begins with `byte`. */
const rigOf = (populate?: (build: HostBuilder) => void) => {
  const rig = new KernelRig(populate === undefined ? {} : { populate }, { dma: "passthrough" });
  rig.enable(0, 1);
  const { core } = rig.kernel;
  const domain = (byte: number, kind: { dirtyTracking?: boolean } = {}) => {
    const made = rig.paging(0, kind);
    must(made.map(IOVA, rig.page(byte), PAGE, RW));
    return made;
  };
  const [first, second] = [rig.device(0), rig.device(1)];
  const see = (index: number, pasid?: number) => rig.load(index, IOVA, pasid).slice(0, 5);
  return { rig, core, domain, first, second, group: first.group, see };
};

describe("who owns a group", () => {
  it("CORE-OWN-01: one owner counts its claims; for another it is EPERM until the last has gone", () => {
    const { core, first, second } = rigOf(ONE_GROUP);
    expect(core.claimDmaOwner(first, ME).ok).toBe(true);
    expect(core.claimDmaOwner(second, ME).ok).toBe(true);
    expect(core.claimDmaOwner(second, OTHER)).toEqual({ ok: false, errno: "EPERM" });
    core.releaseDmaOwner(first);
    expect(core.claimDmaOwner(first, OTHER)).toEqual({ ok: false, errno: "EPERM" });
    core.releaseDmaOwner(second);
    expect(core.claimDmaOwner(first, OTHER).ok).toBe(true);
  });

  it("CORE-OWN-02: a group that is claimed reaches nothing, and is as before when it is released", () => {
    const { rig, core, first } = rigOf();
    const page = rig.page(0x5a);
    expect(rig.load(0, page)).toBe("5a");
    must(core.claimDmaOwner(first, ME));
    expect(rig.load(0, page)).toMatch(/^fault/);
    core.releaseDmaOwner(first);
    expect(rig.load(0, page)).toBe("5a");
  });

  it("CORE-OWN-03: a device that firmware needs memory for is not given away", () => {
    const reservedMemory = [
      {
        segment: 0,
        start: 0x20_0000n,
        last: 0x20_0fffn,
        devices: [{ source: 0x10, subtree: false }],
      },
    ];
    const rig = new KernelRig({ reservedMemory }, { dma: "strict" });
    rig.enable(0, 1);
    rig.machine.memory.write8(0x20_0000n, 0x77);
    expect(rig.load(0, 0x20_0000n)).toBe("77");
    expect(rig.load(1, 0x20_0000n)).toMatch(/^fault/);
    const claimed = rig.kernel.core.claimDmaOwner(rig.device(0), ME);
    expect(claimed).toEqual({ ok: false, errno: "EINVAL" });
    expect(rig.load(0, 0x20_0000n)).toBe("77");
  });

  it("CORE-OWN-04: a driver of the kernel and an owner exclude each other", () => {
    const { core, first } = rigOf();
    must(core.useDma(first));
    expect(core.claimDmaOwner(first, ME)).toEqual({ ok: false, errno: "EPERM" });
    core.endDma(first);
    must(core.claimDmaOwner(first, ME));
    expect(core.useDma(first)).toEqual({ ok: false, errno: "EBUSY" });
  });

  it("CORE-OWN-05: no claim, and no driver, while PASIDs are attached", () => {
    const { core, domain, first } = rigOf();
    must(core.attachPasid(first, 4, domain(1)));
    expect(core.claimDmaOwner(first, ME)).toEqual({ ok: false, errno: "EBUSY" });
    expect(core.useDma(first)).toEqual({ ok: false, errno: "EBUSY" });
  });
});

describe("groups", () => {
  it("CORE-ATTACH-01: all devices of a group are attached; EBUSY when something is", () => {
    const { core, domain, first, group, see } = rigOf(ONE_GROUP);
    must(core.claimDmaOwner(first, ME));
    must(core.attachGroup(group, domain(0xaa)));
    expect([see(0), see(1)]).toEqual(["aa", "aa"]);
    expect(core.attachGroup(group, domain(0xbb))).toEqual({ ok: false, errno: "EBUSY" });
    expect([see(0), see(1)]).toEqual(["aa", "aa"]);
  });

  it("CORE-ATTACH-02: a group is attached to another domain, or EINVAL when it has none", () => {
    const { core, domain, first, group, see } = rigOf(ONE_GROUP);
    must(core.claimDmaOwner(first, ME));
    expect(core.replaceGroup(group, domain(1))).toEqual({ ok: false, errno: "EINVAL" });
    must(core.attachGroup(group, domain(0xaa)));
    must(core.replaceGroup(group, domain(0xbb)));
    expect([see(0), see(1)]).toEqual(["bb", "bb"]);
  });

  it("CORE-ATTACH-03: what is detached is blocked while owned", () => {
    const { rig, core, domain, first, group, see } = rigOf(ONE_GROUP);
    must(core.claimDmaOwner(first, ME));
    must(core.attachGroup(group, domain(0xaa)));
    core.detachGroup(group);
    expect([see(0), see(1)]).toEqual(["fault", "fault"]);
    core.detachGroup(group);
    core.releaseDmaOwner(first);
    expect(rig.load(1, rig.page(0x33))).toBe("33");
  });

  const kinds: readonly FallibleResource[] = ["domain-id", "table", "descriptor"];

  it.each(["attach", "replace"] as const)(
    "CORE-ATTACH-04: whatever fails in the middle of a group, no device is left with the new domain: %s",
    (operation) => {
      let failures = 0;
      for (let n = 0; ; n++) {
        const { rig, core, domain, first, group, see } = rigOf(ONE_GROUP);
        must(core.claimDmaOwner(first, ME));
        const [old, next] = [domain(0xaa), domain(0xbb)];
        if (operation === "replace") must(core.attachGroup(group, old));
        rig.faults.failNth(n, kinds);
        const outcome =
          operation === "replace" ? core.replaceGroup(group, next) : core.attachGroup(group, next);
        const failed = rig.faults.hasFailed;
        rig.faults.reset();
        if (!failed) {
          expect([outcome.ok, see(0), see(1)]).toEqual([true, "bb", "bb"]);
          break;
        }
        failures += 1;
        const before = operation === "replace" ? "aa" : "fault";
        expect([outcome.ok, see(0), see(1)]).toEqual([false, before, before]);
        expect(core.attachedTo(group)).toBe(operation === "replace" ? old : undefined);
        if (operation === "attach") must(core.attachGroup(group, next));
        else must(core.replaceGroup(group, next));
        expect([see(0), see(1)]).toEqual(["bb", "bb"]);
      }
      expect(failures).toBeGreaterThan(operation === "replace" ? 3 : 0);
    },
  );

  it("CORE-ATTACH-05: a reset device reaches nothing meanwhile, and the same as before afterwards", () => {
    const { rig, core, domain, first, group, see } = rigOf();
    must(core.claimDmaOwner(first, ME));
    must(core.attachGroup(group, domain(0xaa)));
    must(core.attachPasid(first, 7, domain(0xbb)));
    const meanwhile: string[] = [];
    const outcome = core.reset(first, () => {
      meanwhile.push(see(0), see(0, 7));
      return first.pci.reset();
    });
    expect([outcome.ok, meanwhile]).toEqual([true, ["fault", "fault"]]);
    expect([see(0), see(0, 7)]).toEqual(["aa", "bb"]);
    expect(rig.load(0, IOVA, 7, true)).toBe("bb");
    const { config } = first.pci;
    expect(config.get(PAGE_REQUEST_CAPABILITY, "pageRequestEnable")).toBe(1);
  });
});

describe("PASIDs", () => {
  it("CORE-PASID-01: EINVAL for 0 and beyond the device's, EBUSY for one that is attached", () => {
    const { core, domain, first, see } = rigOf();
    const made = domain(0xaa);
    expect(core.attachPasid(first, 0, made)).toEqual({ ok: false, errno: "EINVAL" });
    expect(core.attachPasid(first, 1 << 20, made)).toEqual({ ok: false, errno: "EINVAL" });
    must(core.attachPasid(first, (1 << 20) - 1, made));
    const again = core.attachPasid(first, (1 << 20) - 1, domain(0xbb));
    expect(again).toEqual({ ok: false, errno: "EBUSY" });
    expect(see(0, (1 << 20) - 1)).toBe("aa");
  });

  it("CORE-PASID-02: attached for each device of the group, replaced, and detached, which cannot fail", () => {
    const { rig, core, domain, first, second, see } = rigOf(ONE_GROUP);
    expect(core.replacePasid(first, 5, domain(1))).toEqual({ ok: false, errno: "EINVAL" });
    must(core.attachPasid(first, 5, domain(0xaa)));
    expect([see(0, 5), see(1, 5)]).toEqual(["aa", "aa"]);
    must(core.replacePasid(second, 5, domain(0xbb)));
    expect([see(0, 5), see(1, 5)]).toEqual(["bb", "bb"]);
    rig.faults.failNth(0, ["descriptor"]);
    core.detachPasid(first, 5);
    core.detachPasid(first, 5);
    expect([see(0, 5), see(1, 5)]).toEqual(["fault", "fault"]);
  });

  it("CORE-PASID-03: whatever fails, a PASID is as it was on every device", () => {
    let failures = 0;
    for (let n = 0; ; n++) {
      const { rig, core, domain, first, see } = rigOf(ONE_GROUP);
      must(core.attachPasid(first, 5, domain(0xaa)));
      const next = domain(0xbb);
      rig.faults.failNth(n, ["domain-id", "table", "descriptor"]);
      const outcome = core.replacePasid(first, 5, next);
      const failed = rig.faults.hasFailed;
      rig.faults.reset();
      const now = failed ? "aa" : "bb";
      expect([outcome.ok, see(0, 5), see(1, 5)]).toEqual([!failed, now, now]);
      if (!failed) break;
      failures += 1;
    }
    expect(failures).toBeGreaterThan(3);
  });

  it("CORE-PASID-04: a unit in legacy mode has none", () => {
    const rig = new KernelRig({}, { dma: "passthrough", intel: { scalable: false } });
    const outcome = rig.kernel.core.attachPasid(rig.device(0), 1, rig.paging());
    expect(outcome).toEqual({ ok: false, errno: "EINVAL" });
  });
});
