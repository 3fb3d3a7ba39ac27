import { describe, expect, test } from "vitest";
import { EngineRig } from "../../../test/engine-rig.ts";
import {
  ATS_CAPABILITY,
  MSI_CAPABILITY,
  NO_PASID,
  PAGE_REQUEST_CAPABILITY,
  PASID_CAPABILITY,
  PCI_EXPRESS_CAPABILITY,
  READ,
  TYPE_0_HEADER,
  WRITE,
} from "../pci/index.ts";
import { DEVICE_TLB_DESCRIPTOR } from "../vtd/spec/descriptors.ts";
import { DeviceTlb } from "./device-tlb.ts";

const PAGE = 0x7000n;
const TARGET = 0x20_0000n;

/** Page 7 goes to 2 MiB through a second stage, and with PASID 5 through a first one. */
const machine = (options: ConstructorParameters<typeof EngineRig>[0] = {}) => {
  const rig = new EngineRig(options);
  const second = rig.page();
  const first = rig.page();
  const [leaf] = rig.map(second, 4, PAGE, TARGET | 3n);
  rig.map(second, 4, PAGE + 0x1000n, (TARGET + 0x5000n) | 3n);
  const [firstLeaf] = rig.mapFirst(first, PAGE, (TARGET + 0x1000n) | 0x67n);
  rig.context({ PASIDE: 1, DTE: 1, PRE: 1 });
  rig.pasidEntry({ PGTT: 2, SSPTPTR: second }, 0);
  rig.pasidEntry({ PGTT: 1, FSPTPTR: first, DID: 2, PWSNP: 1 }, 5);
  return Object.assign(rig, { leaf: leaf!, firstLeaf: firstLeaf! });
};

const bytesAt = (rig: EngineRig, address: bigint, length: number): number[] => {
  const bytes = new Uint8Array(length);
  rig.memory.read(address, bytes);
  return [...bytes];
};

describe("function", () => {
  test("DEV-PCI-01: what software finds in configuration space", () => {
    const { engine } = machine();
    const { config } = engine.function;
    const layouts = [
      MSI_CAPABILITY,
      PCI_EXPRESS_CAPABILITY,
      ATS_CAPABILITY,
      PAGE_REQUEST_CAPABILITY,
      PASID_CAPABILITY,
    ];
    expect(layouts.map(({ layout }) => config.offsetOf(layout) !== undefined)).toEqual([
      true,
      true,
      true,
      true,
      true,
    ]);
    expect(config.get(PCI_EXPRESS_CAPABILITY.layout, "endEndPrefix")).toBe(1);
    expect(config.get(ATS_CAPABILITY.layout, "globalInvalidate")).toBe(1);
    expect(config.get(PAGE_REQUEST_CAPABILITY.layout, "capacity")).toBe(8);
    expect(config.get(PASID_CAPABILITY.layout, "maxPasidWidth")).toBe(20);
    config.write(0x10, 4, 0xffff_ffff);
    config.write(0x14, 4, 0xffff_ffff);
    expect([config.read(0x10, 4), config.read(0x14, 4)]).toEqual([0xffff_f004, 0xffff_ffff]);
  });

  test("DEV-PCI-02: a function level reset", () => {
    const rig = machine();
    const { engine, fabric, bar } = rig;
    fabric.writeMmio(0, bar + 0x800n, 1, 0x77n);
    rig.run("translate", { address: PAGE });
    rig.run("write", { address: PAGE, flags: { hold: 1 } });
    expect(engine.inspect()).toMatchObject({ held: true, translations: 1 });
    const { config } = engine.function;
    config.write(config.offsetOf(PCI_EXPRESS_CAPABILITY.layout)! + 9, 1, 0x80);
    expect(engine.inspect()).toMatchObject({ held: false, translations: 0, status: 0 });
    expect(fabric.inFlight.count).toBe(0);
    expect(rig.memory.read8(TARGET)).toBe(0);
    expect(fabric.readMmio(0, bar + 0x800n, 1)).toBe(0xffn);
    config.writeField(TYPE_0_HEADER, "memorySpaceEnable", 1);
    expect([bar, rig.bar]).toEqual([0xf000_0000n, 0n]);
    expect(fabric.readMmio(0, 0x800n, 1)).toBe(0n);
  });
});

