import type { Capabilities } from "../../src/hardware/vtd/capabilities.ts";
import type { RegisterWidth } from "../../src/hardware/vtd/register-file.ts";
import type { Random } from "../../test/reference/random.ts";
import { clearFaults, eventRegisters, randomDma, rigFor, write32, write64 } from "./operations.ts";
import type { Mode } from "./qemu-process.ts";
import { AT, QIE, SIRTP, SRTP, TE } from "./registers.ts";
import { buildScene, type Scene } from "./scene.ts";
import type { Draft, Step } from "./step.ts";

/** Every place where a register begins, and the halves of the wide ones. */
const OFFSETS: readonly number[] = [
  ...Object.values(AT),
  ...[AT.CAP, AT.ECAP, AT.RTADDR, AT.CCMD, AT.IQH, AT.IQT, AT.IQA, AT.IRTA, AT.IVA, AT.IOTLB].map(
    (at) => at + 4,
  ),
  AT.FRCD + 4,
  // No registers, but each with a status register in its 8 bytes.
  AT.FSTS - 4,
  AT.ICS - 4,
  AT.FRCD + 8,
  AT.FRCD + 12,
];

/** Which accesses are made: what software uses, mostly. */
const randomWidth = (random: Random): RegisterWidth =>
  random.weighted<RegisterWidth>([
    [55, 4],
    [38, 8],
    [4, 1],
    [3, 2],
  ]);

const randomOffset = (random: Random, width: RegisterWidth): number => {
  if (random.chance(6)) return random.below(0x240);
  const offset = random.pick(OFFSETS);
  return random.chance(92) ? offset - (offset % width) : offset;
};

const randomValue = (random: Random, scene: Scene): bigint =>
  random.weighted<() => bigint>([
    [30, () => random.bits64()],
    [20, () => 1n << BigInt(random.below(64))],
    [10, () => 0n],
    [10, () => (1n << 64n) - 1n],
    [10, () => scene.queue | BigInt(random.below(4096))],
    [10, () => BigInt(random.below(256))],
    [10, () => scene.rtaddr],
  ])();

const randomWrite = (random: Random, scene: Scene): Step => {
  const width = randomWidth(random);
  const value = BigInt.asUintN(8 * width, randomValue(random, scene));
  return { kind: "write", offset: randomOffset(random, width), width, value };
};

/** Commands in odd orders, several at a time, level bits forgotten. */
const randomCommand = (random: Random): Step => {
  const bits = [TE, SRTP, QIE, SIRTP, 1n << 25n, 1n << 23n, 1n << 27n, 1n << 28n, 1n << 29n];
  return write32(
    AT.GCMD,
    bits.reduce((all, bit) => (random.chance(30) ? all | bit : all), 0n),
  );
};

/** Invalidation by register, right and wrong. */
const randomInvalidation = (random: Random, { domain }: Scene): Step[] => {
  const start = random.chance(80) ? 1n << 63n : 0n;
  const granularity = BigInt(random.below(4));
  if (random.chance(50)) {
    const command = start | (granularity << 61n) | BigInt(random.below(4) << 16) | BigInt(domain);
    if (random.chance(75)) return [write64(AT.CCMD, command)];
    return [write32(AT.CCMD, command & 0xffff_ffffn), write32(AT.CCMD + 4, command >> 32n)];
  }
  const command = start | (granularity << 60n) | (BigInt(domain) << 32n);
  const address = (random.bits64() & ~0xfffn) | BigInt(random.below(128));
  const iva = random.chance(60) ? [write64(AT.IVA, address)] : [];
  if (random.chance(75)) return [...iva, write64(AT.IOTLB, command)];
  return [...iva, write32(AT.IOTLB, command & 0xffff_ffffn), write32(AT.IOTLB + 4, command >> 32n)];
};

/** The tables come into use, in the right mode or in another. */
const useTables = (random: Random, scene: Scene): Step[] => {
  const mode = random.chance(50) ? 0n : BigInt(random.below(4)) << 10n;
  // Far above any memory, where the host has no address bits.
  const far = random.chance(20) ? 1n << BigInt(52 + random.below(12)) : 0n;
  const commands = [write64(AT.RTADDR, scene.rtaddr ^ mode ^ far), write32(AT.GCMD, SRTP | TE)];
  return [...commands, randomDma(random, scene), ...clearFaults()];
};

/** Software that writes anything anywhere, with tables in memory that may come into use by it. */
export const registerCase = (random: Random, mode: Mode, capabilities: Capabilities): Draft => {
  const scene = buildScene(random, mode, capabilities);
  const steps: Step[] = scene.book.stores();
  if (random.chance(50)) steps.push(...rigFor(random, scene).setup);
  for (let n = 6 + random.below(24); n > 0; n--) {
    steps.push(
      ...random.weighted<() => Step[]>([
        [40, () => [randomWrite(random, scene)]],
        [12, () => [randomCommand(random)]],
        [10, () => randomInvalidation(random, scene)],
        [8, () => eventRegisters(random)],
        [12, () => [randomDma(random, scene)]],
        [5, () => clearFaults()],
        [6, () => useTables(random, scene)],
        [
          8,
          () => {
            const width = randomWidth(random);
            return [{ kind: "read", offset: randomOffset(random, width), width }];
          },
        ],
      ])(),
    );
  }
  return { scene, steps };
};
