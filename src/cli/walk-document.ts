import { hex } from "../bits/hex.ts";
import { EXECUTE, PRIVILEGED, READ, WRITE } from "../hardware/pci/index.ts";
import type { Capabilities, VtdFault } from "../hardware/vtd/index.ts";
import {
  adviseOn,
  nameOfStep,
  type RecordedWalk,
  setFields,
  type WalkStep,
} from "../machine/index.ts";
import { protText } from "../page-table/format.ts";
import { formatDevice } from "./notation.ts";

/** Values of JSON; addresses and whatever else has 64 bits are hexadecimal strings. */
type JsonValue = string | number | boolean | null | JsonValue[] | { [name: string]: JsonValue };

const fieldsOf = (step: WalkStep, words: readonly bigint[]): JsonValue =>
  Object.fromEntries(
    setFields(step.layout, words).map(({ field, value }) => [field.name, hex(value)]),
  );

const stepDocument = (step: WalkStep, capabilities: Capabilities): JsonValue => {
  const { words } = step;
  const reserved = step.layout
    .reservedMask(capabilities)
    .map((mask, i) => (words?.[i] ?? 0n) & mask);
  return {
    entry: nameOfStep(step),
    stage: step.kind === "entry" ? step.stage : null,
    level: step.kind === "entry" ? step.level : null,
    leaf: step.kind === "entry" ? step.leaf : null,
    nested: step.kind === "entry" ? step.nested : null,
    input: step.kind === "entry" ? hex(step.input) : null,
    address: hex(step.address),
    words: words === undefined ? null : words.map(hex),
    fields: words === undefined ? null : fieldsOf(step, words),
    reserved: reserved.some((bits) => bits !== 0n) ? reserved.map(hex) : null,
    flagsSet: step.kind === "entry" ? hex(step.flagsSet) : null,
  };
};

const faultDocument = (
  fault: VtdFault,
  walk: RecordedWalk,
  capabilities: Capabilities,
): JsonValue => {
  const advice = adviseOn(walk, capabilities);
  const { entry } = fault;
  return {
    code: hex(fault.code),
    message: fault.message,
    stage: fault.stage,
    level: fault.level ?? null,
    entry:
      entry === undefined
        ? null
        : {
            address: hex(entry.address),
            value: entry.value === undefined ? null : hex(entry.value),
          },
    why: advice?.why ?? null,
    remedy: fault.remedy,
    changes: (advice?.changes ?? []).map(({ entry: name, address, change, from, to }) => ({
      entry: name,
      address: hex(address),
      change,
      from: from === undefined ? null : hex(from),
      to: to === undefined ? null : hex(to),
    })),
    silenced: fault.silenced ?? null,
  };
};

/** A walk as `softiommu/walk@1`. The order of the names is fixed. */
export const walkDocument = (
  title: string,
  walk: RecordedWalk,
  capabilities: Capabilities,
): JsonValue => {
  const { request, outcome, reads } = walk;
  const { access } = request;
  return {
    schema: "softiommu/walk@1",
    capture: title,
    request: {
      bdf: formatDevice({ segment: 0, requesterId: request.source }),
      pasid: request.pasid ?? null,
      iova: hex(request.iova),
      read: (access & READ) !== 0,
      write: (access & WRITE) !== 0,
      execute: (access & EXECUTE) !== 0,
      privileged: (access & PRIVILEGED) !== 0,
    },
    steps: walk.steps.map((step) => stepDocument(step, capabilities)),
    reads: { structures: reads.structures, entries: reads.entries },
    result: outcome.ok
      ? {
          pa: hex(outcome.address),
          size: outcome.pageLg2 === 64 ? null : hex(1n << BigInt(outcome.pageLg2)),
          perms: protText(outcome.prot),
        }
      : null,
    fault: outcome.ok ? null : faultDocument(outcome.fault, walk, capabilities),
  };
};