describe("registers", () => {
  test("DEV-REG-01: any width at any place", () => {
    const { fabric, bar } = machine();
    const read = (offset: bigint, width: 1 | 2 | 4 | 8) => fabric.readMmio(0, bar + offset, width);
    const write = (offset: bigint, width: 1 | 2 | 4 | 8, value: bigint) =>
      fabric.writeMmio(0, bar + offset, width, value);
    expect([read(0n, 4), read(1n, 2), read(0n, 1)]).toEqual([0x3145_4d44n, 0x454dn, 0x44n]);
    write(0n, 4, 0n);
    expect(read(0n, 4)).toBe(0x3145_4d44n);
    write(0x08n, 8, 0x1122_3344_5566_7788n);
    expect([read(0x0bn, 4), read(0x0cn, 4)]).toEqual([0x2233_4455n, 0x1122_3344n]);
    write(0x0dn, 2, 0xaabbn);
    expect(read(0x08n, 8)).toBe(0x11aa_bb44_5566_7788n);
    write(0x14n, 4, 0xffff_ffffn);
    expect(read(0x14n, 4)).toBe(0x800f_ffffn);
    write(0x1cn, 4, 0xffff_ffffn);
    write(0x28n, 8, 0xffff_ffffn);
    write(0x40n, 8, 0xffff_ffffn);
    expect([read(0x1cn, 4), read(0x28n, 8), read(0x40n, 8)]).toEqual([0n, 0n, 0n]);
    write(0xffcn, 4, 0xdead_beefn);
    expect([read(0xffcn, 4), read(0xffen, 2)]).toEqual([0xdead_beefn, 0xdeadn]);
    expect(read(0xffcn, 8)).toBe(0xffff_ffff_ffff_ffffn);
  });

  test("DEV-REG-01: done and error are cleared by 1", () => {
    const rig = machine();
    rig.run("read", { length: 0 });
    const status = () => rig.fabric.readMmio(0, rig.bar + 0x1cn, 4);
    expect(status()).toBe(0xf106n);
    rig.fabric.writeMmio(0, rig.bar + 0x1cn, 4, 2n);
    expect(status()).toBe(0xf104n);
    rig.fabric.writeMmio(0, rig.bar + 0x1cn, 1, 4n);
    expect(status()).toBe(0xf100n);
  });

  test("DEV-REG-02, DEV-REG-04: commands of a stepped engine", () => {
    const rig = machine({ stepped: true });
    rig.memory.write8(TARGET, 0x11);
    expect(rig.run("read", { address: PAGE })).toBe("busy");
    expect(rig.run("fill", { address: PAGE, pattern: 0x99 })).toBe("busy");
    expect(rig.memory.read8(TARGET)).toBe(0x11);
    // Registers are read when the command is carried out, so that the later operation is the one performed.
    expect(rig.engine.step()).toBe(true);
    expect([rig.status(), rig.memory.read8(TARGET)]).toEqual(["ok", 0x99]);
    expect(rig.engine.step()).toBe(false);
    rig.fabric.writeMmio(0, rig.bar + 0x19n, 1, 0x20n);
    expect(rig.engine.step()).toBe(false);
  });

  test("DEV-REG-03: what the engine refuses, and what it hands on", () => {
    const rig = machine();
    rig.fabric.writeMmio(0, rig.bar + 0x18n, 4, 9n);
    expect(rig.status()).toBe("f0");
    expect(rig.run("write", { address: PAGE, length: 0 })).toBe("f1");
    expect(rig.run("write", { address: PAGE, length: 0x801 })).toBe("f1");
    expect(rig.run("write", { address: PAGE, length: 0x800 })).toBe("ok");
    expect(rig.run("fill", { address: PAGE, length: 0x1_0001 })).toBe("f1");
    expect(rig.run("fill", { address: PAGE, length: 0xffff_ffff })).toBe("f1");
    expect(rig.run("read", { address: 0x9000n })).toBe("79");
    rig.engine.function.config.write(4, 2, 2);
    expect(rig.run("read", { address: PAGE })).toBe("01");
  });
});

