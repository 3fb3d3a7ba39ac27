import { parseArgs } from "node:util";
import { createCapabilities } from "../../src/hardware/vtd/capabilities.ts";
import { QEMU_11_1_LEGACY, QEMU_11_1_SCALABLE } from "../../src/hardware/vtd/qemu-profiles.ts";
import { differenceText } from "./compare.ts";
import { generateCase } from "./generate.ts";
import { provideQemu } from "./provision.ts";
import { hasMode, MODES } from "./qemu-process.ts";
import { QemuSubject } from "./qemu-subject.ts";
import { runCase } from "./run-case.ts";
import { shrink } from "./shrink.ts";
import { stepText } from "./step.ts";
import { UnitSubject } from "./unit-subject.ts";

const { values } = parseArgs({
  options: {
    qemu: { type: "string" },
    cases: { type: "string", default: "2000" },
    seed: { type: "string", default: "1" },
    mode: { type: "string" },
    stop: { type: "string", default: "5" },
  },
});

const found = await provideQemu({ path: values.qemu, mayInstall: true, say: console.error });
if (!found.ok) {
  console.log(found.missing);
  process.exit(1);
}
for (const mode of MODES.filter((m) => hasMode(found.qemu, m) && (values.mode ?? m) === m)) {
  const theirs = await QemuSubject.start(found.qemu, mode);
  try {
    const capabilities = createCapabilities({
      ...(await theirs.capabilities()),
      unsnoopedUpdates: true,
      deviations: mode === "legacy" ? QEMU_11_1_LEGACY : QEMU_11_1_SCALABLE,
    });
    const pair = { ours: new UnitSubject(capabilities), theirs, capabilities };
    const began = performance.now();
    let bad = 0;
    let done = 0;
    let steps = 0;
    for (let n = 0; n < Number(values.cases) && bad < Number(values.stop); n++) {
      const test = generateCase(Number(values.seed) + n, mode, capabilities);
      const outcome = await runCase(pair, test);
      done++;
      steps += test.steps.length;
      if (outcome === undefined) continue;
      bad++;
      const small = await shrink(pair, test, outcome);
      console.log(`--- ${theirs.name} seed ${test.seed}`);
      for (const step of small.steps) console.log(`  ${stepText(step)}`);
      for (const difference of small.disagreement.differences)
        console.log(`  * ${differenceText(difference)}`);
      if (small.disagreement.crash !== undefined) console.log(`  * ${small.disagreement.crash}`);
    }
    const s = (performance.now() - began) / 1000;
    console.log(`${theirs.name}: ${done} cases, ${steps} steps, ${bad} differ, ${s.toFixed(1)} s`);
  } finally {
    await theirs.end();
  }
}
