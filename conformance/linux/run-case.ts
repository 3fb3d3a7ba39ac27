import { fileURLToPath } from "node:url";
import { DescriptorDecoder } from "../../src/hardware/vtd/descriptor-decoder.ts";
import {
  DESCRIPTOR_FETCHED,
  IOTLB_HIT,
  REGISTER_READ,
  REGISTER_WRITTEN,
  type RemappingUnit,
  TRANSLATED,
} from "../../src/hardware/vtd/index.ts";
import { TraceChannel, type TraceEvent } from "../../src/trace/index.ts";
import type { LinuxCase } from "./cases.ts";
import { compareTables, leavesIn } from "./compare-tables.ts";
import { readDump } from "./debugfs.ts";
import { failure, mismatch } from "./expectation.ts";
import { readMessages, unexpected } from "./kernel-log.ts";
import { LinuxGuest } from "./linux-guest.ts";
import type { Machines } from "./machines.ts";
import { readScript } from "./script-file.ts";

const SCRIPTS = fileURLToPath(new URL("../../conformance/linux/scripts", import.meta.url));

/** What the driver and devices had of the unit. */
export interface UnitWork {
  reads: number;
  writes: number;
  translations: number;
  /** By kind and granularity, as `iotlb page`. */
  readonly descriptors: Map<string, number>;
}

/** Counts what happens to a unit from now on. */
export const countWork = (unit: RemappingUnit, trace: TraceChannel): UnitWork => {
  const work: UnitWork = { reads: 0, writes: 0, translations: 0, descriptors: new Map() };
  const decoder = new DescriptorDecoder(unit.capabilities);
  const descriptor = ({ payload }: TraceEvent): void => {
    const { words } = payload as { readonly words: readonly bigint[] };
    const decoded = decoder.decode(words, unit.translation.isScalable);
    const { kind, ...more } = decoded.kind === "invalidate" ? decoded.invalidation : decoded;
    const what = "what" in more && "granularity" in more.what ? ` ${more.what.granularity}` : "";
    work.descriptors.set(kind + what, (work.descriptors.get(kind + what) ?? 0) + 1);
  };
  trace.listen(REGISTER_READ.name, () => work.reads++);
  trace.listen(REGISTER_WRITTEN.name, () => work.writes++);
  trace.listen(TRANSLATED.name, () => work.translations++);
  trace.listen(IOTLB_HIT.name, () => work.translations++);
  trace.listen(DESCRIPTOR_FETCHED.name, descriptor);
  return work;
};

/** What came of a case. */
export interface CaseResult {
  readonly name: string;
  /** Nothing where it passed. */
  readonly problems: readonly string[];
  readonly seconds: number;
  readonly work: UnitWork;
  /** Leaves of page tables that were compared with the kernel's dump. */
  readonly leaves: number;
}

const runScriptFile = async (
  guest: LinuxGuest,
  name: string,
  problems: string[],
): Promise<readonly RegExp[]> => {
  const { lines, messages } = readScript(SCRIPTS, name);
  await guest.ask('{"reset":true}');
  for (const { number, text, answer: wanted } of lines) {
    const answer = await guest.ask(text);
    const wrong = wanted === undefined ? failure(answer) : mismatch(wanted, answer, "answer");
    if (wrong === undefined) continue;
    problems.push(`${name}.jsonl, line ${number}: ${wrong}, in ${JSON.stringify(answer)}`);
  }
  return messages;
};

/** Milliseconds that a message may take to come, on a busy host. */
const MESSAGE_MS = 10_000;

const judgeMessages = async (
  guest: LinuxGuest,
  provoked: readonly RegExp[],
): Promise<readonly string[]> => {
  const messages = await readMessages(guest);
  const began = performance.now();
  const stillMissing = (): RegExp[] =>
    provoked.filter((each) => !messages.some(({ text }) => each.test(text)));
  // The kernel's fault handler is a thread of its own.
  while (stillMissing().length > 0 && performance.now() - began < MESSAGE_MS) {
    messages.push(...(await readMessages(guest)));
  }
  const missing = stillMissing();
  return [
    ...unexpected(messages, provoked),
    ...missing.map(({ source }) => `the kernel did not say ${source}`),
    ...(missing.length === 0 ? [] : messages.map(({ text }) => `but it said ${text}`)),
  ];
};

/**
 * Runs one case: on a machine that goes on from its boot, its script or
 * function, then the kernel's messages, then the tables.
 */
export const runCase = async (machines: Machines, each: LinuxCase): Promise<CaseResult> => {
  const trace = new TraceChannel();
  const pc = await machines.resume(each.machine, trace);
  const began = performance.now();
  try {
    const guest = new LinuxGuest(pc);
    const [unit] = pc.units;
    const work = countWork(unit!, trace);
    const problems: string[] = [];
    const scripted =
      each.script === undefined ? [] : await runScriptFile(guest, each.script, problems);
    if (each.run !== undefined) problems.push(...(await each.run(guest, work)));
    const dump = await readDump(guest);
    problems.push(...compareTables(unit!, pc.memory, dump));
    problems.push(...(await judgeMessages(guest, [...scripted, ...(each.messages ?? [])])));
    const seconds = (performance.now() - began) / 1000;
    return { name: each.name, problems, seconds, work, leaves: leavesIn(dump) };
  } finally {
    await pc.destroy();
  }
};
