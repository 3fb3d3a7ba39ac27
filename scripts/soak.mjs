// npm run soak: the same tests at full numbers, those that only make sense then, and the known defects. Arguments choose tests, and leave out the defects.
import { addCounts, finish } from "./counts.mjs";
import { runDefects } from "./defects.mjs";
import { ensureInstalled } from "./install.mjs";
import { runTests } from "./vitest.mjs";

ensureInstalled();
const parts = process.argv.slice(2);
const tests = runTests(parts, { SOFTIOMMU_SOAK: "1" });
finish(parts.length > 0 ? tests : addCounts(tests, runDefects([])));
