import { describe, expect, test } from "vitest";
import { brief, codeOf, NOWHERE, VtdRig } from "../../../test/vtd-rig.ts";
import { bufferRegion } from "../../memory/buffer-region.ts";
import { PhysicalMemory } from "../../memory/physical-memory.ts";
import { DmaRequest, EXECUTE, NO_PASID, PRIVILEGED, WRITE } from "../pci/dma-request.ts";
import { type Capabilities, createCapabilities } from "./capabilities.ts";
import { QEMU_11_1_FIRST_STAGE, SERVER } from "./profiles.ts";
import { CAP, ECAP } from "./spec/capability-registers.ts";
import { TranslationUnit } from "./unit.ts";

const TARGET = 0x20_0000n;
const LEAF = 0x67n;

const withFields = (
  cap: Partial<Record<keyof typeof CAP.fields, number>>,
  ecap: Partial<Record<keyof typeof ECAP.fields, number>>,
): Capabilities =>
  createCapabilities({
    cap: CAP.encode({ ...CAP.decode([SERVER.cap]), ...cap })[0]!,
    ecap: ECAP.encode({ ...ECAP.decode([SERVER.ecap]), ...ecap })[0]!,
    hostAddressWidth: 52,
  });

/** A device whose requests, with PASID 9, go through a first stage with nothing in it yet. */
const firstStage = (values: Record<string, number> = {}, capabilities: Capabilities = SERVER) => {
  const rig = new VtdRig({ capabilities, mode: "scalable" });
  const root = rig.page();
  rig.context({ PASIDE: capabilities.has("PASID"), PDTS: 0 });
  const pasid = capabilities.has("PASID") ? 9 : NO_PASID;
  rig.pasidEntry(
    { PGTT: 1, FSPTPTR: root, PWSNP: capabilities.has("SMPWCS"), ...values },
    pasid === NO_PASID ? 0 : pasid,
  );
  return {
    rig,
    root,
    read: (address: bigint, flags = 0) => rig.read(address, pasid, flags),
    write: (address: bigint, flags = 0) => rig.write(address, 0x5a, pasid, flags),
    /** As `read`, after the caches have been emptied. */
    readAgain: (address: bigint, flags = 0) => {
      rig.flush();
      return rig.read(address, pasid, flags);
    },
  };
};

