import type { Random } from "../../test/reference/random.ts";
import { DEVICE_SOURCE } from "./machine-map.ts";
import type { Scene } from "./scene.ts";

/** A descriptor's quadwords: two, or four. */
export type Descriptor = readonly bigint[];

/** Somebody else's domain. */
const OTHER_DOMAIN = 0x77;

const domainFor = (random: Random, { domain }: Scene): bigint =>
  BigInt(random.chance(75) ? domain : random.pick([OTHER_DOMAIN, 0]));

/** An address and mask around a page of the scene, or somewhere else, as the second quadword has them. */
const rangeFor = (random: Random, { pages }: Scene, sound: boolean): bigint => {
  const page = pages.length > 0 && random.chance(85) ? random.pick(pages).iova : random.bits64();
  const mask = random.weighted([
    [50, 0],
    [20, 1 + random.below(4)],
    [15, 9 + random.below(10)],
    [sound ? 0 : 5, random.below(64)],
  ]);
  // Any page of the range names it.
  const within = mask < 32 ? BigInt(random.below(2 ** mask)) << 12n : 0n;
  return ((page ^ within) & ~0xfffn) | BigInt(mask) | (random.chance(20) ? 0x40n : 0n);
};

const granularity = (random: Random, valid: readonly number[], sound: boolean): bigint =>
  BigInt(sound || random.chance(92) ? random.pick(valid) : random.below(4));

/** Context cache, of every granularity; a `sound` one does not stop the queue. */
export const contextDescriptor = (random: Random, scene: Scene, sound = false): Descriptor => {
  const source = random.chance(80) ? DEVICE_SOURCE : random.pick([DEVICE_SOURCE ^ 1, 0x21, 0x28]);
  return [
    1n |
      (granularity(random, [1, 2, 3], sound) << 4n) |
      (domainFor(random, scene) << 16n) |
      (BigInt(source) << 32n) |
      (BigInt(random.chance(70) ? 0 : random.below(4)) << 48n),
    0n,
  ];
};

/** IOTLB, of every granularity; a `sound` one does not stop the queue. */
export const iotlbDescriptor = (random: Random, scene: Scene, sound = false): Descriptor => [
  2n |
    (granularity(random, [1, 2, 3, 3, 3], sound) << 4n) |
    (BigInt(random.below(4)) << 6n) |
    (domainFor(random, scene) << 16n),
  rangeFor(random, scene, sound),
];

/** PASID-based IOTLB; a `sound` one does not stop the queue. */
export const pasidIotlbDescriptor = (random: Random, scene: Scene, sound = false): Descriptor => [
  6n |
    (granularity(random, [2, 3, 3], sound) << 4n) |
    (domainFor(random, scene) << 16n) |
    (BigInt(random.chance(85) ? 0 : random.below(4)) << 32n),
  rangeFor(random, scene, sound),
];

/** PASID cache; a `sound` one does not stop the queue. */
export const pasidCacheDescriptor = (random: Random, scene: Scene, sound = false): Descriptor => [
  7n |
    (granularity(random, [0, 1, 3], sound) << 4n) |
    (domainFor(random, scene) << 16n) |
    (BigInt(random.chance(85) ? 0 : random.below(4)) << 32n),
  0n,
];

/** Interrupt entry cache. */
export const interruptEntryDescriptor = (random: Random): Descriptor => [
  4n |
    (BigInt(random.below(2)) << 4n) |
    (BigInt(random.below(random.chance(85) ? 4 : 32)) << 27n) |
    (BigInt(random.below(32)) << 32n),
  0n,
];

/** A wait: a status, an event, a fence. */
export const waitDescriptor = (random: Random, { status }: Scene): Descriptor => {
  const address = status + BigInt(8 * random.below(512));
  const flags = random.weighted([
    [50, 2],
    [20, 1],
    [15, 3],
    [10, 6],
    [5, random.below(16)],
  ]);
  return [
    5n | (BigInt(flags) << 4n) | (BigInt(random.next()) << 32n),
    address | (random.chance(4) ? 1n << BigInt(random.below(3)) : 0n),
  ];
};

const deviceTlbDescriptor = (random: Random): Descriptor => [
  3n | (BigInt(DEVICE_SOURCE) << 32n),
  random.bits64() & ~0xffen,
];

const anyDescriptor = (random: Random): Descriptor => [
  (random.bits64() & ~0xfn) | BigInt(random.below(16)),
  random.bits64(),
  random.bits64(),
  random.bits64(),
];

/** A descriptor of any type, now and then with a bit that does not belong there. */
export const randomDescriptor = (random: Random, scene: Scene): Descriptor => {
  const plain = random.weighted<() => Descriptor>([
    [16, () => contextDescriptor(random, scene)],
    [20, () => iotlbDescriptor(random, scene)],
    [4, () => deviceTlbDescriptor(random)],
    [8, () => interruptEntryDescriptor(random)],
    [30, () => waitDescriptor(random, scene)],
    [10, () => pasidIotlbDescriptor(random, scene)],
    [8, () => pasidCacheDescriptor(random, scene)],
    [2, () => [8n | (BigInt(DEVICE_SOURCE) << 16n), random.bits64() & ~0x7fen]],
    [
      2,
      () => [
        9n | (BigInt(random.below(2)) << 4n) | (BigInt(DEVICE_SOURCE) << 16n),
        random.bits64() & 0xff8n,
      ],
    ],
    [2, () => [0n, 0n]],
    [2, () => anyDescriptor(random)],
  ])();
  if (!random.chance(8)) return plain;
  const words = [...plain, 0n, 0n].slice(0, 4);
  const at = random.below(random.chance(80) ? 2 : 4);
  words[at] = words[at]! ^ (1n << BigInt(random.below(64)));
  return words;
};
