import { describe, expect, it } from "vitest";
import { ATS_CAPABILITY, PAGE_REQUEST_CAPABILITY } from "../../hardware/pci/spec/capabilities.ts";
import { type HostBuilder, HostMachine } from "../../machine/host-machine.ts";
import { enumeratePci, isolationGroups, type PciDevice } from "./index.ts";

const ACS = {
  sourceValidation: true,
  requestRedirect: true,
  completionRedirect: true,
  upstreamForwarding: true,
};

const found = (populate: (build: HostBuilder) => void): readonly PciDevice[] =>
  enumeratePci(new HostMachine({ populate }).platform);

const groupsOf = (populate: (build: HostBuilder) => void): string[][] =>
  isolationGroups(found(populate)).map((group) => group.map(({ name }) => name.slice(5)));

const engine = (populate: HostBuilder["addEngine"]) => populate({ device: 2 });

describe("enumeration", () => {
  it("INTEL-PCI-01: every function is found through the bridges, with the requester IDs its requests bear", () => {
    const devices = found(({ root, addEngine }) => {
      addEngine({ device: 2 });
      addEngine({ device: 2, function: 3 });
      const port = root.add({ kind: "root-port", device: 4, acs: ACS });
      const bridge = port.secondary!.add({ kind: "pcie-to-pci-bridge", device: 0 });
      bridge.secondary!.add({ kind: "conventional", device: 5, vendorId: 1 });
    });
    expect(devices.map(({ name, aliases }) => [name, aliases])).toEqual([
      ["0000:00:02.0", [0x10]],
      ["0000:00:02.3", [0x13]],
      ["0000:00:04.0", [0x20]],
      ["0000:01:00.0", [0x100]],
      ["0000:02:05.0", [0x228, 0x200]],
    ]);
  });
});

describe("isolation groups", () => {
  it("INTEL-PCI-02: access control keeps what is below ports apart", () => {
    const below = (acs: boolean) =>
      groupsOf(({ root, addEngine }) => {
        for (const device of [4, 5]) {
          const port = root.add({ kind: "root-port", device, ...(acs ? { acs: ACS } : {}) });
          addEngine({ kind: "endpoint", device: 0 }, port.secondary);
        }
      });
    expect(below(true)).toEqual([["00:04.0"], ["01:00.0"], ["00:05.0"], ["02:00.0"]]);
    expect(below(false)).toEqual([
      ["00:04.0", "01:00.0"],
      ["00:05.0", "02:00.0"],
    ]);
  });

  it("INTEL-PCI-02: a conventional bus is one group with its bridge, functions without access control too", () => {
    const conventional = groupsOf(({ root }) => {
      const port = root.add({ kind: "root-port", device: 4, acs: ACS });
      const bridge = port.secondary!.add({ kind: "pcie-to-pci-bridge", device: 0 });
      for (const device of [5, 6]) {
        bridge.secondary!.add({ kind: "conventional", device, vendorId: 1 });
      }
    });
    expect(conventional).toEqual([["00:04.0"], ["01:00.0", "02:05.0", "02:06.0"]]);
    const functions = groupsOf(({ addEngine }) => {
      addEngine({ device: 2 });
      addEngine({ device: 2, function: 1 });
      addEngine({ device: 3 });
    });
    expect(functions).toEqual([["00:02.0", "00:02.1"], ["00:03.0"]]);
  });
});

describe("features", () => {
  it("INTEL-PCI-03: PASIDs are enabled before ATS, page requests after", () => {
    const [device] = found(({ addEngine }) => void engine(addEngine));
    expect(device!.pasidWidth).toBe(20);
    expect(device!.enablePageRequests(4)).toEqual({ ok: false, errno: "EINVAL" });
    expect(device!.enablePasid().ok).toBe(true);
    expect(device!.enableAts().ok).toBe(true);
    expect(device!.enablePasid()).toEqual({ ok: false, errno: "EBUSY" });
    expect(device!.enableAts()).toEqual({ ok: false, errno: "EBUSY" });
    expect(device!.enablePageRequests(4).ok).toBe(true);
    expect(device!.config.get(PAGE_REQUEST_CAPABILITY, "allocation")).toBe(4);
    device!.disableAts();
    expect(device!.config.get(ATS_CAPABILITY, "atsEnable")).toBe(0);
  });

  it("INTEL-PCI-03: a device below a port without prefixes has no PASIDs", () => {
    const devices = found(({ root, addEngine }) => {
      const port = root.add({ kind: "root-port", device: 4, endEndPrefix: false });
      addEngine({ kind: "endpoint", device: 0 }, port.secondary);
    });
    expect(devices[1]!.pasidWidth).toBe(0);
    expect(devices[1]!.enablePasid()).toEqual({ ok: false, errno: "EINVAL" });
  });
});
