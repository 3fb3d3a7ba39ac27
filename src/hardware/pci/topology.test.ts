import { describe, expect, test } from "vitest";
import { TraceChannel, type TraceEvent } from "../../trace/channel.ts";
import { acsPath } from "./acs.ts";
import { aliasesOf, requesterOf } from "./aliases.ts";
import { formatRequesterId, parsePciAddress } from "./requester-id.ts";
import {
  ACS_CAPABILITY,
  PAGE_REQUEST_CAPABILITY,
  PCI_EXPRESS_CAPABILITY,
} from "./spec/capabilities.ts";
import { TYPE_1_HEADER } from "./spec/config-header.ts";
import { Topology } from "./topology.ts";

const SERVICES = {
  sourceValidation: true,
  translationBlocking: true,
  requestRedirect: true,
  completionRedirect: true,
  upstreamForwarding: true,
};

/** A root port with a switch, one with a bridge to a conventional bus, a legacy bridge, and a multi-function device. */
const machine = (trace = new TraceChannel()) => {
  const topology = new Topology(trace);
  const root = topology.addRootBus();
  const host = root.add({ kind: "conventional", device: 0 });
  const integrated = [0, 1, 2].map((fn) =>
    root.add({ kind: "integrated-endpoint", device: 2, function: fn }),
  );
  const port = root.add({ kind: "root-port", device: 0x1c, acs: SERVICES });
  const other = root.add({ kind: "root-port", device: 0x1c, function: 1 });
  const legacy = root.add({ kind: "pci-bridge", device: 0x1e });
  const up = port.secondary!.add({ kind: "upstream-port", device: 0 });
  const down = [0, 1].map((device) =>
    up.secondary!.add({ kind: "downstream-port", device, acs: SERVICES }),
  );
  const nic = down[0]!.secondary!.add({
    kind: "endpoint",
    device: 0,
    pageRequest: { capacity: 8 },
  });
  const disk = down[1]!.secondary!.add({ kind: "endpoint", device: 0 });
  const bridge = other.secondary!.add({ kind: "pcie-to-pci-bridge", device: 0 });
  const card = bridge.secondary!.add({ kind: "conventional", device: 5 });
  const inner = bridge.secondary!.add({ kind: "pci-bridge", device: 6 });
  const deep = inner.secondary!.add({ kind: "conventional", device: 1, function: 2 });
  const old = legacy.secondary!.add({ kind: "conventional", device: 3 });
  topology.assignBusNumbers();
  return {
    topology,
    root,
    host,
    integrated,
    port,
    other,
    legacy,
    up,
    down,
    nic,
    disk,
    bridge,
    card,
    inner,
    deep,
    old,
  };
};

const id = (text: string): number => parsePciAddress(text).requesterId;

