import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { frameAddress } from "../../bits/halves.ts";
import type { MockDomain } from "../drivers/mock/mock-domain.ts";
import { MockIommu } from "../drivers/mock/mock-iommu.ts";
import type { Errno } from "../errno.ts";
import type { Mm } from "../mm/mm.ts";
import type { Process } from "../mm/process.ts";
import { SharedFile } from "../mm/shared-file.ts";
import * as uapi from "../uapi/index.ts";
import {
  createInProcessMachine,
  type InProcessMachine,
  leaksOf,
} from "./conformance/in-process.ts";
import { type IommufdContext, openIommufd } from "./context.ts";
import { bindDevice, type Device } from "./device.ts";
import { HwptPaging } from "./hw-pagetable.ts";
import { HWPT_ALLOC } from "./hwpt-alloc.ts";
import { IOAS_ALLOC, IOAS_COPY, IOAS_MAP, IOAS_UNMAP } from "./ioas.ts";
import { DESTROY } from "./main.ts";
import { perform } from "./operation.ts";

const PAGE = 4096n;
const BASE = uapi.MOCK_APERTURE_START;
const BUFFER_PAGES = 24;
const FIXED = uapi.IOMMU_IOAS_MAP_FIXED_IOVA;
const READ = uapi.IOMMU_IOAS_MAP_READABLE;
const WRITE = uapi.IOMMU_IOAS_MAP_WRITEABLE;

/** A mapping of the model: `length` bytes at `iova` stand for bytes of the buffer from `offset`. */
interface ModelArea {
  readonly iova: bigint;
  readonly length: bigint;
  readonly offset: bigint;
  /** Which call has pinned it: copies share. */
  readonly pages: number;
  readonly writable: boolean;
}

interface ModelSpace {
  readonly id: number;
  areas: ModelArea[];
}

/** A page table of the model, by id. */
interface ModelTable {
  readonly id: number;
  readonly space: ModelSpace;
  readonly automatic: boolean;
}

interface ModelDevice {
  readonly device: Device;
  table: ModelTable | undefined;
}

const overlaps = (area: ModelArea, iova: bigint, length: bigint): boolean =>
  area.iova < iova + length && iova < area.iova + area.length;

/** The kernel and the model side by side; every step is done in both, and their answers compared. */
class Run {
  readonly #machine: InProcessMachine;
  readonly #process: Process<Mm>;
  readonly #context: IommufdContext;
  readonly #buffer: bigint;
  readonly #iommu: MockIommu;
  readonly #next: (below: number) => number;
  #spaces: ModelSpace[] = [];
  #tables: ModelTable[] = [];
  #devices: ModelDevice[] = [];
  #lastPages = 0;
  readonly counts: Map<string, number>;

  constructor(next: (below: number) => number, counts: Map<string, number>) {
    this.#next = next;
    this.counts = counts;
    this.#machine = createInProcessMachine();
    this.#process = this.#machine.processes.create();
    const { frames } = this.#machine;
    const file = new SharedFile(frames, BigInt(BUFFER_PAGES) * PAGE);
    const length = BigInt(BUFFER_PAGES) * PAGE;
    const address = this.#process.mm.map({ length, file, shared: true });
    file.put();
    if (!address.ok) throw new Error(address.errno);
    this.#buffer = address.value;
    this.#process.mm.write(address.value, new Uint8Array(Number(length)).fill(1));
    const iommufd = openIommufd(this.#machine.parts);
    this.#process.files.add(iommufd);
    this.#context = iommufd.context;
    this.#iommu = new MockIommu(this.#machine.faults);
    for (let i = 0; i < 3; i++) {
      const mock = this.#iommu.createDevice(0);
      const device = mock.ok ? bindDevice(this.#context, mock.value) : mock;
      if (!device.ok) throw new Error(device.errno);
      this.#devices.push({ device: device.value, table: undefined });
    }
    this.#addSpace();
  }

  #expect(operation: string, actual: Errno | undefined, expected: Errno | undefined): boolean {
    expect(actual, operation).toBe(expected);
    const key = `${operation} ${expected ?? "ok"}`;
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
    return expected === undefined;
  }

  #pick<T>(items: readonly T[]): T | undefined {
    return items[this.#next(items.length)];
  }

  #space(): ModelSpace {
    return this.#pick(this.#spaces)!;
  }

