import { parseArgs } from "node:util";
import { type CampaignResult, type Found, runCampaign } from "./campaign.ts";
import { differenceText } from "./compare.ts";
import { coverageLines } from "./coverage.ts";
import { provideQemu } from "./provision.ts";
import { hasMode, MODES } from "./qemu-process.ts";
import { isKnownVersion } from "./rig.ts";
import { stepText, TOPICS } from "./step.ts";

const { values } = parseArgs({
  options: {
    qemu: { type: "string" },
    cases: { type: "string", default: "2000" },
    seed: { type: "string", default: "1" },
    mode: { type: "string" },
    topic: { type: "string" },
    stop: { type: "string", default: "5" },
    coverage: { type: "boolean", default: false },
    /** Only sees to it that there is one. */
    provide: { type: "boolean", default: false },
  },
});

const printFound = (name: string, { seed, topic, steps, disagreement }: Found): void => {
  console.log(`--- ${name}, case ${seed} about ${topic}`);
  for (const step of steps) console.log(`  ${stepText(step)}`);
  for (const difference of disagreement.differences)
    console.log(`  * ${differenceText(difference)}`);
  if (disagreement.crash !== undefined) console.log(`  * ${disagreement.crash}`);
};

const printResult = (result: CampaignResult): void => {
  const { name, cases, steps, found, elsewhere, excluded, counts, seconds } = result;
  for (const each of found) printFound(name, each);
  for (const difference of elsewhere) console.log(`  * ${differenceText(difference)}`);
  if (values.coverage) for (const line of coverageLines(counts)) console.log(line);
  for (const [why, count] of excluded)
    console.log(`${String(count).padStart(8)}  left out: ${why}`);
  const rate = (cases / seconds).toFixed(0);
  console.log(
    `${name}: ${cases} cases, ${steps} steps, ${found.length} differ, ${seconds.toFixed(1)} s, ${rate} cases/s`,
  );
};

const provision = await provideQemu({
  path: values.qemu,
  say: console.error,
});
let passed = 0;
let failed = 0;
if (values.provide) {
  const known = provision.ok && isKnownVersion(provision.qemu);
  console.log(provision.ok ? `QEMU ${provision.qemu.versionText}` : provision.missing);
  process.exit(known ? 0 : 1);
}
if (provision.ok) {
  for (const mode of MODES.filter((m) => hasMode(provision.qemu, m) && (values.mode ?? m) === m)) {
    const result = await runCampaign({
      qemu: provision.qemu,
      mode,
      cases: Number(values.cases),
      seed: Number(values.seed),
      topic: TOPICS.find((topic) => topic === values.topic),
      stop: Number(values.stop),
    });
    printResult(result);
    const bad = result.found.length + result.elsewhere.length;
    failed += bad;
    passed += result.cases - result.found.length;
  }
} else {
  console.log(provision.missing);
}
console.log(`${passed} passed, ${failed} failed, ${provision.ok ? 0 : 1} skipped`);
process.exitCode = failed > 0 ? 1 : 0;
