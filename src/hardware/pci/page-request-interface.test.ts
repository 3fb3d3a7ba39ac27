import { describe, expect, test } from "vitest";
import type { PageGroupResponse, PageRequest } from "./ats.ts";
import { NO_PASID } from "./dma-request.ts";
import { machine, reasonOf } from "./fabric.fixture.ts";
import { PAGE_REQUEST_CAPABILITY, PASID_CAPABILITY } from "./spec/capabilities.ts";

const { layout } = PAGE_REQUEST_CAPABILITY;
const ASKED: Omit<PageRequest, "source"> = {
  pasid: NO_PASID,
  address: 0x5000n,
  read: true,
  write: false,
  execute: false,
  privileged: false,
  group: 1,
  last: true,
};

const service = () => {
  const m = machine();
  const requests: PageRequest[] = [];
  const answers: PageGroupResponse[] = [];
  const { config } = m.device;
  m.device.atsTarget = {
    invalidate: (_, completed) => completed(),
    respond: (response) => answers.push(response),
  };
  Object.assign(m.translator, {
    requestPage: (request: PageRequest) => {
      requests.push(request);
      return "queued";
    },
  });
  config.writeField(PASID_CAPABILITY.layout, "pasidEnable", 1);
  config.writeField(layout, "allocation", 3);
  config.writeField(layout, "pageRequestEnable", 1);
  const port = m.fabric.port(m.device);
  const ask = (more: Partial<PageRequest> = {}) =>
    reasonOf(port.requestPage({ ...ASKED, ...more }) as never);
  const answer = (more: Partial<PageGroupResponse> = {}) =>
    m.fabric.respondToDevice(0, {
      destination: m.device.requesterId!,
      pasid: NO_PASID,
      group: 1,
      code: 0,
      ...more,
    });
  return { ...m, config, requests, answers, ask, answer };
};

describe("page requests", () => {
  test("PCI-PRI-02: how many may be outstanding", () => {
    const { config, ask, answer } = service();
    expect([ask(), ask(), ask({ group: 2 }), ask({ group: 2 })]).toEqual([
      "ok",
      "ok",
      "ok",
      "page-requests-exhausted",
    ]);
    expect(answer()).toBe(true);
    expect([ask(), ask(), ask()]).toEqual(["ok", "ok", "page-requests-exhausted"]);
    config.writeField(layout, "allocation", 100);
    answer({ group: 2 });
    answer();
    for (let i = 0; i < 32; i++) expect(ask({ group: 3 })).toBe("ok");
    expect(ask()).toBe("page-requests-exhausted");
    config.writeField(layout, "pageRequestEnable", 0);
    expect(ask()).toBe("page-requests-disabled");
  });

  test("PCI-PRI-03: who is asked, and what stops a request", () => {
    const { config, device, requests, ask, translator, port: above } = service();
    expect(ask({ pasid: 7, execute: true, address: 0x7ff0n })).toBe("execute-disabled");
    config.writeField(PASID_CAPABILITY.layout, "executePermissionEnable", 1);
    expect(ask({ pasid: 7, execute: true, address: 0x7ff0n })).toBe("ok");
    expect(requests).toEqual([
      { ...ASKED, pasid: 7, execute: true, address: 0x7ff0n, source: device.requesterId },
    ]);
    expect(ask({ pasid: 0x100 })).toBe("pasid-too-wide");
    expect(ask({ privileged: true })).toBe("pasid-missing");
    above.config.write(4, 2, 2);
    expect(ask()).toBe("bus-master-disabled");
    above.config.write(4, 2, 6);
    Object.assign(translator, { requestPage: undefined });
    expect(ask()).toBe("no-page-request-service");
    expect([requests.length, device.pageRequests.outstanding]).toEqual([1, 1]);
  });

  test("PCI-PRI-04: who is answered", () => {
    const { config, device, answers, ask, answer } = service();
    ask({ pasid: 7 });
    expect([answer({ pasid: 8 }), answer({ group: 2, pasid: 7 }), answer()]).toEqual([
      false,
      false,
      false,
    ]);
    expect([answers, config.get(layout, "unexpectedGroupIndex")]).toEqual([[], 1]);
    expect(answer({ destination: 0x7777, pasid: 7 })).toBe(false);
    expect(answer({ pasid: 7 })).toBe(true);
    expect(answers).toEqual([{ destination: device.requesterId, pasid: 7, group: 1, code: 0 }]);
    expect(answer({ pasid: 7 })).toBe(false);
    config.hardwire(layout, "responsePasidRequired", 0);
    ask({ pasid: 7 });
    expect(answer({ pasid: NO_PASID })).toBe(true);
  });

  test("PCI-PRI-05: a failure", () => {
    for (const code of [2, 15]) {
      const { config, device, ask, answer, answers } = service();
      ask();
      ask({ group: 2 });
      expect(answer({ code })).toBe(true);
      expect([
        device.pageRequests.outstanding,
        answers.length,
        config.get(layout, "responseFailure"),
      ]).toEqual([0, 1, 1]);
      expect([answer({ group: 2 }), ask()]).toEqual([false, "page-requests-failed"]);
      config.writeField(layout, "responseFailure", 1);
      expect(ask()).toBe("ok");
      expect([answer({ code: 1 }), config.get(layout, "responseFailure")]).toEqual([true, 0]);
    }
  });

  test("PCI-PRI-06: Stopped, and what forgets", () => {
    const { config, device, ask, answer } = service();
    const stopped = () => config.get(layout, "stopped");
    ask();
    config.writeField(layout, "pageRequestReset", 1);
    expect(device.pageRequests.outstanding).toBe(1);
    config.writeField(layout, "pageRequestEnable", 0);
    expect(stopped()).toBe(0);
    answer();
    expect(stopped()).toBe(1);
    config.writeField(layout, "pageRequestEnable", 1);
    ask();
    config.writeField(layout, "pageRequestEnable", 0);
    config.writeField(layout, "pageRequestReset", 1);
    expect([device.pageRequests.outstanding, stopped()]).toEqual([0, 1]);
    config.writeField(layout, "pageRequestEnable", 1);
    ask();
    device.reset();
    expect([device.pageRequests.outstanding, stopped()]).toEqual([0, 1]);
  });

  test("PCI-PRI-07: Stop Markers are never outstanding", () => {
    const { config, device, ask, requests } = service();
    const marker = { pasid: 5, read: false, write: false, last: true };
    for (let group = 0; group < 3; group++) ask({ group });
    expect([ask(), ask(marker), ask(marker)]).toEqual(["page-requests-exhausted", "ok", "ok"]);
    expect([requests.length, device.pageRequests.outstanding]).toEqual([5, 3]);
    // Without a PASID, or asking for something, it is none.
    const exhausted = "page-requests-exhausted";
    expect([ask({ ...marker, pasid: NO_PASID }), ask({ ...marker, last: false })]).toEqual([
      exhausted,
      exhausted,
    ]);
    config.writeField(layout, "pageRequestEnable", 0);
    expect(ask(marker)).toBe("page-requests-disabled");
  });
});
