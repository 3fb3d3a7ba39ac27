import { describe, expect, it } from "vitest";
import { recordedFiles, replay, withFile } from "../../../test/recorded-files.ts";
import { scale } from "../../../test/scale.ts";
import { CaptureError } from "../capture-error.ts";
import { type MemoryFiles, memoryFiles } from "../memory-files.ts";

const RUNS = scale(80, 20_000);

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

const encoder = new TextEncoder();
const LINES = [
  "vtd_reg_write addr 0x88 size 0x8 value 0x7fff0\n",
  "vtd_reg_write addr 0x90 size 0x8 value 0xffffffffffffffff\n",
  "vtd_reg_write addr 0x90 size 0x8 value 0x807\n",
  "vtd_reg_write addr 0x18 size 0x4 value 0xffffffff\n",
  "vtd_reg_write addr 0x18 size 0x4 value 0x0\n",
  "vtd_reg_write addr 0x20 size 0x8 value 0xfffffffffffff400\n",
  "vtd_reg_write addr 0xfff size 0x8 value 0x1\n",
  "vtd_dmar_fault sid 0xffff fault 255 addr 0xffffffffffffffff write 0\n",
  "vtd_frr_new index 200 high 0x0 low 0x0\n",
  "vtd_reset_exit \n",
  "vtd_inv_qi_head read head 0\nvtd_inv_desc invalidate desc type x high 0xffffffffffffffff low 0x25\n",
  "nonsense\n",
].map((line) => encoder.encode(line));

/** The ways in which a file is spoilt: a bit, a byte, a piece less, a piece twice, a line more. */
const spoil = (bytes: Uint8Array, random: (below: number) => number): Uint8Array => {
  const at = random(bytes.length);
  const piece = (from: number, end: number): Uint8Array => bytes.subarray(from, end);
  const joined = (...pieces: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(pieces));
  switch (random(5)) {
    case 0: {
      const changed = bytes.slice();
      changed[at]! ^= 1 << random(8);
      return changed;
    }
    case 1:
      return joined(piece(0, at), Uint8Array.of(0x30 + random(10)), piece(at + 1, bytes.length));
    case 2:
      return joined(piece(0, at), piece(at + random(200), bytes.length));
    case 3:
      return joined(piece(0, at), piece(at, at + random(2000)), piece(at, bytes.length));
    default: {
      const end = bytes.indexOf(0x0a, at) + 1;
      return joined(piece(0, end), LINES[random(LINES.length)]!, piece(end, bytes.length));
    }
  }
};

const withoutMappings = (files: MemoryFiles): MemoryFiles =>
  memoryFiles(
    files.name,
    new Map([...files.contents].filter(([path]) => !path.endsWith("mappings.jsonl"))),
    files.gunzip,
  );

describe("hostile recordings", () => {
  it("REPLAY-BAD-03: whatever is in the files, there is a report or one CaptureError", () => {
    // Lists of mappings take long to check and have their own tests.
    const subjects = ["vtd_pt_sm", "vtd_1g_fs"].map((name) => withoutMappings(recordedFiles(name)));
    const outcomes = { equal: 0, different: 0, refused: 0 };
    for (let seed = 1; seed <= RUNS; seed++) {
      const random = randomFrom(seed);
      const files = subjects[seed % 4 === 0 ? 1 : 0]!;
      const paths = [...files.contents.keys()];
      // The trace is what is read here and nowhere else.
      const path = random(2) === 0 ? "regtrace.txt" : paths[random(paths.length)]!;
      try {
        const report = replay(withFile(files, path, (bytes) => spoil(bytes, random)));
        if (report.differences.length === 0) outcomes.equal++;
        else outcomes.different++;
      } catch (error) {
        if (!(error instanceof CaptureError)) throw new Error(`seed ${seed}`, { cause: error });
        outcomes.refused++;
      }
    }
    expect(Math.min(...Object.values(outcomes))).toBeGreaterThan(RUNS / 20);
  });
});
