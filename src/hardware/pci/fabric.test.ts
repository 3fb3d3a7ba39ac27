import { describe, expect, test } from "vitest";
import type { AtsInvalidation } from "./ats.ts";
import {
  DmaRequest,
  EXECUTE,
  NO_PASID,
  PRIVILEGED,
  READ,
  TRANSLATED,
  TRANSLATION_REQUEST,
  WRITE,
} from "./dma-request.ts";
import { MEMORY, machine, memoryAt, PageMap, reasonOf, text } from "./fabric.fixture.ts";
import { Fabric } from "./fabric.ts";
import {
  ACS_CAPABILITY,
  ATS_CAPABILITY,
  PASID_CAPABILITY,
  PCI_EXPRESS_CAPABILITY,
} from "./spec/capabilities.ts";
import type { PciFunction } from "./topology.ts";

describe("requests", () => {
  test("PCI-DMA-01: bytes go where the requester's translation says", () => {
    const m = machine();
    m.translator.map(m.device.requesterId!, 0x7000n, 0x3000n);
    const port = m.fabric.port(m.device);
    expect(port.write(0x7010n, text("hello"))).toEqual({ ok: true });
    expect(memoryAt(m, 0x3010n, 5)).toBe("hello");
    expect(port.read(0x7011n, 4)).toEqual({ ok: true, bytes: text("ello") });
    expect(reasonOf(m.fabric.port(m.integrated).read(0x7010n, 4))).toBe("translator");
  });

  test("PCI-DMA-02: without a translator the address is physical", () => {
    const m = machine();
    const fabric = new Fabric(m.topology, m.memory);
    expect(fabric.port(m.device).write(0x5ffen, text("abcd"))).toEqual({ ok: true });
    expect(memoryAt(m, 0x5ffen, 4)).toBe("abcd");
    const request = new DmaRequest();
    request.lo = 0x5ffe;
    expect(fabric.port(m.device).translate(request)).toBe(true);
    expect([request.outLo, request.pageLg2, request.source]).toEqual([
      0x5ffe,
      64,
      m.device.requesterId,
    ]);
  });

  test("PCI-DMA-03: a transfer is split at every page, each page translated by itself", () => {
    const m = machine();
    const id = m.device.requesterId!;
    m.translator.map(id, 0xffff_f000n, 0x9000n);
    m.translator.map(id, 0x1_0000_0000n, 0x4000n);
    m.translator.map(id, 0x1_0000_1000n, 0x7000n);
    const bytes = Uint8Array.from({ length: 4096 + 20 }, (_, i) => (i * 7) & 0xff);
    const port = m.fabric.port(m.device);
    expect(port.write(0xffff_fff6n, bytes)).toEqual({ ok: true });
    expect(m.translator.sources).toHaveLength(3);
    const seen = new Uint8Array(4116);
    m.memory.read(0x9ff6n, seen.subarray(0, 10));
    m.memory.read(0x4000n, seen.subarray(10, 4106));
    m.memory.read(0x7000n, seen.subarray(4106));
    expect(seen).toEqual(bytes);
    expect(port.read(0xffff_fff6n, 4116)).toEqual({ ok: true, bytes });
    expect(port.read(0x1234n, 0)).toEqual({ ok: true, bytes: new Uint8Array(0) });
  });

  test("PCI-DMA-03: addresses run on from the last one to 0", () => {
    const m = machine();
    m.translator.map(m.device.requesterId!, 0xffff_ffff_ffff_f000n, 0x1000n);
    m.translator.map(m.device.requesterId!, 0n, 0x2000n);
    expect(m.fabric.port(m.device).write(0xffff_ffff_ffff_fffen, text("wrap"))).toEqual({
      ok: true,
    });
    expect(memoryAt(m, 0x1ffen, 2) + memoryAt(m, 0x2000n, 2)).toBe("wrap");
  });

  test("PCI-DMA-04: a failure midway says how many bytes arrived, and they did", () => {
    const m = machine();
    const id = m.device.requesterId!;
    m.translator.map(id, 0x1000n, 0x3000n);
    m.translator.map(id, 0x2000n, 0x5000n);
    m.translator.map(id, 0x4000n, 0x6000n);
    const port = m.fabric.port(m.device);
    const written = port.write(0x1ff0n, new Uint8Array(0x3000).fill(0x61));
    expect(written).toMatchObject({ ok: false, transferred: 0x1010, fault: { code: 6 } });
    expect(memoryAt(m, 0x5ffcn, 4)).toBe("aaaa");
    expect(memoryAt(m, 0x6000n, 1)).toBe("\0");
    expect(port.read(0x1ff0n, 0x3000)).toMatchObject({ ok: false, transferred: 0x1010 });
  });

  test("PCI-DMA-05: a physical address without memory is an Unsupported Request", () => {
    const m = machine();
    m.translator.map(m.device.requesterId!, 0x1000n, MEMORY - 4096n);
    m.translator.map(m.device.requesterId!, 0x2000n, MEMORY);
    const result = m.fabric.port(m.device).write(0x1ffcn, text("ABCDEFGH"));
    expect(result).toMatchObject({
      ok: false,
      transferred: 4,
      fault: { kind: "pci", reason: "no-memory", code: 1 },
    });
    expect(memoryAt(m, MEMORY - 4n, 4)).toBe("ABCD");
    m.translator.map(m.device.requesterId!, 0x3000n, 0xf_ffff_ffff_f000n);
    expect(reasonOf(m.fabric.port(m.device).read(0x3000n, 8))).toBe("no-memory");
  });

  test("PCI-DMA-06: Bus Master Enable is needed in the function and in every port above it", () => {
    const m = machine();
    m.translator.map(m.device.requesterId!, 0n, 0x1000n);
    for (const fn of [m.device, m.down, m.up, m.port]) {
      fn.config.write(4, 2, 2);
      const result = m.fabric.port(m.device).read(0n, 4);
      expect(reasonOf(result)).toBe("bus-master-disabled");
      expect(result).toMatchObject({ fault: { status: "unsupported-request", code: 1 } });
      expect(!result.ok && result.fault.message).toContain(fn.address);
      fn.config.write(4, 2, 6);
      expect(reasonOf(m.fabric.port(m.device).read(0n, 4))).toBe("ok");
    }
    expect(m.translator.sources).toHaveLength(4);
  });

  test("PCI-DMA-07: a request across a 4 KiB boundary is refused before it is translated", () => {
    const m = machine();
    const request = new DmaRequest();
    request.lo = 0xfff;
    request.length = 2;
    expect(m.fabric.port(m.device).translate(request)).toBe(false);
    expect(request.fault).toMatchObject({ reason: "crosses-page" });
    expect(m.translator.sources).toEqual([]);
  });

  test("PCI-DMA-08: a removed function, and one whose bus has no number, reach nothing", () => {
    const m = machine();
    const port = m.fabric.port(m.device);
    m.down.config.write(0x18, 4, 0);
    expect(reasonOf(port.read(0n, 4))).toBe("unknown-requester");
    m.topology.assignBusNumbers();
    expect(reasonOf(port.read(0n, 4))).toBe("translator");
    m.down.secondary!.remove(m.device);
    expect(reasonOf(port.read(0n, 4))).toBe("unknown-requester");
  });

  test("PCI-ALIAS-04: what is behind a bridge is translated as the bridge's alias", () => {
    const m = machine();
    const alias = m.cards[0]!.requesterId! & 0xff00;
    m.translator.map(alias, 0x1000n, 0x8000n);
    m.translator.map(m.cards[0]!.requesterId!, 0x1000n, 0x2000n);
    expect(m.fabric.port(m.cards[0]!).write(0x1000n, text("first"))).toEqual({ ok: true });
    expect(m.fabric.port(m.cards[1]!).write(0x1008n, text("second"))).toEqual({ ok: true });
    expect(memoryAt(m, 0x8000n, 14)).toBe("first\0\0\0second");
    expect(m.translator.sources).toEqual([alias, alias]);
    expect(memoryAt(m, 0x2000n, 1)).toBe("\0");
  });

  test("PCI-ALIAS-05: renumbering a bridge changes the requester at once", () => {
    const m = machine();
    const port = m.fabric.port(m.cards[0]!);
    port.read(0n, 4);
    m.bridge.config.write(0x19, 2, 0x3333);
    port.read(0n, 4);
    expect(m.translator.sources[1]).toBe(0x3300);
  });
});

