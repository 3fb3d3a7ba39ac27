// npm run bench: times of TypeScript beside those of C programs that do the same job.

import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { reportBoots } from "./boot-report.ts";
import { CASES } from "./cases.ts";
import { collectionProof } from "./collection-proof.ts";
import { countAll } from "./counts.ts";
import { type Measurement, measure } from "./measure.ts";
import { buildNativePrograms, type NativePrograms } from "./native.ts";
import { resultsOf, rowsOfAll, tableOf } from "./report.ts";
import { serve } from "./serve.ts";

const USAGE = `npm run bench -- [options]

  --only TEXT   only the cases that have TEXT in their names
  --quick       few rounds of the small cases: says that all runs, not how fast
  --rounds N    rounds of each program, 25 when absent
  --boot        instead, a real Linux: boot, save, restore, its disk through the unit and past it
  --list        the names of the cases
  --write       writes ratios and counts to bench/results.json
  --counts      counts instead of timing, and writes bench/counts.json, which the tests hold to
`;

/** The cases that take long to prepare, in their names. */
const LARGE = /64k|4g|1g/;

const RESULTS = fileURLToPath(new URL("../bench/results.json", import.meta.url));
const COUNTS = fileURLToPath(new URL("../bench/counts.json", import.meta.url));

/** Which machine it was, without saying whose. */
const machineLine = ({ compiler, glib }: NativePrograms): string =>
  [
    `${cpus().length} × ${cpus()[0]?.model.trim() ?? "unknown processor"}`,
    `${process.platform} ${process.arch}`,
    `Node ${process.versions.node}`,
    compiler ?? "no gcc",
    glib === undefined ? "no GLib" : `GLib ${glib}`,
  ].join(", ");

const options = () =>
  parseArgs({
    options: {
      only: { type: "string" },
      quick: { type: "boolean", default: false },
      rounds: { type: "string" },
      list: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
      boot: { type: "boolean", default: false },
      counts: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
      job: { type: "string" },
      "collection-proof": { type: "boolean", default: false },
    },
  }).values;

const run = async ({ only, quick, rounds, write }: ReturnType<typeof options>): Promise<void> => {
  const natives = buildNativePrograms();
  const machine = machineLine(natives);
  const count = rounds === undefined ? (quick ? 2 : 25) : Number(rounds);
  const cases = CASES.filter(
    ({ name }) => (only === undefined || name.includes(only)) && !(quick && LARGE.test(name)),
  );
  const measurements: Measurement[] = [];
  const waiting = [...cases];
  const runCases = async (): Promise<void> => {
    for (let test = waiting.shift(); test !== undefined; test = waiting.shift()) {
      const place = cases.indexOf(test);
      if (process.stderr.isTTY) {
        process.stderr.write(`\r\u001b[K${place + 1}/${cases.length} ${test.name}`);
      }
      measurements[place] = await measure(test, natives, count, quick);
    }
  };
  // Cases beside each other would slow each other down, which does not matter where nothing is to be measured.
  await Promise.all(Array.from({ length: quick ? 2 : 1 }, runCases));
  if (process.stderr.isTTY) process.stderr.write("\r\u001b[K");
  const rows = rowsOfAll(measurements);
  console.log(
    `${machine}\nThe quickest of ${count} rounds of each, in turn. 1/N: N times faster.\n`,
  );
  console.log(tableOf(rows));
  if (natives.compiler === undefined) console.log("\nNo gcc: nothing to compare with.");
  else if (natives.glib === undefined) console.log("\nNo GLib: no hash table to compare with.");
  const missed = rows.filter(({ verdict }) => verdict === "missed").length;
  const set = rows.filter(({ verdict }) => verdict !== "").length;
  console.log(`\n${set - missed} of ${set} targets met`);
  if (write) writeFileSync(RESULTS, resultsOf(rows, machine));
};

const main = async (): Promise<void> => {
  const values = options();
  if (values.help) console.log(USAGE);
  else if (values.list) console.log(CASES.map(({ name }) => name).join("\n"));
  else if (values.counts) writeFileSync(COUNTS, `${JSON.stringify(countAll(), undefined, 2)}\n`);
  else if (values.boot) await reportBoots(Number(values.rounds ?? 3));
  else if (values["collection-proof"]) collectionProof();
  else if (values.job === undefined) await run(values);
  else
    serve(CASES.find(({ name }) => name === values.job)!.createJob(), values.quick ? 0 : undefined);
};

try {
  await main();
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
