import { DmaRequest } from "../src/hardware/pci/dma-request.ts";
import type { TranslationUnit } from "../src/hardware/vtd/index.ts";
import { createMachine, type MachineOptions, PASIDS, SOURCE } from "./machine.ts";
import { nowNs, type Round, type RunRound } from "./round.ts";
import { createRandom, createStream, FIRST_VFN, STREAM } from "./stream.ts";
import type { MemoryKind } from "./table-memory.ts";

/** What a device asks for: a page of one of its address spaces. */
interface Key {
  readonly pasid: number;
  readonly vfn: number;
}

/** The device's request object, which it uses again and again. */
const createRequest = (): DmaRequest => {
  const request = new DmaRequest();
  request.source = SOURCE;
  return request;
};

/** As a device does it: fills in the address halves and asks the unit. */
const ask = (unit: TranslationUnit, request: DmaRequest, pasid: number, vfn: number): void => {
  request.pasid = pasid;
  request.hi = vfn >>> 20;
  request.lo = vfn << 12;
  if (!unit.translate(request)) throw new Error(`refused: ${request.fault?.message}`);
};

/** The answer's frame, modulo 2^32. */
const answerOf = (request: DmaRequest): number => (request.outLo >>> 12) | (request.outHi << 20);

/** Requests of a pass: a loop short enough that it is compiled as a function and not while it runs. */
const PASS = 1024;
/** Requests timed together. The quickest slice counts: a long round always meets something else that runs. */
const SLICE = 8192;

/** Runs `pass` over the whole stream, `repeat` times. */
const timePasses = (pass: (first: number) => number, repeat: number): Omit<Round, "reads"> => {
  let sum = 0;
  let ns = Number.POSITIVE_INFINITY;
  for (let slice = 0; slice < (STREAM * repeat) / SLICE; slice++) {
    const begin = (slice * SLICE) % STREAM;
    const start = nowNs();
    for (let first = begin; first < begin + SLICE; first += PASS) sum = (sum + pass(first)) | 0;
    ns = Math.min(ns, (nowNs() - start) / SLICE);
  }
  return { ns, sum: sum >>> 0 };
};

const SPACE = 1 << 20;

/**
 * `count` different keys that the IOTLB holds all at once; those that lost
 * their place to a later one are left out. The C programs find the same ones
 * from the hash.
 */
const residentKeys = (unit: TranslationUnit, count: number, pageLg2: number): Key[] => {
  const random = createRandom();
  const request = createRequest();
  const step = 2 ** (pageLg2 - 12);
  const candidates = Array.from({ length: count * 2 }, (_, i): Key => {
    const page = random(SPACE / step) * step;
    return { pasid: 1 + (i & 3), vfn: FIRST_VFN + page };
  });
  for (const { pasid, vfn } of candidates) ask(unit, request, pasid, vfn);
  const kept: Key[] = [];
  const seen = new Set<number>();
  // Backwards: what is still there is the last of its place, and what it loses it to has been looked at.
  for (const key of candidates.reverse()) {
    const { walks } = unit.counters;
    ask(unit, request, key.pasid, key.vfn);
    const name = key.vfn * PASIDS + key.pasid - 1;
    if (unit.counters.walks === walks && !seen.has(name)) kept.push(key);
    seen.add(name);
  }
  const keys = kept.reverse().slice(0, count);
  if (keys.length < count) throw new Error(`only ${keys.length} of ${count} keys`);
  for (const { pasid, vfn } of kept) ask(unit, request, pasid, vfn);
  return keys;
};

export interface HitOptions {
  readonly memory: MemoryKind;
  readonly keys: number;
  readonly iotlbLg2: number;
  readonly pageLg2: number;
  readonly repeat: number;
}

const createHitMachine = ({ memory, keys, iotlbLg2, pageLg2 }: HitOptions) => {
  const { unit } = createMachine({
    memory,
    type: "first-stage",
    frames: SPACE,
    pageLg2,
    caches: { iotlbLg2 },
  });
  return { unit, keys: residentKeys(unit, keys, pageLg2) };
};

const hitRound = (
  units: readonly [TranslationUnit, TranslationUnit],
  keys: readonly Key[],
  repeat: number,
): RunRound => {
  const [even, odd] = units;
  const stream = createStream(keys.length);
  const pasids = Int32Array.from(stream, (i) => keys[i]!.pasid);
  const vfns = Int32Array.from(stream, (i) => keys[i]!.vfn);
  const request = createRequest();
  const pass = (first: number): number => {
    let sum = 0;
    for (let i = first; i < first + PASS; i += 2) {
      ask(even, request, pasids[i]!, vfns[i]!);
      sum = (sum + answerOf(request)) | 0;
      ask(odd, request, pasids[i + 1]!, vfns[i + 1]!);
      sum = (sum + answerOf(request)) | 0;
    }
    return sum;
  };
  return () => {
    const walks = even.counters.walks + odd.counters.walks;
    const round = timePasses(pass, repeat);
    if (even.counters.walks + odd.counters.walks !== walks) throw new Error("a hit walked");
    return { ...round, reads: 0 };
  };
};

