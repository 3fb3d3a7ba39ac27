import { PGTT, type StageType } from "./machine.ts";
import { FORMATS, mapJob } from "./map-job.ts";
import type { RunRound } from "./round.ts";
import type { MemoryKind } from "./table-memory.ts";
import {
  type HitOptions,
  hitJob,
  invalidateDomainJob,
  invalidatePageJob,
  mixedHitJob,
  mixedWalkJob,
  walkJob,
} from "./translate-jobs.ts";
import { queueJob, registerJob } from "./unit-jobs.ts";

/** What is to be reached: `realistic` is the bar, `extreme` the aim. */
export interface Target {
  /** `times`: TypeScript takes at most that many times C's time. `faster`: at most 1/n of it. `ns`: at most that long. */
  readonly unit: "times" | "faster" | "ns";
  readonly realistic: number;
  readonly extreme: number;
}

/** What a case is compared with: a program of bench/native and its arguments. */
export interface Anchor {
  readonly title: string;
  readonly program: "translate" | "hash-table" | "page-table";
  readonly args: readonly (string | number)[];
  readonly target?: Target;
  /** The answers are other ones, so that the sums cannot be compared. */
  readonly otherAnswers?: true;
}

/** One thing that is measured, in a process of its own. */
export interface Case {
  readonly name: string;
  readonly title: string;
  readonly createJob: () => RunRound;
  readonly anchors: readonly Anchor[];
  /** Page-table entries read for one operation; anything else is an error. */
  readonly reads?: number;
  /** What the time alone must reach. */
  readonly target?: Target;
}

/** A case compared with another case. */
export interface Comparison {
  readonly name: string;
  readonly title: string;
  readonly fast: string;
  readonly slow: string;
  readonly target: Target;
}

const times = (realistic: number, extreme: number): Target => ({
  unit: "times",
  realistic,
  extreme,
});
const faster = (realistic: number, extreme: number): Target => ({
  unit: "faster",
  realistic,
  extreme,
});

const SAME_JOB = "the same job";

const HIT_SIZES = [
  { label: "1k", keys: 1000, iotlbLg2: 12, repeat: 8 },
  { label: "64k", keys: 64_000, iotlbLg2: 18, repeat: 4 },
] as const;

const HITS = HIT_SIZES.map(({ label, keys, iotlbLg2, repeat }): Case => {
  const options: HitOptions = { memory: "buffer", keys, iotlbLg2, pageLg2: 12, repeat };
  const args = [keys, iotlbLg2, 12, repeat];
  return {
    name: `hit-${label}`,
    title: `translate, IOTLB hit, ${label} pages`,
    createJob: () => hitJob(options),
    reads: 0,
    anchors: [
      { title: SAME_JOB, program: "translate", args: ["hit", ...args], target: times(2, 1.5) },
      {
        title: "hash table, look-up alone",
        program: "hash-table",
        args: ["look-up", ...args],
        target: faster(3, 5),
      },
      { title: "direct-mapped look-up alone", program: "translate", args: ["look-up", ...args] },
    ],
  };
});

const OTHER_HITS: readonly Case[] = [
  {
    name: "hit-2m",
    title: "translate, IOTLB hit, 500 pages of 2M",
    createJob: () => hitJob({ memory: "sparse", keys: 500, iotlbLg2: 14, pageLg2: 21, repeat: 8 }),
    reads: 0,
    anchors: [
      {
        title: SAME_JOB,
        program: "translate",
        args: ["hit", 500, 14, 21, 8],
        target: times(2, 1.5),
      },
      {
        title: "hash table, 2 probes alone",
        program: "hash-table",
        args: ["look-up", 500, 14, 21, 8],
        target: faster(5, 10),
      },
    ],
  },
  {
    name: "hit-mixed",
    title: "translate, IOTLB hit, 2 units over both memories",
    createJob: () => mixedHitJob({ keys: 1000, iotlbLg2: 12, pageLg2: 12, repeat: 8 }),
    reads: 0,
    anchors: [
      {
        title: SAME_JOB,
        program: "translate",
        args: ["hit", 1000, 12, 12, 8],
        target: times(2, 1.5),
      },
    ],
  },
];

const INVALIDATION_TARGETS = { "1k": faster(300, 1000), "64k": faster(30_000, 100_000) } as const;

