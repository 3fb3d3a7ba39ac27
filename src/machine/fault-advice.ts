import { hex } from "../bits/hex.ts";
import { floorLg2 } from "../bits/log2.ts";
import {
  type Capabilities,
  FAULT_REASONS,
  PASID_ENTRY,
  type VtdFault,
} from "../hardware/vtd/index.ts";
import type { Field, Layout } from "../struct/layout.ts";
import { type EntryStep, pathThrough, type RecordedWalk, type WalkStep } from "./recorded-walk.ts";

/** One entry that would have to be another one for the request to pass. */
export interface EntryChange {
  /** The entry, such as `stage 1 level 0 entry`. */
  readonly entry: string;
  /** Physical address of the quadword to change. */
  readonly address: bigint;
  /** What to do, such as `set writable (bit 1)`. */
  readonly change: string;
  /** The quadword as it is; `undefined` where there is no memory. */
  readonly from: bigint | undefined;
  /** As it would have to be; `undefined` where that takes an address that somebody has to choose. */
  readonly to: bigint | undefined;
}

/** Why a request was refused, and what would have to change. */
export interface FaultAdvice {
  /** The values that decided. */
  readonly why: string;
  /** Every entry that would have to change; empty where it is not an entry. */
  readonly changes: readonly EntryChange[];
}

/** What a piece of advice is made from. */
interface Scene {
  readonly fault: VtdFault;
  readonly steps: readonly WalkStep[];
  readonly last: WalkStep | undefined;
  readonly capabilities: Capabilities;
}

/** What an entry is called. */
export const nameOfStep = (step: WalkStep): string =>
  step.kind === "structure" ? step.layout.name : `stage ${step.stage} level ${step.level} entry`;

/** A field and where it is in its structure: `AW (bits 66:64)`. */
const placeOf = ({ name, at, width }: Field): string =>
  width === 1 ? `${name} (bit ${at})` : `${name} (bits ${at + width - 1}:${at})`;

/** The change of `field` in the entry of `step` to `value`. */
const changeField = (step: WalkStep, field: Field, value: bigint): EntryChange => {
  const from = step.words?.[field.qword];
  const to = from === undefined ? undefined : (from & ~field.mask) | (value << field.shift);
  const change =
    field.width === 1
      ? `${value === 0n ? "clear" : "set"} ${placeOf(field)}`
      : `set ${placeOf(field)} to ${value}`;
  return {
    entry: nameOfStep(step),
    address: step.address + BigInt(field.qword * 8),
    change,
    from,
    to,
  };
};

/** A change to an entry that takes an address which nobody here knows. */
const changePointer = (step: WalkStep, field: Field, to: string): EntryChange => ({
  entry: nameOfStep(step),
  address: step.address + BigInt(field.qword * 8),
  change: `point ${placeOf(field)} to ${to}`,
  from: step.words?.[field.qword],
  to: undefined,
});

const fieldOf = (step: WalkStep, name: string): Field | undefined =>
  (step.layout as Layout<string>).fields[name];

/** The field with the address that a step's entry points to. */
const pointerOf = (step: WalkStep, stage: 1 | 2): Field | undefined => {
  if (step.layout === PASID_ENTRY) return fieldOf(step, stage === 1 ? "FSPTPTR" : "SSPTPTR");
  return Object.values<Field>(step.layout.fields).find(({ kind }) => kind === "address");
};

const isEmpty = (step: WalkStep): boolean => step.words?.every((word) => word === 0n) ?? true;

/** The entry that was read is not present. */
const absent = ({ fault, last }: Scene): FaultAdvice | undefined => {
  const field = last === undefined ? undefined : (fieldOf(last, "P") ?? fieldOf(last, "present"));
  if (last === undefined || field === undefined) return undefined;
  const pointer = pointerOf(last, fault.stage === 2 ? 2 : 1);
  const needsAddress = isEmpty(last) && pointer !== undefined;
  const target = last.kind === "entry" && last.leaf ? "a page" : "a table";
  const set = changeField(last, field, 1n);
  return {
    why: isEmpty(last)
      ? `the ${nameOfStep(last)} at ${hex(last.address)} is all zeros`
      : `${placeOf(field)} is clear in the ${nameOfStep(last)} at ${hex(last.address)}`,
    changes: [
      needsAddress
        ? {
            ...set,
            change: `${set.change} and point ${placeOf(pointer)} to ${target}`,
            to: undefined,
          }
        : set,
    ],
  };
};

