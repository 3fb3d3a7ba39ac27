import { DmaRequest, NO_PASID } from "../src/hardware/pci/dma-request.ts";
import {
  type CacheSizes,
  QEMU_7_2,
  SERVER,
  type TranslationUnit,
} from "../src/hardware/vtd/index.ts";
import { countArrays } from "./counting-arrays.ts";
import { createMachine, type MachineOptions, SOURCE } from "./machine.ts";
import { FIRST_VFN } from "./stream.ts";
import { countUnit } from "./unit-jobs.ts";

const FRAMES = 64;

const translatePage = (unit: TranslationUnit, pasid: number, page: number): void => {
  const request = new DmaRequest();
  request.source = SOURCE;
  request.pasid = pasid;
  request.hi = FIRST_VFN >>> 20;
  request.lo = (FIRST_VFN + page) << 12;
  if (!unit.translate(request)) throw new Error(`refused: ${request.fault?.message}`);
};

/** Entries that a unit without caches reads for one request. */
export interface Reads {
  /** Page-table entries. */
  readonly tables: number;
  /** Root, context and PASID entries. */
  readonly structures: number;
}

/** Entries read for one request by a unit that caches nothing, flags already set. */
const readsOf = (
  options: Omit<MachineOptions, "memory" | "frames">,
  capabilities = SERVER,
): Reads => {
  const machine = { memory: "sparse", frames: FRAMES, caches: "off", ...options } as const;
  const { unit } = createMachine(machine, capabilities);
  const pasid = options.legacy === true ? NO_PASID : 1;
  translatePage(unit, pasid, 0);
  const { tableReads, structureReads } = unit.counters;
  translatePage(unit, pasid, 0);
  return {
    tables: unit.counters.tableReads - tableReads,
    structures: unit.counters.structureReads - structureReads,
  };
};

/** Bytes of the arrays that a unit with these caches holds. */
const cacheBytesOf = (caches: CacheSizes | "off" | undefined): number =>
  countArrays(() =>
    createMachine({
      memory: "sparse",
      type: "first-stage",
      frames: FRAMES,
      ...(caches === undefined ? {} : { caches }),
    }),
  ).counts.bytes;

/** Words of cache that something touches. */
export interface Touches {
  readonly hit: number;
  readonly invalidatePage: number;
  readonly invalidateDomain: number;
}

/** What a hit and invalidations touch of caches of 2^`lg2` entries. */
const touchesOf = (lg2: number): Touches => {
  const { made, counts } = countArrays(() =>
    createMachine({
      memory: "sparse",
      type: "first-stage",
      frames: FRAMES,
      caches: { iotlbLg2: lg2, structuresLg2: lg2 },
    }),
  );
  const { unit } = made;
  for (let page = 0; page < FRAMES; page++) translatePage(unit, 1, page);
  const touchesOfOne = (work: () => void): number => {
    const before = counts.words;
    work();
    return counts.words - before;
  };
  const address = BigInt(FIRST_VFN) << 12n;
  return {
    hit: touchesOfOne(() => translatePage(unit, 1, FRAMES - 1)),
    invalidatePage: touchesOfOne(() =>
      unit.invalidatePasidIotlb({
        granularity: "page",
        domain: 1,
        pasid: 1,
        address,
        mask: 0,
        hint: false,
      }),
    ),
    invalidateDomain: touchesOfOne(() =>
      unit.invalidateIotlb({ granularity: "domain", domain: 1 }),
    ),
  };
};

/** Everything that is counted instead of timed. */
export const countAll = () => ({
  reads: {
    "first stage, 4 levels": readsOf({ type: "first-stage", levels: 4 }),
    "first stage, 5 levels": readsOf({ type: "first-stage", levels: 5 }),
    "second stage, 3 levels, legacy mode": readsOf(
      { type: "second-stage", levels: 3, legacy: true },
      QEMU_7_2,
    ),
    "second stage, 4 levels": readsOf({ type: "second-stage", levels: 4 }),
    "second stage, 5 levels": readsOf({ type: "second-stage", levels: 5 }),
    "second stage, 4 levels, legacy mode": readsOf({
      type: "second-stage",
      levels: 4,
      legacy: true,
    }),
    "nested, 4 over 4": readsOf({ type: "nested", levels: 4, lowerLevels: 4 }),
    "nested, 5 over 4": readsOf({ type: "nested", levels: 5, lowerLevels: 4 }),
    "nested, 5 over 5": readsOf({ type: "nested", levels: 5, lowerLevels: 5 }),
  },
  cacheBytes: {
    default: cacheBytesOf(undefined),
    off: cacheBytesOf("off"),
    "IOTLB of 1": cacheBytesOf({ iotlbLg2: 0 }),
    "IOTLB of 65536": cacheBytesOf({ iotlbLg2: 16 }),
  },
  touches: {
    "caches of 256": touchesOf(8),
    "caches of 4096": touchesOf(12),
    "caches of 65536": touchesOf(16),
  },
  unit: countUnit(),
});
