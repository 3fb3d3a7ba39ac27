import type { Capabilities } from "../../src/hardware/vtd/capabilities.ts";
import { Random } from "../../test/reference/random.ts";
import { interruptCase, interruptData } from "./interrupt-case.ts";
import { DEVICE_BUFFER } from "./machine-map.ts";
import type { Mode } from "./qemu-process.ts";
import { queueCase } from "./queue-case.ts";
import { registerCase } from "./register-case.ts";
import type { Scene } from "./scene.ts";
import { staleCase } from "./stale-case.ts";
import type { Case, Draft, Topic } from "./step.ts";
import { tablesCase } from "./tables-case.ts";

const CASES: {
  readonly [T in Topic]: (random: Random, mode: Mode, capabilities: Capabilities) => Draft;
} = {
  tables: tablesCase,
  stale: staleCase,
  queue: queueCase,
  registers: registerCase,
  interrupts: interruptCase,
};

/** How often each topic is drawn, in percent. */
const WEIGHTS: readonly (readonly [number, Topic])[] = [
  [40, "tables"],
  [20, "stale"],
  [18, "queue"],
  [12, "registers"],
  [10, "interrupts"],
];

/** The bytes the device holds at first: messages worth sending in front, then anything. */
const randomBuffer = (random: Random): Uint8Array => {
  const words = Uint32Array.from({ length: DEVICE_BUFFER / 4 }, () => random.next());
  words.set(interruptData(random));
  return new Uint8Array(words.buffer);
};

/** Where the device's domain is written. */
const domainsOf = ({ book, mode }: Scene): bigint[] =>
  book.entries
    .filter(({ what }) => what === (mode === "legacy" ? "context" : "pasid"))
    .map(({ address }) => address + 8n);

/** The case with number `seed`; `topic` in place of the one it draws. */
export const generateCase = (
  seed: number,
  mode: Mode,
  capabilities: Capabilities,
  topic?: Topic,
): Case => {
  const random = new Random(seed);
  const buffer = randomBuffer(random);
  const drawn = random.weighted(WEIGHTS);
  const { scene, steps } = CASES[topic ?? drawn](random, mode, capabilities);
  const contextAt = scene.book.entries.find(({ what }) => what === "context")!.address;
  const domainAt = domainsOf(scene);
  return { seed, mode, topic: topic ?? drawn, domainAt, contextAt, buffer, steps };
};
