import type { Random } from "../../test/reference/random.ts";
import { DEVICE_BUFFER } from "./machine-map.ts";
import { AT, QIE, SRTP, TE } from "./registers.ts";
import type { Scene } from "./scene.ts";
import type { Step } from "./step.ts";

export const write32 = (offset: number, value: bigint): Step => ({
  kind: "write",
  offset,
  width: 4,
  value,
});
export const write64 = (offset: number, value: bigint): Step => ({
  kind: "write",
  offset,
  width: 8,
  value,
});

/** Clears the fault record and the fault status. */
export const clearFaults = (): Step[] => [
  write32(AT.FRCD + 12, 1n << 31n),
  write32(AT.FSTS, 0x7fn),
];

/** Where the registers of the fault and the completion event begin: control, data, address, upper address. */
const EVENTS = [AT.FECTL, AT.IECTL] as const;

/** The registers of one event: what its message is, and whether it is masked. */
export const eventRegisters = (random: Random): Step[] => {
  const first = random.pick(EVENTS);
  const steps: Step[] = [];
  if (random.chance(70)) {
    steps.push(write32(first + 4, BigInt(random.chance(80) ? random.below(256) : random.next())));
    const address = 0xfee0_0000n + BigInt(random.below(256) << 12);
    steps.push(write32(first + 8, random.chance(90) ? address : BigInt(random.next())));
  }
  if (random.chance(5)) steps.push(write32(first + 12, BigInt(random.next())));
  steps.push(
    write32(
      first,
      random.weighted([
        [60, 0n],
        [35, 1n << 31n],
        [5, BigInt(random.next())],
      ]),
    ),
  );
  return steps;
};

/** An invalidation queue as software keeps it. */
export class SoftwareQueue {
  readonly base: bigint;
  /** Bytes of a descriptor. */
  readonly step: 16 | 32;
  #tail = 0;

  constructor(base: bigint, wide: boolean) {
    this.base = base;
    this.step = wide ? 32 : 16;
  }

  /** The IQA that names it: one page. */
  get iqa(): bigint {
    return this.base | (this.step === 32 ? 0x800n : 0n);
  }

  get tail(): number {
    return this.#tail;
  }

  /** Puts descriptors at the tail, one store each, and moves it. */
  submit(...descriptors: readonly (readonly bigint[])[]): Step[] {
    const stores = descriptors.map((words): Step => {
      const address = this.base + BigInt(this.#tail);
      this.#tail = (this.#tail + this.step) % 4096;
      const padded = Array.from({ length: this.step / 8 }, (_, i) => words[i] ?? 0n);
      return { kind: "store", address, words: padded };
    });
    return [...stores, write64(AT.IQT, BigInt(this.#tail))];
  }

  /** Writes another descriptor where the last one was; the tail stays. */
  replaceLast(words: readonly bigint[]): Step[] {
    this.#tail = (this.#tail + 4096 - this.step) % 4096;
    return this.submit(words).slice(0, 1);
  }
}

/** Everything a unit has cached is dropped. */
const GLOBAL_CONTEXT = [1n | (1n << 4n)];
const GLOBAL_PASID = [7n | (3n << 4n)];
const GLOBAL_IOTLB = [2n | (1n << 4n)];

/** How a scene is brought into use, and how it is flushed. */
export interface Rig {
  readonly queue: SoftwareQueue | undefined;
  readonly setup: readonly Step[];
  flush(): Step[];
}

/** With the queue, or in legacy mode with registers now and then. */
export const rigFor = (random: Random, scene: Scene): Rig => {
  const wide = scene.mode !== "legacy";
  if (!wide && random.chance(30)) {
    return {
      queue: undefined,
      setup: [
        write64(AT.RTADDR, scene.rtaddr),
        write32(AT.GCMD, SRTP),
        ...registerFlush(),
        write32(AT.GCMD, TE),
      ],
      flush: registerFlush,
    };
  }
  const queue = new SoftwareQueue(scene.queue, wide);
  const flush = (): Step[] =>
    queue.submit(GLOBAL_CONTEXT, ...(wide ? [GLOBAL_PASID] : []), GLOBAL_IOTLB);
  return {
    queue,
    setup: [
      write64(AT.RTADDR, scene.rtaddr),
      write32(AT.GCMD, SRTP),
      write64(AT.IQA, queue.iqa),
      write32(AT.GCMD, QIE),
      ...flush(),
      write32(AT.GCMD, QIE | TE),
    ],
    flush,
  };
};

const registerFlush = (): Step[] => [
  write64(AT.CCMD, (1n << 63n) | (1n << 61n)),
  write64(AT.IOTLB, (1n << 63n) | (1n << 60n)),
];

/** A transfer somewhere in or near the scene. */
export const randomDma = (random: Random, scene: Scene): Step => {
  const length = random.weighted([
    [40, 8],
    [25, 1 + random.below(64)],
    [5, 256],
    [4, DEVICE_BUFFER],
  ]);
  const page =
    random.chance(85) && scene.pages.length > 0 ? random.pick(scene.pages).iova : strayIova(random);
  const room = 4096 - Math.min(length, 4096);
  const offset = random.chance(5) ? random.below(4096) : random.below(room + 1);
  const iova = BigInt.asUintN(64, page + BigInt(offset));
  // Messages of devices are another matter, and not 8 bytes long.
  const safe = iova >> 20n === 0xfeen ? iova + 0x1000_0000n : iova;
  return {
    kind: "dma",
    writes: random.chance(50),
    iova: safe,
    length,
    at: random.below(DEVICE_BUFFER - length + 1),
  };
};

const strayIova = (random: Random): bigint =>
  random.weighted<() => bigint>([
    [4, () => 0xdead_0000n],
    [2, () => random.bits64() & ~0xfffn],
    [2, () => 1n << BigInt(30 + random.below(34))],
    [1, () => (1n << 64n) - 4096n],
    [1, () => (1n << BigInt(random.pick([39, 47, 48]))) - 4096n],
  ])();
