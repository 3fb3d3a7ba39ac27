import { writeSync } from "node:fs";
import { STREAM } from "./stream.ts";
import { MEMORY_KINDS } from "./table-memory.ts";
import { hitJob, walkJob } from "./translate-jobs.ts";

const HITS = 1e7;
const WALKS = 1e6;

const say = (line: string): void => {
  writeSync(1, `${line}\n`);
};

const collectGarbage = (): void => {
  const { gc } = globalThis as { gc?: () => void };
  if (gc === undefined) throw new Error("run it with --expose-gc");
  gc();
};

/** Kept in a variable, so that it cannot be optimised away. */
let garbage: unknown;

const litter = (): void => {
  for (let i = 0; i < 1e6; i++) garbage = { garbage: i, last: [garbage === undefined] };
};

/**
 * Run with `--trace-gc --expose-gc`: between the lines `begin` and `end` there are 10^7
 * IOTLB hits and 10^6 walks for each kind of memory, and after `end` enough
 * garbage that a collection must show.
 */
export const collectionProof = (): void => {
  const caches = { iotlbLg2: 0, structuresLg2: 0 } as const;
  const jobs = MEMORY_KINDS.flatMap((memory) => {
    const hit = hitJob({ memory, keys: 1000, iotlbLg2: 12, pageLg2: 12, repeat: 1 });
    const walks = (["first-stage", "second-stage", "nested"] as const).map((type) =>
      walkJob({ memory, type, frames: 1 << 12, caches, repeat: 1 }),
    );
    return [
      { name: `hits, ${memory}`, round: hit, requests: HITS },
      ...walks.map((round, i) => ({
        name: `walks, ${["first stage", "second stage", "nested"][i]}, ${memory}`,
        round,
        requests: i === 0 ? WALKS : WALKS / 4,
      })),
    ];
  });
  for (let n = 0; n < 4; n++) for (const { round } of jobs) round();
  // What setting up has left is collected now and not while requests are made.
  collectGarbage();
  say("begin");
  let total = 0;
  for (const { name, round, requests } of jobs) {
    for (let done = 0; done < requests; done += STREAM) {
      round();
      total += STREAM;
    }
    say(name);
  }
  say(`end ${total}`);
  litter();
  say("littered");
};