  #hasDomain(space: ModelSpace): boolean {
    return this.#tables.some((table) => table.space === space);
  }

  /** An address, mostly one at which something can be, sometimes askew. */
  #iova(): bigint {
    const askew = this.#next(24) === 0 ? 2048n : this.#next(40) === 0 ? 1n : 0n;
    return BASE + BigInt(this.#next(48)) * PAGE + askew;
  }

  #length(): bigint {
    if (this.#next(24) === 0) return 0n;
    return BigInt(1 + this.#next(6)) * PAGE - (this.#next(24) === 0 ? 2048n : 0n);
  }

  step(): void {
    const steps = [
      () => this.#map(),
      () => this.#map(),
      () => this.#map(),
      () => this.#unmap(),
      () => this.#unmap(),
      () => this.#copy(),
      () => this.#copy(),
      () => this.#attach(),
      () => this.#attach(),
      () => this.#detach(),
      () => this.#allocTable(),
      () => this.#destroyTable(),
      () => this.#addSpace(),
      () => this.#destroySpace(),
    ];
    this.#pick(steps)!();
    this.#compare();
  }

  #alignment(space: ModelSpace): bigint {
    return this.#hasDomain(space) ? uapi.MOCK_IO_PAGE_SIZE : 1n;
  }

  /** What the kernel answers to a mapping at a fixed place. */
  #placeError(space: ModelSpace, iova: bigint, length: bigint): Errno | undefined {
    const alignment = this.#alignment(space);
    if (length === 0n || length % alignment !== 0n || iova % alignment !== 0n) return "EINVAL";
    return space.areas.some((area) => overlaps(area, iova, length)) ? "EEXIST" : undefined;
  }

  #map(): void {
    const space = this.#space();
    const [iova, length] = [this.#iova(), this.#length()];
    const near = this.#next(16) === 0 ? BUFFER_PAGES - 1 : this.#next(BUFFER_PAGES - 6);
    const offset = BigInt(near) * PAGE;
    const writable = this.#next(4) !== 0;
    const beyond = offset + length > BigInt(BUFFER_PAGES) * PAGE;
    const actual = perform(IOAS_MAP, this.#context, this.#process, {
      flags: FIXED | READ | (writable ? WRITE : 0),
      ioas_id: space.id,
      user_va: this.#buffer + offset,
      length,
      iova,
    });
    let expected = this.#placeError(space, iova, length);
    if (expected === undefined && beyond && this.#hasDomain(space)) expected = "EFAULT";
    if (!this.#expect("map", actual.ok ? undefined : actual.errno, expected)) return;
    this.#lastPages += 1;
    space.areas.push({ iova, length, offset, pages: this.#lastPages, writable });
  }

  #unmap(): void {
    const space = this.#space();
    const known = this.#next(3) !== 0 ? this.#pick(space.areas) : undefined;
    const [iova, length] = known ? [known.iova, known.length] : [this.#iova(), this.#length()];
    const actual = perform(IOAS_UNMAP, this.#context, this.#process, {
      ioas_id: space.id,
      iova,
      length,
    });
    const hit = space.areas.filter((area) => overlaps(area, iova, length));
    hit.sort((a, b) => (a.iova < b.iova ? -1 : 1));
    const gone: ModelArea[] = [];
    let expected: Errno | undefined = length === 0n ? "EINVAL" : undefined;
    for (const area of expected === undefined ? hit : []) {
      if (area.iova < iova || area.iova + area.length > iova + length) {
        expected = "ENOENT";
        break;
      }
      gone.push(area);
    }
    if (expected === undefined && gone.length === 0) expected = "ENOENT";
    space.areas = space.areas.filter((area) => !gone.includes(area));
    if (this.#expect("unmap", actual.ok ? undefined : actual.errno, expected) && actual.ok) {
      expect(actual.value.length).toBe(gone.reduce((sum, area) => sum + area.length, 0n));
    }
  }

  #copy(): void {
    const [from, to] = [this.#space(), this.#space()];
    const known = this.#next(4) !== 0 ? this.#pick(from.areas) : undefined;
    const part = this.#next(3) === 0 ? PAGE : 0n;
    const source = known ? known.iova + (known.length > part ? part : 0n) : this.#iova();
    const length =
      known && this.#next(3) !== 0 ? known.iova + known.length - source : this.#length();
    const iova = this.#iova();
    const writable = this.#next(3) !== 0;
    const actual = perform(IOAS_COPY, this.#context, this.#process, {
      flags: FIXED | READ | (writable ? WRITE : 0),
      src_ioas_id: from.id,
      dst_ioas_id: to.id,
      length,
      src_iova: source,
      dst_iova: iova,
    });
    const parts = this.#partsOf(from, source, length);
    let expected: Errno | undefined = length === 0n ? "EINVAL" : undefined;
    if (expected === undefined && parts === undefined) expected = "ENOENT";
    expected ??= this.#placeError(to, iova, length);
    for (const each of parts ?? []) {
      if (expected !== undefined) break;
      if (writable && !each.writable) expected = "EPERM";
      else if (each.offset % this.#alignment(to) !== 0n) expected = "EINVAL";
    }
    const beyond = parts?.some((each) => each.offset + each.length > BigInt(BUFFER_PAGES) * PAGE);
    if (expected === undefined && beyond && this.#hasDomain(to)) expected = "EFAULT";
    if (!this.#expect("copy", actual.ok ? undefined : actual.errno, expected)) return;
    let at = iova;
    for (const each of parts ?? []) {
      to.areas.push({ ...each, iova: at });
      at += each.length;
    }
  }

  #partsOf(space: ModelSpace, iova: bigint, length: bigint): ModelArea[] | undefined {
    const hit = space.areas.filter((area) => overlaps(area, iova, length));
    hit.sort((a, b) => (a.iova < b.iova ? -1 : 1));
    const parts: ModelArea[] = [];
    let at = iova;
    for (const area of hit) {
      if (area.iova > at) return undefined;
      const end = area.iova + area.length < iova + length ? area.iova + area.length : iova + length;
      parts.push({ ...area, iova: at, length: end - at, offset: area.offset + (at - area.iova) });
      at = end;
    }
    return at === iova + length ? parts : undefined;
  }

  /** Why a page table for a space cannot be made. */
  #tableError(space: ModelSpace): Errno | undefined {
    const step = uapi.MOCK_IO_PAGE_SIZE;
    const askew = ({ iova, length, offset }: ModelArea): boolean =>
      (iova | length | offset) % step !== 0n;
    if (!this.#hasDomain(space) && space.areas.some(askew)) return "EADDRINUSE";
    const beyond = space.areas.some((a) => a.offset + a.length > BigInt(BUFFER_PAGES) * PAGE);
    return beyond ? "EFAULT" : undefined;
  }

  #attach(): void {
    const entry = this.#pick(this.#devices)!;
    const manual =
      this.#next(3) === 0 ? this.#pick(this.#tables.filter((t) => !t.automatic)) : undefined;
    const space = manual?.space ?? this.#space();
    const automatic = this.#tables.find((table) => table.automatic && table.space === space);
    const known = manual ?? automatic;
    const id = manual?.id ?? space.id;
    const { device, table: old } = entry;
    const actual = old === undefined ? device.attach(id) : device.replace(id);
    const expected = known === undefined ? this.#tableError(space) : undefined;
    const operation = old === undefined ? "attach" : "replace";
    if (!this.#expect(operation, actual.ok ? undefined : actual.errno, expected) || !actual.ok)
      return;
    entry.table = known ?? { id: actual.value.id, space, automatic: true };
    if (known === undefined) this.#tables.push(entry.table);
    else expect(actual.value.id).toBe(known.id);
    this.#dropUnused(old);
  }

  #dropUnused(table: ModelTable | undefined): void {
    if (table === undefined || !table.automatic) return;
    if (this.#devices.some((entry) => entry.table === table)) return;
    this.#tables = this.#tables.filter((other) => other !== table);
  }

  #detach(): void {
    const entry = this.#pick(this.#devices)!;
    entry.device.detach(undefined);
    this.#expect("detach", undefined, undefined);
    const old = entry.table;
    entry.table = undefined;
    this.#dropUnused(old);
  }

  #allocTable(): void {
    if (this.#tables.length > 4) return;
    const space = this.#space();
    const actual = perform(HWPT_ALLOC, this.#context, this.#process, {
      dev_id: this.#devices[0]!.device.id,
      pt_id: space.id,
    });
    const expected = this.#tableError(space);
    if (!this.#expect("hwpt-alloc", actual.ok ? undefined : actual.errno, expected) || !actual.ok)
      return;
    this.#tables.push({ id: actual.value.out_hwpt_id, space, automatic: false });
  }

  #destroyTable(): void {
    const table = this.#pick(this.#tables);
    if (table === undefined) return;
    const used = this.#devices.some((entry) => entry.table === table);
    const actual = perform(DESTROY, this.#context, this.#process, { id: table.id });
    if (!this.#expect("destroy", actual.ok ? undefined : actual.errno, used ? "EBUSY" : undefined))
      return;
    this.#tables = this.#tables.filter((other) => other !== table);
  }

  #addSpace(): void {
    if (this.#spaces.length > 2) return;
    const actual = perform(IOAS_ALLOC, this.#context, this.#process, {});
    if (!actual.ok) throw new Error(actual.errno);
    this.#spaces.push({ id: actual.value.out_ioas_id, areas: [] });
  }

  #destroySpace(): void {
    if (this.#spaces.length < 2) return;
    const space = this.#space();
    const actual = perform(DESTROY, this.#context, this.#process, { id: space.id });
    const expected = this.#hasDomain(space) ? "EBUSY" : undefined;
    if (!this.#expect("destroy", actual.ok ? undefined : actual.errno, expected)) return;
    this.#spaces = this.#spaces.filter((other) => other !== space);
  }

  /** Every page table leads to what the model says and to nothing else; every page is pinned as often as it says. */
  #compare(): void {
    const frameOf = (page: number): number =>
      this.#process.mm.frameOf(Number(this.#buffer / PAGE) + page);
    for (const { id, space } of this.#tables) {
      const { table } = this.#context.objects.get(id, HwptPaging)!.domain as MockDomain;
      let bytes = 0n;
      for (const { iova, length, offset } of space.areas) {
        bytes += length;
        for (let at = 0n; at < length; at += uapi.MOCK_IO_PAGE_SIZE) {
          const byte = offset + at;
          const expected = frameAddress(frameOf(Number(byte / PAGE))) + (byte % PAGE);
          expect(table.iovaToPhys(iova + at)).toBe(expected);
        }
      }
      expect(table.mappedBytes).toBe(bytes);
    }
    const pins = new Set<string>();
    for (const space of this.#spaces) {
      if (!this.#hasDomain(space)) continue;
      for (const { offset, length, pages } of space.areas) {
        for (let page = offset / PAGE; page <= (offset + length - 1n) / PAGE; page++) {
          pins.add(`${pages} ${page}`);
        }
      }
    }
    expect(this.#machine.frames.counts.pins).toBe(pins.size);
  }

  end(): void {
    for (const { device } of this.#devices) {
      device.detach(undefined);
      device.unbind();
    }
    this.#machine.processes.exit(this.#process);
    expect(leaksOf(this.#machine)).toEqual([]);
  }
}

const numbers = (seed: number): ((below: number) => number) => {
  let state = seed | 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return Math.floor(((state >>> 0) / 2 ** 32) * below);
  };
};

/** Sequences, and steps of each. */
const RUNS = 40;
const STEPS = 60;

describe("iommufd against a model", () => {
  it("UAPI-MODEL-01: devices reach what a plain model says, after any sequence of calls", () => {
    const counts = new Map<string, number>();
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const run = new Run(numbers(seed), counts);
        for (let i = 0; i < STEPS; i++) run.step();
        run.end();
      }),
      { numRuns: RUNS, seed: 20 },
    );
    const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
    const good = [...counts].filter(([key]) => key.endsWith("ok"));
    const succeeded = good.reduce((sum, [, count]) => sum + count, 0);
    expect(succeeded / total).toBeGreaterThan(0.5);
    for (const key of [
      "map ok",
      "map EEXIST",
      "map EINVAL",
      "map EFAULT",
      "unmap ok",
      "unmap ENOENT",
      "unmap EINVAL",
      "copy ok",
      "copy ENOENT",
      "copy EEXIST",
      "copy EPERM",
      "attach ok",
      "replace ok",
      "hwpt-alloc ok",
      "destroy ok",
      "destroy EBUSY",
    ]) {
      expect(counts.get(key) ?? 0, key).toBeGreaterThanOrEqual(8);
    }
  });
});
