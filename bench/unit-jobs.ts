import { RemappingUnit, SERVER } from "../src/hardware/vtd/index.ts";
import { createSparseMemory, type PhysicalMemory } from "../src/memory/index.ts";
import { nowNs, type RunRound } from "./round.ts";

/** Bytes of the queue, which is one page, and where it and the status are. */
const QUEUE = 0x10_0000n;
const QUEUE_BYTES = 4096;
const STATUS = 0x11_0000n;
const ROOT = 0x12_0000n;

const GCMD = 0x18;
const GSTS = 0x1c;
const RTADDR = 0x20;
const FEDATA = 0x3c;
const IQT = 0x88;
const IQA = 0x90;

const SRTP = 1n << 30n;
const QIE = 1n << 26n;

/** What the queue is filled with. */
export type Submission =
  /** IOTLB invalidations of one page, 128 bits. */
  | "page"
  /** PASID-based IOTLB invalidations of one page, 256 bits. */
  | "pasid-page"
  /** Waits that write a status, 128 bits. */
  | "wait"
  /** Each invalidation of a page with a wait behind it, as a driver submits them, 128 bits. */
  | "page-and-wait";

const domain = 1n << 16n;
const page = (i: number): bigint => BigInt(i) << 12n;
const invalidation = (i: number): bigint[] => [2n | (3n << 4n) | domain, page(i)];
const wait = (i: number): bigint[] => [5n | 0x20n | (BigInt(i) << 32n), STATUS];

const DESCRIPTORS: Readonly<Record<Submission, (i: number) => bigint[]>> = {
  page: invalidation,
  "pasid-page": (i) => [6n | (3n << 4n) | domain | (5n << 32n), page(i), 0n, 0n],
  wait,
  "page-and-wait": (i) => ((i & 1) === 0 ? invalidation(i) : wait(i)),
};

/** A unit with a full queue that is on and empty: moving the tail submits what is in it. */
const createUnit = (submission: Submission) => {
  const memory = createSparseMemory([{ base: 0n, length: 0x100_0000n }]);
  const unit = new RemappingUnit({
    capabilities: SERVER,
    memory,
    interrupts: { deliver: () => {} },
  });
  const step = submission === "pasid-page" ? 32 : 16;
  const count = QUEUE_BYTES / step;
  for (let i = 0; i < count; i++) {
    DESCRIPTORS[submission](i).forEach((word, at) => {
      memory.write64(QUEUE + BigInt(i * step + at * 8), word);
    });
  }
  unit.writeRegister(RTADDR, 8, ROOT | 0x400n);
  unit.writeRegister(IQA, 8, QUEUE | (step === 32 ? 0x800n : 0n));
  unit.writeRegister(GCMD, 4, SRTP);
  unit.writeRegister(GCMD, 4, QIE);
  return { unit, memory, step, count };
};

/** Repeats `work`, which does `operations` operations, and keeps the quickest of it. */
const quickest = (repeat: number, operations: number, work: () => void): number => {
  let ns = Number.POSITIVE_INFINITY;
  for (let n = 0; n < repeat; n++) {
    const start = nowNs();
    work();
    ns = Math.min(ns, (nowNs() - start) / operations);
  }
  return ns;
};

/** Notices a unit that has stopped: what it did not do takes no time. */
const requireRunning = (unit: RemappingUnit): void => {
  if (unit.readRegister(GSTS, 4) !== (QIE | SRTP)) throw new Error("the queue is not on");
  if ((unit.readRegister(0x34, 4) & 0x10n) !== 0n) throw new Error("the queue has stopped");
};

/** Descriptors through the queue, half of it at a time; for pairs, one tail write each. */
export const queueJob = (submission: Submission): RunRound => {
  const { unit, step, count } = createUnit(submission);
  const batch = submission === "page-and-wait" ? 2 : count / 2;
  let tail = 0;
  const ring = (): void => {
    for (let done = 0; done < count; done += batch) {
      tail = (tail + batch * step) % QUEUE_BYTES;
      unit.writeRegister(IQT, 8, BigInt(tail));
    }
  };
  return () => {
    const ns = quickest(40, count, ring);
    requireRunning(unit);
    return { ns, sum: 0, reads: 0 };
  };
};

/** Ways to touch a register that has no effect. */
const ACCESSES = {
  "read-32": (unit: RemappingUnit) => void unit.readRegister(GSTS, 4),
  "read-64": (unit: RemappingUnit) => void unit.readRegister(RTADDR, 8),
  "write-32": (unit: RemappingUnit) => unit.writeRegister(FEDATA, 4, 0x1234n),
  "write-64": (unit: RemappingUnit) => unit.writeRegister(RTADDR, 8, ROOT | 0x400n),
} as const;
export type Access = keyof typeof ACCESSES;

/** Accesses of one register. */
export const registerJob = (access: Access): RunRound => {
  const { unit } = createUnit("page");
  const touch = ACCESSES[access];
  return () => {
    const ns = quickest(40, 1024, () => {
      for (let i = 0; i < 1024; i++) touch(unit);
    });
    requireRunning(unit);
    return { ns, sum: 0, reads: 0 };
  };
};

/** What one descriptor, or one access, does to memory. */
export interface MemoryTouches {
  readonly reads: number;
  readonly readBytes: number;
  readonly writes: number;
  readonly writtenBytes: number;
}

/** Counts what `work` does to `memory`, for one of `operations`. */
const touchesOf = (memory: PhysicalMemory, operations: number, work: () => void): MemoryTouches => {
  const counts = { reads: 0, readBytes: 0, writes: 0, writtenBytes: 0 };
  const { read, write } = memory;
  memory.read = (address, into) => {
    counts.reads++;
    counts.readBytes += into.length;
    return read.call(memory, address, into);
  };
  memory.write = (address, from) => {
    counts.writes++;
    counts.writtenBytes += from.length;
    return write.call(memory, address, from);
  };
  work();
  return {
    reads: counts.reads / operations,
    readBytes: counts.readBytes / operations,
    writes: counts.writes / operations,
    writtenBytes: counts.writtenBytes / operations,
  };
};

const queueTouches = (submission: Submission): MemoryTouches => {
  const { unit, memory, step } = createUnit(submission);
  const count = 64;
  return touchesOf(memory, count, () => unit.writeRegister(IQT, 8, BigInt(count * step)));
};

const registerTouches = (access: Access): MemoryTouches => {
  const { unit, memory } = createUnit("page");
  return touchesOf(memory, 64, () => {
    for (let i = 0; i < 64; i++) ACCESSES[access](unit);
  });
};

/** What is counted of queue and registers: accesses of memory for one descriptor, and for one access of a register. */
export const countUnit = () => ({
  descriptors: {
    "IOTLB page, 128 bits": queueTouches("page"),
    "PASID-based IOTLB page, 256 bits": queueTouches("pasid-page"),
    "wait with a status, 128 bits": queueTouches("wait"),
    "IOTLB page and wait, 128 bits": queueTouches("page-and-wait"),
  },
  registers: {
    "read of 32 bits": registerTouches("read-32"),
    "read of 64 bits": registerTouches("read-64"),
    "write of 32 bits": registerTouches("write-32"),
    "write of 64 bits": registerTouches("write-64"),
  },
});
