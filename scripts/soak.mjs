// npm run soak: the same tests at full numbers, and those that only make sense then.
import { finish } from "./counts.mjs";
import { ensureInstalled } from "./install.mjs";
import { runTests } from "./vitest.mjs";

ensureInstalled();
finish(runTests(process.argv.slice(2), { SOFTIOMMU_SOAK: "1" }));
