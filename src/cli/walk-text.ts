import { hex } from "../bits/hex.ts";
import type { Capabilities } from "../hardware/vtd/index.ts";
import {
  adviseOn,
  type EntryChange,
  type RecordedWalk,
  setFields,
  type WalkStep,
} from "../machine/index.ts";
import { protText } from "../page-table/format.ts";
import { formatDevice, formatSize } from "./notation.ts";
import { alignColumns, type Paint, widthOf } from "./paint.ts";
import { wrap } from "./wrap.ts";

/** Columns of the explanation of a fault. */
const FAULT_COLUMNS = 110;

/** The short name of a step; the mode is said once, above. */
const label = (step: WalkStep): string =>
  step.kind === "structure"
    ? step.layout.name.replace("scalable ", "").replace("directory entry", "directory")
    : `${step.nested ? "    " : ""}stage ${step.stage} level ${step.level}`;

/** An entry's quadwords; a run of zeros at the end is shortened. */
const rawText = (step: WalkStep): string => {
  const { words } = step;
  if (words === undefined) return "no memory";
  if (step.kind === "entry") return `0x${words[0]!.toString(16).padStart(16, "0")}`;
  const used = words.findLastIndex((word) => word !== 0n) + 1;
  const rest = words.length - used;
  const shown = rest > 2 ? words.slice(0, Math.max(1, used)) : words;
  const zeros = words.length - shown.length;
  const texts = shown.map((word) => (word === 0n ? "0" : hex(word)));
  return `${texts.join(" ")}${zeros > 0 ? ` 0×${zeros}` : ""}`;
};

/** The bits of `word` that the step's layout says must be 0. */
const reservedText = (step: WalkStep, capabilities: Capabilities): string[] =>
  step.layout.reservedMask(capabilities).flatMap((mask, i) => {
    const bad = (step.words?.[i] ?? 0n) & mask;
    return bad === 0n ? [] : [`reserved ${hex(bad)}`];
  });

const flagNames = (step: WalkStep): string[] =>
  step.kind !== "entry"
    ? []
    : setFields(step.layout, [step.flagsSet]).map(({ field }) => field.name);

/** The bits of an entry that are set, by name. */
const decodedText = (step: WalkStep, capabilities: Capabilities, paint: Paint): string => {
  if (step.words === undefined) return paint.red("nothing can be read here");
  const fields = setFields(step.layout, step.words);
  const names = fields.map(({ field, value }) => {
    if (field.width === 1) return field.name;
    if (field.kind !== "address") return paint.bold(`${field.name}=${value}`);
    return paint.bold(step.kind === "entry" ? `→ ${hex(value)}` : `${field.name}=${hex(value)}`);
  });
  const flags = flagNames(step).map((name) => paint.green(`+${name}`));
  const reserved = reservedText(step, capabilities).map(paint.red);
  const page =
    step.kind === "entry" && step.leaf && fields.length > 0
      ? [paint.dim(`${formatSize(1n << BigInt(12 + 9 * step.level))} page`)]
      : [];
  const all = [...names, ...reserved, ...flags, ...page];
  return all.length === 0 ? paint.red("all zeros") : all.join(" ");
};

/** What a nested second stage translates, at the entry where it begins. */
const purposeOf = (steps: readonly WalkStep[], at: number): string => {
  const step = steps[at]!;
  const before = steps[at - 1];
  if (step.kind !== "entry" || !step.nested) return "";
  if (before?.kind === "entry" && before.nested && before.level > step.level) return "";
  // The walker asks again before it sets flags in an entry that it has just read.
  const again = before?.kind === "entry" && before.stage === 1;
  const earlier = steps
    .slice(0, at)
    .some((each) => each.kind === "entry" && each.input === step.input);
  return `for guest ${hex(step.input)}${again && earlier ? ", to set flags in it" : ""}`;
};

/** The line that says what was asked. */
export const requestLine = (walk: RecordedWalk, paint: Paint): string => {
  const { source, pasid, iova, access } = walk.request;
  const verbs = [
    ...((access & 1) !== 0 ? ["reads"] : []),
    ...((access & 2) !== 0 ? ["writes"] : []),
    ...((access & 4) !== 0 ? ["executes"] : []),
  ];
  const privilege = (access & 8) !== 0 ? " with privilege" : "";
  const device = formatDevice({ segment: 0, requesterId: source });
  const space = pasid === undefined ? "without a PASID" : `with PASID ${hex(pasid)}`;
  return `${paint.bold(device)} ${verbs.join(" and ")} ${paint.bold(hex(iova))} ${space}${privilege}`;
};

