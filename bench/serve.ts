import { readSync, writeSync } from "node:fs";
import type { RunRound } from "./round.ts";

/** Long enough for the compiler to have done all it will do. */
const WARM_UP_MS = 300;

/** Answers a round for each line of standard input, as the C programs do. Reads synchronously: nothing else runs meanwhile. */
export const serve = (job: RunRound, warmUpMs = WARM_UP_MS): void => {
  const until = performance.now() + warmUpMs;
  do job();
  while (performance.now() < until);
  writeSync(1, "ready\n");
  const byte = new Uint8Array(1);
  while (readSync(0, byte, 0, 1, null) === 1) {
    if (byte[0] !== 0x0a) continue;
    const { ns, sum, reads } = job();
    writeSync(1, `${ns.toFixed(4)} ${sum} ${reads.toFixed(4)}\n`);
  }
};
