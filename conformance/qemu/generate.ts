import type { Capabilities } from "../../src/hardware/vtd/capabilities.ts";
import { Random } from "../../test/reference/random.ts";
import { DEVICE_BUFFER } from "./machine-map.ts";
import { clearFaults, randomDma, rigFor } from "./operations.ts";
import type { Mode } from "./qemu-process.ts";
import { buildScene, randomLeaf, tableBitsOf } from "./scene.ts";
import { spoilEntry } from "./spoil.ts";
import type { Case, Step } from "./step.ts";

/** What a case is about. */
export type Topic = "tables" | "registers" | "queue" | "interrupts";

/** The bytes the device holds at first. */
const randomBuffer = (random: Random): Uint8Array => {
  const words = Uint32Array.from({ length: DEVICE_BUFFER / 4 }, () => random.next());
  return new Uint8Array(words.buffer);
};

/** Tables with some entries wrong, and DMA through them; entries change and everything is invalidated. */
const tablesCase = (random: Random, mode: Mode, capabilities: Capabilities): Step[] => {
  const scene = buildScene(random, mode, capabilities);
  const { book } = scene;
  for (
    let n = random.weighted([
      [30, 0],
      [50, 1],
      [15, 2],
      [5, 4],
    ]);
    n > 0;
    n--
  ) {
    spoilEntry(random, book, random.pick(book.entries));
  }
  const rig = rigFor(random, scene);
  const steps: Step[] = [...book.stores(), ...rig.setup];
  for (let n = 4 + random.below(8); n > 0; n--) {
    if (random.chance(25)) steps.push(...changeEntry(random, scene), ...rig.flush());
    steps.push(randomDma(random, scene));
    if (random.chance(80)) steps.push(...clearFaults(), ...rig.flush());
  }
  return steps;
};

/** Software changes an entry, for better or worse. */
const changeEntry = (random: Random, scene: ReturnType<typeof buildScene>): Step[] => {
  const { book, mode } = scene;
  const entry = random.pick(book.entries);
  if (random.chance(50)) spoilEntry(random, book, entry);
  else if (entry.what === "leaf") book.set(entry.address, randomLeaf(random, mode, entry.level!));
  else if (entry.what === "table") {
    book.set(entry.address, (book.get(entry.address) & ~0xfffn) | tableBitsOf(mode));
  }
  const words = Array.from({ length: entry.quadwords }, (_, i) =>
    book.get(entry.address + BigInt(8 * i)),
  );
  return [{ kind: "store", address: entry.address, words }];
};

/** The case with number `seed`. */
export const generateCase = (
  seed: number,
  mode: Mode,
  capabilities: Capabilities,
  _topic: Topic = "tables",
): Case => {
  const random = new Random(seed);
  const buffer = randomBuffer(random);
  return { seed, buffer, steps: tablesCase(random, mode, capabilities) };
};
