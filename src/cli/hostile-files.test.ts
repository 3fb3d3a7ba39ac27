import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { scale } from "../../test/scale.ts";
import {
  type Capture,
  CaptureError,
  type FileSource,
  memoryFiles,
  type ReadOptions,
  readCapture,
  readRegisters,
} from "../capture/index.ts";
import { assumedVtdRegisters } from "../capture/registers.ts";
import { bytesOf, sampleElf, sampleFiles } from "../capture/sample-files.ts";
import { gunzip } from "./node-files.ts";

/** A generator of numbers below 2^32 that is the same for the same seed (a 32-bit mix of a counter). */
const randomFrom = (seed: number): ((below: number) => number) => {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x9e37_79b9) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0_aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a_2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) % below;
  };
};

type Random = ReturnType<typeof randomFrom>;

/** Pieces of text that turn one good number, string or list into a bad one. */
const TOKENS = [
  "-1",
  "0x",
  "0x10000000000000",
  "0xffffffffffffffff",
  "1e308",
  "9".repeat(80),
  "null",
  "[",
  "{",
  "}",
  '"',
  "\\",
  ",",
  "../..",
  "\0",
].map(bytesOf);

/** Quantities that a header is unlikely to expect. */
const EXTREMES = [
  0n,
  1n,
  0xfffn,
  0x1000n,
  0xffffn,
  0xffff_ffffn,
  1n << 52n,
  (1n << 63n) - 1n,
  (1n << 64n) - 1n,
];

const splice = (bytes: Uint8Array, at: number, removed: number, added: Uint8Array): Uint8Array => {
  const result = new Uint8Array(bytes.length - removed + added.length);
  result.set(bytes.subarray(0, at));
  result.set(added, at);
  result.set(bytes.subarray(at + removed), at + added.length);
  return result;
};

/** The ways in which a file is spoilt. */
const MUTATIONS: readonly ((bytes: Uint8Array, random: Random) => Uint8Array)[] = [
  (bytes, random) => bytes.slice(0, random(bytes.length + 1)),
  (bytes, random) => {
    const result = Uint8Array.from(bytes);
    const at = random(bytes.length);
    result[at] = result[at]! ^ (1 << random(8));
    return result;
  },
  (bytes, random) => {
    const result = Uint8Array.from(bytes);
    result[random(bytes.length)] = random(256);
    return result;
  },
  (bytes, random) => splice(bytes, random(bytes.length), 0, TOKENS[random(TOKENS.length)]!),
  (bytes, random) => {
    const at = random(bytes.length);
    const token = TOKENS[random(TOKENS.length)]!;
    return splice(bytes, at, Math.min(bytes.length - at, random(8)), token);
  },
  (bytes, random) => {
    const at = random(bytes.length);
    return splice(bytes, at, Math.min(bytes.length - at, 1 + random(64)), new Uint8Array(0));
  },
  (bytes, random) => {
    const at = random(bytes.length);
    return splice(bytes, at, 0, bytes.slice(at, at + 1 + random(200)));
  },
  (bytes, random) => {
    const result = Uint8Array.from(bytes);
    const view = new DataView(result.buffer);
    const at = random(Math.max(1, Math.min(bytes.length - 8, 512)));
    if (bytes.length >= 8) view.setBigUint64(at, EXTREMES[random(EXTREMES.length)]!, true);
    return result;
  },
];

/** A set of good files, and how they are read. */
interface Subject {
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly read: (files: FileSource) => Capture | undefined;
}

const registers = { iommu: "vtd", registers: assumedVtdRegisters(0n, false) } as const;
const reading = (options: ReadOptions) => (files: FileSource) => readCapture(files, options);

const core = sampleElf([
  { type: 4, address: 0n, bytes: new Uint8Array(40) },
  { address: 0x1000n, bytes: new Uint8Array(8192).fill(1), memoryBytes: 0x4000n },
  { address: 0x10_0000_0000n, bytes: new Uint8Array(600).fill(2) },
]);
const plain = sampleFiles().contents;
const packed = new Map([...plain].map(([path, bytes]) => [`${path}.gz`, gzipSync(bytes)]));
const moments = new Map([
  [
    "moments.json",
    bytesOf('{"ram_size": 1048576, "moments": [{"name": "early"}, {"name": "late"}]}'),
  ],
  ...[...plain].map(([path, bytes]) => [`late/${path}`, bytes] as const),
]);

const SUBJECTS: Readonly<Record<string, Subject>> = {
  capture: { files: plain, read: reading({}) },
  "compressed capture": { files: packed, read: reading({}) },
  "capture with moments": { files: moments, read: reading({ moment: "late" }) },
  core: { files: new Map([["", core]]), read: reading({ registers }) },
  "compressed core": { files: new Map([["", gzipSync(core)]]), read: reading({ registers }) },
  image: { files: new Map([["", new Uint8Array(8192)]]), read: reading({ registers, base: 0n }) },
  "register file": {
    files: new Map([["", plain.get("regs.json")!]]),
    read: (files) => void readRegisters(files, ""),
  },
};

/** Frames of each range of RAM that are read. */
const FRAMES_READ = 8;

/** Reads what a command would: the list, and some of RAM. */
const use = (capture: Capture): void => {
  capture.expected?.();
  for (const { base, length } of capture.ram) {
    const last = base + length - 4096n;
    for (let i = 0n; i < FRAMES_READ; i++) {
      capture.memory.read64(base + ((length / 8n) & ~0xfffn) * i);
      capture.memory.write64(last, i);
    }
  }
};

/** Spoils one file and reads; what was read, in bytes, is bounded whatever was done to it. */
const attempt = (subject: Subject, seed: number): "read" | "refused" => {
  const random = randomFrom(seed);
  const contents = new Map(subject.files);
  const paths = [...contents.keys()];
  const path = paths[random(paths.length)]!;
  let bytes = contents.get(path)!;
  for (let i = random(3); i >= 0 && bytes.length > 0; i--) {
    bytes = MUTATIONS[random(MUTATIONS.length)]!(bytes, random);
  }
  contents.set(path, bytes);
  const total = [...contents.values()].reduce((sum, { length }) => sum + length, 0);
  const inner = memoryFiles("hostile", contents, gunzip);
  let taken = 0;
  const counting: FileSource = {
    ...inner,
    readRange: (...range) => {
      const piece = inner.readRange(...range);
      taken += piece.length;
      return piece;
    },
  };
  try {
    const capture = subject.read(counting);
    if (capture !== undefined) use(capture);
    return "read";
  } catch (error) {
    if (!(error instanceof CaptureError)) throw error;
    expect(error.message).toMatch(/^hostile[^\n]*: expected [^\n]+, found [^\n]+$/);
    return "refused";
  } finally {
    expect(taken).toBeLessThanOrEqual(2 * total + 4096 * 64);
  }
};

describe("hostile files", () => {
  test.each(Object.entries(SUBJECTS))(
    "CAP-BAD-01: a spoilt %s is read or refused, nothing else",
    (name, subject) => {
      const counts = { read: 0, refused: 0 };
      const runs = scale(500, 200_000);
      for (let seed = 0; seed < runs; seed++) {
        try {
          counts[attempt(subject, seed)]++;
        } catch (error) {
          throw new Error(`${name}, seed ${seed}`, { cause: error });
        }
      }
      // An image is only its size: what is in it cannot be wrong.
      expect(counts.refused).toBeGreaterThan(runs / 5);
      if (!name.startsWith("compressed")) expect(counts.read).toBeGreaterThan(runs / 50);
    },
  );
});
