import { describe, expect, test } from "vitest";
import type { TraceEvent } from "../../trace/channel.ts";
import { NO_PASID, READ, WRITE } from "./dma-request.ts";
import { machine, memoryAt, PageMap, text } from "./fabric.fixture.ts";
import type { TransferResult } from "./in-flight.ts";
import { PCI_EXPRESS_CAPABILITY } from "./spec/capabilities.ts";

describe("requests in flight", () => {
  test("PCI-FLY-01: a held write lands in the old page after the page has been remapped", () => {
    const m = machine();
    const id = m.device.requesterId!;
    m.translator.map(id, 0x1000n, 0x3000n);
    const port = m.fabric.port(m.device);
    const held = port.begin(0x1000n, 5, WRITE);
    expect([held.translated, held.pending, m.fabric.inFlight.count]).toEqual([5, true, 1]);
    expect(memoryAt(m, 0x3000n, 1)).toBe("\0");
    m.translator.map(id, 0x1000n, 0x9000n);
    expect(port.write(0x1000n, text("fresh"))).toEqual({ ok: true });
    expect(held.finish(text("stale"))).toEqual({ ok: true });
    expect([memoryAt(m, 0x3000n, 5), memoryAt(m, 0x9000n, 5)]).toEqual(["stale", "fresh"]);
    expect([held.pending, m.fabric.inFlight.count]).toEqual([false, 0]);
    expect(() => held.finish(text("again"))).toThrow("finished before");
  });

  test("PCI-FLY-01: a held read sees what is in the old page when it is finished", () => {
    const m = machine();
    m.translator.map(m.device.requesterId!, 0x1000n, 0x3000n);
    const held = m.fabric.port(m.device).begin(0x1004n, 4, READ);
    m.memory.write(0x3004n, text("late"));
    const bytes = new Uint8Array(4);
    expect(held.finish(bytes)).toEqual({ ok: true });
    expect(bytes).toEqual(text("late"));
    expect(() => m.fabric.port(m.device).begin(0x1000n, 4, READ).finish(new Uint8Array(5))).toThrow(
      RangeError,
    );
  });

  test("PCI-FLY-02: a held transfer keeps what could be translated, and says where it ended", () => {
    const m = machine();
    m.translator.map(m.device.requesterId!, 0x1000n, 0x3000n);
    const port = m.fabric.port(m.device);
    const held = port.begin(0x1ffcn, 8, WRITE);
    expect(held.translated).toBe(4);
    expect(held.finish(text("ABCDEFGH"))).toMatchObject({
      ok: false,
      transferred: 4,
      fault: { code: 6 },
    });
    expect(memoryAt(m, 0x3ffcn, 4)).toBe("ABCD");
    const refused = port.begin(0x8000n, 8, WRITE);
    expect(m.fabric.inFlight.count).toBe(0);
    expect(refused.finish(new Uint8Array(8))).toMatchObject({
      ok: false,
      transferred: 0,
      fault: { code: 6 },
    });
  });

  test("PCI-FLY-03: a drain waits for what was in flight when it began, and for nothing later", () => {
    const m = machine();
    for (let page = 0n; page < 8n; page++)
      m.translator.map(m.device.requesterId!, page << 12n, page << 12n);
    const port = m.fabric.port(m.device);
    const log: string[] = [];
    const wait = (name: string) => m.fabric.inFlight.whenEarlierDone(() => log.push(name));
    wait("none");
    expect(log).toEqual(["none"]);
    const [a, b] = [port.begin(0n, 1, WRITE), port.begin(0x1000n, 1, WRITE)];
    wait("a b");
    const c = port.begin(0x2000n, 1, WRITE);
    wait("a b c");
    wait("a b c again");
    const d = port.begin(0x3000n, 1, WRITE);
    b.finish(text("b"));
    expect(log).toEqual(["none"]);
    d.finish(text("d"));
    c.finish(text("c"));
    expect(log).toEqual(["none"]);
    const e = port.begin(0x4000n, 1, WRITE);
    a.finish(text("a"));
    expect(log).toEqual(["none", "a b", "a b c", "a b c again"]);
    expect(m.fabric.inFlight.count).toBe(1);
    e.abort({ code: 0, message: "given up" });
    expect(m.fabric.inFlight.count).toBe(0);
  });

  test("PCI-FLY-03: callbacks keep their order when they finish requests and wait themselves", () => {
    const m = machine();
    m.translator.map(m.device.requesterId!, 0n, 0n);
    const port = m.fabric.port(m.device);
    const log: string[] = [];
    const a = port.begin(0n, 1, WRITE);
    const requests = m.fabric.inFlight;
    requests.whenEarlierDone(() => {
      b.finish(text("b"));
      log.push("first");
      requests.whenEarlierDone(() => log.push("third"));
    });
    const b = port.begin(0n, 1, WRITE);
    requests.whenEarlierDone(() => log.push("second"));
    a.finish(text("a"));
    expect(log).toEqual(["first", "second", "third"]);
  });

  test("PCI-FLY-04: bytes are in memory before anybody hears that the request is over", () => {
    const m = machine();
    m.translator.map(m.device.requesterId!, 0n, 0x3000n);
    const held = m.fabric.port(m.device).begin(0n, 4, WRITE);
    let seen = "";
    m.fabric.inFlightThrough(m.translator).whenEarlierDone(() => {
      seen = memoryAt(m, 0x3000n, 4);
    });
    held.finish(text("done"));
    expect(seen).toBe("done");
  });

  test("PCI-FLY-05: each unit and each device drains its own requests only", () => {
    const m = machine();
    const unit = new PageMap();
    m.fabric.attach(unit, { kind: "functions", functions: [m.integrated] });
    unit.map(m.integrated.requesterId!, 0n, 0n);
    m.translator.map(m.device.requesterId!, 0n, 0n);
    const mine = m.fabric.port(m.device).begin(0n, 1, READ);
    let drained = 0;
    m.fabric.inFlightThrough(unit).whenEarlierDone(() => drained++);
    m.fabric.port(m.integrated).inFlight.whenEarlierDone(() => drained++);
    expect(drained).toBe(2);
    m.fabric.inFlightThrough(m.translator).whenEarlierDone(() => drained++);
    m.fabric.port(m.device).inFlight.whenEarlierDone(() => drained++);
    expect(drained).toBe(2);
    mine.finish(new Uint8Array(1));
    expect(drained).toBe(4);
  });

  test("PCI-FLY-06: a reset aborts what is in flight, which counts as done and touches nothing", () => {
    const m = machine();
    m.translator.map(m.device.requesterId!, 0n, 0x3000n);
    m.translator.map(m.integrated.requesterId!, 0n, 0x4000n);
    const aborted = m.fabric.port(m.device).begin(0n, 4, WRITE);
    const other = m.fabric.port(m.integrated).begin(0n, 4, WRITE);
    let drained = false;
    m.fabric.inFlight.whenEarlierDone(() => {
      drained = true;
    });
    const control = m.device.config.offsetOf(PCI_EXPRESS_CAPABILITY.layout)! + 8;
    m.device.config.write(control, 2, 0x8000);
    expect([aborted.pending, other.pending, drained, m.fabric.inFlight.count]).toEqual([
      false,
      true,
      false,
      1,
    ]);
    other.finish(text("kept"));
    expect(drained).toBe(true);
    const result: TransferResult = aborted.finish(text("lost"));
    expect(result).toMatchObject({ ok: false, transferred: 0, fault: { reason: "aborted" } });
    expect([memoryAt(m, 0x3000n, 4), memoryAt(m, 0x4000n, 4)]).toEqual(["\0\0\0\0", "kept"]);
  });

  test("PCI-FLY-06: removal aborts as well, and what is behind a removed bridge with it", () => {
    const m = machine();
    m.translator.map(m.device.requesterId!, 0n, 0x3000n);
    const held = m.fabric.port(m.device).begin(0n, 4, WRITE);
    m.root.remove(m.port);
    expect([held.pending, m.fabric.inFlight.count]).toEqual([false, 0]);
  });

  test("PCI-FLY-07: clearing Bus Master Enable does not stop what has left the device", () => {
    const m = machine();
    m.translator.map(m.device.requesterId!, 0n, 0x3000n);
    const held = m.fabric.port(m.device).begin(0n, 4, WRITE);
    m.device.config.write(4, 2, 0);
    expect(held.finish(text("left"))).toEqual({ ok: true });
    expect(memoryAt(m, 0x3000n, 4)).toBe("left");
  });
});