/** A leaf is of a size that the unit does not have. */
const noSuchSize = (step: WalkStep, capabilities: Capabilities): FaultAdvice | undefined => {
  const field = fieldOf(step, "pageSize");
  const pointer = fieldOf(step, "address");
  if (field?.needs === undefined || capabilities.has(field.needs) || pointer === undefined) {
    return undefined;
  }
  const change = `clear ${placeOf(field)} and point ${placeOf(pointer)}`;
  return {
    why: whyReserved(step.layout, field.at, capabilities),
    changes: [
      {
        ...changePointer(step, pointer, "a table"),
        change: `${change} to a table of smaller pages`,
      },
    ],
  };
};

/** An entry has bits that must be 0. */
const reserved = ({ last, capabilities }: Scene): FaultAdvice | undefined => {
  const { words } = last ?? {};
  if (last === undefined || words === undefined) return undefined;
  const sizeless = noSuchSize(last, capabilities);
  if (sizeless !== undefined) return sizeless;
  const masks = last.layout.reservedMask(capabilities);
  const changes: EntryChange[] = [];
  const reasons: string[] = [];
  words.forEach((word, i) => {
    const bad = word & masks[i]!;
    if (bad === 0n) return;
    const bits = bitsOf(bad).map((bit) => bit + i * 64);
    reasons.push(...bits.map((bit) => whyReserved(last.layout, bit, capabilities)));
    changes.push({
      entry: nameOfStep(last),
      address: last.address + BigInt(i * 8),
      change: `clear ${bits.length === 1 ? "bit" : "bits"} ${bits.join(", ")}`,
      from: word,
      to: word & ~bad,
    });
  });
  return { why: [...new Set(reasons)].join("; "), changes };
};

const bitsOf = (value: bigint): number[] =>
  Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => ((value >> BigInt(bit)) & 1n) === 1n);

const whyReserved = (layout: Layout<string>, bit: number, capabilities: Capabilities): string => {
  const field = Object.values<Field>(layout.fields).find(
    ({ at, width }) => bit >= at && bit < at + width,
  );
  if (field === undefined) return `bit ${bit} of a ${layout.name} is reserved`;
  if (field.needs !== undefined && !capabilities.has(field.needs)) {
    return `bit ${bit}, ${field.name}, is reserved on a unit without ${field.needs}`;
  }
  return `bit ${bit} is an address bit above the unit's ${capabilities.hostAddressWidth}`;
};

/** A table that something points to is not in memory. */
const unreadable = ({ fault, steps, last }: Scene): FaultAdvice | undefined => {
  if (last === undefined) return undefined;
  const why = `there is no memory at ${hex(last.address)}`;
  const above = pointerAbove(steps, last);
  const pointer = above === undefined ? undefined : pointerOf(above, fault.stage === 1 ? 1 : 2);
  if (above === undefined || pointer === undefined) return { why, changes: [] };
  return { why, changes: [changePointer(above, pointer, "a table in memory")] };
};

/** The entry whose address led to `step`. */
const pointerAbove = (steps: readonly WalkStep[], step: WalkStep): WalkStep | undefined => {
  if (step.kind === "structure") return steps[steps.indexOf(step) - 1];
  const path = pathThrough(steps, step.stage);
  const above = path[path.indexOf(step) - 1];
  if (above !== undefined) return above;
  return steps.findLast(({ kind }) => kind === "structure");
};

/** What is needed of every entry of a stage, by the names of its fields. */
const NEEDED = {
  1: { read: "present", write: "writable", user: "user" },
  2: { read: "read", write: "write", user: "read" },
} as const;

type Right = keyof (typeof NEEDED)[1];

/** A right that every entry on the way must grant. */
const rightsIn =
  (stage: 1 | 2, rights: (fault: VtdFault) => readonly Right[]) =>
  ({ fault, steps }: Scene): FaultAdvice | undefined => {
    const path = pathThrough(steps, stage);
    const changes: EntryChange[] = [];
    const reasons: string[] = [];
    for (const right of new Set(rights(fault))) {
      for (const step of path) {
        const field = fieldOf(step, NEEDED[stage][right]);
        if (field === undefined || ((step.words?.[0] ?? 0n) & field.mask) !== 0n) continue;
        changes.push(grant(step, field));
        reasons.push(`${placeOf(field)} is clear in the ${nameOfStep(step)}`);
      }
    }
    return changes.length === 0 ? undefined : { why: reasons.join("; "), changes };
  };

