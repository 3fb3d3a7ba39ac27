/**
 * All answers that a unit with caches may give: the reference, run once for
 * each way to read every entry either as it is or as it was since it last had
 * to be forgotten.
 */
import type { InvalidationLog } from "./cache-history.ts";
import { World } from "./cache-world.ts";
import {
  type Purpose,
  type ReferenceRequest,
  type ReferenceResult,
  Refusal,
} from "./vtd-machine.ts";
import type { UnitProfile } from "./vtd-profiles.ts";
import { referenceTranslate } from "./vtd-reference.ts";

/** What can be stale. */
export type Stale = "context" | "pasid" | "stage-1" | "stage-2";

export interface Possibility {
  readonly result: ReferenceResult;
  /** What was read as it was, not as it is; empty in the fresh answer. */
  readonly stale: ReadonlySet<Stale>;
  /** Whether entries had to be written. */
  readonly updates: boolean;
  /** Addresses of the page-table entries that were read. */
  readonly entries: readonly bigint[];
}

/** A combination of old and new that no cache can bring about. */
class Impossible {}

interface EntryRead {
  readonly purpose: Purpose;
  readonly value: bigint;
  /** When it ceased to be so; `undefined` when it is so now. */
  readonly to: number | undefined;
}

/** Faults of an entry that is then not cached: it must have been read as it is. */
const CONTEXT_FAULTS = [
  0x01, 0x02, 0x03, 0x08, 0x09, 0x0a, 0x0b, 0x38, 0x39, 0x3a, 0x40, 0x41, 0x42,
];
const PASID_FAULTS = [0x50, 0x51, 0x52, 0x58, 0x59, 0x5a, 0x5b];

/** Whether an entry with this value can have led anywhere: present and, in stage 1, accessed. */
const wasUsable = (purpose: Purpose, value: bigint): boolean =>
  purpose.structure === "stage-1" ? (value & 0x21n) === 0x21n : (value & 3n) !== 0n;

/** Whether an entry maps a page of the request's own; what leads to a stage-1 table does not count. */
const isLeaf = (purpose: Purpose, value: bigint): boolean =>
  purpose.forTable !== true && (purpose.level === 0 || (value & 0x80n) !== 0n);

/** More ways than these are not tried. */
const MOST_WAYS = 5_000;

/** One way through the choices. */
class Way {
  readonly #world: World;
  readonly #log: InvalidationLog;
  readonly #request: ReferenceRequest;
  readonly #script: readonly number[];
  /** How many choices there were at each point. */
  readonly counts: number[] = [];
  readonly entries: EntryRead[] = [];
  readonly stale = new Set<Stale>();
  readonly chosen = new Map<bigint, EntryRead>();
  readonly #written = new Map<bigint, bigint>();
  readonly #context: ReturnType<World["contextValue"]>;
  #pasid: ReturnType<World["pasidValue"]> | undefined;

  constructor(
    world: World,
    log: InvalidationLog,
    request: ReferenceRequest,
    script: readonly number[],
  ) {
    this.#world = world;
    this.#log = log;
    this.#request = request;
    this.#script = script;
    const { source } = request;
    const past = (world.pastContexts.get(source) ?? []).filter(
      ({ value, to }) => to > log.lastForContext(source, value.domain),
    );
    const choice = this.#choose(past.length + 1);
    if (choice > 0) this.stale.add("context");
    this.#context = choice === 0 ? world.contextValue(source) : past[choice - 1]!.value;
  }

  get rtaddr(): bigint {
    return this.#context.rtaddr;
  }

  get updates(): boolean {
    return this.#written.size > 0;
  }