describe("what can be seen", () => {
  test("PCI-SEE-01: requests and ends of held transfers are events", () => {
    const m = machine();
    const id = m.device.requesterId!;
    m.translator.map(id, 0x1000n, 0x3000n);
    const seen: TraceEvent[] = [];
    m.trace.listen("pci.*", (event) => seen.push(event));
    const port = m.fabric.port(m.device);
    port.begin(0x1008n, 4, WRITE).finish(text("seen"));
    port.read(0x9000n, 4);
    const base = {
      function: m.device.address,
      source: id,
      pasid: NO_PASID,
      length: 4,
      addressType: 0,
    };
    expect(seen).toEqual([
      {
        name: "pci.request",
        payload: { ...base, address: 0x1008n, access: WRITE, physical: 0x3008n, fault: undefined },
      },
      {
        name: "pci.transfer-ended",
        payload: { function: m.device.address, length: 4, writes: true, result: { ok: true } },
      },
      {
        name: "pci.request",
        payload: {
          ...base,
          address: 0x9000n,
          access: READ,
          physical: undefined,
          fault: { code: 6, message: "nothing at 9000" },
        },
      },
    ]);
  });

  test("PCI-SEE-02: the fabric's state is plain data", () => {
    const m = machine();
    m.translator.map(m.device.requesterId!, 0n, 0n);
    const held = m.fabric.port(m.device).begin(0n, 1, READ);
    m.fabric.port(m.cards[0]!);
    m.cards[0]!.config.write(4, 2, 0);
    expect(m.fabric.inspect()).toEqual({
      schema: "softiommu/pci-fabric@1",
      inFlight: 1,
      ports: [
        {
          function: m.device.address,
          source: m.device.requesterId,
          translated: true,
          blocked: null,
          inFlight: 1,
        },
        {
          function: m.cards[0]!.address,
          source: m.cards[0]!.requesterId! & 0xff00,
          translated: true,
          blocked: `${m.cards[0]!.address} cannot reach memory: Bus Master Enable is clear in ${m.cards[0]!.address}`,
          inFlight: 0,
        },
      ],
    });
    held.abort({ code: 0, message: "" });
  });
});
