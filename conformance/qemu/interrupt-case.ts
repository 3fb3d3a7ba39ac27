import type { Capabilities } from "../../src/hardware/vtd/capabilities.ts";
import type { Random } from "../../test/reference/random.ts";
import { interruptEntryDescriptor } from "./descriptors.ts";
import { DEVICE_SOURCE } from "./machine-map.ts";
import { clearFaults, eventRegisters, randomDma, rigFor, write32, write64 } from "./operations.ts";
import type { Mode } from "./qemu-process.ts";
import { AT, IRE, QIE, SIRTP, TE } from "./registers.ts";
import { buildScene } from "./scene.ts";
import { spoilEntry } from "./spoil.ts";
import type { Draft, Step } from "./step.ts";

/** Words at the beginning of the device's buffer that are message data worth sending. */
const DATA_WORDS = 32;

/** Message data: subhandles, vectors with modes, and anything. */
export const interruptData = (random: Random): Uint32Array =>
  Uint32Array.from({ length: DATA_WORDS }, () =>
    random.weighted<() => number>([
      [45, () => random.below(8)],
      [30, () => random.below(0x1_0000)],
      [10, () => 0],
      [10, () => random.next()],
      [5, () => 0x1_0000 | random.below(4)],
    ])(),
  );

/** An address in remappable format, mostly. */
const messageAddress = (random: Random, entries: number): number => {
  if (random.chance(15)) return 0xfee0_0000 + (random.below(0x10_0000) & ~3);
  // A handle so large that its sum with a subhandle has 17 bits.
  if (random.chance(6)) return 0xfeef_ff9c | (random.below(4) << 5);
  const handle = random.chance(85) ? random.below(entries) : random.below(0x1_0000);
  const subhandle = random.chance(35) ? 8 : 0;
  return 0xfee0_0010 | ((handle & 0x7fff) << 5) | ((handle >>> 15) << 2) | subhandle;
};

/** The device sends a message: by a write of four bytes, or with its MSI capability. */
const message = (random: Random, entries: number): Step => {
  const address = messageAddress(random, entries) >>> 0;
  if (random.chance(50))
    return { kind: "msi", address, data: random.below(random.pick([8, 0x1_0000])) };
  return {
    kind: "dma",
    writes: true,
    iova: BigInt(address),
    length: 4,
    at: 4 * random.below(DATA_WORDS),
  };
};

const randomEntry = (random: Random, extended: boolean): bigint[] => {
  const destination =
    extended && random.chance(50) ? BigInt(random.next()) : BigInt(random.below(256)) << 8n;
  const flags =
    1n |
    (random.chance(10) ? 2n : 0n) |
    (BigInt(random.below(8)) << 2n) |
    (BigInt(random.pick([0, 0, 0, 1, 2, 4, 5, 7])) << 5n);
  const source = random.chance(55)
    ? DEVICE_SOURCE
    : random.pick([0x21, 0x21, 0x24, 0x27, 0, 0x0100]);
  const svt = BigInt(
    random.weighted([
      [50, 1],
      [30, 0],
      [14, 2],
      [6, 3],
    ]),
  );
  return [
    flags | (BigInt(random.below(256)) << 16n) | (destination << 32n),
    BigInt(source) | (BigInt(random.below(4)) << 16n) | (svt << 18n),
  ];
};

/** An interrupt remapping table, right and wrong, and messages through it. */
export const interruptCase = (random: Random, mode: Mode, capabilities: Capabilities): Draft => {
  const scene = buildScene(random, mode, capabilities, "sound");
  const { book } = scene;
  const table = book.frame();
  const size = 2 + random.below(4);
  const entries = 2 << size;
  const extended = random.chance(40);
  for (let n = 0; n < entries; n++) {
    if (random.chance(15)) continue;
    const entry = { what: "interrupt", address: table + BigInt(16 * n), quadwords: 2 } as const;
    book.put(entry, randomEntry(random, extended));
    if (random.chance(25)) spoilEntry(random, book, entry);
  }
  const rig = rigFor(random, scene);
  const level = (rig.queue === undefined ? 0n : QIE) | (random.chance(50) ? TE : 0n);
  const steps: Step[] = [
    ...book.stores(),
    ...rig.setup,
    ...(random.chance(40) ? eventRegisters(random) : []),
    write64(AT.IRTA, table | BigInt(size) | (extended ? 0x800n : 0n)),
    ...(random.chance(92) ? [write32(AT.GCMD, SIRTP | level)] : []),
    write32(AT.GCMD, IRE | level | (random.chance(15) ? 1n << 23n : 0n)),
  ];
  const listed = book.entries.filter(({ what }) => what === "interrupt");
  for (let n = 6 + random.below(10); n > 0; n--) {
    steps.push(message(random, entries));
    if (random.chance(60)) steps.push(...clearFaults());
    if (random.chance(15) && listed.length > 0) {
      const entry = random.pick(listed);
      spoilEntry(random, book, entry);
      steps.push(book.storeOf(entry), message(random, entries));
      if (rig.queue !== undefined)
        steps.push(...rig.queue.submit(interruptEntryDescriptor(random)));
      steps.push(message(random, entries));
    }
    if (random.chance(10)) steps.push(randomDma(random, scene));
    if (random.chance(4)) steps.push(write32(AT.GCMD, level | (random.chance(50) ? IRE : 0n)));
  }
  return { scene, steps };
};