const grant = (step: EntryStep, field: Field): EntryChange => {
  const change = changeField(step, field, 1n);
  const pointer = pointerOf(step, step.stage);
  if (!isEmpty(step) || pointer === undefined) return change;
  const target = step.leaf ? "a page" : "a table";
  return {
    ...change,
    change: `${change.change} and point ${placeOf(pointer)} to ${target}`,
    to: undefined,
  };
};

/** Every first-stage entry on the way must let code be fetched. */
const notExecutable = ({ steps }: Scene): FaultAdvice | undefined => {
  const disabled = pathThrough(steps, 1).flatMap((step) => {
    const field = fieldOf(step, "executeDisable");
    return field !== undefined && ((step.words?.[0] ?? 0n) & field.mask) !== 0n
      ? [{ step, field }]
      : [];
  });
  return {
    why: disabled
      .map(({ step, field }) => `${placeOf(field)} is set in the ${nameOfStep(step)}`)
      .join("; "),
    changes: disabled.map(({ step, field }) => changeField(step, field, 0n)),
  };
};

/** What the request wants to do. */
const wanted = ({ access }: VtdFault): Right[] => [
  ...(access.read ? (["read"] as const) : []),
  ...(access.write ? (["write"] as const) : []),
];

/** A field of the last entry of a structure has to have another value. */
const fieldIn =
  (name: string, value: bigint, why: (now: bigint) => string) =>
  ({ steps }: Scene): FaultAdvice | undefined => {
    const step = steps.findLast(
      (each) => each.kind === "structure" && fieldOf(each, name) !== undefined,
    );
    const field = step === undefined ? undefined : fieldOf(step, name);
    if (step?.words === undefined || field === undefined) return undefined;
    const now = step.layout.decode(step.words)[name]!;
    return {
      why: `${why(now)} in the ${nameOfStep(step)} at ${hex(step.address)}`,
      changes: [changeField(step, field, value)],
    };
  };

const clear = (name: string) => () => `${name} is clear`;

/** A translation type or width that the unit does not have. */
const invalid = ({ last, capabilities }: Scene): FaultAdvice | undefined => {
  if (last?.words === undefined) return undefined;
  const values = last.layout.decode(last.words);
  const typeField = fieldOf(last, "PGTT") ?? fieldOf(last, "TT");
  const widthField = fieldOf(last, "AW");
  if (typeField === undefined || widthField === undefined) return undefined;
  const type = `${typeField.name} is ${values[typeField.name]} (${typeField.doc})`;
  const width = `AW is ${values["AW"]} (${widthField.doc})`;
  const widths = bitsOf(BigInt(capabilities.secondStageWidths));
  const types = ["FSTS", "SSTS", "NEST", "PT", "DT", "FS5LP"].filter((each) =>
    capabilities.has(each),
  );
  return {
    why: `${type}; ${width}; the unit has ${types.join(", ") || "no other type"} and AW ${widths.join(", ") || "none"}`,
    changes: [],
  };
};

/** The page that the leaf maps to is where interrupts go. */
const intoInterrupts = ({ fault, steps }: Scene): FaultAdvice | undefined => {
  const stage = fault.stage === 1 ? 1 : 2;
  const leaf = pathThrough(steps, stage).at(-1);
  const pointer = leaf === undefined ? undefined : pointerOf(leaf, stage);
  if (leaf === undefined || pointer === undefined) return undefined;
  return {
    why: "writes to FEE0_0000 to FEEF_FFFF are interrupts and not memory",
    changes: [changePointer(leaf, pointer, "a page outside that range")],
  };
};

const limit = (what: string, bits: number): FaultAdvice => ({
  why: `${what} ${bits} bits: the last address is ${hex((1n << BigInt(bits)) - 1n)}`,
  changes: [],
});

/** The address is beyond what the second stage's tables or the unit reach. */
const beyondWidth = ({ steps, capabilities }: Scene): FaultAdvice | undefined => {
  const holder = steps.findLast(
    (step) => step.kind === "structure" && fieldOf(step, "AW") !== undefined,
  );
  if (holder?.words === undefined) return undefined;
  const levels = Number(holder.layout.decode(holder.words)["AW"]!) + 2;
  const bits = Math.min(12 + 9 * levels, capabilities.guestAddressWidth);
  return limit(`a second stage of ${levels} levels on this unit translates`, bits);
};