describe("transfers", () => {
  test("DEV-DMA-01: bytes to and from memory, across pages, by PASID", () => {
    const rig = machine();
    rig.fabric.writeMmio(0, rig.bar + 0x800n, 8, 0x0807_0605_0403_0201n);
    expect(rig.run("write", { address: PAGE + 0xffcn, length: 8 })).toBe("ok");
    expect(bytesAt(rig, TARGET + 0xffcn, 5)).toEqual([1, 2, 3, 4, 0]);
    expect(bytesAt(rig, TARGET + 0x5000n, 4)).toEqual([5, 6, 7, 8]);
    expect(rig.run("fill", { address: PAGE + 0x10n, length: 3, pattern: 0xee, pasid: 5 })).toBe(
      "ok",
    );
    expect(bytesAt(rig, TARGET + 0x100fn, 5)).toEqual([0, 0xee, 0xee, 0xee, 0]);
    expect(rig.load(PAGE + 0x11n, { pasid: 5 })).toBe("ee");
    expect(rig.load(PAGE + 0xfffn)).toBe("04");
    expect(rig.load(PAGE, { pasid: 5, flags: { privileged: 1 } })).toBe("fault 5d");
    expect(rig.load(PAGE, { flags: { privileged: 1 } })).toBe("fault 01");
    expect(rig.load(PAGE, { pasid: 6 })).toBe("fault 59");
  });

  test("DEV-DMA-02: a held transfer", () => {
    const rig = machine();
    expect(rig.run("release")).toBe("f0");
    rig.fabric.writeMmio(0, rig.bar + 0x800n, 1, 0x41n);
    expect(rig.run("write", { address: PAGE, flags: { hold: 1 } })).toBe("ok");
    expect(rig.run("write", { address: PAGE, flags: { hold: 1 } })).toBe("f0");
    rig.fabric.writeMmio(0, rig.bar + 0x800n, 1, 0x42n);
    expect([rig.memory.read8(TARGET), rig.fabric.inFlight.count]).toEqual([0, 1]);
    expect(rig.run("release")).toBe("ok");
    expect([rig.memory.read8(TARGET), rig.fabric.inFlight.count]).toEqual([0x41, 0]);
    expect(rig.run("read", { address: PAGE, flags: { hold: 1 } })).toBe("ok");
    expect(rig.buffer()).toBe(0x42);
    rig.run("release");
    expect(rig.buffer()).toBe(0x41);
    expect(rig.run("read", { address: 0x9000n, flags: { hold: 1 } })).toBe("79");
    expect(rig.fabric.inFlight.count).toBe(0);
  });

  test("DEV-DMA-03: an interrupt at the end, well or not", () => {
    const rig = machine();
    const flags = { interrupt: 1 };
    rig.run("read", { address: PAGE, flags });
    expect(rig.interrupts).toEqual([]);
    rig.aimMsi(0xfee0_3000n, 0x41);
    rig.run("read", { address: PAGE, flags });
    rig.run("read", { address: 0x9000n, flags });
    rig.run("read", { address: PAGE });
    expect(rig.interrupts.map(({ vector, destination }) => [vector, destination])).toEqual([
      [0x41, 3],
      [0x41, 3],
    ]);
  });
});