/** Whether an entry is what refused the request: one that would have to change, or else the one the fault names. */
const refusers = (
  walk: RecordedWalk,
  capabilities: Capabilities,
): ((step: WalkStep) => boolean) => {
  const { outcome, steps } = walk;
  if (outcome.ok) return () => false;
  const changes = adviseOn(walk, capabilities)?.changes ?? [];
  const unreadable = steps.at(-1)?.words === undefined;
  if (changes.length === 0 || unreadable) {
    const named = outcome.fault.entry?.address;
    return ({ address }) => address === named;
  }
  return ({ address, layout }) =>
    changes.some(
      (change) => change.address >= address && change.address < address + BigInt(layout.bytes),
    );
};

/** One line for each entry that was read, the leaf last. */
export const stepLines = (
  walk: RecordedWalk,
  capabilities: Capabilities,
  paint: Paint,
): string[] => {
  const refuses = refusers(walk, capabilities);
  return alignColumns(
    walk.steps.map((step, i) => {
      const purpose = paint.dim(purposeOf(walk.steps, i));
      const name = step.kind === "entry" && step.leaf ? paint.cyan(label(step)) : label(step);
      return [
        refuses(step) ? paint.red(`✗ ${label(step)}`) : `  ${name}`,
        paint.dim(hex(step.address)),
        rawText(step),
        `${decodedText(step, capabilities, paint)} ${purpose}`.trimEnd(),
      ];
    }),
  );
};

/** `4 structures, 4 page-table entries`: what was read. */
export const readsText = ({ reads }: RecordedWalk): string => {
  const count = (n: number, one: string, many: string): string => `${n} ${n === 1 ? one : many}`;
  const total = reads.structures + reads.entries;
  return (
    `${count(total, "memory read", "memory reads")}: ` +
    `${count(reads.structures, "structure entry", "structure entries")}, ` +
    `${count(reads.entries, "page-table entry", "page-table entries")}`
  );
};

const changeLine = ({ entry, address, change, from, to }: EntryChange): string => {
  const values =
    to === undefined
      ? from === undefined
        ? ""
        : `, now ${hex(from)}`
      : `: ${hex(from ?? 0n)} → ${hex(to)}`;
  return `${change} in the ${entry} at ${hex(address)}${values}`;
};

const SILENCES = {
  fpd: "hardware records nothing: FPD is set",
  recoverable: "hardware records nothing: the request was a translation request",
  "abort-dma": "hardware records nothing in abort-DMA mode",
  "cached-rights": "hardware records nothing: a cached translation does not permit it",
  "protected-memory": "hardware records nothing for protected memory",
} as const;

/** A heading and text beside it, wrapped. */
const beside = (heading: string, text: string, paint: Paint): string[] => {
  const column = 12;
  return wrap(text, column, FAULT_COLUMNS).map((line, i) =>
    i === 0
      ? `  ${paint.dim(heading)}${" ".repeat(Math.max(1, column - 2 - widthOf(heading)))}${line.trimStart()}`
      : line,
  );
};

/** How it ended: where the address leads, or why it was refused and what would help. */
export const outcomeLines = (
  walk: RecordedWalk,
  capabilities: Capabilities,
  paint: Paint,
): string[] => {
  const { outcome, request } = walk;
  if (outcome.ok) {
    const size =
      outcome.pageLg2 === 64
        ? "not translated"
        : `${formatSize(1n << BigInt(outcome.pageLg2))} page`;
    const way = `${hex(request.iova)} → ${hex(outcome.address)}`;
    return [`${paint.green(paint.bold(way))}  ${size}, ${protText(outcome.prot)}`];
  }
  const { fault } = outcome;
  const advice = adviseOn(walk, capabilities);
  const level = fault.level === undefined ? "" : `, level ${fault.level}`;
  const place = fault.stage === 0 ? "" : ` (stage ${fault.stage}${level})`;
  const lines = [`${paint.red(paint.bold(fault.message))}${place}`];
  if (advice !== undefined) lines.push(...beside("why", advice.why, paint));
  const changes = advice?.changes.map(changeLine) ?? [];
  const remedies = changes.length === 0 ? [fault.remedy] : changes;
  remedies.forEach((text, i) => {
    lines.push(...beside(i === 0 ? "to pass" : "and", text, paint));
  });
  if (fault.silenced !== undefined)
    lines.push(...beside("silent", SILENCES[fault.silenced], paint));
  return lines;
};