const notCanonical = ({ steps }: Scene): FaultAdvice | undefined => {
  const step = steps.findLast(({ layout }) => layout === PASID_ENTRY);
  const bits = step?.words !== undefined && PASID_ENTRY.decode(step.words).FSPM === 1n ? 57 : 48;
  return { why: `bits 63 to ${bits - 1} of the address are not all alike`, changes: [] };
};

/** log2 of the PASIDs that a directory with PDTS=0 reaches (VT-d specification 9.4). */
const DIRECTORY_LG2 = 13;

/** The request's PASID is beyond the directory, or beyond what the unit takes. */
const beyondDirectory: Advisor = (scene) => {
  const { pasidBits } = scene.capabilities;
  const pasid = scene.fault.pasid ?? 0;
  if (pasid >= 2 ** pasidBits) {
    return { why: `the unit takes PASIDs of ${pasidBits} bits`, changes: [] };
  }
  const enough = Math.max(0, floorLg2(BigInt(pasid)) + 1 - DIRECTORY_LG2);
  const limitOf = (pdts: bigint): string => hex(1n << (pdts + BigInt(DIRECTORY_LG2)));
  return fieldIn(
    "PDTS",
    BigInt(enough),
    (now) => `PDTS ${now} reaches PASIDs below ${limitOf(now)}`,
  )(scene);
};

type Advisor = (scene: Scene) => FaultAdvice | undefined;

const read = (): readonly Right[] => ["read"];
const write = (): readonly Right[] => ["write"];

const snooped = fieldIn("PWSNP", 1n, clear("PWSNP"));

/** Who explains which code. What is not here is explained by the table of codes alone. */
const ADVISORS: ReadonlyMap<number, Advisor> = new Map<number, Advisor>([
  ...[0x01, 0x02, 0x39, 0x41, 0x51, 0x59, 0x71].map((code) => [code, absent] as const),
  ...[0x0a, 0x0b, 0x0c, 0x3a, 0x42, 0x52, 0x5a, 0x72, 0x7a].map(
    (code) => [code, reserved] as const,
  ),
  ...[0x07, 0x08, 0x09, 0x38, 0x40, 0x50, 0x58, 0x70, 0x73, 0x78, 0x7b].map(
    (code) => [code, unreadable] as const,
  ),
  [0x03, (scene) => (scene.fault.stage === 2 ? unreadable(scene) : invalid(scene))],
  [0x5b, invalid],
  [0x04, beyondWidth],
  [0x84, beyondWidth],
  [0x80, notCanonical],
  [
    0x83,
    ({ capabilities }) =>
      limit("the unit's physical addresses have", capabilities.hostAddressWidth),
  ],
  [0x0d, fieldIn("TT", 1n, (now) => `TT is ${now}`)],
  [0x0e, intoInterrupts],
  [0x87, intoInterrupts],
  [0x44, fieldIn("DTE", 1n, clear("DTE"))],
  [0x45, fieldIn("PASIDE", 1n, clear("PASIDE"))],
  [0x46, beyondDirectory],
  [0x48, fieldIn("RID_PASID", 0n, (now) => `RID_PASID is ${hex(now)}`)],
  [0x5d, fieldIn("SRE", 1n, clear("SRE"))],
  [0x81, rightsIn(1, () => ["user"])],
  [0x82, notExecutable],
  [0x85, (scene) => rightsIn(scene.fault.stage === 1 ? 1 : 2, write)(scene)],
  [0x05, rightsIn(2, write)],
  [0x06, rightsIn(2, read)],
  [0x86, rightsIn(2, read)],
  [0x79, rightsIn(2, wanted)],
  [0x75, rightsIn(2, read)],
  [0x76, rightsIn(2, read)],
  [0x77, rightsIn(2, write)],
  [0x7c, snooped],
  [0x90, snooped],
]);

/**
 * Explains a refusal by the entries that the walk has read.
 *
 * @returns `undefined` when the walk was not refused
 */
export const adviseOn = (
  walk: RecordedWalk,
  capabilities: Capabilities,
): FaultAdvice | undefined => {
  const { steps, outcome } = walk;
  if (outcome.ok) return undefined;
  const { fault } = outcome;
  const advice = ADVISORS.get(fault.code)?.({ fault, steps, last: steps.at(-1), capabilities });
  return advice ?? { why: FAULT_REASONS.get(fault.code)?.text ?? fault.message, changes: [] };
};
