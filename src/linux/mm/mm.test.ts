import { describe, expect, it } from "vitest";
import { createSparseMemory } from "../../memory/create.ts";
import { FaultInjector } from "../fault-injector.ts";
import { Frames } from "./frames.ts";
import { PROT_READ } from "./mapping.ts";
import type { Mm } from "./mm.ts";
import { type Process, Processes } from "./process.ts";
import { SharedFile } from "./shared-file.ts";

const PAGE = 4096n;
const RAM = [{ base: 0x10_0000n, length: 16n << 20n }];

const createRig = () => {
  const faults = new FaultInjector();
  const frames = new Frames(createSparseMemory(RAM), RAM, faults);
  const processes = new Processes(frames, faults);
  return { faults, frames, processes, process: processes.create() };
};

const mapped = (process: Process<Mm>, length: bigint, options = {}): bigint => {
  const address = process.mm.map({ length, ...options });
  if (!address.ok) throw new Error(address.errno);
  return address.value;
};

const bytesOf = (process: Process<Mm>, address: bigint, length = 4): number[] => {
  const bytes = new Uint8Array(length);
  expect(process.mm.read(address, bytes)).toBe(true);
  return [...bytes];
};

const pinned = (process: Process<Mm>, address: bigint, count: number, write = true): number[] => {
  const frames = new Float64Array(count);
  expect(process.mm.pin(Number(address / PAGE), count, write, frames)).toBe(count);
  return [...frames];
};

const ended = ({ processes, frames }: ReturnType<typeof createRig>): void => {
  for (const process of processes.alive) processes.exit(process as Process<Mm>);
  expect(frames.counts).toMatchObject({ used: 0, pins: 0, pinned: 0 });
};

describe("frames", () => {
  it("MM-FRAME-01: come as blocks aligned to their size, and join again when they are given back", () => {
    const { frames } = createRig();
    const { free } = frames.counts;
    const blocks = [3, 0, 9, 0, 5].map((order) => {
      const pfn = frames.allocateBlock(order)!;
      expect(pfn % 2 ** order).toBe(0);
      return { pfn, count: 2 ** order };
    });
    const all = blocks.flatMap(({ pfn, count }) =>
      Array.from({ length: count }, (_, i) => pfn + i),
    );
    expect(new Set(all).size).toBe(all.length);
    for (const pfn of all) frames.put(pfn);
    expect(frames.counts.free).toBe(free);
    expect(frames.allocateBlock(11)).toBeDefined();
    expect(frames.allocateBlock(12)).toBeUndefined();
  });

  it("MM-FRAME-02: read as zeros when they are handed out, whatever they held", () => {
    const { frames } = createRig();
    const all = Array.from({ length: frames.counts.free }, () => frames.allocate()!);
    const pfn = all[100]!;
    frames.memory.write32(BigInt(pfn) * PAGE, 0xdead_beef);
    frames.free(pfn);
    expect(frames.allocate()).toBe(pfn);
    expect(frames.memory.read32(BigInt(pfn) * PAGE)).toBe(0);
  });

  it("MM-FRAME-03: stay in use until the last reference and the last pin have gone", () => {
    const { frames } = createRig();
    const pfn = frames.allocate()!;
    expect(frames.pin(pfn) && frames.pin(pfn)).toBe(true);
    frames.put(pfn);
    frames.unpin(pfn);
    expect(frames.counts).toMatchObject({ used: 1, pins: 1, pinned: 1 });
    frames.unpin(pfn);
    expect(frames.counts).toMatchObject({ used: 0, pins: 0, pinned: 0 });
    expect(() => frames.unpin(pfn)).toThrow("not pinned");
    expect(() => frames.put(pfn)).toThrow("no reference");
  });

  it("MM-FRAME-04: every attempt asks the one hook, which may refuse", () => {
    const { frames, faults } = createRig();
    faults.failNth(1, ["frame", "pin"]);
    const pfn = frames.allocateBlock()!;
    expect(frames.pin(pfn)).toBe(false);
    expect(frames.pin(pfn)).toBe(true);
    expect(faults.hasFailed).toBe(true);
  });
});

