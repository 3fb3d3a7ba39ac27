import { runDemonstration } from "./demonstration.ts";
import { demonstrateKernel } from "./kernel-demonstration.ts";
import { OutputClosed, processOutput } from "./output.ts";
import { createPaint, wantsColor } from "./paint.ts";

const output = processOutput();
const paint = createPaint(wantsColor("auto", output.env, output.outIsTerminal));
try {
  const counts = { ...runDemonstration(output.out, paint) };
  await demonstrateKernel(output.out, paint, counts);
  const { passed, failed, skipped } = counts;
  output.out(`${passed} passed, ${failed} failed, ${skipped} skipped\n`);
  process.exitCode = failed === 0 ? 0 : 1;
} catch (error) {
  if (!(error instanceof OutputClosed)) throw error;
}
