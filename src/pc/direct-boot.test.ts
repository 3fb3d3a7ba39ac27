import { describe, expect, it } from "vitest";
import { type BootImage, KernelError, loadKernel } from "./direct-boot.ts";

const MIB = 1 << 20;
const RSDP = 0xe_0000;
const RESERVED = [[0xb000_0000, 0x10_0000]] as const;

/** A file that says of itself what a bzImage says: two sectors of setup, then code. */
const imageWith = (change: (view: DataView) => void = () => {}): BootImage => {
  const kernel = new Uint8Array(3 * 512 + 4096).fill(0xcc, 3 * 512);
  const view = new DataView(kernel.buffer);
  view.setUint8(0x1f1, 2);
  view.setUint8(0x201, 0x6a);
  view.setUint32(0x202, 0x5372_6448, true);
  view.setUint16(0x206, 0x20f, true);
  view.setUint8(0x211, 1);
  view.setUint32(0x22c, 0x7fff_ffff, true);
  view.setUint32(0x238, 64, true);
  change(view);
  return { kernel, initrd: new Uint8Array(5000).fill(0xdd), commandLine: "quiet" };
};

const load = (image: BootImage, memory = 4 * MIB): DataView => {
  const ram = new Uint8Array(memory);
  loadKernel(ram, image, RSDP, RESERVED);
  return new DataView(ram.buffer);
};

describe("direct boot", () => {
  it("PC-BOOT-01: the kernel's code is at 1 MiB, the initrd as high as whole pages allow", () => {
    const ram = load(imageWith());
    expect(ram.getUint32(MIB, true)).toBe(0xcccc_cccc);
    expect(ram.getUint32(MIB + 4096, true)).toBe(0);
    const at = ram.getUint32(0x9_0218, true);
    expect(at).toBe(4 * MIB - 8192);
    expect(ram.getUint32(0x9_021c, true)).toBe(5000);
    expect([ram.getUint8(at), ram.getUint8(at + 4999), ram.getUint8(at + 5000)]).toEqual([
      0xdd, 0xdd, 0,
    ]);
    const low = imageWith((view) => view.setUint32(0x22c, 2 * MIB - 1, true));
    expect(load(low).getUint32(0x9_0218, true)).toBe(2 * MIB - 8192);
  });

  it("PC-BOOT-02: boot parameters have header, loader, command line, tables and memory map", () => {
    const ram = load(imageWith());
    const parameters = 0x9_0000;
    expect(ram.getUint32(parameters + 0x202, true)).toBe(0x5372_6448);
    expect(ram.getUint8(parameters + 0x210)).toBe(0xff);
    expect(ram.getBigUint64(parameters + 0x70, true)).toBe(BigInt(RSDP));
    const line = ram.getUint32(parameters + 0x228, true);
    expect([...new Uint8Array(ram.buffer, line, 6)]).toEqual([...Buffer.from("quiet\0")]);
    const ranges = Array.from({ length: ram.getUint8(parameters + 0x1e8) }, (_, i) => {
      const at = parameters + 0x2d0 + 20 * i;
      return [
        ram.getBigUint64(at, true),
        ram.getBigUint64(at + 8, true),
        ram.getUint32(at + 16, true),
      ];
    });
    expect(ranges).toEqual([
      [0n, 0x9_f000n, 1],
      [0xe_0000n, 0x2_0000n, 2],
      [0x10_0000n, 0x30_0000n, 1],
      [0xb000_0000n, 0x10_0000n, 2],
    ]);
  });

  it("PC-BOOT-03: a view into a larger buffer, as Node reads files, is a kernel like any other", () => {
    const { kernel, ...rest } = imageWith();
    const inside = new Uint8Array(kernel.length + 100);
    inside.set(kernel, 37);
    const view = Buffer.from(inside.buffer, 37, kernel.length);
    expect(load({ ...rest, kernel: view })).toEqual(load({ ...rest, kernel }));
  });

  it.each<[string, BootImage, string]>([
    ["short", { ...imageWith(), kernel: new Uint8Array(100) }, "too short"],
    ["an other file", imageWith((view) => view.setUint32(0x202, 0, true)), "no bzImage"],
    ["old", imageWith((view) => view.setUint16(0x206, 0x20d, true)), "older than 2.14"],
    ["low", imageWith((view) => view.setUint8(0x211, 0)), "older than 2.14"],
    ["wordy", { ...imageWith(), commandLine: "x".repeat(65) }, "at most 64 characters"],
    ["large", { ...imageWith(), initrd: new Uint8Array(3 * MIB) }, "do not fit the memory"],
  ])("PC-BOOT-03: a kernel that is %s is refused", (_what, image, why) => {
    expect(() => load(image)).toThrow(KernelError);
    expect(() => load(image)).toThrow(why);
  });

  it("PC-BOOT-03: a command line of the longest length is taken", () => {
    expect(() => load({ ...imageWith(), commandLine: "x".repeat(64) })).not.toThrow();
  });
});