describe("address spaces", () => {
  it("MM-MAP-01: memory is zeros, keeps what is written across pages, and is nowhere outside mappings", () => {
    const rig = createRig();
    const va = mapped(rig.process, 3n * PAGE);
    expect(bytesOf(rig.process, va)).toEqual([0, 0, 0, 0]);
    expect(rig.process.mm.write(va + PAGE - 2n, Uint8Array.of(1, 2, 3, 4))).toBe(true);
    expect(bytesOf(rig.process, va + PAGE - 2n)).toEqual([1, 2, 3, 4]);
    expect(rig.process.mm.write(va + 3n * PAGE - 2n, Uint8Array.of(1, 2, 3))).toBe(false);
    expect(rig.process.mm.read(0n, new Uint8Array(1))).toBe(false);
    expect(rig.process.mm.read(1n << 63n, new Uint8Array(1))).toBe(false);
    ended(rig);
  });

  it("MM-MAP-02: a part is unmapped or protected by itself, and its frames come back", () => {
    const rig = createRig();
    const { process, frames } = rig;
    const va = mapped(process, 4n * PAGE);
    process.mm.write(va, new Uint8Array(16384).fill(7));
    expect(frames.counts.used).toBe(4);
    process.mm.unmap(va + PAGE, PAGE);
    expect(frames.counts.used).toBe(3);
    expect(process.mm.read(va + PAGE, new Uint8Array(1))).toBe(false);
    expect(process.mm.protect(va + 2n * PAGE, PAGE, PROT_READ).ok).toBe(true);
    expect(process.mm.write(va + 2n * PAGE, Uint8Array.of(1))).toBe(false);
    expect(bytesOf(process, va + 2n * PAGE)).toEqual([7, 7, 7, 7]);
    expect(process.mm.protect(va, 2n * PAGE, PROT_READ)).toMatchObject({ errno: "ENOMEM" });
    expect(process.mm.map({ length: 0n })).toMatchObject({ errno: "EINVAL" });
    ended(rig);
  });

  it("MM-FILE-01: a file's pages are shared by all its mappings, held by each, and end with the file", () => {
    const rig = createRig();
    const { process, frames } = rig;
    const file = new SharedFile(frames, 4n * PAGE);
    const a = mapped(process, 4n * PAGE, { file, shared: true });
    const b = mapped(process, 2n * PAGE, { file, shared: true, offset: PAGE });
    const own = mapped(process, PAGE, { file, shared: false });
    process.mm.write(a + PAGE, Uint8Array.of(5));
    expect(bytesOf(process, b)[0]).toBe(5);
    process.mm.write(a, Uint8Array.of(6));
    expect(bytesOf(process, own)[0]).toBe(6);
    process.mm.write(own, Uint8Array.of(9));
    expect(bytesOf(process, a)[0]).toBe(6);
    file.put();
    process.mm.unmap(a + PAGE, PAGE);
    expect(bytesOf(process, a)[0]).toBe(6);
    file.truncate(PAGE);
    expect(process.mm.read(b, new Uint8Array(1))).toBe(false);
    expect(bytesOf(process, a)[0]).toBe(6);
    ended(rig);
  });

  it("MM-HUGE-01: huge pages come whole, side by side and aligned", () => {
    const rig = createRig();
    const file = new SharedFile(rig.frames, 4n << 20n, 9);
    const va = mapped(rig.process, 2n << 20n, { file, shared: true });
    const frames = pinned(rig.process, va + 5n * PAGE, 3);
    expect([frames[1]! - frames[0]!, frames[2]! - frames[0]!, frames[0]! % 512]).toEqual([1, 2, 5]);
    expect(rig.frames.counts.used).toBe(512);
    expect(rig.process.mm.map({ length: PAGE, offset: PAGE, file })).toMatchObject({
      errno: "EINVAL",
    });
    for (const frame of frames) rig.frames.unpin(frame);
    file.put();
    ended(rig);
  });
});