  #choose(count: number): number {
    const choice = this.#script[this.counts.length] ?? 0;
    this.counts.push(count);
    return choice;
  }

  #pasidValue(pasid: number): ReturnType<World["pasidValue"]> {
    if (this.#pasid !== undefined) return this.#pasid;
    const { source } = this.#request;
    const past = (this.#world.pastPasids.get(World.pasidKey(source, pasid)) ?? []).filter(
      ({ value, to }) => to > this.#log.lastForPasid(pasid, value.domain),
    );
    const choice = this.#choose(past.length + 1);
    if (choice > 0) this.stale.add("pasid");
    this.#pasid = choice === 0 ? this.#world.pasidValue(source, pasid) : past[choice - 1]!.value;
    return this.#pasid;
  }

  read64(address: bigint, purpose?: Purpose): bigint | undefined {
    if (purpose === undefined) return this.#written.get(address) ?? this.chosen.get(address)?.value;
    const at = Number((address - purpose.base) / 8n);
    if (purpose.structure === "root") return this.#context.root[at];
    if (purpose.structure === "context") return this.#context.context[at];
    if (purpose.structure === "directory") return this.#pasidValue(purpose.pasid!).directory;
    if (purpose.structure === "pasid") return this.#pasidValue(purpose.pasid!).entry[at];
    return this.#readEntry(address, purpose);
  }

  #readEntry(address: bigint, purpose: Purpose): bigint | undefined {
    const current = this.#world.memory.read64(address);
    if (current === undefined) return undefined;
    const past = new Map<bigint, number>();
    for (const { value, to } of this.#world.pastEntries.get(address) ?? []) {
      if (wasUsable(purpose, value) && to > this.#forgotten(purpose, value)) past.set(value, to);
    }
    past.delete(current);
    const choice = this.#choose(past.size + 1);
    const [value, to] = [...past][choice - 1] ?? [this.#written.get(address) ?? current];
    this.entries.push({ purpose, value, to });
    this.chosen.set(address, { purpose, value, to });
    if (choice > 0) this.stale.add(purpose.structure as Stale);
    return value;
  }

  /** When the entry last had to be forgotten: VTD-INV-06, a large page goes whole, however small the pieces cached. */
  #forgotten(purpose: Purpose, value: bigint): number {
    return this.#log.lastForEntry(
      purpose,
      isLeaf(purpose, value) ? 12 + 9 * purpose.level! : undefined,
    );
  }

  write64(address: bigint, value: bigint): boolean {
    const read = this.chosen.get(address);
    if (read?.to !== undefined) {
      const onlyDirty = read.purpose.forTable === true && (value ^ read.value) === 0x200n;
      // An entry that lacks its flags was never used as it is read here, so it is in no cache.
      if (!onlyDirty) throw new Impossible();
      // A page of stage-1 tables that was only read until now is translated afresh to be written (VTD-CACHE-04),
      // and may have become read-only.
      if (this.#choose(2) === 1) throw new Refusal(0x77, 1, this.entries.at(-1)!.purpose.level);
    }
    this.#written.set(address, value);
    return true;
  }

  /** Whether caches can bring `result` about. */
  allows(result: ReferenceResult): boolean {
    if (!result.ok && CONTEXT_FAULTS.includes(result.code) && this.stale.has("context"))
      return false;
    if (!result.ok && PASID_FAULTS.includes(result.code) && this.stale.has("pasid")) return false;
    // A stage-1 table that cannot be read is found by a page of stage 2, which may be old: it is cached by itself.
    const unreadable = !result.ok && (result.code === 0x70 || result.code === 0x73);
    if (!result.ok && !unreadable && this.entries.at(-1)?.to !== undefined) return false;
    // VTD-CACHE-03 and 05: only whole translations are cached, and one that does not permit is walked again.
    return (
      result.ok ||
      !this.entries.some(({ purpose, value, to }) => to !== undefined && isLeaf(purpose, value))
    );
  }
}

/**
 * All that `request` may be answered: the fresh answer first, then those with
 * one old value, with two, and so on.
 *
 * @returns whether these are all; `false` when there are too many to try
 */
export function* possibilities(
  world: World,
  log: InvalidationLog,
  profile: UnitProfile,
  request: ReferenceRequest,
): Generator<Possibility, boolean> {
  const scripts: number[][] = [[]];
  for (let ways = 0; ways < scripts.length; ways++) {
    if (ways === MOST_WAYS) return false;
    const script = scripts[ways]!;
    const way = new Way(world, log, request, script);
    try {
      const machine = { ...profile, enabled: true, rtaddr: way.rtaddr, memory: way };
      const result = referenceTranslate(machine, request);
      if (way.allows(result)) {
        yield { result, stale: way.stale, updates: way.updates, entries: [...way.chosen.keys()] };
      }
    } catch (impossible) {
      if (!(impossible instanceof Impossible)) throw impossible;
    }
    for (let at = script.length; at < way.counts.length; at++) {
      const upTo = [...script, ...new Array<number>(at - script.length).fill(0)];
      for (let choice = 1; choice < way.counts[at]!; choice++) scripts.push([...upTo, choice]);
    }
  }
  return true;
}
