import { fromHalves, highHalf, lowHalf } from "../bits/halves.ts";
import { DmaRequest, NO_PASID } from "../hardware/pci/dma-request.ts";
import {
  CONTEXT_ENTRY,
  ENTRY_READ,
  FLAGS_SET,
  PASID_DIRECTORY_ENTRY,
  PASID_ENTRY,
  PGTT_NESTED,
  ROOT_ENTRY,
  SCALABLE_CONTEXT_ENTRY,
  SCALABLE_ROOT_HALF,
  STRUCTURE_READ,
  type TranslationUnit,
  type VtdFault,
} from "../hardware/vtd/index.ts";
import { classify, LEAF } from "../page-table/entry.ts";
import { type PageTableFormat, PROT_READ, PROT_USER, PROT_WRITE } from "../page-table/format.ts";
import { VTD_SECOND_STAGE } from "../page-table/formats/vtd-second-stage.ts";
import { X86_64 } from "../page-table/formats/x86-64.ts";
import type { Field, Layout } from "../struct/layout.ts";
import type { EventType, TraceEvent } from "../trace/channel.ts";

/** Every structure that a unit reads on its way to the page tables. */
const STRUCTURES: readonly Layout<string>[] = [
  ROOT_ENTRY,
  SCALABLE_ROOT_HALF,
  CONTEXT_ENTRY,
  SCALABLE_CONTEXT_ENTRY,
  PASID_DIRECTORY_ENTRY,
  PASID_ENTRY,
];

/** A field of an entry and what it holds; an address keeps its place. */
export interface FieldValue {
  readonly field: Field;
  readonly value: bigint;
}

/** What every step has. */
interface StepPlace {
  /** Physical address of the entry. */
  readonly address: bigint;
  /** The entry as it was read; `undefined` where there is no memory. */
  readonly words: readonly bigint[] | undefined;
  /** What its bits are. */
  readonly layout: Layout<string>;
}

/** A root, context or PASID entry was read. */
export interface StructureStep extends StepPlace {
  readonly kind: "structure";
}

/** A page-table entry was read. */
export interface EntryStep extends StepPlace {
  readonly kind: "entry";
  readonly stage: 1 | 2;
  /** 0 is the level of 4 KiB pages. */
  readonly level: number;
  /** Whether it is the place of a page and not of a table, present or not. */
  readonly leaf: boolean;
  /** Inside a first stage: the second stage translates an address that the first one needs. */
  readonly nested: boolean;
  /** What is being translated: the request's address, or a guest physical one where nested. */
  readonly input: bigint;
  /** Accessed, dirty and extended-accessed flags that were set after it was read. */
  readonly flagsSet: bigint;
}

/** One read of a translation, in the order in which they happened. */
export type WalkStep = StructureStep | EntryStep;

/** A request to translate. */
export interface WalkRequest {
  /** Requester ID. */
  readonly source: number;
  /** Absent for a request without a PASID. */
  readonly pasid?: number | undefined;
  readonly iova: bigint;
  /** As in `DmaRequest`. */
  readonly access: number;
}

/** A translation that went through. */
export interface WalkedTo {
  readonly ok: true;
  readonly address: bigint;
  /** log2 of the size of the page; 64 where the address was not translated. */
  readonly pageLg2: number;
  /** What the entries on the way allow together, as `PROT_READ`, `PROT_WRITE` and `PROT_USER`. */
  readonly prot: number;
}

/** A translation that was refused. */
export interface Refused {
  readonly ok: false;
  readonly fault: VtdFault;
}

/** One translation with every read that it made. */
export interface RecordedWalk {
  readonly request: WalkRequest;
  readonly steps: readonly WalkStep[];
  readonly outcome: WalkedTo | Refused;
  readonly reads: {
    /** Root, context and PASID entries. */
    readonly structures: number;
    /** Page-table entries. */
    readonly entries: number;
  };
}

/** The format of a stage's page tables. */
export const formatOfStage = (stage: 1 | 2): PageTableFormat =>
  stage === 1 ? X86_64 : VTD_SECOND_STAGE;

/** The fields of an entry that are not 0 and mean something. */
export const setFields = (layout: Layout<string>, words: readonly bigint[]): FieldValue[] => {
  const values = layout.decode(words);
  return Object.values<Field>(layout.fields)
    .filter((field) => field.ignored !== true && values[field.name] !== 0n)
    .map((field) => ({ field, value: values[field.name]! }));
};

/** What `event` carries, if it is one of `type`. */
const carried = <Payload>(event: TraceEvent, type: EventType<Payload>): Payload | undefined =>
  event.name === type.name ? (event.payload as Payload) : undefined;