describe("first stage", () => {
  test("VTD-FS-01: addresses are canonical", () => {
    for (const [levels, bits] of [
      [4, 48n],
      [5, 57n],
    ] as const) {
      const { rig, root, read } = firstStage({ FSPM: levels - 4 });
      const low = (1n << (bits - 1n)) - 0x1000n;
      const high = BigInt.asUintN(64, -(1n << (bits - 1n)));
      rig.mapFirst(root, low, TARGET | LEAF, 0, levels);
      rig.mapFirst(root, high, (TARGET + 0x1000n) | LEAF, 0, levels);
      rig.mapFirst(root, ~0n & (2n ** 64n - 0x1000n), (TARGET + 0x2000n) | LEAF, 0, levels);
      for (const [i, value] of [0x11, 0x22, 0x33].entries()) {
        rig.memory.write8(TARGET + BigInt(i) * 0x1000n, value);
      }
      expect(read(low)).toBe(0x11);
      expect(read(high)).toBe(0x22);
      rig.memory.write8(TARGET + 0x2fffn, 0x44);
      expect(read(2n ** 64n - 1n)).toBe(0x44);
      expect(brief(read(1n << (bits - 1n)))).toEqual({ code: "80", stage: 1, level: undefined });
      expect(codeOf(read(high - 1n))).toBe("80");
      expect(codeOf(read(1n << 63n))).toBe("80");
    }
  });

  test("VTD-FS-02: unreadable, not present, reserved, in this order and level by level", () => {
    const { rig, root, readAgain } = firstStage();
    const entries = rig.mapFirst(root, 0x7000n, TARGET | LEAF);
    for (let level = 3; level >= 0; level--) {
      const entry = entries[level]!;
      const good = rig.peek(entry);
      rig.poke(entry, good | (1n << 52n) | (1n << 9n));
      expect(codeOf(readAgain(0x7000n))).toBe(0);
      rig.poke(entry, (good & ~1n) | (0xffn << 44n));
      expect(brief(readAgain(0x7000n))).toEqual({ code: "71", stage: 1, level });
      rig.poke(entry, good);
      if (level > 0) {
        rig.poke(entry, NOWHERE | 0x27n);
        expect(brief(readAgain(0x7000n))).toEqual({ code: "70", stage: 1, level: level - 1 });
        rig.poke(entry, good);
      }
    }
    rig.pasidEntry({ PGTT: 1, FSPTPTR: NOWHERE }, 9);
    expect(brief(readAgain(0x7000n))).toEqual({ code: "73", stage: 1, level: 3 });
    const host = createCapabilities({ cap: SERVER.cap, ecap: SERVER.ecap, hostAddressWidth: 46 });
    const reserved = firstStage({}, host);
    const path = reserved.rig.mapFirst(reserved.root, 0x7000n, TARGET | LEAF);
    for (const bit of [46n, 50n, 51n]) {
      for (const [level, entry] of path.entries()) {
        reserved.rig.setBits(entry, 1n << bit);
        expect(brief(reserved.readAgain(0x7000n))).toEqual({ code: "72", stage: 1, level });
        reserved.rig.poke(entry, reserved.rig.peek(entry) & ~(1n << bit));
      }
    }
  });

  test("VTD-FS-03: page sizes, and the reserved bits of large leaves", () => {
    const { rig, root, read } = firstStage({ FSPM: 1 });
    const at2M = 0x4000_0000n;
    const at1G = 0x8000_0000n;
    const [leaf2M] = rig.mapFirst(root, at2M, 0x40_0000n | LEAF | 0x80n, 1, 5);
    const path1G = rig.mapFirst(root, at1G, 0x80n | LEAF, 2, 5);
    rig.memory.write8(0x5f_ffffn, 0x21);
    rig.memory.write8(0x123_4567n, 0x30);
    expect(read(at2M + 0x1f_ffffn)).toBe(0x21);
    expect(read(at1G + 0x123_4567n)).toBe(0x30);
    rig.unit.invalidatePasidIotlb({ granularity: "pasid", domain: 1, pasid: 9 });
    rig.setBits(leaf2M!, 1n << 12n);
    expect(read(at2M + 0x1f_ffffn)).toBe(0x21);
    rig.unit.invalidatePasidIotlb({ granularity: "pasid", domain: 1, pasid: 9 });
    for (const [leaf, address, last, level] of [
      [leaf2M!, at2M, 20n, 1],
      [path1G[0]!, at1G, 29n, 2],
    ] as const) {
      for (let bit = 13n; bit <= last; bit++) {
        const good = rig.peek(leaf);
        rig.poke(leaf, good | (1n << bit));
        expect(brief(read(address))).toEqual({ code: "72", stage: 1, level });
        rig.poke(leaf, good);
      }
    }
    for (const level of [3, 4]) {
      const entry = path1G[level - 2]!;
      rig.setBits(entry, 0x80n);
      expect(brief(read(at1G))).toEqual({ code: "72", stage: 1, level });
      rig.poke(entry, rig.peek(entry) & ~0x80n);
    }
    const without = firstStage({}, withFields({ FS1GP: 0 }, {}));
    without.rig.mapFirst(without.root, 0n, 0x80n | LEAF, 2);
    expect(brief(without.read(0n))).toEqual({ code: "72", stage: 1, level: 2 });
  });

  test("VTD-FS-04: user requests need U/S and R/W in every entry", () => {
    for (let level = 0; level < 4; level++) {
      const { rig, root, readAgain, write } = firstStage();
      const entries = rig.mapFirst(root, 0x7000n, TARGET | LEAF);
      const good = rig.peek(entries[level]!);
      rig.poke(entries[level]!, good & ~4n);
      expect(brief(readAgain(0x7000n))).toEqual({ code: "81", stage: 1, level: 0 });
      rig.poke(entries[level]!, good & ~2n);
      expect(readAgain(0x7000n)).toBe(0);
      expect(brief(write(0x7000n))).toEqual({ code: "85", stage: 1, level: 0 });
      rig.poke(entries[level]!, good & ~6n);
      rig.flush();
      expect(codeOf(write(0x7000n))).toBe("81");
      expect(rig.memory.read8(TARGET)).toBe(0);
    }
  });

  test("VTD-FS-05: privileged requests ignore U/S, and R/W unless WPE", () => {
    for (const WPE of [0, 1]) {
      const { rig, root, read, write } = firstStage({ SRE: 1, WPE });
      rig.mapFirst(root, 0x7000n, TARGET | (LEAF & ~6n));
      expect(read(0x7000n, PRIVILEGED)).toBe(0);
      expect(codeOf(write(0x7000n, PRIVILEGED))).toBe(WPE === 1 ? "85" : undefined);
      expect(rig.memory.read8(TARGET)).toBe(WPE === 1 ? 0 : 0x5a);
      // What a privileged request has left in the caches permits a user nothing.
      expect(codeOf(read(0x7000n))).toBe("81");
      expect(codeOf(write(0x7000n))).toBe("81");
    }
  });

  test("VTD-FS-06: XD counts where there are execute requests", () => {
    for (const ERS of [0, 1]) {
      for (let level = 0; level < 4; level++) {
        const { rig, root, read } = firstStage({}, withFields({}, { ERS }));
        const entries = rig.mapFirst(root, 0x7000n, TARGET | LEAF);
        expect(read(0x7000n, EXECUTE)).toBe(0);
        rig.setBits(entries[level]!, 1n << 63n);
        rig.unit.invalidatePasidIotlb({ granularity: "pasid", domain: 1, pasid: 9 });
        expect(read(0x7000n)).toBe(0);
        expect(codeOf(read(0x7000n, EXECUTE))).toBe(ERS === 1 ? "82" : 0);
      }
    }
  });

  test("VTD-FS-07: accessed in every entry, dirty in the leaf of a write, extended accessed with EAFE", () => {
    for (const EAFE of [0, 1]) {
      const { rig, root, read, write } = firstStage({ EAFE });
      const entries = rig.map(root, 4, 0x7000n, TARGET | 7n, 0, 7n);
      const flags = () => entries.map((entry) => rig.peek(entry) & 0x460n);
      const extended = EAFE === 1 ? 0x400n : 0n;
      expect(flags()).toEqual([0n, 0n, 0n, 0n]);
      expect(read(0x7000n)).toBe(0);
      expect(flags()).toEqual([0x20n, 0x20n, 0x20n, 0x20n].map((a) => a | extended));
      expect(write(0x7000n)).toBeUndefined();
      expect(flags()).toEqual([0x60n, 0x20n, 0x20n, 0x20n].map((a) => a | extended));
    }
    const refused = firstStage();
    const entries = refused.rig.map(refused.root, 4, 0x7000n, TARGET | 5n, 0, 7n);
    expect(codeOf(refused.write(0x7000n))).toBe("85");
    expect(entries.map((entry) => refused.rig.peek(entry) & 0x60n)).toEqual([
      0n,
      0x20n,
      0x20n,
      0x20n,
    ]);
  });

  test("VTD-FS-08: an update that is needed while walks are not snooped", () => {
    const { rig, root, read, write } = firstStage({ PWSNP: 0 });
    const entries = rig.mapFirst(root, 0x7000n, TARGET | 0x27n);
    expect(read(0x7000n)).toBe(0);
    expect(brief(write(0x7000n))).toEqual({ code: "90", stage: 1, level: 0 });
    expect(rig.memory.read8(TARGET)).toBe(0);
    rig.poke(entries[2]!, rig.peek(entries[2]!) & ~0x20n);
    rig.unit.invalidatePasidIotlb({ granularity: "pasid", domain: 1, pasid: 9 });
    expect(brief(read(0x7000n))).toEqual({ code: "90", stage: 1, level: 2 });
    expect(rig.peek(entries[2]!) & 0x20n).toBe(0n);
    const qemu = firstStage({ AW: 2 }, QEMU_11_1_FIRST_STAGE);
    const [leaf] = qemu.rig.map(qemu.root, 4, 0x7000n, TARGET | 7n, 0, 7n);
    expect(qemu.write(0x7000n)).toBeUndefined();
    expect(qemu.rig.peek(leaf!) & 0x60n).toBe(0x60n);
  });

  test("VTD-FS-09: an update that memory refuses is 91, one that comes too late is tried again", () => {
    const { rig, root } = firstStage();
    const [leaf] = rig.mapFirst(root, 0x7000n, TARGET | 0x7n);
    const bytes = new Uint8Array(0x100_0000);
    rig.memory.read(0n, bytes);
    const plain = bufferRegion({ base: 0n, length: 0x100_0000n, view: () => bytes });
    const request = new DmaRequest();
    request.source = rig.source;
    request.pasid = 9;
    request.lo = 0x7000;
    request.access = WRITE;
    const unitOver = (memory: PhysicalMemory) => {
      const unit = new TranslationUnit({ capabilities: SERVER, memory });
      unit.setRootTable(rig.rootTable | 0x400n);
      unit.setTranslation(true);
      return unit;
    };
    const readOnly = {
      ...plain,
      bankToWrite: () => ({
        firstPfn: 0,
        frames: 0,
        words: new Int32Array(0),
        bytes: new Uint8Array(0),
      }),
    };
    expect(unitOver(new PhysicalMemory([readOnly])).translate(request)).toBe(false);
    expect(request.fault?.code).toBe(0x91);

    // Somebody remaps the page between the walk's read of the leaf and its update.
    let interfered = false;
    const memory = new PhysicalMemory([plain]);
    const original = memory.compareAndSwap.bind(memory);
    memory.compareAndSwap = (...args) => {
      if (!interfered) {
        interfered = true;
        memory.write64(leaf!, (TARGET + 0x3000n) | 0x7n);
      }
      return original(...args);
    };
    expect(unitOver(memory).translate(request)).toBe(true);
    expect(BigInt(request.outLo)).toBe(TARGET + 0x3000n);
    expect(memory.read64(leaf!)).toBe((TARGET + 0x3000n) | LEAF);
  });

  test("VTD-FS-10: an output in the interrupt range", () => {
    const { rig, root, read } = firstStage();
    rig.mapFirst(root, 0x7000n, 0xfeef_f000n | LEAF);
    rig.mapFirst(root, 0x20_0000n, 0xfee0_0000n | LEAF | 0x80n, 1);
    expect(brief(read(0x7000n))).toEqual({ code: "87", stage: 1, level: 0 });
    // The upper half of that large page is no interrupt range, and reaching it makes the lower half no safer.
    expect(read(0x30_0000n)).toMatchObject({ reason: "no-memory" });
    expect(codeOf(read(0x2f_ffffn))).toBe("87");
    expect(codeOf(read(0x20_0000n))).toBe("87");
  });
});
