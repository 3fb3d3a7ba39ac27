import type { Capabilities } from "../../src/hardware/vtd/capabilities.ts";
import type { Random } from "../../test/reference/random.ts";
import { clearFaults, randomDma, rigFor } from "./operations.ts";
import type { Mode } from "./qemu-process.ts";
import { buildScene, randomLeaf, type Scene, tableBitsOf } from "./scene.ts";
import { pickEntry, spoilEntry } from "./spoil.ts";
import type { Draft, Step } from "./step.ts";

/** Tables with some entries wrong, and DMA through them; entries change and everything is invalidated. */
export const tablesCase = (random: Random, mode: Mode, capabilities: Capabilities): Draft => {
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
    spoilEntry(random, book, pickEntry(random, book));
  }
  const rig = rigFor(random, scene);
  const steps: Step[] = [...book.stores(), ...rig.setup];
  for (let n = 4 + random.below(8); n > 0; n--) {
    if (random.chance(25)) steps.push(...changeEntry(random, scene), ...rig.flush());
    steps.push(randomDma(random, scene));
    if (random.chance(80)) steps.push(...clearFaults(), ...rig.flush());
  }
  return { scene, steps };
};

/** Software changes an entry, for better or worse. */
const changeEntry = (random: Random, scene: Scene): Step[] => {
  const { book, mode } = scene;
  const entry = random.pick(book.entries);
  if (random.chance(50)) spoilEntry(random, book, entry);
  else if (entry.what === "leaf") book.set(entry.address, randomLeaf(random, mode, entry.level!));
  else if (entry.what === "table") {
    book.set(entry.address, (book.get(entry.address) & ~0xfffn) | tableBitsOf(mode));
  }
  return [book.storeOf(entry)];
};
