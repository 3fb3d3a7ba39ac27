import { REGISTERS_SIZE } from "./machine-map.ts";
import { AT } from "./registers.ts";
import type { Case, Step, Trace } from "./step.ts";
import type { UnitTrace } from "./unit-subject.ts";

/** Counts of what a campaign has seen QEMU do, by name. */
export type Counts = Map<string, number>;

const count = (counts: Counts, name: string): void => {
  counts.set(name, (counts.get(name) ?? 0) + 1);
};

/** Where the fault record is among the compared register bytes. */
const RECORD = REGISTERS_SIZE - 16;

const hex = (value: number): string => `0x${value.toString(16).padStart(2, "0")}`;

/** What one page of DMA came to. */
const pageOf = (outcome: string): string => (outcome.startsWith("to ") ? "passed" : "refused");

/** Where each DMA page went with caches, beside where the tables alone would have sent it. */
const countStale = (counts: Counts, steps: readonly Step[], ours: UnitTrace, plain: UnitTrace) => {
  const stale = new Set<bigint>();
  steps.forEach((step, i) => {
    if (step.kind !== "dma") return;
    const page = step.iova >> 12n;
    if (ours.outcomes[i]!.join() !== plain.outcomes[i]!.join()) {
      count(counts, "DMA through what is stale");
      stale.add(page);
    } else if (stale.delete(page)) {
      count(counts, "DMA fresh after it was stale");
    }
  });
};

/** Descriptors in the order in which software puts them into the queue, by type. */
const countDescriptors = (counts: Counts, steps: readonly Step[], queues: ReadonlySet<bigint>) => {
  for (const step of steps) {
    if (step.kind === "store" && queues.has(step.address >> 12n))
      count(counts, `descriptor type ${Number(step.words[0]! & 0xfn)}`);
  }
};

/**
 * Adds a case on which both agreed.
 *
 * @param plain the same case done by a unit without caches; absent where nobody wants to know
 */
export const addCoverage = (
  counts: Counts,
  { steps, topic }: Case,
  ours: UnitTrace,
  theirs: Trace,
  plain: UnitTrace | undefined,
): void => {
  count(counts, `case about ${topic}`);
  const queues = new Set<bigint>();
  let recorded = false;
  let stopped = false;
  steps.forEach((step, i) => {
    if (step.kind === "write" && step.offset === AT.IQA)
      queues.add((step.value >> 12n) & 0xf_ffffn);
    const view = theirs.views[i];
    if (view === undefined) return;
    count(counts, `step ${step.kind}`);
    const registers = new DataView(view.registers.buffer, view.registers.byteOffset);
    const high = registers.getUint32(RECORD + 12, true);
    const pending = high >>> 31 === 1;
    if (pending && !recorded) count(counts, `reason ${hex(high & 0xff)}`);
    recorded = pending;
    const error = (registers.getUint32(AT.FSTS, true) & 0x10) !== 0;
    if (error && !stopped) count(counts, "queue error");
    if (!error && stopped) count(counts, "queue error cleared");
    stopped = error;
    if (step.kind === "dma")
      for (const each of ours.outcomes[i]!) count(counts, `page ${pageOf(each)}`);
    if (step.kind === "write" && ours.ranges[i]!.length > 0) count(counts, "status written");
  });
  countDescriptors(counts, steps, queues);
  for (const _ of theirs.interrupts) count(counts, "interrupt delivered");
  if (plain !== undefined) countStale(counts, steps, ours, plain);
};

/** Counts, a line each. */
export const coverageLines = (counts: Counts): string[] =>
  [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${String(value).padStart(8)}  ${name}`);
