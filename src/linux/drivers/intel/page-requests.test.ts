import { describe, expect, it } from "vitest";
import { must } from "../../../../test/intel-rig.ts";
import { KernelRig } from "../../../../test/kernel-rig.ts";
import { PAGE_REQUEST_CAPABILITY } from "../../../hardware/pci/spec/capabilities.ts";
import {
  type Capabilities,
  createCapabilities,
  ECAP,
  SERVER,
} from "../../../hardware/vtd/index.ts";
import type { FaultSink, IoPageFaultGroup } from "../../iommu/index.ts";

const IOVA = 0x4000_0000n;
const PQH = 0xc0n;
const PQT = 0xc8n;

const rigOf = (capabilities: Capabilities = SERVER) => {
  const rig = new KernelRig({ units: [{ capabilities }] }, { dma: "passthrough" });
  rig.enable(0, 1);
  const { base } = rig.machine.platform.firmware.units[0]!;
  const groups: IoPageFaultGroup[] = [];
  const sink: FaultSink = (group) => void groups.push(group);
  const attach = (pasid = 3) =>
    rig.kernel.core.attachPasid(rig.device(0), pasid, rig.paging(), sink);
  return { rig, groups, sink, attach, base };
};

const without = (name: keyof typeof ECAP.fields): Capabilities =>
  createCapabilities({
    cap: SERVER.cap,
    ecap: SERVER.ecap & ~ECAP.fields[name].mask,
    hostAddressWidth: 52,
  });

describe("page requests", () => {
  it("INTEL-PRQ-01: a device may request pages where it and the unit can, and its context entry says so", () => {
    const { rig, attach } = rigOf();
    expect(rig.device(0).pci.config.get(PAGE_REQUEST_CAPABILITY, "pageRequestEnable")).toBe(1);
    must(attach());
    expect(rig.ask(0, IOVA, { pasid: 3 })).toBe("busy");
    const other = rigOf(without("PRS"));
    const { config } = other.rig.device(0).pci;
    expect(config.get(PAGE_REQUEST_CAPABILITY, "pageRequestEnable")).toBe(0);
    expect(other.attach()).toEqual({ ok: false, errno: "ENODEV" });
  });

  it("INTEL-PRQ-02: each request has its group, PASID, address and rights; a hundred come in order", () => {
    const { rig, groups, attach } = rigOf();
    must(attach());
    for (let i = 0; i < 100; i++) {
      rig.ask(0, IOVA + BigInt(i) * 4096n, { pasid: 3, group: i, write: i % 2 === 1 });
      groups[i]!.respond("success");
      expect(rig.answer(0)).toBe(`${i}:0`);
    }
    expect(groups.map(({ groupId, faults }) => [groupId, faults[0]!.address - IOVA])).toEqual(
      groups.map((_, i) => [i, BigInt(i) * 4096n]),
    );
    expect(groups.map(({ faults }) => faults[0]!.write)).toEqual(groups.map((_, i) => i % 2 === 1));
  });

  it("INTEL-PRQ-02: requests that answers bring about are taken one after the other, around the end of the queue", () => {
    const { rig, groups, sink } = rigOf();
    const { core } = rig.kernel;
    const count = 2200;
    // The first is answered from outside, the others while they are being handed over.
    const answering: FaultSink = (group) => {
      sink(group);
      if (groups.length > 1) group.respond("success");
    };
    must(core.attachPasid(rig.device(0), 3, rig.paging(), answering));
    must(core.attachPasid(rig.device(1), 3, rig.paging(1), answering));
    let asked = 1;
    rig.machine.trace.listen("pci.page-response", () => {
      if (asked >= count) return;
      // The other engine: this one is still busy with its answer.
      rig.ask(asked % 2, IOVA, { pasid: 3, group: asked % 512 });
      asked += 1;
    });
    rig.ask(0, IOVA, { pasid: 3, group: 0 });
    groups[0]!.respond("success");
    expect(groups.length).toBe(count);
    expect(groups.every(({ groupId }, i) => groupId === i % 512)).toBe(true);
    expect([rig.status(0), rig.status(1), rig.kernel.log.length]).toEqual(["ok", "ok", 1]);
  });

  it("INTEL-PRQ-03: after an overflow the log has a line, unfinished groups are forgotten, and others are taken", () => {
    const { rig, groups, attach, base } = rigOf();
    const { platform } = rig.machine;
    must(attach());
    rig.ask(0, IOVA, { pasid: 3, group: 1, last: false });
    // The unit takes the queue for full.
    const tail = platform.readMmio(base + PQT, 8);
    platform.writeMmio(base + PQH, 8, tail + 32n);
    // The unit has the device try again itself.
    expect([rig.ask(0, IOVA, { pasid: 3, group: 2 }), rig.answer(0)]).toEqual(["ok", "2:0"]);
    expect(rig.kernel.log.at(-1)).toMatch(/page requests were lost/);
    rig.ask(0, IOVA + 4096n, { pasid: 3, group: 1 });
    expect(groups.map(({ faults }) => faults.map(({ address }) => address))).toEqual([
      [IOVA + 4096n],
    ]);
  });

  it("INTEL-PRQ-04: a device whose answer is lost for want of descriptors is told of in the log", () => {
    const { rig, groups, attach } = rigOf();
    must(attach());
    rig.ask(0, IOVA, { pasid: 3 });
    rig.faults.shouldFail = (kind) => kind === "descriptor";
    groups[0]!.respond("success");
    expect([rig.status(0), rig.kernel.log.at(-1)]).toEqual([
      "busy",
      expect.stringMatching(/a page response was lost/),
    ]);
  });

  it("INTEL-PRQ-05: ending an attachment waits for requests on their way, with a drain where the unit has one", () => {
    for (const [capabilities, cost] of [
      [SERVER, 1],
      [without("PDS"), 0],
    ] as const) {
      const { rig, groups, attach } = rigOf(capabilities);
      const { queue } = rig.kernel.iommu.units[0]!;
      const plain = rig.paging();
      must(rig.kernel.core.attachPasid(rig.device(0), 5, plain));
      let before = queue.counts.descriptors;
      rig.kernel.core.detachPasid(rig.device(0), 5);
      const without = queue.counts.descriptors - before;
      must(attach());
      rig.ask(0, IOVA, { pasid: 3 });
      before = queue.counts.descriptors;
      rig.kernel.core.detachPasid(rig.device(0), 3);
      // The drain, and the answer to the one that waits.
      expect(queue.counts.descriptors - before - without).toBe(cost + 1);
      expect([groups.length, rig.answer(0)]).toEqual([1, "1:1"]);
    }
  });

  it("INTEL-PRQ-06: requests to execute what is read, and privileged ones, are refused", () => {
    const { rig, groups, attach } = rigOf();
    must(attach());
    expect(rig.ask(0, IOVA, { pasid: 3, execute: true })).toBe("fault 01");
    expect(rig.ask(0, IOVA, { pasid: 3, privileged: true })).toBe("fault 01");
    expect(groups).toEqual([]);
    expect(rig.ask(0, IOVA, { pasid: 3 })).toBe("busy");
  });
});
