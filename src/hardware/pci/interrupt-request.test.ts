import { describe, expect, test } from "vitest";
import { NO_PASID, READ, TRANSLATED, type Translator, WRITE } from "./dma-request.ts";
import { machine, reasonOf } from "./fabric.fixture.ts";
import type { InterruptRequest } from "./interrupt-request.ts";
import { sendMsi } from "./msi.ts";
import { pciFault } from "./pci-fault.ts";
import { MSI_CAPABILITY, PASID_CAPABILITY } from "./spec/capabilities.ts";

const DWORD = Uint8Array.of(0x78, 0x56, 0x34, 0xf2);

const withPort = (passes = true) => {
  const m = machine();
  const seen: [InterruptRequest, Translator | undefined][] = [];
  const detach = m.fabric.attachInterrupts((request, translator) => {
    seen.push([request, translator]);
    return passes;
  });
  m.device.config.writeField(PASID_CAPABILITY.layout, "pasidEnable", 1);
  return { ...m, seen, detach };
};

describe("interrupt requests", () => {
  test("PCI-INT-01: a DWORD in the range goes to the port, and nowhere else", () => {
    const { fabric, device, cards, bridge, translator, seen } = withPort();
    const addresses = [0xfee0_0000n, 0xfeef_fffcn];
    for (const address of addresses) {
      expect(fabric.port(device).write(address, DWORD)).toEqual({ ok: true });
      expect(fabric.port(cards[0]!).write(address, DWORD)).toEqual({ ok: true });
    }
    const source = device.requesterId!;
    // A conventional card behind a bridge sends under the bridge's ID.
    const taken = bridge.secondary!.number! << 8;
    expect(seen).toEqual(
      addresses.flatMap((address) => [
        [{ source, address, data: 0xf234_5678 }, translator],
        [{ source: taken, address, data: 0xf234_5678 }, translator],
      ]),
    );
    expect(translator.sources).toEqual([]);
  });

  test("PCI-INT-01: other requests to the range, and the same beside it, are memory requests", () => {
    const { fabric, device, translator, seen } = withPort();
    const port = fabric.port(device);
    const send = (address: bigint, length: number, access = WRITE, pasid = NO_PASID, type = 0) =>
      port.transfer(address, new Uint8Array(length), access, pasid, type);
    send(0xfedf_fffcn, 4);
    send(0xfef0_0000n, 4);
    send(0x1_fee0_0000n, 4);
    send(0xfee0_0000n, 8);
    send(0xfee0_0000n, 2);
    send(0xfee0_0002n, 4);
    send(0xfee0_0000n, 4, READ);
    send(0xfee0_0000n, 4, READ | WRITE);
    send(0xfee0_0000n, 4, WRITE, 3);
    send(0xfee0_0000n, 4, WRITE, NO_PASID, TRANSLATED);
    expect(seen).toEqual([]);
    // All but the last, which is stopped on its way: ATS is not enabled.
    expect(translator.sources).toHaveLength(9);
  });

  test("PCI-INT-01: a part of a larger transfer that is one DWORD", () => {
    const { fabric, device, seen, translator } = withPort();
    translator.map(device.requesterId!, 0xfedf_f000n, 0x5000n);
    const bytes = new Uint8Array(12).fill(0x11, 0, 8).fill(0x22, 8);
    expect(fabric.port(device).write(0xfedf_fff8n, bytes)).toEqual({ ok: true });
    expect(seen.map(([{ address, data }]) => [address, data])).toEqual([
      [0xfee0_0000n, 0x2222_2222],
    ]);
    expect(fabric.memory.read64(0x5ff8n)).toBe(0x1111_1111_1111_1111n);
  });

  test("PCI-INT-02: what stops it", () => {
    const m = withPort(false);
    const port = m.fabric.port(m.device);
    expect(reasonOf(port.write(0xfee0_0000n, DWORD))).toBe("interrupt-blocked");
    m.detach();
    expect(reasonOf(port.write(0xfee0_0000n, DWORD))).toBe("no-interrupt-port");
    const detach = m.fabric.attachInterrupts(() => true);
    expect(() => m.fabric.attachInterrupts(() => true)).toThrow(RangeError);
    // One that has ended does not take another's place away.
    m.detach();
    expect(reasonOf(port.write(0xfee0_0000n, DWORD))).toBe("ok");
    detach();
    m.device.config.write(4, 2, 2);
    expect(reasonOf(port.write(0xfee0_0000n, DWORD))).toBe("bus-master-disabled");
    expect(reasonOf(port.begin(0xfee0_0000n, 4, WRITE).finish(DWORD))).toBe("bus-master-disabled");
    expect(m.seen).toHaveLength(1);
  });

  test("PCI-INT-03: held", () => {
    const { fabric, device, seen } = withPort();
    const port = fabric.port(device);
    const held = port.begin(0xfee0_1230n, 4, WRITE);
    expect([seen.length, fabric.inFlight.count]).toEqual([0, 1]);
    expect(held.finish(DWORD)).toEqual({ ok: true });
    expect(seen[0]![0]).toEqual({
      source: device.requesterId,
      address: 0xfee0_1230n,
      data: 0xf234_5678,
    });
    const other = port.begin(0xfee0_1230n, 4, WRITE);
    other.abort(pciFault("aborted", "test"));
    expect([seen.length, fabric.inFlight.count]).toEqual([1, 0]);
  });
});

describe("MSI", () => {
  test("PCI-MSI-01: the write that the capability describes", () => {
    const { fabric, root, topology, seen } = withPort();
    const fn = root.add({ kind: "integrated-endpoint", device: 9, msi: { vectorsLg2: 3 } });
    topology.assignBusNumbers();
    const { config } = fn;
    const { layout } = MSI_CAPABILITY;
    config.write(4, 2, 6);
    const port = fabric.port(fn);
    expect(sendMsi(port)).toBeUndefined();
    config.writeField(layout, "messageAddress", 0xfee0_5000 >>> 2);
    config.writeField(layout, "messageData", 0x1237);
    config.writeField(layout, "msiEnable", 1);
    const data = (vector?: number): number => {
      expect(sendMsi(port, vector)).toEqual({ ok: true });
      return seen.at(-1)![0].data;
    };
    expect([data(), data(1)]).toEqual([0x1237, 0x1237]);
    config.writeField(layout, "multipleMessageEnable", 2);
    expect([data(), data(1), data(3), data(4)]).toEqual([0x1234, 0x1235, 0x1237, 0x1237]);
    // No more than it can.
    config.writeField(layout, "multipleMessageEnable", 5);
    expect([data(), data(6), data(30)]).toEqual([0x1230, 0x1236, 0x1237]);
    expect(seen.at(-1)![0]).toMatchObject({ address: 0xfee0_5000n, source: fn.requesterId });
    config.writeField(layout, "messageUpperAddress", 1);
    expect(reasonOf(sendMsi(port)!)).toBe("translator");
  });
});
