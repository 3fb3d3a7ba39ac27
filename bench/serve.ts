import { readSync, writeSync } from "node:fs";
import type { RunRound } from "./round.ts";

const WARM_UP_NS = 300e6;

/** Answers a round for each line of standard input, as the C programs do. Reads synchronously: nothing else runs meanwhile. */
export const serve = (job: RunRound): void => {
  const until = performance.now() * 1e6 + WARM_UP_NS;
  for (let n = 0; n < 3 || performance.now() * 1e6 < until; n++) job();
  writeSync(1, "ready\n");
  const byte = new Uint8Array(1);
  while (readSync(0, byte, 0, 1, null) === 1) {
    if (byte[0] !== 0x0a) continue;
    const { ns, sum, reads } = job();
    writeSync(1, `${ns.toFixed(4)} ${sum} ${reads.toFixed(4)}\n`);
  }
};
