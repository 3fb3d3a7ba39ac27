import { describe, expect, it } from "vitest";
import { IntelRig, must } from "../../../../test/intel-rig.ts";
import { Random } from "../../../../test/reference/random.ts";
import { scale } from "../../../../test/scale.ts";
import { QEMU_11_1_FIRST_STAGE, SERVER } from "../../../hardware/vtd/index.ts";
import type { HostMachineOptions } from "../../../machine/host-machine.ts";
import type { Outcome } from "../../errno.ts";
import type { IntelIommuOptions, IntelPagingDomain } from "./index.ts";
import type { IntelNestedDomain } from "./nested-domain.ts";

const PAGE = 4096n;
const BASE = 0x4000_0000n;
/** Pages of addresses that mappings are made in. */
const SPAN = 1040;
/** Pages of memory that mappings lead to. */
const POOL = 1024;
/** Guest physical pages of a guest's tables: far above what is mapped otherwise. */
const GUEST_TABLES = 0x8000_0000n;
const GUEST_LEAVES = 16;
const DEVICES = 3;
const PASIDS = [0, 1, 70] as const;
const READ = 1;
const WRITE = 2;

interface Mapped {
  readonly page: number;
  readonly prot: number;
}

interface ModelDomain {
  readonly domain: IntelPagingDomain;
  readonly parent: boolean;
  readonly tracked: boolean;
  readonly pages: Map<number, Mapped>;
  readonly guest: bigint | undefined;
  tracking: boolean;
  readonly written: Set<number>;
}

interface ModelNested {
  readonly domain: IntelNestedDomain;
  readonly parent: ModelDomain;
  /** Which page of the parent's space each of the guest's first pages leads to. */
  readonly leaves: Map<number, number>;
}

type Attached = ModelDomain | ModelNested;

/** The driver on a machine beside a model that knows pages only. */
class Run {
  readonly rig: IntelRig;
  readonly #random: Random;
  readonly #counts: Map<string, number>;
  readonly #pool: bigint;
  readonly #bytes = new Uint8Array(POOL);
  #paging: ModelDomain[] = [];
  #nested: ModelNested[] = [];
  /** By device and PASID. */
  readonly #attached = new Map<string, Attached>();

  constructor(
    random: Random,
    counts: Map<string, number>,
    machine: Partial<HostMachineOptions>,
    driver: IntelIommuOptions,
  ) {
    this.#random = random;
    this.#counts = counts;
    this.rig = new IntelRig(
      {
        ...machine,
        populate: ({ addEngine }) => {
          for (let device = 0; device < DEVICES; device++) addEngine({ device: 2 + device });
        },
      },
      { unclaimed: "blocked", erratum772415: () => false, ...driver },
    );
    this.#pool = BigInt(this.rig.frames.allocateBlock(Math.log2(POOL))!) * PAGE;
    for (let page = 0; page < POOL; page++) {
      this.#bytes[page] = random.below(256);
      this.rig.machine.memory.write8(this.#pool + BigInt(page) * PAGE, this.#bytes[page]!);
    }
  }

  #count(what: string): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1);
  }