describe("PASID and ATS", () => {
  const set = (fn: PciFunction, bits: number) =>
    fn.config.write(fn.config.offsetOf(PASID_CAPABILITY.layout)! + 6, 2, bits);

  test("PCI-PASID-01: a PASID passes once it is enabled, and no wider than advertised", () => {
    const m = machine();
    m.translator.map(m.device.requesterId!, 0n, 0x1000n, 9);
    const port = m.fabric.port(m.device);
    expect(reasonOf(port.write(0n, text("x"), 9))).toBe("pasid-disabled");
    set(m.device, 1);
    expect(reasonOf(port.write(0n, text("x"), 9))).toBe("ok");
    expect(reasonOf(port.write(0n, text("x"), 255))).toBe("translator");
    expect(reasonOf(port.write(0n, text("x"), 256))).toBe("pasid-too-wide");
    expect(reasonOf(m.fabric.port(m.integrated).write(0n, text("x"), 9))).toBe("pasid-disabled");
    expect(reasonOf(m.fabric.port(m.cards[0]!).write(0n, text("x"), 9))).toBe("pasid-disabled");
  });

  test("PCI-PASID-02: execute and privilege need their enable bits, and a PASID", () => {
    const m = machine();
    m.translator.map(m.device.requesterId!, 0n, 0x1000n, 1);
    const port = m.fabric.port(m.device);
    set(m.device, 1);
    expect(reasonOf(port.read(0n, 4, 1, EXECUTE))).toBe("execute-disabled");
    expect(reasonOf(port.read(0n, 4, 1, PRIVILEGED))).toBe("privileged-disabled");
    set(m.device, 3);
    expect(reasonOf(port.read(0n, 4, 1, EXECUTE))).toBe("ok");
    expect(reasonOf(port.read(0n, 4, 1, EXECUTE | PRIVILEGED))).toBe("privileged-disabled");
    set(m.device, 7);
    expect(reasonOf(port.read(0n, 4, 1, EXECUTE | PRIVILEGED))).toBe("ok");
    expect(reasonOf(port.read(0n, 4, NO_PASID, PRIVILEGED))).toBe("pasid-missing");
  });

  test("PCI-PASID-03: every port on the way must take end-end TLP prefixes", () => {
    const m = machine();
    m.translator.map(m.device.requesterId!, 0n, 0x1000n);
    set(m.device, 1);
    for (const fn of [m.device, m.down, m.up, m.port]) {
      fn.config.hardwire(PCI_EXPRESS_CAPABILITY.layout, "endEndPrefix", 0);
      m.topology.generation++;
      expect(reasonOf(m.fabric.port(m.device).read(0n, 4, 1))).toBe("prefix-unsupported");
      expect(reasonOf(m.fabric.port(m.device).read(0n, 4))).toBe("ok");
      fn.config.hardwire(PCI_EXPRESS_CAPABILITY.layout, "endEndPrefix", 1);
    }
    m.up.config.writeField(PCI_EXPRESS_CAPABILITY.layout, "endEndPrefixBlocking", 1);
    expect(reasonOf(m.fabric.port(m.device).read(0n, 4, 1))).toBe("prefix-unsupported");
  });

  test("PCI-ATS-01: translation requests and translated addresses pass once ATS is enabled", () => {
    const m = machine();
    m.translator.map(m.device.requesterId!, 0x5000n, 0x2000n);
    const port = m.fabric.port(m.device);
    expect(reasonOf(port.requestTranslation(0x5123n, READ))).toBe("ats-disabled");
    expect(reasonOf(port.transfer(0x2010n, text("ats"), WRITE, NO_PASID, TRANSLATED))).toBe(
      "ats-disabled",
    );
    expect(memoryAt(m, 0x2010n, 1)).toBe("\0");
    m.device.config.writeField(ATS_CAPABILITY.layout, "atsEnable", 1);
    expect(port.requestTranslation(0x5123n, READ)).toEqual({
      ok: true,
      address: 0x2000n,
      sizeLg2: 12,
      granted: READ | WRITE,
    });
    expect(port.transfer(0x2010n, text("ats"), WRITE, NO_PASID, TRANSLATED)).toEqual({ ok: true });
    expect(memoryAt(m, 0x2010n, 3)).toBe("ats");
  });

  test("PCI-ATS-02: without a translator there is nobody to answer a translation request", () => {
    const m = machine();
    m.device.config.writeField(ATS_CAPABILITY.layout, "atsEnable", 1);
    const port = new Fabric(m.topology, m.memory).port(m.device);
    expect(reasonOf(port.requestTranslation(0n, READ))).toBe("no-translation-agent");
    const request = new DmaRequest();
    request.addressType = TRANSLATION_REQUEST;
    expect(port.translate(request)).toBe(false);
  });

  test("PCI-ACS-04: Translation Blocking refuses both with Completer Abort, and ordinary requests pass", () => {
    const m = machine();
    m.translator.map(m.device.requesterId!, 0n, 0x2000n);
    m.device.config.writeField(ATS_CAPABILITY.layout, "atsEnable", 1);
    m.port.config.writeField(ACS_CAPABILITY.layout, "translationBlockingEnable", 1);
    const port = m.fabric.port(m.device);
    const result = port.transfer(0x2010n, text("ats"), WRITE, NO_PASID, TRANSLATED);
    expect(result).toMatchObject({
      fault: { reason: "translation-blocked", status: "completer-abort", code: 4 },
    });
    expect(reasonOf(port.requestTranslation(0n, READ))).toBe("translation-blocked");
    expect(reasonOf(port.read(0n, 4))).toBe("ok");
  });

  test("PCI-ATS-05: an invalidation reaches the cache of a device with ATS enabled, and nobody else", () => {
    const m = machine();
    const taken: AtsInvalidation[] = [];
    let answer = (): void => {};
    m.device.atsTarget = {
      invalidate(invalidation, completed) {
        taken.push(invalidation);
        answer = completed;
      },
    };
    const invalidation = { pasid: 3, global: false, address: 0x1000n, sizeLg2: 12 };
    let done = 0;
    const send = (id: number) => m.fabric.invalidateDevice(0, id, invalidation, () => done++);
    expect(send(m.device.requesterId!)).toBe(false);
    m.device.config.writeField(ATS_CAPABILITY.layout, "atsEnable", 1);
    expect(send(m.integrated.requesterId!)).toBe(false);
    expect(send(0x7777)).toBe(false);
    expect(send(m.device.requesterId!)).toBe(true);
    expect([taken, done]).toEqual([[invalidation], 0]);
    answer();
    expect(done).toBe(1);
  });
});