const isLeaf = (stage: 1 | 2, level: number, value: bigint): boolean =>
  level === 0 || classify(formatOfStage(stage), level, highHalf(value), lowHalf(value)) === LEAF;

/** Turns the events of one translation into steps. */
class Recorder {
  readonly steps: WalkStep[] = [];
  #nesting = false;

  hear(event: TraceEvent): void {
    const structure = carried(event, STRUCTURE_READ);
    if (structure !== undefined) {
      const layout = STRUCTURES.find(({ name }) => name === structure.structure)!;
      const { address, words } = structure;
      this.steps.push({ kind: "structure", address, words, layout });
      if (layout === PASID_ENTRY && words !== undefined) {
        this.#nesting = PASID_ENTRY.decode(words).PGTT === BigInt(PGTT_NESTED);
      }
    }
    const entry = carried(event, ENTRY_READ);
    if (entry !== undefined) {
      const { stage, level, address, value, input } = entry;
      const leaf = value !== undefined && isLeaf(stage, level, value);
      this.steps.push({
        kind: "entry",
        stage,
        level,
        leaf,
        nested: this.#nesting && stage === 2,
        address,
        words: value === undefined ? undefined : [value],
        layout: formatOfStage(stage).layoutOf(level, leaf),
        input,
        flagsSet: 0n,
      });
    }
    const flags = carried(event, FLAGS_SET);
    if (flags !== undefined) this.#mark(flags.stage, flags.address, BigInt(flags.bits >>> 0));
  }

  /** Notes flags at the entry that they were set in; the second stage may have been read since. */
  #mark(stage: 1 | 2, address: bigint, bits: bigint): void {
    const at = this.steps.findLastIndex(
      (step) => step.kind === "entry" && step.stage === stage && step.address === address,
    );
    const step = this.steps[at];
    if (step?.kind !== "entry") return;
    const already = step.words?.[0] ?? 0n;
    this.steps[at] = { ...step, flagsSet: step.flagsSet | (bits & ~already) };
  }
}

/**
 * The entries that decided in a stage, from the top table down: in a nested
 * translation's second stage, those for the address that was translated last.
 */
export const pathThrough = (steps: readonly WalkStep[], stage: 1 | 2): EntryStep[] => {
  const entries = steps.filter(
    (step): step is EntryStep => step.kind === "entry" && step.stage === stage,
  );
  const top = entries.findLastIndex(({ level }, i) => level >= (entries[i - 1]?.level ?? 0));
  return entries.slice(Math.max(0, top));
};

const EVERYTHING = PROT_READ | PROT_WRITE | PROT_USER;

/** What a stage's entries allow together; `undefined` when it had none. */
const allowedBy = (steps: readonly WalkStep[], stage: 1 | 2): number | undefined => {
  const path = pathThrough(steps, stage);
  if (path.length === 0) return undefined;
  const { permissions } = formatOfStage(stage);
  return path.reduce((all, { words }) => {
    const [value = 0n] = words ?? [];
    return all & permissions(highHalf(value), lowHalf(value));
  }, EVERYTHING);
};

const allowedAlong = (steps: readonly WalkStep[]): number => {
  const first = allowedBy(steps, 1);
  const second = allowedBy(steps, 2);
  if (first === undefined) return second ?? PROT_READ | PROT_WRITE;
  return second === undefined ? first : first & (second | PROT_USER);
};

/**
 * Has a unit translate a request and records every read that it makes. A unit
 * with caches reads only what it does not know.
 */
export const recordWalk = (unit: TranslationUnit, request: WalkRequest): RecordedWalk => {
  const dma = new DmaRequest();
  dma.source = request.source;
  dma.pasid = request.pasid ?? NO_PASID;
  dma.hi = highHalf(request.iova);
  dma.lo = lowHalf(request.iova);
  dma.access = request.access;
  const recorder = new Recorder();
  const stop = unit.trace.listen("vtd.*", (event) => recorder.hear(event));
  let passed: boolean;
  try {
    passed = unit.translate(dma);
  } finally {
    stop();
  }
  const { steps } = recorder;
  const structures = steps.filter(({ kind }) => kind === "structure").length;
  return {
    request,
    steps,
    outcome: passed
      ? {
          ok: true,
          address: fromHalves(dma.outHi, dma.outLo),
          pageLg2: dma.pageLg2,
          prot: allowedAlong(steps),
        }
      : { ok: false, fault: dma.fault as VtdFault },
    reads: { structures, entries: steps.length - structures },
  };
};