describe("pins", () => {
  it("MM-PIN-01: what is not mapped, not permitted or a device's is not pinned, and the rest is counted", () => {
    const rig = createRig();
    const { process, frames } = rig;
    const va = mapped(process, 2n * PAGE);
    const out = new Float64Array(4);
    expect(process.mm.pin(Number(va / PAGE), 3, true, out)).toBe(2);
    for (const frame of out.subarray(0, 2)) frames.unpin(frame);
    const constant = mapped(process, PAGE, { prot: PROT_READ });
    expect(process.mm.pin(Number(constant / PAGE), 1, true, out)).toBe(0);
    const device = mapped(process, PAGE, { device: true });
    expect(process.mm.pin(Number(device / PAGE), 1, false, out)).toBe(0);
    ended(rig);
  });

  it("MM-PIN-02: a pinned frame outlives unmap and exit, and is the process's own page until then", () => {
    const rig = createRig();
    const { process, processes, frames } = rig;
    const va = mapped(process, PAGE);
    const [frame] = pinned(process, va, 1, false);
    process.mm.write(va, Uint8Array.of(3));
    expect(frames.memory.read8(BigInt(frame!) * PAGE)).toBe(3);
    processes.exit(process);
    expect(frames.counts.used).toBe(1);
    expect(process.mm.pin(Number(va / PAGE), 1, false, new Float64Array(1))).toBe(0);
    frames.unpin(frame!);
    ended(rig);
  });

  it("MM-FORK-01: parent and child have the same bytes until one writes, and their own from then on", () => {
    const rig = createRig();
    const { process, processes, frames } = rig;
    const va = mapped(process, 2n * PAGE);
    process.mm.write(va, Uint8Array.of(1));
    const child = processes.fork(process);
    if (!child.ok) throw new Error(child.errno);
    expect(frames.counts.used).toBe(1);
    expect(bytesOf(child.value, va)[0]).toBe(1);
    child.value.mm.write(va, Uint8Array.of(2));
    expect([bytesOf(process, va)[0], frames.counts.used]).toEqual([1, 2]);
    processes.exit(child.value);
    process.mm.write(va, Uint8Array.of(4));
    expect(frames.counts.used).toBe(1);
    ended(rig);
  });

  it("MM-FORK-02: a pinned page stays with the parent, a shared one is unshared before it is pinned", () => {
    const rig = createRig();
    const { process, processes, frames } = rig;
    const va = mapped(process, 2n * PAGE);
    process.mm.write(va, new Uint8Array(8192).fill(1));
    const [first] = pinned(process, va, 1);
    const child = processes.fork(process);
    if (!child.ok) throw new Error(child.errno);
    process.mm.write(va, Uint8Array.of(8));
    expect(frames.memory.read8(BigInt(first!) * PAGE)).toBe(8);
    expect(bytesOf(child.value, va)[0]).toBe(1);
    const [second] = pinned(child.value, va + PAGE, 1, false);
    expect(second).not.toBe(process.mm.frameOf(Number(va / PAGE) + 1));
    process.mm.write(va + PAGE, Uint8Array.of(9));
    expect(frames.memory.read8(BigInt(second!) * PAGE)).toBe(1);
    frames.unpin(first!);
    frames.unpin(second!);
    ended(rig);
  });

  it("MM-FORK-03: a fork that cannot copy a pinned page leaves nothing", () => {
    const rig = createRig();
    const { process, processes, frames, faults } = rig;
    const va = mapped(process, 4n * PAGE);
    const own = pinned(process, va, 4);
    faults.failNth(2, ["frame"]);
    expect(processes.fork(process)).toMatchObject({ errno: "ENOMEM" });
    faults.reset();
    expect(frames.counts.used).toBe(4);
    for (const frame of own) frames.unpin(frame);
    ended(rig);
  });

  it("MM-NOTIFY-01: who shares the page table hears before pages change or go", () => {
    const rig = createRig();
    const { process, processes } = rig;
    const va = mapped(process, 4n * PAGE);
    process.mm.write(va, new Uint8Array(16384).fill(1));
    const page = Number(va / PAGE);
    const heard: (readonly [number, number])[] = [];
    const stop = process.mm.subscribe((start, end) => {
      heard.push([start - page, end - page]);
      expect(process.mm.frameOf(page + 1)).toBeGreaterThan(0);
    });
    process.mm.unmap(va + 2n * PAGE, PAGE);
    process.mm.protect(va, PAGE, PROT_READ);
    expect(heard).toEqual([
      [2, 3],
      [0, 1],
    ]);
    const child = processes.fork(process);
    process.mm.write(va + PAGE, Uint8Array.of(1));
    expect(heard.at(-1)).toEqual([1, 2]);
    stop();
    process.mm.unmap(va, PAGE);
    expect(heard).toHaveLength(4);
    expect(child.ok).toBe(true);
    ended(rig);
  });
});

describe("descriptors", () => {
  it("MM-FD-01: the lowest free number is next; a file is released with its last descriptor", () => {
    const rig = createRig();
    const { process, processes, frames } = rig;
    const file = new SharedFile(frames, PAGE);
    file.page(0);
    expect(process.files.add(file)).toEqual({ ok: true, value: 0 });
    expect(process.files.reserve()).toEqual({ ok: true, value: 1 });
    const child = processes.fork(process);
    if (!child.ok) throw new Error(child.errno);
    expect(process.files.close(1)).toMatchObject({ errno: "EBADF" });
    process.files.cancel(1);
    expect(process.files.reserve()).toEqual({ ok: true, value: 1 });
    expect(process.files.close(0).ok).toBe(true);
    expect(frames.counts.used).toBe(1);
    expect(child.value.files.open).toEqual([0]);
    processes.exit(child.value);
    expect(frames.counts.used).toBe(0);
    rig.faults.failNth(0, ["descriptor"]);
    expect(process.files.reserve()).toMatchObject({ errno: "EMFILE" });
  });
});
