import { describe, expect, it } from "vitest";
import { must } from "../../../test/intel-rig.ts";
import { KernelRig } from "../../../test/kernel-rig.ts";
import { PAGE_REQUEST_CAPABILITY } from "../../hardware/pci/spec/capabilities.ts";
import { type IoPageFaultGroup, PARTIAL_FAULT_LIMIT } from "./index.ts";

const IOVA = 0x4000_0000n;
const PAGE = 4096n;
const ME = {};

/** A device whose faults are collected: of requests without a PASID, or of PASID 9. */
const rigOf = (pasid?: number) => {
  const rig = new KernelRig({}, { dma: "passthrough" });
  rig.enable(0, 1);
  const { core } = rig.kernel;
  const [device, domain] = [rig.device(0), rig.paging()];
  const groups: IoPageFaultGroup[] = [];
  const sink = (group: IoPageFaultGroup) => void groups.push(group);
  must(core.claimDmaOwner(device, ME));
  must(
    pasid === undefined
      ? core.attachGroup(device.group, domain, sink)
      : core.attachPasid(device, pasid, domain, sink),
  );
  return { rig, core, device, domain, groups, sink };
};

describe("I/O page faults", () => {
  it.each([undefined, 9])(
    "CORE-IOPF-01: a page is asked for, mapped, and reached once the group is answered: PASID %s",
    (pasid) => {
      const { rig, core, device, domain, groups } = rigOf(pasid);
      const tag = pasid === undefined ? {} : { pasid };
      expect(rig.ask(0, IOVA, { ...tag, write: true, group: 3 })).toBe("busy");
      expect(groups).toMatchObject([{ pasid, groupId: 3, device }]);
      const fault = { address: IOVA, read: true, write: true, execute: false, privileged: false };
      expect(groups[0]!.faults).toEqual([fault]);
      expect([core.pageFaults.outstanding(device), rig.status(0)]).toEqual([1, "busy"]);
      must(domain.map(IOVA, rig.page(0xaa), PAGE, 3));
      groups[0]!.respond("success");
      expect([rig.status(0), rig.answer(0)]).toEqual(["ok", "3:0"]);
      expect(rig.load(0, IOVA, pasid)).toBe("aa");
      groups[0]!.respond("invalid");
      expect([core.pageFaults.outstanding(device), rig.answer(0)]).toEqual([0, "3:0"]);
      // The device has not had an answer that it did not wait for.
      expect(device.pci.config.get(PAGE_REQUEST_CAPABILITY, "unexpectedGroupIndex")).toBe(0);
    },
  );

  it("CORE-IOPF-02: requests of a group come together with its last; groups are kept apart", () => {
    const { rig, groups } = rigOf();
    rig.ask(0, IOVA, { group: 1, last: false });
    rig.ask(0, IOVA + PAGE, { group: 2, last: false });
    rig.ask(0, IOVA + 2n * PAGE, { group: 1, last: false });
    expect(groups).toEqual([]);
    rig.ask(0, IOVA, { group: 1, last: false, pasid: 4 });
    rig.ask(0, IOVA + 3n * PAGE, { group: 1 });
    const addresses = groups[0]!.faults.map(({ address }) => address - IOVA);
    expect([groups.length, addresses]).toEqual([1, [0n, 2n * PAGE, 3n * PAGE]]);
    groups[0]!.respond("failure");
    expect([rig.status(0), rig.answer(0)]).toEqual(["fault 0f", "1:15"]);
  });

  it("CORE-IOPF-03: where nobody takes faults they are refused at once", () => {
    const { rig, core } = rigOf(9);
    expect([rig.ask(0, IOVA), rig.answer(0)]).toEqual(["fault 01", "1:1"]);
    const other = rig.device(1);
    must(core.attachPasid(other, 2, rig.paging(1)));
    expect(rig.ask(1, IOVA, { pasid: 2 })).toBe("fault 01");
  });

  it("CORE-IOPF-04: what waits when an attachment ends or is replaced is refused, unfinished groups are forgotten", () => {
    for (const end of ["detach", "replace"] as const) {
      const { rig, core, device, groups, sink } = rigOf();
      rig.ask(0, IOVA, { group: 1, last: false });
      rig.ask(0, IOVA, { group: 2 });
      if (end === "detach") core.detachGroup(device.group);
      else must(core.replaceGroup(device.group, rig.paging(), sink));
      expect([rig.status(0), rig.answer(0)]).toEqual(["fault 01", "2:1"]);
      expect(core.pageFaults.outstanding(device)).toBe(0);
      if (end === "detach") must(core.attachGroup(device.group, rig.paging(), sink));
      rig.ask(0, IOVA + PAGE, { group: 1 });
      expect(groups.at(-1)!.faults.map(({ address }) => address)).toEqual([IOVA + PAGE]);
    }
  });

  it("CORE-IOPF-05: a device that cannot request pages is not attached with somebody who takes them", () => {
    const rig = new KernelRig({}, { dma: "passthrough", intel: { scalable: false } });
    const { core } = rig.kernel;
    must(core.claimDmaOwner(rig.device(0), ME));
    const outcome = core.attachGroup(rig.device(0).group, rig.paging(), () => {});
    expect(outcome).toEqual({ ok: false, errno: "ENODEV" });
    expect(core.attachedTo(rig.device(0).group)).toBeUndefined();
  });

  it("CORE-IOPF-06: a device with too many unfinished requests has its next groups refused", () => {
    const { core, device, groups } = rigOf();
    const answers: string[] = [];
    const fault = { address: IOVA, read: true, write: false, execute: false, privileged: false };
    const report = (group: number, last: boolean) =>
      core.pageFaults.report({
        device,
        pasid: undefined,
        group,
        last,
        fault,
        answer: (response) => void answers.push(response),
      });
    for (let i = 0; i <= PARTIAL_FAULT_LIMIT; i++) report(1, false);
    report(2, true);
    report(1, true);
    report(3, true);
    expect([answers, groups.map(({ groupId }) => groupId)]).toEqual([["invalid", "invalid"], [3]]);
  });

  it("CORE-IOPF-07: a response that needs two attempts comes, and a request made by the answer's arrival too", () => {
    const { rig, groups } = rigOf();
    rig.ask(0, IOVA, { group: 1 });
    rig.faults.failNth(0, ["descriptor"]);
    groups[0]!.respond("success");
    expect(rig.answer(0)).toBe("1:0");
    rig.machine.trace.listen("pci.page-response", () => {
      if (groups.length < 4) rig.ask(1, IOVA, { group: groups.length });
    });
    const { core } = rig.kernel;
    must(core.claimDmaOwner(rig.device(1), ME));
    must(core.attachGroup(rig.device(1).group, rig.paging(1), (group) => void groups.push(group)));
    rig.ask(0, IOVA, { group: 5 });
    groups[1]!.respond("success");
    expect(groups.map(({ device }) => device.name.slice(8))).toEqual(["02.0", "02.0", "03.0"]);
    groups[2]!.respond("success");
    expect(rig.answer(1)).toBe("2:0");
  });
});
