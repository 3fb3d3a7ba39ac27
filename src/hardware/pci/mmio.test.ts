import { describe, expect, test } from "vitest";
import { createSparseMemory } from "../../memory/create.ts";
import type { BarDeclaration } from "./base-address.ts";
import { configSpaceOf } from "./declaration.ts";
import { Fabric } from "./fabric.ts";
import { assignMemory, type MmioTarget } from "./mmio.ts";
import { TYPE_0_HEADER, TYPE_1_HEADER } from "./spec/config-header.ts";
import { type Bus, type PciFunction, Topology } from "./topology.ts";

/** Registers that remember what was written and answer with where they are. */
class Recorder implements MmioTarget {
  readonly writes: unknown[] = [];
  readRegister(bar: number, offset: number): bigint {
    return BigInt(bar * 0x10_0000 + offset);
  }
  writeRegister(bar: number, offset: number, width: number, value: bigint): void {
    this.writes.push([bar, offset, width, value]);
  }
}

const machine = () => {
  const topology = new Topology();
  const root = topology.addRootBus();
  const add = (
    bus: Bus,
    kind: "endpoint" | "integrated-endpoint",
    bars: readonly BarDeclaration[],
  ) => {
    const fn = bus.add({ kind, device: kind === "endpoint" ? 0 : 2, bars });
    fn.mmioTarget = new Recorder();
    return fn;
  };
  const near = add(root, "integrated-endpoint", [
    { index: 0, sizeLg2: 12 },
    { index: 2, sizeLg2: 16, width: 64, prefetchable: true },
  ]);
  const port = root.add({ kind: "root-port", device: 3 });
  const up = port.secondary!.add({ kind: "upstream-port", device: 0 });
  const down = up.secondary!.add({ kind: "downstream-port", device: 0 });
  const far = add(down.secondary!, "endpoint", [{ index: 0, sizeLg2: 14, width: 64 }]);
  const empty = root.add({ kind: "root-port", device: 4 });
  topology.assignBusNumbers();
  const fabric = new Fabric(topology, createSparseMemory([{ base: 0n, length: 0x1000n }]));
  return { topology, root, near, port, up, down, far, empty, fabric };
};

const recorderOf = (fn: PciFunction): Recorder => fn.mmioTarget as Recorder;

describe("base address registers", () => {
  test("PCI-BAR-01: sizing", () => {
    const { near, far } = machine();
    const sized = (fn: PciFunction, offset: number): number[] => {
      const before = fn.config.read(offset, 4);
      fn.config.write(offset, 4, 0xffff_ffff);
      const mask = fn.config.read(offset, 4);
      fn.config.write(offset, 4, before);
      return [before, mask];
    };
    expect(sized(near, 0x10)).toEqual([0, 0xffff_f000]);
    expect(sized(near, 0x14)).toEqual([0, 0]);
    expect(sized(near, 0x18)).toEqual([0xc, 0xffff_000c]);
    expect(sized(near, 0x1c)).toEqual([0, 0xffff_ffff]);
    expect(sized(far, 0x10)).toEqual([4, 0xffff_c004]);
    near.bars[1]!.assign(0x1234_5678_9abc_def0n);
    expect(near.bars[1]!.address).toBe(0x1234_5678_9abc_0000n);
    near.reset();
    expect(near.bars.map(({ address }) => address)).toEqual([0n, 0n]);
  });

  test("PCI-BAR-02: what cannot be declared", () => {
    const { root } = machine();
    const declare = (bars: readonly BarDeclaration[]) => () =>
      root.add({ kind: "integrated-endpoint", device: 9, bars });
    expect(declare([{ index: 6, sizeLg2: 12 }])).toThrow(RangeError);
    expect(declare([{ index: 5, sizeLg2: 12, width: 64 }])).toThrow(RangeError);
    expect(declare([{ index: 0, sizeLg2: 3 }])).toThrow(RangeError);
    expect(declare([{ index: 0, sizeLg2: 32 }])).toThrow(RangeError);
    const overlapping = [
      { index: 0, sizeLg2: 12, width: 64 },
      { index: 1, sizeLg2: 12 },
    ] as const;
    expect(declare(overlapping)).toThrow(RangeError);
    expect(() =>
      configSpaceOf({ kind: "root-port", device: 0, bars: [{ index: 0, sizeLg2: 12 }] }),
    ).toThrow(RangeError);
    expect(declare([{ index: 5, sizeLg2: 4 }])).not.toThrow();
  });
});