/** IOTLB hits of one unit. */
export const hitJob = (options: HitOptions): RunRound => {
  const { unit, keys } = createHitMachine(options);
  return hitRound([unit, unit], keys, options.repeat);
};

/** IOTLB hits of two units in turn, one over each kind of memory. */
export const mixedHitJob = (options: Omit<HitOptions, "memory">): RunRound => {
  const first = createHitMachine({ ...options, memory: "buffer" });
  const second = createHitMachine({ ...options, memory: "sparse" });
  return hitRound([first.unit, second.unit], first.keys, options.repeat);
};

/**
 * Random pages. PASIDs take turns, so that with caches of one entry each
 * request evicts what the one before it has left: every walk begins at the top
 * while the device's context and PASID entries stay cached.
 */
const walkRound = (
  units: readonly [TranslationUnit, TranslationUnit],
  frames: number,
  repeat: number,
): RunRound => {
  const [first, second] = units;
  const stream = createStream(frames);
  const request = createRequest();
  const pass = (start: number): number => {
    let sum = 0;
    for (let i = start; i < start + PASS; i += 4) {
      ask(first, request, 1, FIRST_VFN + stream[i]!);
      sum = (sum + answerOf(request)) | 0;
      ask(first, request, 2, FIRST_VFN + stream[i + 1]!);
      sum = (sum + answerOf(request)) | 0;
      ask(second, request, 1, FIRST_VFN + stream[i + 2]!);
      sum = (sum + answerOf(request)) | 0;
      ask(second, request, 2, FIRST_VFN + stream[i + 3]!);
      sum = (sum + answerOf(request)) | 0;
    }
    return sum;
  };
  return () => {
    const reads = (): number =>
      first.counters.tableReads + (first === second ? 0 : second.counters.tableReads);
    const before = reads();
    const round = timePasses(pass, repeat);
    return { ...round, reads: (reads() - before) / (STREAM * repeat) };
  };
};

export interface WalkOptions extends MachineOptions {
  readonly repeat: number;
}

/** Random pages of what is mapped. */
export const walkJob = (options: WalkOptions): RunRound => {
  const { unit } = createMachine(options);
  return walkRound([unit, unit], options.frames, options.repeat);
};

/**
 * Random pages on two units in turn, one over each kind of memory, in a process
 * in which every other kind of walk has run before.
 */
export const mixedWalkJob = (options: Omit<WalkOptions, "memory">): RunRound => {
  const units = (["buffer", "sparse"] as const).map((memory) => {
    for (const type of ["nested", "second-stage", "first-stage"] as const) {
      walkJob({ memory, type, frames: 512, repeat: 2 })();
      walkJob({ memory, type, frames: 512, caches: "off", repeat: 2 })();
    }
    return createMachine({ ...options, memory }).unit;
  });
  return walkRound([units[0]!, units[1]!], options.frames, options.repeat);
};

/** Pages invalidated one by one in a full IOTLB; filling it again is not timed. */
export const invalidatePageJob = (options: HitOptions): RunRound => {
  const { unit, keys } = createHitMachine(options);
  const request = createRequest();
  const batch = Math.floor(keys.length / 4);
  const pasids = Int32Array.from(keys, ({ pasid }) => pasid);
  const vfns = Int32Array.from(keys, ({ vfn }) => vfn);
  const invalidate = (n: number): void => {
    for (let i = 0; i < batch; i++) {
      const at = (i * 4 + n) % keys.length;
      const vfn = vfns[at]!;
      unit.invalidatePasidPages(1, pasids[at]!, vfn >>> 20, vfn << 12, 0, true);
    }
  };
  return () => {
    let ns = Number.POSITIVE_INFINITY;
    for (let n = 0; n < options.repeat; n++) {
      for (const { pasid, vfn } of keys) ask(unit, request, pasid, vfn);
      const start = nowNs();
      invalidate(n);
      ns = Math.min(ns, (nowNs() - start) / batch);
    }
    return { ns, sum: 0, reads: 0 };
  };
};

/** A full IOTLB's domain invalidated; filling it again is not timed. */
export const invalidateDomainJob = (options: HitOptions): RunRound => {
  const { unit, keys } = createHitMachine(options);
  const request = createRequest();
  const domain = { granularity: "domain", domain: 1 } as const;
  const batch = 4096;
  const invalidate = (): void => {
    for (let i = 0; i < batch; i++) unit.invalidateIotlb(domain);
  };
  return () => {
    let ns = Number.POSITIVE_INFINITY;
    for (let n = 0; n < options.repeat; n++) {
      for (const { pasid, vfn } of keys) ask(unit, request, pasid, vfn);
      const start = nowNs();
      invalidate();
      ns = Math.min(ns, (nowNs() - start) / batch);
    }
    return { ns, sum: 0, reads: 0 };
  };
};
