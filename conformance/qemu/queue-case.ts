import type { Capabilities } from "../../src/hardware/vtd/capabilities.ts";
import type { Random } from "../../test/reference/random.ts";
import { randomDescriptor } from "./descriptors.ts";
import {
  clearFaults,
  eventRegisters,
  randomDma,
  SoftwareQueue,
  write32,
  write64,
} from "./operations.ts";
import type { Mode } from "./qemu-process.ts";
import { AT, QIE, SRTP, TE } from "./registers.ts";
import { buildScene, type Scene } from "./scene.ts";
import type { Draft, Step } from "./step.ts";

/** A tail that software should not write. */
const oddTail = (random: Random, { tail, step }: SoftwareQueue): Step =>
  random.weighted<() => Step>([
    [3, () => write64(AT.IQT, BigInt(tail) | 0x10n)],
    [2, () => write64(AT.IQT, 0x1000n + BigInt(random.below(64) * 16))],
    [2, () => write64(AT.IQT, random.bits64())],
    [2, () => write64(AT.IQT, BigInt((tail + step * 3) % 4096))],
    [1, () => write32(AT.IQT + 4, BigInt(random.next()))],
    [2, () => write32(AT.IQT, BigInt(tail))],
  ])();

/** What software may do besides queueing. */
const otherStep = (random: Random, scene: Scene, queue: SoftwareQueue, te: bigint): Step[] =>
  random.weighted<() => Step[]>([
    [20, () => [write32(AT.FSTS, random.chance(70) ? 0x10n : BigInt(random.below(256)))]],
    [20, () => [write32(AT.FSTS, 0x10n), write64(AT.IQT, BigInt(queue.tail))]],
    [10, () => [oddTail(random, queue)]],
    [10, () => [write32(AT.ICS, 1n)]],
    [4, () => [write64(random.pick([AT.FSTS, AT.ICS]) - 4, (1n << 64n) - 1n)]],
    [10, () => eventRegisters(random)],
    [8, () => [randomDma(random, scene)]],
    [5, () => clearFaults()],
    [5, () => [write32(AT.GCMD, te)]],
    [5, () => [write32(AT.GCMD, QIE | te)]],
    [4, () => [write64(AT.IQH, random.bits64())]],
    // Not the width of the descriptors: QEMU takes that at once, in the middle of a queue.
    [3, () => [write64(AT.IQA, queue.iqa ^ (1n << BigInt(random.pick([0, 1, 2, 3, 10, 12, 13]))))]],
    [
      3,
      () => [
        {
          kind: "read",
          offset: random.pick([AT.IQH, AT.IQT, AT.IQA, AT.FSTS, AT.IQERCD]),
          width: 8,
        },
      ],
    ],
  ])();

/** A queue of right and wrong descriptors, and software that gets over its errors or does not. */
export const queueCase = (random: Random, mode: Mode, capabilities: Capabilities): Draft => {
  const scene = buildScene(random, mode, capabilities, "sound");
  const wide = random.chance(mode === "legacy" ? 10 : 85);
  const queue = new SoftwareQueue(scene.queue, wide);
  const te = random.chance(40) ? TE : 0n;
  const size = random.chance(85) ? 0n : BigInt(random.below(8));
  const steps: Step[] = [...scene.book.stores()];
  if (random.chance(85)) steps.push(write64(AT.RTADDR, scene.rtaddr), write32(AT.GCMD, SRTP));
  if (random.chance(70)) steps.push(...eventRegisters(random));
  steps.push(write64(AT.IQA, queue.iqa | size));
  if (random.chance(5)) steps.push(write64(AT.IQT, BigInt(random.below(8) * 16)));
  steps.push(write32(AT.GCMD, QIE | te));
  for (let n = 4 + random.below(8); n > 0; n--) {
    const count = random.weighted([
      [50, 1],
      [25, 2],
      [15, 4],
      [10, 0],
    ]);
    const descriptors = Array.from({ length: count }, () => randomDescriptor(random, scene));
    steps.push(...queue.submit(...descriptors));
    if (random.chance(45)) steps.push(...otherStep(random, scene, queue, te));
    // Where the queue has stopped, software may put another descriptor in the place of the bad one.
    if (random.chance(20)) {
      steps.push(...queue.replaceLast(randomDescriptor(random, scene)));
      steps.push(write32(AT.FSTS, 0x10n), write64(AT.IQT, BigInt(queue.tail)));
    }
  }
  return { scene, steps };
};
