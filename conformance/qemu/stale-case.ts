import type { Capabilities } from "../../src/hardware/vtd/capabilities.ts";
import type { Random } from "../../test/reference/random.ts";
import {
  contextDescriptor,
  type Descriptor,
  iotlbDescriptor,
  pasidCacheDescriptor,
  pasidIotlbDescriptor,
} from "./descriptors.ts";
import { DEVICE_BUFFER } from "./machine-map.ts";
import { clearFaults, rigFor, write32, write64 } from "./operations.ts";
import type { Mode } from "./qemu-process.ts";
import { AT, QIE, SRTP, TE } from "./registers.ts";
import { buildScene, randomLeaf, type Scene, type ScenePage } from "./scene.ts";
import type { Draft, Step } from "./step.ts";
import { DATA_FRAMES, dataFrame } from "./table-book.ts";

/** Something to read in every data frame, another thing in each. */
const fillData = (random: Random): Step[] =>
  Array.from({ length: DATA_FRAMES }, (_, n) => ({
    kind: "store",
    address: dataFrame(n),
    words: Array.from({ length: 4 }, () => random.bits64()),
  }));

/** A transfer at the beginning of a page, where the data frames differ. */
const probe = (random: Random, { iova }: ScenePage): Step => ({
  kind: "dma",
  writes: random.chance(25),
  iova: iova + BigInt(8 * random.below(3)),
  length: 8,
  at: 8 * random.below(DEVICE_BUFFER / 8),
});

/** Software points a leaf elsewhere, or changes what it permits. */
const changeLeaf = (random: Random, { book, mode, pages }: Scene, page: ScenePage): Step[] => {
  const leaves = book.entries.filter(({ what }) => what === "leaf");
  const entry = random.chance(80) ? leaves[pages.indexOf(page)]! : random.pick(leaves);
  const word = random.chance(60)
    ? (book.get(entry.address) & 0xfffn) | dataFrame(random.below(DATA_FRAMES))
    : randomLeaf(random, mode, entry.level!);
  book.set(entry.address, entry.level! > 0 ? randomLeaf(random, mode, entry.level!) : word);
  return [book.storeOf(entry)];
};

/** Bits of the context entry that software may change while it is cached: P, FPD, the table, AW. */
const CONTEXT_BITS = [
  [0, 0],
  [0, 1],
  [0, 14],
  [0, 15],
  [1, 0],
  [1, 1],
] as const;

/**
 * Software changes the entry that says how the device is translated. Not the
 * PASID entry: QEMU keeps none, so that there is nothing stale to be seen.
 */
const changeContext = (random: Random, { book }: Scene): Step[] => {
  const entry = book.entries.find(({ what }) => what === "context")!;
  const [quadword, bit] = random.pick(CONTEXT_BITS);
  const at = entry.address + BigInt(8 * quadword);
  book.set(at, book.get(at) ^ (1n << BigInt(bit)));
  return [book.storeOf(entry)];
};

/** An invalidation with registers, of any granularity. */
const byRegister = (random: Random, scene: Scene): Step[] => {
  if (random.chance(30)) {
    const [word] = contextDescriptor(random, scene, true);
    const source = (word! >> 32n) & 0x3_ffffn;
    const domain = (word! >> 16n) & 0xffffn;
    const asked = (word! >> 4n) & 3n;
    return [write64(AT.CCMD, (1n << 63n) | (asked << 61n) | (source << 16n) | domain)];
  }
  const [word, range] = iotlbDescriptor(random, scene, true);
  const asked = (word! >> 4n) & 3n;
  const domain = (word! >> 16n) & 0xffffn;
  return [
    write64(AT.IVA, range!),
    write64(AT.IOTLB, (1n << 63n) | (asked << 60n) | (domain << 32n)),
  ];
};

/** A command after which nothing cached may be left. */
const byCommand = (random: Random, level: bigint): Step[] =>
  random.chance(50)
    ? [write32(AT.GCMD, level), write32(AT.GCMD, level | TE)]
    : [write32(AT.GCMD, level | TE | SRTP)];

/** One or two invalidations that may be the ones needed. */
const someInvalidations = (random: Random, scene: Scene): Descriptor[] => {
  const one = (): Descriptor =>
    random.weighted<() => Descriptor>([
      [20, () => contextDescriptor(random, scene, true)],
      [45, () => iotlbDescriptor(random, scene, true)],
      [scene.mode === "legacy" ? 0 : 15, () => pasidCacheDescriptor(random, scene, true)],
      [scene.mode === "legacy" ? 0 : 25, () => pasidIotlbDescriptor(random, scene, true)],
    ])();
  return Array.from({ length: 1 + random.below(2) }, one);
};

/**
 * Entries change while their translations are cached: the device reads before,
 * after the change, after an invalidation that may or may not cover it, and
 * after one that does.
 */
export const staleCase = (random: Random, mode: Mode, capabilities: Capabilities): Draft => {
  const scene = buildScene(random, mode, capabilities, "sound");
  const { book, pages } = scene;
  const rig = rigFor(random, scene);
  const steps: Step[] = [...book.stores(), ...fillData(random), ...rig.setup];
  for (let n = 2 + random.below(3); n > 0; n--) {
    const page = random.pick(pages);
    steps.push(probe(random, page));
    if (random.chance(30)) steps.push(probe(random, random.pick(pages)));
    steps.push(
      ...(random.chance(93) ? changeLeaf(random, scene, page) : changeContext(random, scene)),
    );
    steps.push(probe(random, page));
    const focused = random.chance(70) ? { ...scene, pages: [page] } : scene;
    if (random.chance(5)) steps.push(...byCommand(random, rig.queue === undefined ? 0n : QIE));
    else {
      steps.push(
        ...(rig.queue === undefined
          ? byRegister(random, focused)
          : rig.queue.submit(...someInvalidations(random, focused))),
      );
    }
    steps.push(probe(random, page), ...clearFaults());
    steps.push(...rig.flush(), probe(random, page), ...clearFaults());
  }
  return { scene, steps };
};