describe("topology", () => {
  test("PCI-TOP-01: buses are numbered depth first and the registers say so", () => {
    const m = machine();
    expect(m.nic.address).toBe("0000:03:00.0");
    expect(m.disk.address).toBe("0000:04:00.0");
    expect(m.card.address).toBe("0000:06:05.0");
    expect(m.deep.address).toBe("0000:07:01.2");
    expect(m.old.address).toBe("0000:08:03.0");
    const registers = ["primaryBus", "secondaryBus", "subordinateBus"] as const;
    expect(registers.map((name) => m.port.config.get(TYPE_1_HEADER, name))).toEqual([0, 1, 4]);
    expect(registers.map((name) => m.up.config.get(TYPE_1_HEADER, name))).toEqual([1, 2, 4]);
    expect(m.port.config.read(0x18, 4)).toBe(0x0004_0100);
  });

  test("PCI-TOP-02: every function is found by its requester ID, and nothing else is", () => {
    const m = machine();
    const all = m.topology.functions();
    expect(all).toHaveLength(17);
    for (const fn of all) expect(m.topology.lookup(0, fn.requesterId!)).toBe(fn);
    const known = new Set(all.map((fn) => fn.requesterId));
    for (let candidate = 0; candidate < 0x1_0000; candidate++) {
      if (!known.has(candidate)) expect(m.topology.lookup(0, candidate)).toBeUndefined();
    }
    expect(m.topology.lookup(1, m.nic.requesterId!)).toBeUndefined();
  });

  test("PCI-TOP-03: software renumbers the machine by writing bus numbers", () => {
    const m = machine();
    m.topology.writeConfig(0, id("00:1e.0"), 0x18, 4, 0x0042_4000);
    expect(m.old.address).toBe("0000:40:03.0");
    expect(m.topology.lookup(0, id("40:03.0"))).toBe(m.old);
    expect(m.topology.lookup(0, id("08:03.0"))).toBeUndefined();
    // A window that excludes its own secondary bus leads nowhere.
    m.topology.writeConfig(0, id("00:1e.0"), 0x18, 4, 0x003f_4000);
    expect(m.topology.lookup(0, id("40:03.0"))).toBeUndefined();
    m.topology.writeConfig(0, id("00:1e.0"), 0x18, 4, 0);
    expect(m.old.requesterId).toBeUndefined();
    // A window that ends before an inner bus cuts it off, whatever the inner bridge says.
    m.port.config.write(0x1a, 1, 2);
    expect(m.topology.lookup(0, id("02:00.0"))).toBe(m.down[0]);
    expect(m.topology.lookup(0, id("03:00.0"))).toBeUndefined();
    m.port.config.write(0x1a, 1, 9);
    m.up.config.write(0x1a, 1, 2);
    expect(m.topology.lookup(0, id("03:00.0"))).toBeUndefined();
    expect(aliasesOf(m.old)).toEqual([]);
  });

  test("PCI-TOP-04: segments and root buses are kept apart", () => {
    const topology = new Topology();
    const first = topology.addRootBus(0, 0).add({ kind: "root-port", device: 1 });
    const second = topology.addRootBus(0, 0x80).add({ kind: "root-port", device: 1 });
    const third = topology.addRootBus(1, 0).add({ kind: "root-port", device: 1 });
    const ends = [first, second, third].map((port) =>
      port.secondary!.add({ kind: "endpoint", device: 0 }),
    );
    topology.assignBusNumbers();
    expect(ends.map((fn) => fn.address)).toEqual(["0000:01:00.0", "0000:81:00.0", "0001:01:00.0"]);
    expect(ends.map((fn) => topology.lookup(fn.bus.segment, fn.requesterId!))).toEqual(ends);
    expect(() => topology.addRootBus(0, 0x80)).toThrow(RangeError);
    topology.addRootBus(0, 2);
    first.secondary!.remove(ends[0]!);
    const bridge = first.secondary!.add({ kind: "pcie-to-pci-bridge", device: 0 });
    bridge.secondary!.add({ kind: "pci-bridge", device: 0 });
    expect(() => topology.assignBusNumbers()).toThrow("too many buses behind root bus 0");
  });

  test("PCI-TOP-05: a function sits only where its kind can", () => {
    const m = machine();
    expect(() => m.root.add({ kind: "endpoint", device: 9 })).toThrow(
      "endpoint cannot sit below root",
    );
    expect(() => m.root.add({ kind: "downstream-port", device: 9 })).toThrow(RangeError);
    expect(() => m.up.secondary!.add({ kind: "endpoint", device: 9 })).toThrow(RangeError);
    expect(() => m.bridge.secondary!.add({ kind: "endpoint", device: 9 })).toThrow(RangeError);
    expect(() => m.root.add({ kind: "conventional", device: 0 })).toThrow("taken");
    expect(() => m.root.add({ kind: "conventional", device: 32 })).toThrow("out of range");
    expect(() => m.down[0]!.secondary!.add({ kind: "endpoint", device: 1 })).toThrow(
      "ends in device 0",
    );
  });

  test("PCI-TOP-06: functions of one device are peers and say that they are several", () => {
    const m = machine();
    expect(m.integrated[1]!.peers).toEqual([m.integrated[0], m.integrated[2]]);
    expect(m.nic.peers).toEqual([]);
    expect(m.integrated[0]!.config.read(0x0e, 1)).toBe(0x80);
    expect(m.port.config.read(0x0e, 1)).toBe(0x81);
    expect(m.nic.config.read(0x0e, 1)).toBe(0);
    m.root.remove(m.integrated[1]!);
    m.root.remove(m.integrated[2]!);
    expect(m.integrated[0]!.config.read(0x0e, 1)).toBe(0);
  });

  test("PCI-TOP-07: absent functions read ones and swallow writes", () => {
    const { topology } = machine();
    expect(topology.readConfig(0, id("00:05.0"), 0, 4)).toBe(0xffff_ffff);
    expect(topology.readConfig(0, id("00:05.0"), 0, 2)).toBe(0xffff);
    topology.writeConfig(0, id("00:05.0"), 4, 2, 6);
    expect(topology.readConfig(0, id("00:1c.0"), 0x0e, 1)).toBe(0x81);
  });

  test("PCI-RST-01: Initiate Function Level Reset resets the function and reads 0", () => {
    const m = machine();
    let resets = 0;
    const end = m.nic.onReset(() => resets++);
    const control = m.nic.config.offsetOf(PCI_EXPRESS_CAPABILITY.layout)! + 8;
    m.nic.config.write(4, 2, 6);
    m.nic.config.write(control, 2, 0x7fff);
    expect(resets).toBe(0);
    m.nic.config.write(control, 2, 0x8000);
    expect(resets).toBe(1);
    expect(m.nic.busMaster).toBe(false);
    expect(m.nic.config.read(control, 2) & 0x8000).toBe(0);
    m.nic.config.write(control + 1, 1, 0x80);
    expect(resets).toBe(2);
    end();
    m.nic.config.write(control - 2, 4, 0x8000_0000);
    expect(resets).toBe(2);
  });

  test("PCI-RST-02: Secondary Bus Reset resets everything behind the bridge, once", () => {
    const m = machine();
    const seen: string[] = [];
    for (const fn of m.topology.functions()) fn.onReset(() => seen.push(fn.kind));
    m.port.config.write(0x3e, 2, 0x40);
    m.port.config.write(0x3e, 2, 0x41);
    expect(seen).toEqual([
      "upstream-port",
      "downstream-port",
      "endpoint",
      "downstream-port",
      "endpoint",
    ]);
    expect(m.nic.requesterId).toBeUndefined();
    m.port.config.write(0x3e, 2, 0);
    m.port.config.write(0x3e, 2, 0x40);
    expect(seen).toHaveLength(10);
  });

  test("PCI-PRI-01: Stopped follows the enable bit", () => {
    const { nic } = machine();
    const status = nic.config.offsetOf(PAGE_REQUEST_CAPABILITY.layout)! + 6;
    expect(nic.config.read(status, 2) & 0x100).toBe(0x100);
    nic.config.write(status - 2, 2, 1);
    expect(nic.config.read(status, 2) & 0x100).toBe(0);
    nic.config.write(status - 2, 2, 0);
    expect(nic.config.read(status, 2) & 0x100).toBe(0x100);
  });

  test("PCI-ALIAS-01: switches change nothing", () => {
    const m = machine();
    expect(aliasesOf(m.nic)).toEqual([m.nic.requesterId]);
    expect(aliasesOf(m.integrated[2]!).map(formatRequesterId)).toEqual(["00:02.2"]);
  });

  test("PCI-ALIAS-02: a PCI Express to PCI bridge puts its secondary bus, 00.0, in place", () => {
    const m = machine();
    expect(aliasesOf(m.card).map(formatRequesterId)).toEqual(["06:05.0", "06:00.0"]);
    expect(formatRequesterId(requesterOf(m.card)!)).toBe("06:00.0");
    expect(aliasesOf(m.bridge).map(formatRequesterId)).toEqual(["05:00.0"]);
  });

  test("PCI-ALIAS-03: a conventional bridge puts its own ID in place, and the outermost wins", () => {
    const m = machine();
    expect(aliasesOf(m.old).map(formatRequesterId)).toEqual(["08:03.0", "00:1e.0"]);
    expect(aliasesOf(m.deep).map(formatRequesterId)).toEqual(["07:01.2", "06:06.0", "06:00.0"]);
  });

  test("PCI-ACS-01: the hops are the ports and bridges on the way, and devices with several functions", () => {
    const m = machine();
    const hops = (fn: typeof m.nic) => acsPath(fn).map((hop) => hop.function.address);
    expect(hops(m.nic)).toEqual(["0000:02:00.0", "0000:00:1c.0"]);
    expect(hops(m.deep)).toEqual(["0000:06:06.0", "0000:05:00.0", "0000:00:1c.1"]);
    expect(hops(m.integrated[0]!)).toEqual(["0000:00:02.0"]);
    expect(acsPath(m.host)).toEqual([]);
  });

  test("PCI-ACS-02: a hop redirects once every redirecting service it has is enabled", () => {
    const m = machine();
    const redirects = () => acsPath(m.nic).map((hop) => hop.redirects);
    expect(redirects()).toEqual([false, false]);
    const control = m.port.config.offsetOf(ACS_CAPABILITY.layout)! + 6;
    for (const missing of [0x04, 0x08, 0x10]) {
      m.port.config.write(control, 2, 0x1d & ~missing);
      expect(redirects()).toEqual([false, false]);
    }
    m.port.config.write(control, 2, 0x1d);
    expect(redirects()).toEqual([false, true]);
    const [, hop] = acsPath(m.nic);
    expect([...hop!.enabled]).toEqual([
      "sourceValidation",
      "requestRedirect",
      "completionRedirect",
      "upstreamForwarding",
    ]);
    expect([...hop!.supported!]).toEqual(Object.keys(SERVICES));
    expect(acsPath(m.card).map(({ supported, redirects: r }) => [supported, r])).toEqual([
      [undefined, false],
      [undefined, false],
    ]);
  });

  test("PCI-ACS-03: what an ACS capability lacks is a way that does not exist", () => {
    const topology = new Topology();
    const root = topology.addRootBus();
    const port = root.add({ kind: "root-port", device: 1, acs: { requestRedirect: true } });
    const end = port.secondary!.add({ kind: "endpoint", device: 0 });
    port.config.writeField(ACS_CAPABILITY.layout, "requestRedirectEnable", 1);
    expect(acsPath(end).map((hop) => hop.redirects)).toEqual([true]);
  });

  test("PCI-TOP-08: removal takes what is behind with it", () => {
    const m = machine();
    const nicId = m.nic.requesterId!;
    m.root.remove(m.port);
    expect([m.port, m.up, m.nic, m.disk].map((fn) => fn.removed)).toEqual([true, true, true, true]);
    expect(m.topology.lookup(0, nicId)).toBeUndefined();
    expect(m.topology.functions()).toHaveLength(11);
  });

  test("PCI-TOP-09: writes and resets are events, and the tree is plain data", () => {
    const trace = new TraceChannel();
    const m = machine(trace);
    const seen: TraceEvent[] = [];
    trace.listen("pci.*", (event) => seen.push(event));
    m.topology.writeConfig(0, id("00:02.0"), 4, 2, 6);
    m.integrated[0]!.reset();
    expect(seen).toEqual([
      {
        name: "pci.config-write",
        payload: { function: "0000:00:02.0", offset: 4, width: 2, value: 6 },
      },
      { name: "pci.reset", payload: { function: "0000:00:02.0" } },
    ]);
    const plain = m.topology.inspect();
    expect(JSON.parse(JSON.stringify(plain))).toEqual(plain);
    expect(plain.rootBuses[0]!.functions).toHaveLength(7);
  });
});