describe("device memory", () => {
  test("PCI-MMIO-01: who answers", () => {
    const { near, fabric } = machine();
    near.bars[0]!.assign(0xe000_0000n);
    near.bars[1]!.assign(0x10_0000_0000n);
    expect(fabric.readMmio(0, 0xe000_0010n, 4)).toBe(0xffff_ffffn);
    expect(fabric.writeMmio(0, 0xe000_0010n, 4, 1n)).toBe(false);
    near.config.writeField(TYPE_0_HEADER, "memorySpaceEnable", 1);
    expect(fabric.readMmio(0, 0xe000_0010n, 4)).toBe(0x10n);
    expect(fabric.readMmio(0, 0x10_0000_fff8n, 8)).toBe(0x20_fff8n);
    expect(fabric.readMmio(0, 0x10_0000_fff8n, 1)).toBe(0xf8n);
    expect(fabric.writeMmio(0, 0xe000_0ffcn, 4, 7n)).toBe(true);
    expect(recorderOf(near).writes).toEqual([[0, 0xffc, 4, 7n]]);
    // Across the end, before the beginning, in another segment, and where nothing is behind the register.
    expect(fabric.readMmio(0, 0xe000_0ffcn, 8)).toBe(0xffff_ffff_ffff_ffffn);
    expect(fabric.readMmio(0, 0xdfff_ffffn, 2)).toBe(0xffffn);
    expect(fabric.readMmio(1, 0xe000_0010n, 1)).toBe(0xffn);
    near.mmioTarget = undefined;
    expect(fabric.readMmio(0, 0xe000_0010n, 4)).toBe(0xffff_ffffn);
  });

  test("PCI-MMIO-02: through the windows of bridges", () => {
    const { far, port, up, down, fabric } = machine();
    const bridges = [port, up, down];
    const reads = (): boolean => fabric.readMmio(0, 0xd010_0004n, 4) === 4n;
    far.bars[0]!.assign(0xd010_0000n);
    far.config.writeField(TYPE_0_HEADER, "memorySpaceEnable", 1);
    expect(reads()).toBe(false);
    for (const { config } of bridges) {
      config.writeField(TYPE_1_HEADER, "memoryBase", 0xd00);
      config.writeField(TYPE_1_HEADER, "memoryLimit", 0xd01);
      config.writeField(TYPE_1_HEADER, "memorySpaceEnable", 1);
    }
    expect(reads()).toBe(true);
    for (const { config } of bridges) {
      config.writeField(TYPE_1_HEADER, "memorySpaceEnable", 0);
      expect(reads()).toBe(false);
      config.writeField(TYPE_1_HEADER, "memorySpaceEnable", 1);
      config.writeField(TYPE_1_HEADER, "memoryLimit", 0xd00);
      expect(reads()).toBe(false);
      config.writeField(TYPE_1_HEADER, "memoryBase", 0xd02);
      config.writeField(TYPE_1_HEADER, "memoryLimit", 0xd01);
      expect(reads()).toBe(false);
      config.writeField(TYPE_1_HEADER, "prefetchableBase", 0xd01);
      config.writeField(TYPE_1_HEADER, "prefetchableLimit", 0xd01);
      expect(reads()).toBe(true);
      config.writeField(TYPE_1_HEADER, "prefetchableLimitUpper", 1);
      config.writeField(TYPE_1_HEADER, "prefetchableBaseUpper", 1);
      expect(reads()).toBe(false);
      config.writeField(TYPE_1_HEADER, "prefetchableLimitUpper", 0);
      config.writeField(TYPE_1_HEADER, "prefetchableBaseUpper", 0);
    }
  });

  test("PCI-MMIO-03: firmware's assignment", () => {
    const { root, near, far, empty, down, fabric } = machine();
    const end = assignMemory(root, 0xe000_0800n);
    expect([...near.bars, ...far.bars].map(({ address }) => address)).toEqual([
      0xe000_1000n,
      0xe001_0000n,
      0xe010_0000n,
    ]);
    expect(end).toBe(0xe020_0000n);
    expect(fabric.readMmio(0, 0xe010_3ffcn, 4)).toBe(0x3ffcn);
    expect(fabric.readMmio(0, 0xe000_1004n, 4)).toBe(4n);
    const window = ({ config }: PciFunction) => [
      config.get(TYPE_1_HEADER, "memoryBase"),
      config.get(TYPE_1_HEADER, "memoryLimit"),
    ];
    expect(window(down)).toEqual([0xe01, 0xe01]);
    expect(window(empty)).toEqual([0xe02, 0xe01]);
    expect(() => assignMemory(root, 0xfff0_0000n)).toThrow(RangeError);
  });
});
