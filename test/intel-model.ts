import { expect } from "vitest";
import type {
  IntelIommuOptions,
  IntelNestedDomain,
  IntelPagingDomain,
} from "../src/linux/drivers/intel/index.ts";
import type { Outcome } from "../src/linux/errno.ts";
import type { HostMachineOptions } from "../src/machine/host-machine.ts";
import { IntelRig, must } from "./intel-rig.ts";
import type { Random } from "./reference/random.ts";

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

/** The driver on a machine beside a model that knows pages only; every step is done in both. */
export class IntelModelRun {
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

  /**
   * Does something to a domain while the caches of everybody who uses it are warm,
   * and looks at the same places again afterwards.
   */
  #watched(domain: Attached, places: readonly number[], action: () => void): void {
    const users = [...this.#attached].filter(
      ([, used]) => used === domain || ("parent" in used && used.parent === domain),
    );
    const looks = users.slice(0, 3).flatMap(([key, used]) => {
      const own = "leaves" in used && used !== domain ? this.#throughGuest(used, places) : places;
      const [device, pasid] = key.split(" ").map(Number) as [number, number];
      return own.slice(0, 6).map((at) => () => {
        this.#read(device, pasid, at, false);
        if (this.rig.device(device).ats) this.#read(device, pasid, at, true);
      });
    });
    if ("leaves" in domain && looks.length > 0) this.#count("guest watched");
    for (const look of looks) look();
    action();
    for (const look of looks) look();
  }

  /** The guest's pages that lead to pages of its parent. */
  #throughGuest(nested: ModelNested, places: readonly number[]): number[] {
    return [...nested.leaves].filter(([, to]) => places.includes(to)).map(([leaf]) => leaf);
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
    const known = [...parent.pages.keys()];
    for (let i = 0; i < GUEST_LEAVES; i++) this.#point(nested, i, this.#random.pick(known));
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
    const known = [...nested.parent.pages.keys()];
    const ranges = leaves.map((leaf) => ({
      start: BASE + BigInt(leaf) * PAGE,
      last: BASE + BigInt(leaf + this.#random.below(3) + 1) * PAGE - 1n,
      leavesOnly: true,
    }));
    this.#watched(nested, leaves, () => {
      for (const leaf of leaves) {
        const target = this.#random.chance(70) ? this.#random.pick(known) : undefined;
        this.#point(nested, leaf, target);
      }
      nested.domain.invalidateRanges(ranges);
    });
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
    const ofGuests = this.#nested
      .filter(({ parent }) => parent === model)
      .flatMap(({ leaves }) => [...leaves.values()].filter((at) => model!.pages.has(at)));
    const starts =
      ofGuests.length > 0 && this.#random.chance(60) ? ofGuests : [...(model?.pages.keys() ?? [])];
    const start = this.#random.pick(starts);
    if (model === undefined || start === undefined) return;
    const most = this.#random.pick([1, 3, 8, SPAN]);
    const near = Array.from({ length: Math.min(most, 6) }, (_, i) => start + i);
    this.#watched(model, near, () => this.#unmapFrom(model, start, most));
  }

  #unmapFrom(model: ModelDomain, start: number, most: number): void {
    if (this.#random.chance(30)) this.rig.faults.failNth(this.#random.below(3), ["descriptor"]);
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
    // Nested domains twice: most that can go wrong goes wrong there.
    const choices = [...this.#paging, ...this.#nested, ...this.#nested, undefined];
    const wanted = this.#random.pick(choices);
    const now = this.#attached.get(key);
    const places = now === undefined ? [] : [...("leaves" in now ? now.leaves : now.pages).keys()];
    const looks = places.slice(0, 4).map((at) => () => {
      this.#read(device, pasid, at, false);
      if (this.rig.device(device).ats) this.#read(device, pasid, at, true);
    });
    for (const look of looks) look();
    this.#attachNow(device, pasid, wanted);
    for (const look of looks) look();
  }

  #attachNow(device: number, pasid: number, wanted: Attached | undefined): void {
    const key = `${device} ${pasid}`;
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
    this.#writeSome(model);
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
    // Whatever hardware has cached of pages that were dirty, it has to mark them again.
    this.#writeSome(model);
  }

  /** Writes to the first pages of a domain through its first user. */
  #writeSome(model: ModelDomain): void {
    const user = [...this.#attached].find(([, used]) => used === model);
    if (user === undefined) return;
    const [device, pasid] = user[0].split(" ").map(Number) as [number, number];
    for (const at of [...model.pages.keys()].slice(0, 5)) this.#write(device, pasid, at);
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

  #read(device: number, pasid: number, at: number, cached: boolean): void {
    const target = this.#target(device, pasid, at, READ);
    const byte = target === undefined ? undefined : this.#bytes[target.mapped.page]!;
    const tag = pasid === 0 ? undefined : pasid;
    const found = this.rig.load(device, BASE + BigInt(at) * PAGE, tag, cached);
    if (byte === undefined) expect(found).toMatch(/^fault/);
    else expect(found).toBe(byte.toString(16).padStart(2, "0"));
    const how = cached ? "by a cached translation" : "translated";
    this.#count(`read ${how} ${byte === undefined ? "refused" : "ok"}`);
  }

  access(): void {
    const attached = this.#random.pick([...this.#attached.keys()]);
    const anyone = `${this.#random.below(DEVICES)} ${this.#random.pick(PASIDS)}`;
    const key = attached !== undefined && this.#random.chance(80) ? attached : anyone;
    const [device, pasid] = key.split(" ").map(Number) as [number, number];
    const at = this.#somewhere(device, pasid);
    const { ats } = this.rig.device(device);
    const cached = ats && this.#random.chance(40);
    if (this.#random.chance(60)) {
      this.#read(device, pasid, at, cached);
      return;
    }
    this.#write(device, pasid, at);
  }

  #write(device: number, pasid: number, at: number): void {
    const target = this.#target(device, pasid, at, WRITE);
    const byte = this.#random.below(256);
    const tag = pasid === 0 ? undefined : pasid;
    const found = this.rig.store(device, BASE + BigInt(at) * PAGE, byte, tag);
    expect(found).toMatch(target === undefined ? /^fault/ : "ok");
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