describe("translations", () => {
  const flags = { translated: 1 };

  test("DEV-ATS-01: a translation is shown and kept, unless it grants nothing", () => {
    const rig = machine();
    expect(rig.run("translate", { address: PAGE + 0x123n, flags: { wantsWrite: 1 } })).toBe("ok");
    expect(rig.translation()).toMatchObject({ address: TARGET, sizeLg2: 12n, read: 1n, write: 1n });
    expect(rig.engine.tlb.translations).toHaveLength(1);
    expect(rig.run("translate", { address: PAGE, pasid: 5 })).toBe("ok");
    expect(rig.translation()).toMatchObject({ address: TARGET + 0x1000n, write: 0n });
    expect(rig.engine.tlb.translations).toHaveLength(2);
    expect(rig.run("translate", { address: 0x9000n })).toBe("79");
    expect(rig.translation()).toMatchObject({ address: 0n, read: 0n });
    expect(rig.engine.tlb.translations).toHaveLength(2);
    expect(rig.faults()).toEqual([]);
  });

  test("DEV-ATS-02: transfers through what is kept", () => {
    const rig = machine();
    const types: unknown[] = [];
    rig.trace.listen("pci.request", ({ payload }) => {
      const { addressType, address, pasid } = payload as {
        addressType: number;
        address: bigint;
        pasid: number;
      };
      types.push([addressType, address, pasid]);
    });
    expect(rig.run("fill", { address: PAGE + 0xfffn, length: 2, pattern: 1, flags })).toBe("ok");
    expect(types).toEqual([
      [1, PAGE, NO_PASID],
      [1, PAGE + 0x1000n, NO_PASID],
      [2, TARGET + 0xfffn, NO_PASID],
      [2, TARGET + 0x5000n, NO_PASID],
    ]);
    types.length = 0;
    expect(rig.run("fill", { address: PAGE, length: 1, pattern: 7, pasid: 5, flags })).toBe("ok");
    expect(rig.run("fill", { address: PAGE, length: 1, pattern: 7, pasid: 5, flags })).toBe("ok");
    expect(types.map((each) => (each as number[])[0])).toEqual([1, 2, 2]);
    expect(rig.memory.read8(TARGET + 0x1000n)).toBe(7);
    rig.run("translate", { address: PAGE });
    types.length = 0;
    expect(rig.run("fill", { address: PAGE, flags })).toBe("f2");
    expect(types).toEqual([]);
  });

  const keeper = (answers: "in-time" | "late" = "in-time") => {
    const rig = machine();
    const tlb = new DeviceTlb(answers, rig.engine.port.inFlight);
    const keep = (address: bigint, pasid = NO_PASID, sizeLg2 = 12) =>
      tlb.keep({
        pasid,
        privileged: false,
        address,
        sizeLg2,
        target: address,
        granted: READ | WRITE,
      });
    const kept = () => tlb.translations.map(({ address, pasid }) => [address, pasid]);
    return { rig, tlb, keep, kept };
  };

  test("DEV-ATS-03: what an invalidation drops", () => {
    const { tlb, keep, kept } = keeper();
    const drop = (address: bigint, sizeLg2: number, pasid: number, global = false) =>
      tlb.invalidate({ address, sizeLg2, pasid, global }, () => {});
    keep(0x1000n);
    keep(0x2000n);
    keep(0x20_0000n, NO_PASID, 21);
    keep(0x1000n, 5);
    keep(0x2000n, 6);
    drop(0x2000n, 12, NO_PASID);
    drop(0x3f_f000n, 12, NO_PASID);
    expect(kept()).toEqual([
      [0x1000n, NO_PASID],
      [0x1000n, 5],
      [0x2000n, 6],
    ]);
    drop(0n, 64, 0, true);
    expect(kept()).toEqual([[0x1000n, NO_PASID]]);
    for (let i = 0n; i < 70n; i++) keep(0x10_0000n + i * 0x1000n);
    expect(tlb.translations).toHaveLength(64);
    expect(kept()[0]).toEqual([0x10_6000n, NO_PASID]);
  });

  test("DEV-ATS-02: a translation asked for without privilege serves no request with it", () => {
    const { tlb, keep } = keeper();
    keep(0x1000n, 5);
    const found = [false, true].map((privileged) => tlb.find(0x1fffn, 5, privileged)?.address);
    expect(found).toEqual([0x1000n, undefined]);
    expect([tlb.find(0x2000n, 5, false), tlb.find(0x1000n, 6, false)]).toEqual([
      undefined,
      undefined,
    ]);
  });

  test("DEV-ATS-03: switching ATS off drops everything", () => {
    const rig = machine();
    rig.run("translate", { address: PAGE });
    const { config } = rig.engine.function;
    config.writeField(ATS_CAPABILITY.layout, "atsEnable", 0);
    config.writeField(ATS_CAPABILITY.layout, "atsEnable", 1);
    expect(rig.engine.tlb.translations).toEqual([]);
  });

  test("DEV-ATS-04: an answer waits for the engine's requests in flight", () => {
    const rig = machine();
    rig.run("translate", { address: PAGE, flags: { wantsWrite: 1 } });
    rig.run("fill", { address: PAGE, pattern: 3, flags: { translated: 1, hold: 1 } });
    rig.submit(3, DEVICE_TLB_DESCRIPTOR, { SID: rig.source, ADDR: PAGE });
    const done = rig.wait();
    expect([rig.engine.tlb.translations.length, done(), rig.memory.read8(TARGET)]).toEqual([
      0,
      false,
      0,
    ]);
    rig.run("release");
    expect([done(), rig.memory.read8(TARGET)]).toEqual([true, 3]);
  });

  test("DEV-ATS-04: an answer that is put off", () => {
    const { tlb } = keeper("late");
    const answers: unknown[] = [];
    tlb.invalidate({ address: 0n, sizeLg2: 12, pasid: NO_PASID, global: false }, (right) =>
      answers.push(right),
    );
    expect([answers, tlb.owed]).toEqual([[], 1]);
    tlb.answer();
    tlb.answer();
    expect([answers, tlb.owed]).toEqual([[true], 0]);
  });

  test("DEV-PRI-01: a page request, busy until its group is answered", () => {
    const rig = machine();
    expect(rig.run("requestPage", { address: PAGE, pasid: 5, flags: { group: 9 } })).toBe("ok");
    expect(rig.run("requestPage", { address: PAGE, pasid: 5, flags: { group: 9, last: 1 } })).toBe(
      "busy",
    );
    const answer = (group: number, code: number) =>
      rig.fabric.respondToDevice(0, { destination: rig.source, pasid: 5, group, code });
    expect([answer(8, 0), rig.status(), rig.response().valid]).toEqual([false, "busy", 0n]);
    expect([answer(9, 1), rig.status()]).toEqual([true, "01"]);
    expect(rig.response()).toEqual({ code: 1n, group: 9n, valid: 1n });
    rig.start("requestPage", { address: PAGE, pasid: 5, flags: { group: 3, last: 1 } });
    expect([answer(3, 0), rig.status()]).toEqual([true, "ok"]);
  });

  test("DEV-PRI-02: a Stop Marker is done at once, and needs a PASID", () => {
    const rig = machine();
    const sent: unknown[] = [];
    const { requestPage } = rig.unit;
    rig.unit.requestPage = (request) => {
      sent.push(request);
      return requestPage.call(rig.unit, request);
    };
    expect(rig.run("stopMarker", { pasid: 5, address: PAGE, flags: { group: 9 } })).toBe("ok");
    expect(sent).toMatchObject([{ pasid: 5, address: 0n, read: false, write: false, last: true }]);
    expect([rig.run("stopMarker"), sent.length]).toEqual(["f0", 1]);
    rig.engine.function.config.writeField(PAGE_REQUEST_CAPABILITY.layout, "pageRequestEnable", 0);
    expect(rig.run("stopMarker", { pasid: 5 })).not.toBe("ok");
  });
});