const INVALIDATIONS = HIT_SIZES.flatMap(({ label, keys, iotlbLg2 }): Case[] => {
  const options = { memory: "buffer", keys, iotlbLg2, pageLg2: 12 } as const;
  const repeat = keys > 1000 ? 2 : 40;
  const hashRepeat = keys > 1000 ? 1 : 4;
  return [
    {
      name: `invalidate-page-${label}`,
      title: `invalidate one page of ${label}`,
      createJob: () => invalidatePageJob({ ...options, repeat }),
      anchors: [
        {
          title: "hash table, foreach_remove",
          program: "hash-table",
          args: ["invalidate", keys, iotlbLg2, 12, hashRepeat],
          target: INVALIDATION_TARGETS[label],
        },
        { title: SAME_JOB, program: "translate", args: ["invalidate", keys, iotlbLg2, 12, repeat] },
      ],
    },
    {
      name: `invalidate-domain-${label}`,
      title: `invalidate a domain with ${label} pages`,
      createJob: () => invalidateDomainJob({ ...options, repeat: keys > 1000 ? 1 : 20 }),
      target: { unit: "ns", realistic: 10, extreme: 2 },
      anchors: [
        {
          title: "hash table, foreach_remove",
          program: "hash-table",
          args: ["domain", keys, iotlbLg2, 12, hashRepeat],
        },
      ],
    },
  ];
});

const FRAMES = { "64M": 1 << 14, "1G": 1 << 18, "4G": 1 << 20 } as const;
/** One entry: whatever a walk leaves is gone at the next. */
const NO_ROOM = { iotlbLg2: 0, structuresLg2: 0 } as const;

interface WalkCase {
  readonly type: StageType;
  readonly size: keyof typeof FRAMES;
  readonly memory: MemoryKind;
  readonly repeat: number;
  readonly target: Target;
}

const walkArgs = (type: StageType, size: keyof typeof FRAMES, cached: 0 | 1, repeat: number) =>
  ["walk", FRAMES[size], PGTT[type], cached, 0, 0, repeat] as const;

const walkCase = ({ type, size, memory, repeat, target }: WalkCase): Case => ({
  name: `walk-${type}-${size}-${memory}`.toLowerCase(),
  title: `translate, ${type === "nested" ? "nested 4 over 4" : `4-level ${type}`}, ${size}, ${memory}`,
  createJob: () => walkJob({ memory, type, frames: FRAMES[size], caches: NO_ROOM, repeat }),
  reads: type === "nested" ? 24 : 4,
  anchors: [
    { title: SAME_JOB, program: "translate", args: walkArgs(type, size, 1, repeat), target },
    ...(type === "first-stage"
      ? ([
          {
            title: "walk with all checks alone",
            program: "translate",
            args: ["checked", FRAMES[size], repeat],
          },
          {
            title: "walk without checks alone",
            program: "translate",
            args: ["bare", FRAMES[size], repeat],
          },
        ] as const)
      : []),
  ],
});

const WALK_64M = times(2, 1.5);
const WALK_4G = times(2.5, 1.5);
const NESTED = times(2.5, 1.6);

