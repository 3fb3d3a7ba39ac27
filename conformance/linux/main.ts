import { parseArgs } from "node:util";
import { CommandError } from "../../src/cli/command-error.ts";
import { CASES } from "./cases.ts";
import { bootProblems } from "./kernel-log.ts";
import { type MachineName, Machines } from "./machines.ts";
import { type CaseResult, runCase } from "./run-case.ts";

const { values } = parseArgs({
  options: {
    kernel: { type: "string" },
    only: { type: "string", default: "" },
    verbose: { type: "boolean", default: false },
  },
});

const printResult = ({ name, problems, seconds, work, leaves }: CaseResult): void => {
  const mark = problems.length === 0 ? "✓" : "✗";
  console.log(`${mark} ${name.padEnd(48)} ${seconds.toFixed(1).padStart(5)} s  ${leaves} leaves`);
  for (const problem of problems) console.log(`    ${problem}`);
  if (!values.verbose) return;
  const { reads, writes, translations, descriptors } = work;
  const kinds = [...descriptors].map(([kind, count]) => `${count} ${kind}`).join(", ");
  console.log(`    ${reads} reads, ${writes} writes, ${translations} translations; ${kinds}`);
};

/** Kernels before iommufd. */
const OLD = /^[0-5]\.|^6\.1$/;

const chosen = CASES.filter(
  ({ name, script, needs }) =>
    `${name} ${script ?? ""}`.includes(values.only) &&
    (needs === undefined || !OLD.test(values.kernel ?? "")),
);

const run = async (): Promise<{ passed: number; failed: number }> => {
  const machines = await Machines.create(values.kernel, process.cwd());
  const counts = { passed: 0, failed: 0 };
  const count = (good: boolean): void => void (good ? counts.passed++ : counts.failed++);
  for (const machine of new Set(chosen.map((each): MachineName => each.machine))) {
    const { messages, seconds } = await machines.boot(machine);
    const problems = bootProblems(messages);
    const took = seconds === 0 ? "kept" : `${seconds.toFixed(1)} s`;
    console.log(`${problems.length === 0 ? "✓" : "✗"} boot of ${machine}: ${took}`);
    for (const problem of problems) console.log(`    ${problem}`);
    count(problems.length === 0);
  }
  for (const each of chosen) {
    const result = await runCase(machines, each);
    printResult(result);
    count(result.problems.length === 0);
  }
  return counts;
};

try {
  const { passed, failed } = await run();
  console.log(`${passed} passed, ${failed} failed, 0 skipped`);
  process.exit(failed === 0 ? 0 : 1);
} catch (error) {
  if (!(error instanceof CommandError)) throw error;
  console.error(`conformance:linux: ${error.message}\n${error.hint ?? ""}`);
  console.log("0 passed, 0 failed, 1 skipped");
  process.exit(1);
}