  #outcome(operation: string, outcome: Outcome<unknown>): boolean {
    this.#count(`${operation} ${outcome.ok ? "ok" : outcome.errno}`);
    return outcome.ok;
  }

  #attachedTo(domain: Attached): boolean {
    return [...this.#attached.values()].includes(domain);
  }

  create(): void {
    if (this.#paging.length >= 5) return;
    const nestParent = this.#random.chance(40);
    const dirtyTracking = this.#random.chance(50);
    const device = this.rig.device(this.#random.below(DEVICES));
    const made = this.rig.iommu.allocPaging(device, { nestParent, dirtyTracking, pasid: true });
    if (!this.#outcome("create", made) || !made.ok) return;
    const domain = made.value as IntelPagingDomain;
    const guest = nestParent ? this.#guestTables(domain) : undefined;
    const parent = guest !== undefined;
    this.#paging.push({
      domain,
      parent,
      tracked: dirtyTracking,
      pages: new Map(),
      guest,
      tracking: false,
      written: new Set(),
    });
  }

  /** Memory for a guest's tables, mapped where the guest expects it; four levels for one leaf table. */
  #guestTables(domain: IntelPagingDomain): bigint | undefined {
    const pfn = this.rig.frames.allocateBlock(2);
    if (pfn === undefined) return undefined;
    const host = BigInt(pfn) * PAGE;
    if (!domain.map(GUEST_TABLES, host, 4n * PAGE, READ | WRITE).ok) {
      for (let i = 0; i < 4; i++) this.rig.frames.free(pfn + i);
      return undefined;
    }
    // Entry 0 on every level but where BASE says otherwise: 0x4000_0000 is entry 1 of level 2.
    for (const [level, index] of [0, 1, 0].entries()) {
      const entry = (GUEST_TABLES + BigInt(level + 1) * PAGE) | 7n;
      this.rig.machine.memory.write64(host + BigInt(level) * PAGE + BigInt(index * 8), entry);
    }
    return host;
  }

  nest(): void {
    const parent = this.#random.pick(this.#paging.filter((each) => each.parent));
    if (parent === undefined || this.#nested.length >= 4) return;
    if (this.#nested.some((each) => each.parent === parent)) return;
    const domain = this.rig.iommu.createNested(parent.domain, {
      tableAddress: GUEST_TABLES,
      addressWidth: 48,
      supervisorRequests: false,
      extendedAccessed: false,
      writeProtect: false,
    });
    const nested = { domain, parent, leaves: new Map<number, number>() };
    this.#nested.push(nested);
    for (let i = 0; i < GUEST_LEAVES; i++) this.#point(nested, i, undefined);
    this.#count("nest ok");
  }

  #point(nested: ModelNested, leaf: number, target: number | undefined): void {
    const entry = target === undefined ? 0n : (BASE + BigInt(target) * PAGE) | 7n;
    const at = nested.parent.guest! + 3n * PAGE + BigInt(leaf * 8);
    this.rig.machine.memory.write64(at, entry);
    if (target === undefined) nested.leaves.delete(leaf);
    else nested.leaves.set(leaf, target);
  }

  /** The guest changes some entries and tells of it, as it must. */
  remapGuest(): void {
    const nested = this.#random.pick(this.#nested);
    if (nested === undefined) return;
    const leaves = Array.from({ length: 1 + this.#random.below(5) }, () =>
      this.#random.below(GUEST_LEAVES),
    );
    for (const leaf of leaves) {
      this.#point(nested, leaf, this.#random.chance(80) ? this.#random.below(SPAN) : undefined);
    }
    nested.domain.invalidateRanges(
      leaves.map((leaf) => ({
        start: BASE + BigInt(leaf) * PAGE,
        last: BASE + BigInt(leaf + 1) * PAGE - 1n,
        leavesOnly: this.#random.chance(50),
      })),
    );
    this.#count("guest invalidates");
  }

  map(): void {
    const model = this.#random.pick(this.#paging);
    if (model === undefined) return;
    const large = this.#random.chance(20);
    const count = large ? 512 : 1 + this.#random.below(this.#random.pick([1, 4, 40]));
    const first = large && this.#random.chance(70) ? 512 : this.#random.below(SPAN - count + 1);
    const page = large && this.#random.chance(70) ? 512 : this.#random.below(POOL - count + 1);
    const prot = this.#random.pick([READ, WRITE, READ | WRITE, READ | WRITE]);
    const free = Array.from({ length: count }, (_, i) => first + i).every(
      (at) => !model.pages.has(at),
    );
    const iova = BASE + BigInt(first) * PAGE;
    const pa = this.#pool + BigInt(page) * PAGE;
    const failing = this.#random.chance(10);
    if (failing) this.rig.faults.failNth(this.#random.below(3), ["table"]);
    const outcome = model.domain.map(iova, pa, BigInt(count) * PAGE, prot);
    const failed = failing && this.rig.faults.hasFailed;
    this.rig.faults.reset();
    this.#outcome("map", outcome);
    if (!failed) expect(outcome.ok).toBe(free);
    if (!outcome.ok) return;
    for (let i = 0; i < count; i++) model.pages.set(first + i, { page: page + i, prot });
  }

  unmap(): void {
    const model = this.#random.pick(this.#paging);
    const start = model === undefined ? undefined : this.#random.pick([...model.pages.keys()]);
    if (model === undefined || start === undefined) return;
    if (this.#random.chance(30)) this.rig.faults.failNth(this.#random.below(3), ["descriptor"]);
    const most = this.#random.pick([1, 8, SPAN]);
    let unmapped = 0;
    const bytes = model.domain.unmap(BASE + BigInt(start) * PAGE, BigInt(most) * PAGE);
    this.rig.faults.reset();
    for (let at = start; model.pages.has(at) && unmapped < Number(bytes / PAGE); at++, unmapped++) {
      model.pages.delete(at);
      model.written.delete(at);
    }
    // Inside a large page nothing is unmapped; a range that ends in one takes it whole.
    expect(BigInt(unmapped) * PAGE).toBe(bytes);
    this.#count(bytes === 0n ? "unmap nothing" : "unmap ok");
  }

  attach(): void {
    const device = this.#random.below(DEVICES);
    const { pasidLg2 } = this.rig.device(device);
    const pasid = pasidLg2 === 0 ? 0 : this.#random.pick(PASIDS);
    const key = `${device} ${pasid}`;
    const wanted = this.#random.pick([...this.#paging, ...this.#nested, undefined]);
    const failing = this.#random.chance(25);
    if (failing) {
      this.rig.faults.failNth(this.#random.below(6), ["table", "domain-id", "descriptor"]);
    }
    const outcome =
      pasid === 0
        ? this.rig.iommu.attach(this.rig.device(device), wanted?.domain)
        : this.rig.iommu.attachPasid(this.rig.device(device), pasid, wanted?.domain);
    const failed = failing && this.rig.faults.hasFailed;
    this.rig.faults.reset();
    const was = this.#attached.has(key) ? "replace" : "attach";
    this.#outcome(wanted === undefined ? "detach" : was, outcome);
    if (wanted === undefined) expect(outcome.ok).toBe(true);
    else if (!failed) expect(outcome.ok || outcome.errno === "EINVAL").toBe(true);
    if (!outcome.ok) return;
    if (wanted === undefined) this.#attached.delete(key);
    else this.#attached.set(key, wanted);
  }

  track(): void {
    const model = this.#random.pick(this.#paging.filter(({ tracked }) => tracked));
    if (model === undefined) return;
    const enabled = this.#random.chance(75);
    const failing = this.#random.chance(30);
    if (failing) this.rig.faults.failNth(this.#random.below(4), ["descriptor"]);
    const outcome = model.domain.dirty!.set(enabled);
    this.rig.faults.reset();
    if (!this.#outcome("track", outcome)) return;
    model.tracking = enabled;
    // Beginning or ending, what was marked until now is cleared first, as iommufd does.
    must(model.domain.dirty!.readAndClear(BASE, BigInt(SPAN) * PAGE, true, undefined));
    model.written.clear();
  }

  readDirty(): void {
    const model = this.#random.pick(this.#paging.filter(({ tracking }) => tracking));
    if (model === undefined) return;
    const found = new Set<number>();
    const visit = (iova: bigint, length: bigint) => {
      const first = Number((iova - BASE) / PAGE);
      for (let i = 0; i < Number(length / PAGE); i++) found.add(first + i);
    };
    must(model.domain.dirty!.readAndClear(BASE, BigInt(SPAN) * PAGE, true, visit));
    expect([...model.written].filter((at) => !found.has(at))).toEqual([]);
    // A large page is told whole.
    const extra = [...found].filter((at) => !model.written.has(at));
    if (extra.length > 0) expect(found.size).toBeGreaterThanOrEqual(512);
    this.#count(model.written.size > 0 ? "dirty found" : "dirty none");
    model.written.clear();
  }

  destroy(): void {
    const nested = this.#random.pick(this.#nested.filter((each) => !this.#attachedTo(each)));
    if (nested !== undefined && this.#random.chance(50)) {
      nested.domain.free();
      this.#nested = this.#nested.filter((each) => each !== nested);
      this.#count("free nested");
      return;
    }
    const model = this.#random.pick(
      this.#paging.filter(
        (each) => !(this.#attachedTo(each) || this.#nested.some(({ parent }) => parent === each)),
      ),
    );
    if (model !== undefined) this.#free(model);
  }

  #free(model: ModelDomain): void {
    for (const at of [...model.pages.keys()].sort((a, b) => a - b)) {
      if (!model.pages.has(at)) continue;
      const bytes = model.domain.unmap(BASE + BigInt(at) * PAGE, PAGE);
      for (let i = 0; i < Number(bytes / PAGE); i++) model.pages.delete(at + i);
    }
    if (model.guest !== undefined) {
      model.domain.unmap(GUEST_TABLES, 4n * PAGE);
      for (let i = 0; i < 4; i++) this.rig.frames.free(Number(model.guest / PAGE) + i);
    }
    model.domain.free();
    this.#paging = this.#paging.filter((each) => each !== model);
    this.#count("free paging");
  }

  /** The page that a request would reach, as the model has it. */
  #target(device: number, pasid: number, at: number, access: number) {
    const attached = this.#attached.get(`${device} ${pasid}`);
    if (attached === undefined) return undefined;
    const nested = "leaves" in attached ? attached : undefined;
    const host = nested === undefined ? (attached as ModelDomain) : nested.parent;
    const input = nested === undefined ? at : nested.leaves.get(at);
    const mapped = input === undefined ? undefined : host.pages.get(input);
    if (mapped === undefined) return undefined;
    // A first stage knows no write-only pages.
    const prot = host.domain.stage === "first" ? mapped.prot | READ : mapped.prot;
    return (prot & access) === access ? { mapped, host, input: input! } : undefined;
  }

  /** Addresses that somebody has mapped, mostly. */
  #somewhere(device: number, pasid: number): number {
    const attached = this.#attached.get(`${device} ${pasid}`);
    const known =
      attached === undefined
        ? []
        : [...("leaves" in attached ? attached.leaves.keys() : attached.pages.keys())];
    return known.length > 0 && this.#random.chance(80)
      ? this.#random.pick(known)
      : this.#random.below(SPAN);
  }

  access(): void {
    const device = this.#random.below(DEVICES);
    const pasid = this.#random.pick(PASIDS);
    const at = this.#somewhere(device, pasid);
    const iova = BASE + BigInt(at) * PAGE;
    const tag = pasid === 0 ? undefined : pasid;
    const { ats } = this.rig.device(device);
    const cached = ats && this.#random.chance(40);
    const how = cached ? "by a cached translation" : "translated";
    if (this.#random.chance(60)) {
      const target = this.#target(device, pasid, at, READ);
      const byte = target === undefined ? undefined : this.#bytes[target.mapped.page]!;
      const expected = byte === undefined ? /^fault/ : byte.toString(16).padStart(2, "0");
      expect(this.rig.load(device, iova, tag, cached)).toMatch(expected);
      this.#count(`read ${how} ${byte === undefined ? "refused" : "ok"}`);
      return;
    }
    const target = this.#target(device, pasid, at, WRITE);
    const byte = this.#random.below(256);
    expect(this.rig.store(device, iova, byte, tag)).toMatch(target === undefined ? /^fault/ : "ok");
    this.#count(`write ${target === undefined ? "refused" : "ok"}`);
    if (target === undefined) return;
    this.#bytes[target.mapped.page] = byte;
    if (target.host.tracking) target.host.written.add(target.input);
  }

  /** Nothing that nobody may write has changed, and nothing is left when all have gone. */
  finish(): void {
    const { memory } = this.rig.machine;
    const changed = this.#bytes.findIndex(
      (byte, page) => memory.read8(this.#pool + BigInt(page) * PAGE) !== byte,
    );
    expect(changed).toBe(-1);
    for (const key of this.#attached.keys()) {
      const [device, pasid] = key.split(" ").map(Number) as [number, number];
      if (pasid === 0) this.rig.iommu.attach(this.rig.device(device), undefined);
      else this.rig.iommu.attachPasid(this.rig.device(device), pasid, undefined);
    }
    for (const { domain } of this.#nested) domain.free();
    for (const model of [...this.#paging]) this.#free(model);
    for (const unit of this.rig.iommu.units) {
      expect([unit.domainIds.used, unit.isDead]).toEqual([0, false]);
    }
    this.rig.iommu.shutDown();
    expect(this.rig.frames.counts.used).toBe(POOL);
  }
}

const MACHINES: [string, Partial<HostMachineOptions>, IntelIommuOptions][] = [
  ["a server", {}, {}],
  ["two units", { units: [{ serves: [{ device: 3 }] }, {}] }, {}],
  ["legacy mode", {}, { scalable: false }],
  ["a unit without large caches", { units: [{ capabilities: SERVER, caches: "off" }] }, {}],
  ["a first stage only", { units: [{ capabilities: QEMU_11_1_FIRST_STAGE }] }, {}],
];

const STEPS = 40;

describe("who may reach which byte", () => {
  it.each(MACHINES)(
    "INTEL-MODEL-01, INTEL-MODEL-02: random sequences agree with a model of pages: %s",
    (name, machine, driver) => {
      const counts = new Map<string, number>();
      const runs = scale(name === "a server" ? 30 : 15, 400);
      for (let seed = 1; seed <= runs; seed++) {
        const random = new Random(seed);
        const run = new Run(random, counts, machine, driver);
        const steps: [number, () => void][] = [
          [4, () => run.create()],
          [3, () => run.nest()],
          [8, () => run.map()],
          [5, () => run.unmap()],
          [8, () => run.attach()],
          [4, () => run.remapGuest()],
          [4, () => run.track()],
          [4, () => run.readDirty()],
          [1, () => run.destroy()],
        ];
        try {
          for (let step = 0; step < STEPS; step++) {
            random.weighted(steps)();
            for (let i = 0; i < 3; i++) run.access();
          }
          run.finish();
        } catch (error) {
          throw new Error(`${name}, seed ${seed}`, { cause: error });
        }
      }
      const of = (what: string): number => counts.get(what) ?? 0;
      const floors = [
        "map ok",
        "map EADDRINUSE",
        "unmap ok",
        "attach ok",
        "replace ok",
        "detach ok",
      ];
      const seen = [...floors, "read translated ok", "read translated refused", "write ok"];
      if (name === "a server") {
        seen.push("nest ok", "guest invalidates", "dirty found", "read by a cached translation ok");
        seen.push("attach ENOSPC", "replace EIO", "map ENOMEM", "track EIO");
      }
      expect(seen.filter((what) => of(what) < 3)).toEqual([]);
    },
  );
});