const WALKS: readonly Case[] = [
  walkCase({ type: "first-stage", size: "64M", memory: "buffer", repeat: 2, target: WALK_64M }),
  walkCase({ type: "first-stage", size: "64M", memory: "sparse", repeat: 2, target: WALK_64M }),
  walkCase({ type: "first-stage", size: "4G", memory: "buffer", repeat: 1, target: WALK_4G }),
  walkCase({ type: "first-stage", size: "4G", memory: "sparse", repeat: 1, target: WALK_4G }),
  walkCase({ type: "second-stage", size: "64M", memory: "buffer", repeat: 2, target: WALK_64M }),
  walkCase({ type: "second-stage", size: "4G", memory: "buffer", repeat: 1, target: WALK_4G }),
  {
    name: "walk-mixed",
    title: "translate, 4-level first-stage, 64M, 2 units over both memories",
    createJob: () =>
      mixedWalkJob({ type: "first-stage", frames: FRAMES["64M"], caches: NO_ROOM, repeat: 2 }),
    reads: 4,
    anchors: [
      {
        title: SAME_JOB,
        program: "translate",
        args: walkArgs("first-stage", "64M", 1, 2),
        target: WALK_64M,
      },
    ],
  },
  {
    name: "walk-from-root",
    title: "translate without caches, 4-level first-stage, 64M",
    createJob: () =>
      walkJob({
        memory: "buffer",
        type: "first-stage",
        frames: FRAMES["64M"],
        caches: "off",
        repeat: 2,
      }),
    reads: 4,
    anchors: [
      { title: SAME_JOB, program: "translate", args: walkArgs("first-stage", "64M", 0, 2) },
    ],
  },
  walkCase({ type: "nested", size: "64M", memory: "buffer", repeat: 1, target: NESTED }),
  walkCase({ type: "nested", size: "64M", memory: "sparse", repeat: 1, target: NESTED }),
  walkCase({ type: "nested", size: "1G", memory: "buffer", repeat: 1, target: NESTED }),
  {
    name: "walk-nested-from-root",
    title: "translate without caches, nested 4 over 4, 64M",
    createJob: () =>
      walkJob({
        memory: "buffer",
        type: "nested",
        frames: FRAMES["64M"],
        caches: "off",
        repeat: 1,
      }),
    reads: 24,
    anchors: [{ title: SAME_JOB, program: "translate", args: walkArgs("nested", "64M", 0, 1) }],
  },
  {
    name: "nested-cached",
    title: "translate, nested 4 over 4, 64M, default caches",
    createJob: () =>
      walkJob({ memory: "buffer", type: "nested", frames: FRAMES["64M"], repeat: 1 }),
    anchors: [
      {
        title: SAME_JOB,
        program: "translate",
        args: ["walk", FRAMES["64M"], PGTT.nested, 1, 12, 10, 1],
      },
    ],
  },
  {
    name: "nested-cached-large",
    title: "translate, nested 4 over 4, 64M, IOTLB of 128k",
    createJob: () =>
      walkJob({
        memory: "buffer",
        type: "nested",
        frames: FRAMES["64M"],
        caches: { iotlbLg2: 17 },
        repeat: 1,
      }),
    anchors: [
      {
        title: SAME_JOB,
        program: "translate",
        args: ["walk", FRAMES["64M"], PGTT.nested, 1, 17, 10, 1],
      },
    ],
  },
];

const MAP_SIZES = [
  { label: "4K", pageLg2: 12, count: 1, repeat: 32, target: times(2, 1.2) },
  { label: "256x4K", pageLg2: 12, count: 256, repeat: 4, target: times(1.8, 1.2) },
  { label: "2M", pageLg2: 21, count: 1, repeat: 32, target: undefined },
  { label: "1G", pageLg2: 30, count: 1, repeat: 32, target: undefined },
] as const;

const MAPS = FORMATS.flatMap((format, number) =>
  (["buffer", "sparse"] as const).flatMap((memory) =>
    MAP_SIZES.filter((size) => memory === "buffer" || (number === 0 && size.pageLg2 === 12)).map(
      ({ label, pageLg2, count, repeat, target }): Case => ({
        name: `map-${format.name}-${label}-${memory}`.toLowerCase(),
        title: `map and unmap ${label}, ${format.name}, ${memory}`,
        createJob: () => mapJob({ memory, format, pageLg2, count, repeat }),
        anchors: [
          {
            title: SAME_JOB,
            program: "page-table",
            args: [number, pageLg2, count, repeat],
            ...(target === undefined ? {} : { target }),
          },
        ],
      }),
    ),
  ),
);

/** No C program has registers and a queue: there is nothing to compare these with. */
const UNIT: readonly Case[] = [
  ["queue-page", "invalidate a page through the queue", () => queueJob("page")],
  ["queue-pasid-page", "invalidate a page of a PASID through it", () => queueJob("pasid-page")],
  ["queue-wait", "wait with a status write", () => queueJob("wait")],
  ["queue-page-and-wait", "page and wait in turn, rung in pairs", () => queueJob("page-and-wait")],
  ["register-read-32", "read a register, 32 bits", () => registerJob("read-32")],
  ["register-read-64", "read a register, 64 bits", () => registerJob("read-64")],
  ["register-write-32", "write a register, 32 bits", () => registerJob("write-32")],
  ["register-write-64", "write a register, 64 bits", () => registerJob("write-64")],
].map(([name, title, createJob]) => ({ name, title, createJob, anchors: [] }) as Case);

export const CASES: readonly Case[] = [
  ...HITS,
  ...OTHER_HITS,
  ...INVALIDATIONS,
  ...WALKS,
  ...MAPS,
  ...UNIT,
];

export const COMPARISONS: readonly Comparison[] = [
  {
    name: "nested-cached-against-cold",
    title: "nested, default caches against cold",
    fast: "nested-cached",
    slow: "walk-nested-64m-buffer",
    target: faster(5, 8),
  },
  {
    name: "nested-cached-large-against-cold",
    title: "nested, IOTLB of 128k against cold",
    fast: "nested-cached-large",
    slow: "walk-nested-64m-buffer",
    target: faster(5, 8),
  },
];