describe("translators", () => {
  const all = (value: bigint): PageMap & { readonly value: bigint } =>
    Object.assign(new PageMap(), {
      value,
      translate(request: DmaRequest): boolean {
        request.outHi = 0;
        request.outLo = Number(value) | (request.lo & 0xfff);
        return true;
      },
    });

  test("PCI-SCOPE-01: the most particular scope wins, and an end of it brings the next one back", () => {
    const m = machine();
    const fabric = new Fabric(m.topology, m.memory);
    const port = fabric.port(m.device);
    const [segment, outer, inner, own] = [all(0x1000n), all(0x2000n), all(0x3000n), all(0x4000n)];
    const goes = (): number => {
      const request = new DmaRequest();
      port.translate(request);
      return request.outLo;
    };
    expect(goes()).toBe(0);
    fabric.attach(segment, { kind: "segment", segment: 0 });
    expect(goes()).toBe(0x1000);
    fabric.attach(outer, { kind: "subtree", bridge: m.port });
    expect(goes()).toBe(0x2000);
    const endInner = fabric.attach(inner, { kind: "subtree", bridge: m.down });
    expect(goes()).toBe(0x3000);
    const endOwn = fabric.attach(own, { kind: "functions", functions: [m.device] });
    expect(goes()).toBe(0x4000);
    endOwn();
    expect(goes()).toBe(0x3000);
    endInner();
    expect(goes()).toBe(0x2000);
    expect(fabric.translatorOf(m.integrated)).toBe(segment);
    expect(fabric.translatorOf(m.port)).toBe(outer);
    expect(() => fabric.attach(inner, { kind: "segment", segment: 0 })).toThrow(RangeError);
  });

  test("PCI-SCOPE-02: a bridge that takes ownership stands for what is behind it, a port does not", () => {
    const m = machine();
    const fabric = new Fabric(m.topology, m.memory);
    const translator = all(0n);
    fabric.attach(translator, { kind: "functions", functions: [m.bridge, m.port] });
    expect(fabric.translatorOf(m.cards[0]!)).toBe(translator);
    expect(fabric.translatorOf(m.bridge)).toBe(translator);
    expect(fabric.translatorOf(m.device)).toBeUndefined();
  });
});
