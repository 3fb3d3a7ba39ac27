// npm test: installs what is missing and runs the tests. Arguments go to vitest: npm test -- src/bits
import { finish } from "./counts.mjs";
import { ensureInstalled } from "./install.mjs";
import { runTests } from "./vitest.mjs";

ensureInstalled();
finish(runTests(process.argv.slice(2)));
